# SPDX-License-Identifier: GPL-3.0-or-later
"""Results as tables: for a terminal and, the same ones, for docs/performance.md. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import (
    MANY_CONNECTIONS_BYTES,
    MANY_FILES_BYTES,
    NIGHTLY_TARGET,
    VERIFY_BYTES,
    VERIFY_FILES,
    VERIFY_REQUESTS,
    NightlyRow,
    Row,
    nightly_ratio,
    ratios,
    verify_verdict,
)
from ansible_collections.matrixops.synapse_s3.tests.benchmark.saved import Results

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Table:
    """A heading, the columns' names, and the cells as text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(results: Results) -> dict[str, list[Table]]:
    """The tables by benchmark; none for one that has not run."""
    return {
        "move": _move_tables(results.move),
        "page_way": _page_way_tables(results.page_way),
        "nightly": _nightly_tables(results.nightly),
        "growth": _growth_tables(results.growth),
        "verify": _verify_tables(results.verify),
        "restore": _way_back_tables("Bring all back to the local disk", results.restore),
        "copy_bucket": _way_back_tables("Copy all into another bucket", results.copy_bucket),
        "purge_orphans": _way_back_tables("Delete orphans from the bucket", results.purge_orphans),
    }


def as_text(table: Table) -> str:
    """For a terminal: columns that stand under each other."""
    lines = [table.columns, *table.rows]
    widths = [max(len(line[number]) for line in lines) for number in range(len(table.columns))]
    body = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([table.title, "", *body])


def as_markdown(table: Table) -> str:
    lines = [table.columns, ("---",) * len(table.columns), *table.rows]
    return "\n".join([f"**{table.title}**", "", *(f"| {' | '.join(line)} |" for line in lines)])


def programs_table(rows: Sequence[Row]) -> Table:
    """What each program did; with = those at equal connections."""
    return _table(
        "Each program",
        rows,
        {
            "condition": lambda row: str(row.condition),
            "program (connections)": lambda row: row.name + (" =" if row.equal else ""),
            "files/s": lambda row: f"{row.files_per_second:,.0f}",
            "slowest-fastest": lambda row: f"{row.slowest:,.0f}-{row.fastest:,.0f}",
            "files x runs": lambda row: f"{row.files:,} x {row.runs}",
            "CPU ms/file": lambda row: f"{row.cpu_ms_per_file:.2f}",
            "memory MB": lambda row: f"{row.peak_bytes / 1e6:.0f}",
            "requests/file": lambda row: f"{row.requests_per_file:.2f}",
            "server's CPU ms/file": lambda row: f"{row.server_cpu_ms_per_file:.2f}",
            "others' CPU ms/file": lambda row: f"{row.other_cpu_ms_per_file:.2f}",
            "failed": lambda row: str(row.failed) if row.failed else "",
        },
    )


def _move_tables(rows: Sequence[Row]) -> list[Table]:
    """The measurements, and the ratios."""
    return [_ratios_table("Ours against each, files/s", rows), programs_table(rows)] if rows else []


def _page_way_tables(rows: Sequence[Row]) -> list[Table]:
    """As of `move`."""
    return [_ratios_table("migrate against the page's own way, files/s", rows), programs_table(rows)] if rows else []


def _ratios_table(title: str, rows: Sequence[Row]) -> Table:
    return _table(
        title,
        ratios(rows),
        {
            "condition": lambda ratio: str(ratio.condition),
            "ours": lambda ratio: ratio.ours,
            "against": lambda ratio: ratio.rival,
            "both at": lambda ratio: "equal connections" if ratio.equal else "their best",
            "times faster": lambda ratio: _times(ratio.value),
            "target": lambda ratio: "" if ratio.target is None else f"{ratio.target:g}",
            "": lambda ratio: ratio.verdict,
        },
    )


def _way_back_tables(what: str, rows: Sequence[Row]) -> list[Table]:
    """The ratios, and the measurements with seconds and requests as a whole."""
    if not rows:
        return []
    return [
        _ratios_table(f"{what}: ours against each", rows),
        _table(
            f"{what}: each program",
            rows,
            {
                "condition": lambda row: str(row.condition),
                "program (connections)": lambda row: row.name,
                "seconds": lambda row: f"{row.seconds:.1f}",
                "files/s": lambda row: f"{row.files_per_second:,.0f}",
                "slowest-fastest": lambda row: f"{row.slowest:,.0f}-{row.fastest:,.0f}",
                "files x runs": lambda row: f"{row.files:,} x {row.runs}",
                "CPU ms/file": lambda row: f"{row.cpu_ms_per_file:.3f}",
                "memory MB": lambda row: f"{row.peak_bytes / 1e6:.0f}",
                "requests": lambda row: f"{row.requests:,}",
                "server's CPU ms/file": lambda row: f"{row.server_cpu_ms_per_file:.3f}",
                "others' CPU ms/file": lambda row: f"{row.other_cpu_ms_per_file:.3f}",
                "failed": lambda row: str(row.failed) if row.failed else "",
            },
        ),
    ]


def _verify_tables(rows: Sequence[Row]) -> list[Table]:
    """As of the others, and what memory and requests may be."""
    if not rows:
        return []
    return [
        *_way_back_tables("See that all is there", rows),
        _table(
            "Memory and requests of verify",
            [row for row in rows if row.is_ours],
            {
                "condition": lambda row: str(row.condition),
                "files": lambda row: f"{row.files:,}",
                "memory MB": lambda row: f"{row.peak_bytes / 1e6:.0f}",
                "MB at most": lambda _row: f"{VERIFY_BYTES / 1e6:.0f}",
                "requests": lambda row: f"{row.requests:,}",
                "requests at most": lambda _row: f"{VERIFY_REQUESTS:,} for {VERIFY_FILES:,} files",
                "": verify_verdict,
            },
        ),
    ]


def _nightly_tables(rows: Sequence[NightlyRow]) -> list[Table]:
    if not rows:
        return []
    ratio = nightly_ratio(rows)
    verdict = "failed" if ratio is None else "met" if ratio >= NIGHTLY_TARGET else "NOT MET"
    return [
        _table(
            f"A night: {rows[0].local_files:,} local files, {rows[0].objects:,} objects, {rows[0].condition}:"
            f" {_times(ratio)} times faster, target {NIGHTLY_TARGET:g}, {verdict}",
            rows,
            {
                "program": lambda row: row.tool,
                "seconds": lambda row: f"{row.seconds:.1f}",
                "fastest-slowest": lambda row: f"{row.fastest:.1f}-{row.slowest:.1f}",
                "CPU s": lambda row: f"{row.cpu_seconds:.1f}",
                "memory MB": lambda row: f"{row.peak_bytes / 1e6:.0f}",
                "requests": lambda row: f"{row.requests:,}",
                "failed": lambda row: str(row.failed) if row.failed else "",
            },
        )
    ]


def _growth_tables(rows: Sequence[Row]) -> list[Table]:
    if not rows:
        return []
    return [
        _table(
            "Ours alone, on more and more files",
            rows,
            {
                "files": lambda row: f"{row.files:,} {'usual and large' if row.connections else 'tiny'}",
                "connections": lambda row: str(row.connections or "its choice"),
                "ms/file": lambda row: f"{1000 / row.files_per_second:.2f}",
                "CPU ms/file": lambda row: f"{row.cpu_ms_per_file:.2f}",
                "memory MB": lambda row: f"{row.peak_bytes / 1e6:.0f}",
                "at most": lambda row: f"{_most_bytes(row) / 1e6:.0f}",
                "": lambda row: "failed" if row.failed else "met" if row.peak_bytes <= _most_bytes(row) else "NOT MET",
            },
        )
    ]


def _table(title: str, items: Iterable[_Item], columns: Mapping[str, Callable[[_Item], str]]) -> Table:
    """Each column is a function that makes a cell of an item."""
    return Table(title, tuple(columns), tuple(tuple(cell(item) for cell in columns.values()) for item in items))


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if value < 10 else f"{value:.0f}"


def _most_bytes(row: Row) -> int:
    return MANY_CONNECTIONS_BYTES if row.connections else MANY_FILES_BYTES
