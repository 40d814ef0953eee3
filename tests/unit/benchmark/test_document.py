# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/performance.md and its chart: generated, and held to that."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from ansible_collections.matrixops.synapse_s3.tests.benchmark.chart import draw
from ansible_collections.matrixops.synapse_s3.tests.benchmark.document import DOCS, insert, outdated, publish
from ansible_collections.matrixops.synapse_s3.tests.benchmark.report import Table, as_markdown, as_text
from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import Condition, Measurement, Row, summarise
from ansible_collections.matrixops.synapse_s3.tests.benchmark.saved import Results, load

TABLE = Table("A title", ("name", "n"), (("a long name", "1"), ("b", "22")))
PLACE = "<!-- generated: move -->\nold\n<!-- end -->"


def rows(*conditions: Condition) -> tuple[Row, ...]:
    return tuple(
        summarise(
            Measurement(condition, tool, 16, False, 1000, 5000, seconds, 1.0, 10**8, 1000, 1.0, 2.5)
            for condition in conditions
            for tool, seconds in (("s5cmd mv", 2.0), ("migrate", 1.0))
        )
    )


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    shutil.copy(DOCS / "performance.md", tmp_path)
    return tmp_path


def test_what_is_in_the_tree_is_what_is_generated() -> None:
    assert outdated() == []


def test_published_results_are_current_and_can_be_read_back(docs: Path) -> None:
    results = Results(move=rows(Condition("memory", "http", 10))).with_section("growth", rows(), {"Python": "3.11"})

    publish(results, docs)

    assert outdated(docs) == []
    assert load(docs / "performance.json") == results
    assert "| 10 ms, http, memory | migrate (16) | 1,000 |" in (docs / "performance.md").read_text()


def test_an_edited_table_is_found(docs: Path) -> None:
    publish(Results(move=rows(Condition("memory", "http", 10))), docs)
    document = docs / "performance.md"
    document.write_text(document.read_text().replace("| 1,000 |", "| 9,000 |"))

    assert outdated(docs) == ["performance.md"]


def test_insert() -> None:
    document = insert(f"before\n{PLACE}\nafter\n", {"move": "new"})

    assert document == "before\n<!-- generated: move -->\n\nnew\n\n<!-- end -->\nafter\n"
    assert insert(document, {"move": "new"}) == document


@pytest.mark.parametrize("sections", [{}, {"other": "x"}, {"move": "x", "other": "y"}])
def test_every_section_has_one_place(sections: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"^the document has places for \['move'\], but there are \["):
        insert(PLACE, sections)


def test_table_as_text() -> None:
    assert as_text(TABLE) == "A title\n\nname         n\na long name  1\nb            22"


def test_table_as_markdown() -> None:
    assert as_markdown(TABLE) == "**A title**\n\n| name | n |\n| --- | --- |\n| a long name | 1 |\n| b | 22 |"


def test_chart_shows_the_fast_server_fastest_first() -> None:
    shown = rows(Condition("memory", "http", 0), Condition("memory", "http", 40), Condition("disk", "http", 10))

    texts = [text.text for text in ET.fromstring(draw(shown)).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314

    assert texts[1:] == [
        "0 ms added round trip",
        *("migrate (16)", "1,000", "s5cmd mv (16)", "500"),
        "40 ms added round trip",
        *("migrate (16)", "1,000", "s5cmd mv (16)", "500"),
    ]


def test_chart_of_nothing() -> None:
    assert ET.fromstring(draw(())).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314
