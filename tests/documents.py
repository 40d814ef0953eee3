# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of the documentation, and what stands in them, for the tests that hold them to the truth."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "roles").glob("*/README.md")))
_FENCE = re.compile(r"^( *)```(\S+)(?: (\S+))?$")


@dataclass(frozen=True)
class Block:
    """A fenced block, which begins at ``line``. ``word`` stands behind the language, and says what runs it."""

    page: Path
    line: int
    language: str
    word: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> Sequence[str]:
        """The lines of a block of commands, those that go on behind a backslash as one, without comments."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [command for line in lines if (command := re.sub(r"(^|\s)#\s.*$", "", line).strip())]


def blocks(*languages: str) -> Iterator[Block]:
    """The blocks of all pages that are in one of these languages."""
    for page in PAGES:
        found = None
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
            if found is None:
                found = _FENCE.match(line)
                start, text = number, list[str]()
            elif line.strip() == "```":
                if found[2] in languages:
                    yield Block(page, start, found[2], found[3] or "", "".join(text))
                found = None
            else:
                text.append(line.removeprefix(found[1]) + "\n")
        assert found is None, f"{page} has a block without an end"


def code_spans(page: Path) -> Iterator[str]:
    """The code in the sentences and tables of a page."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for span in re.findall(r"`([^`\n]+)`", text):
        yield span.replace("\\|", "|")
