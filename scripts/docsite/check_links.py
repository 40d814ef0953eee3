# SPDX-License-Identifier: GPL-3.0-or-later
"""check_links.py DIRECTORY: see that each link of a built site leads to a file, and each fragment to an element of it.

Links to other sites are not asked for: there may be no network.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class Page(HTMLParser):
    """The links and the fragments of a page."""

    links: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag leads to, and what leads to it."""
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name == "href" or (name == "src" and tag in {"img", "script"}):
                self.links.append(value or "")


def main() -> int:
    """Name each broken link; return the exit status."""
    root = Path(sys.argv[1]).resolve()
    pages = {path: read(path) for path in root.rglob("*.html")}
    broken = [
        f"{path.relative_to(root)}: {link}"
        for path, page in pages.items()
        for link in page.links
        if is_broken(path, link, pages)
    ]
    for line in broken:
        print(f"Leads nowhere: {line}")
    print(f"{len(pages)} pages, {sum(len(page.links) for page in pages.values())} links, {len(broken)} of them broken.")
    return 1 if broken or not pages else 0


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def is_broken(path: Path, link: str, pages: dict[Path, Page]) -> bool:
    """Whether a link within the site leads to no file, or to no element of a page."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return False
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if target in pages and parts.fragment:
        return unquote(parts.fragment) not in pages[target].ids
    return not target.exists()


if __name__ == "__main__":
    sys.exit(main())
