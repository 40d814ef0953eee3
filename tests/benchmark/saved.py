# SPDX-License-Identifier: GPL-3.0-or-later
"""Results in a file: summarised, so that it stays small, and with what they were measured on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import WAY_BACK, Condition, NightlyRow, Row

# So that few requests for very many files are told apart.
_DIGITS = 6


@dataclass(frozen=True)
class Results:
    """What each benchmark found when it ran last. ``measured_on``: the machine and the versions, by benchmark."""

    move: tuple[Row, ...] = ()
    nightly: tuple[NightlyRow, ...] = ()
    growth: tuple[Row, ...] = ()
    verify: tuple[Row, ...] = ()
    restore: tuple[Row, ...] = ()
    copy_bucket: tuple[Row, ...] = ()
    purge_orphans: tuple[Row, ...] = ()
    page_way: tuple[Row, ...] = ()
    measured_on: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def with_section(self, name: str, rows: tuple[Any, ...], measured_on: Mapping[str, str]) -> Results:
        """The same with one benchmark's results replaced."""
        return replace(self, **{name: rows}, measured_on={**self.measured_on, name: measured_on})


def save(results: Results, path: Path) -> None:
    """Write a file of one line for each row, numbers rounded."""
    sections = [f"{json.dumps(name)}: {_lines(value)}" for name, value in asdict(results).items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(sections) + "\n}\n", encoding="utf-8")


def load(path: Path) -> Results:
    """The results in the file; none when there is no file."""
    if not path.exists():
        return Results()
    found = json.loads(path.read_text(encoding="utf-8"))
    return Results(
        move=tuple(_row(Row, each) for each in found["move"]),
        nightly=tuple(_row(NightlyRow, each) for each in found["nightly"]),
        growth=tuple(_row(Row, each) for each in found["growth"]),
        # A file of before these were measured has none.
        **{name: tuple(_row(Row, each) for each in found.get(name, [])) for name in (*WAY_BACK, "page_way")},
        measured_on=found["measured_on"],
    )


def _lines(section: Any) -> str:
    if isinstance(section, dict):
        return json.dumps(section)
    return "[" + ",".join(f"\n  {json.dumps(_rounded(row))}" for row in section) + "\n]"


def _rounded(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: round(value, _DIGITS) if isinstance(value, float) else value for name, value in row.items()}


def _row(kind: type[Any], found: Mapping[str, Any]) -> Any:
    return kind(**{**found, "condition": Condition(**found["condition"])})
