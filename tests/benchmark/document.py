# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/performance.md: its tables and its chart come from docs/performance.json, and a check says when they do not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.matrixops.synapse_s3.tests.benchmark.chart import draw
from ansible_collections.matrixops.synapse_s3.tests.benchmark.report import as_markdown, tables
from ansible_collections.matrixops.synapse_s3.tests.benchmark.saved import Results, load, save

DOCS = Path(__file__).resolve().parents[2] / "docs"
_GENERATED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def publish(results: Results, docs: Path = DOCS) -> None:
    """Write the results, the tables and the chart into the documentation."""
    save(results, docs / "performance.json")
    for name, text in _generate(docs).items():
        (docs / name).write_text(text, encoding="utf-8")


def outdated(docs: Path = DOCS) -> list[str]:
    """The files that are not what would be generated from the results."""
    return [name for name, text in _generate(docs).items() if (docs / name).read_text(encoding="utf-8") != text]


def insert(document: str, sections: Mapping[str, str]) -> str:
    """The document with each generated section in place; every section must have its place, and every place one."""
    places = [found[2] for found in _GENERATED.finditer(document)]
    if sorted(places) != sorted(sections):
        raise ValueError(f"the document has places for {sorted(places)}, but there are {sorted(sections)}")
    return _GENERATED.sub(lambda found: f"{found[1]}\n{sections[found[2]]}\n\n{found[3]}", document)


def _generate(docs: Path) -> dict[str, str]:
    results = load(docs / "performance.json")
    sections = {}
    for name, found in tables(results).items():
        facts = ", ".join(f"{key} {value}" for key, value in results.measured_on.get(name, {}).items())
        parts = [as_markdown(table) for table in found] or ["Not measured yet."]
        sections[name] = "\n\n".join([*parts, *([f"Measured on: {facts}."] if facts else [])])
    document = (docs / "performance.md").read_text(encoding="utf-8")
    return {"performance.md": insert(document, sections), "performance.svg": draw(results.move)}
