# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/compatibility.md: generated from what the runs left beside it, and of the right shape."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.matrixops.synapse_s3.tests.compat.page import page
from ansible_collections.matrixops.synapse_s3.tests.compat.results import (
    Cell,
    Column,
    Outcome,
    read_columns,
    write_columns,
)
from ansible_collections.matrixops.synapse_s3.tests.compat.runner import CONTRACT
from ansible_collections.matrixops.synapse_s3.tests.compat.scenarios import SCENARIOS
from ansible_collections.matrixops.synapse_s3.tests.compat.servers.table import SERVERS

DOCS = Path(__file__).resolve().parents[3] / "docs"
OK = Cell(Outcome.OK)
TOLD = Cell(Outcome.TOLD, "The server ignores it.")
FAILED = Cell(Outcome.FAILED, "It was lost.")


def column(name: str, **rows: dict[str, Cell]) -> Column:
    return Column(name, "1.0", "2026-11-28", "PyPI", ("Worth knowing.",), cells=rows)


def table(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ")]


def test_the_page_is_what_the_runs_make_it() -> None:
    columns = list(read_columns(DOCS / "compatibility.json").values())
    text = (DOCS / "compatibility.md").read_text(encoding="utf-8")
    assert text == page(columns)
    head, *rows = ([word.strip() for word in line.strip("|").split("|")] for line in table(text))
    # Also a server that could not be had is named in the table, and in no other order.
    assert head[1:] == [each.name for each in columns] == list(SERVERS)
    assert [row[0] for row in rows] == [
        row for row in (CONTRACT, *SCENARIOS) if any(row in each.cells for each in columns)
    ]
    assert {len(row) for row in rows} == {len(head)}
    assert all(word for row in rows for word in row)
    # Each number leads to a line below the table.
    told = {int(number) for row in rows for number in re.findall(r"\[(\d+)\]", " ".join(row))}
    assert told == {int(number) for number in re.findall(r"^(\d+)\. ", text, re.MULTILINE)}
    for each in columns:
        assert re.search(rf"^\*\*{each.name}\*\*.* {each.date}\.", text, re.MULTILINE)


def test_what_came_out_alike_by_http_and_https_is_one_word() -> None:
    text = page([column("A", migrate={"http": OK, "https": OK}), column("B", migrate={"http": TOLD, "https": OK})])
    assert table(text)[1] == "| migrate | ok | told [1] (http); ok (https) |"
    assert "\n1. The server ignores it.\n" in text


def test_what_was_said_twice_stands_there_once() -> None:
    text = page([column("A", one={"http": TOLD}, two={"http": TOLD}, three={"http": FAILED})])
    assert table(text)[1:] == [
        "| one | told [1] (http) |",
        "| two | told [1] (http) |",
        "| three | **fails** [2] (http) |",
    ]


def test_a_server_that_could_not_be_had_is_named() -> None:
    text = page(
        [Column("B", "", "2026-11-28", "its crate", missing="There is no Rust."), column("A", one={"http": OK})]
    )
    assert table(text) == ["| | B | A |", "| one | not had | ok (http) |"]
    assert "\n**B**, from its crate: not had on 2026-11-28. There is no Rust.\n" in text


def test_columns_are_read_as_they_were_written(tmp_path: Path) -> None:
    columns = [column("A", one={"http": FAILED, "https": TOLD}), column("B", one={"http": OK})]
    write_columns(tmp_path / "columns.json", columns)
    read = read_columns(tmp_path / "columns.json")
    assert page(list(read.values())) == page(columns)
    assert [each.has_failed for each in read.values()] == [True, False]
    assert read_columns(tmp_path / "none.json") == {}
