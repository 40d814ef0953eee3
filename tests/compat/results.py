# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of the cells, as it is kept beside the page: docs/compatibility.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path


class Outcome(str, Enum):
    """What a cell says.

    ``OK``: as on Amazon S3. ``TOLD``: the program said what the server can't do, before any media moved.
    ``LACKS``: the server refused what the row needs, so there was nothing to see. ``FAILED``: the program is at fault.
    """

    OK = "ok"
    TOLD = "told"
    LACKS = "lacks"
    FAILED = "failed"


@dataclass(frozen=True)
class Cell:
    """One run. ``text``: what stands in the table, '' for the outcome's word; ``said``: what stands below it."""

    outcome: Outcome
    said: str = ""
    text: str = ""


@dataclass(frozen=True)
class Column:
    """One server. ``cells``: by row, and there by scheme, http or https. ``missing``: why it could not be had."""

    name: str
    version: str
    date: str
    obtained: str
    notes: Sequence[str] = ()
    missing: str = ""
    cells: Mapping[str, Mapping[str, Cell]] = field(default_factory=dict)

    @property
    def has_failed(self) -> bool:
        return any(cell.outcome is Outcome.FAILED for row in self.cells.values() for cell in row.values())


def read_columns(path: Path) -> dict[str, Column]:
    """The columns of earlier runs, by name; none without the file."""
    if not path.exists():
        return {}
    columns = {}
    for each in json.loads(path.read_text(encoding="utf-8")):
        cells = {
            row: {scheme: Cell(Outcome(cell["outcome"]), cell["said"], cell["text"]) for scheme, cell in told.items()}
            for row, told in each.pop("cells").items()
        }
        columns[each["name"]] = Column(**each, cells=cells)
    return columns


def write_columns(path: Path, columns: Sequence[Column]) -> None:
    path.write_text(json.dumps([asdict(column) for column in columns], indent=1, ensure_ascii=False) + "\n", "utf-8")
