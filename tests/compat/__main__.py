# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the program against each S3 server that can be had, print the table, and write docs/compatibility.md.

With names of servers only these are run, and the others keep what the page has of them; so do the other rows with
``--row``, where the server is of the version that the page has. ``--short`` is for `make test`: a homeserver's pass on
MinIO and on versitygw, and the contract suite on versitygw; the page stays. The exit status is 1 where a cell fails.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ansible_collections.matrixops.synapse_s3.tests.compat.page import page
from ansible_collections.matrixops.synapse_s3.tests.compat.results import Column, read_columns, write_columns
from ansible_collections.matrixops.synapse_s3.tests.compat.runner import CONTRACT, SCHEMES, run_column
from ansible_collections.matrixops.synapse_s3.tests.compat.scenarios import SCENARIOS, SHORT
from ansible_collections.matrixops.synapse_s3.tests.compat.server import ROOT
from ansible_collections.matrixops.synapse_s3.tests.compat.servers.table import SERVERS

DATA = ROOT / "docs" / "compatibility.json"
PAGE = ROOT / "docs" / "compatibility.md"
# The contract suite is run on MinIO by `make test` anyway.
SHORT_ROWS = {"MinIO": SHORT, "versitygw": (CONTRACT, *SHORT)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="compat", description=__doc__)
    parser.add_argument("server", nargs="*", help=f"one of {', '.join(SERVERS)}; by default all")
    parser.add_argument("--row", action="append", help="only this row; may be repeated")
    parser.add_argument("--short", action="store_true", help="what `make test` runs")
    options = parser.parse_args()
    if unknown := [name for name in options.server if name not in SERVERS]:
        parser.error(f"unknown server {unknown[0]!r}")
    if options.short:
        columns = [run_column(SERVERS[name], rows, SCHEMES[:1], _say) for name, rows in SHORT_ROWS.items()]
    elif options.row:
        columns = _run_rows(options.server or list(SERVERS), options.row)
    else:
        columns = _run_all(options.server or list(SERVERS))
    print(page(columns))
    _tally(columns)
    return 1 if any(column.has_failed or (options.short and column.missing) for column in columns) else 0


def _run_all(names: list[str]) -> list[Column]:
    """Run whole columns, and write the page after each: hours are not lost with the last of them."""
    known, columns = read_columns(DATA), list[Column]()
    for name in names:
        column = run_column(SERVERS[name], (CONTRACT, *SCENARIOS), SCHEMES, _say)
        # What was run elsewhere before, as the date tells, is more than that it can't be had here.
        if not column.missing or name not in known:
            known[name] = column
        columns = _write_page(known)
    return columns


def _run_rows(names: list[str], rows: list[str]) -> list[Column]:
    """Run some rows once more; what the page has of the others stays."""
    known, columns = read_columns(DATA), list[Column]()
    for name in names:
        columns.append(column := run_column(SERVERS[name], rows, SCHEMES, _say))
        before = known.get(name)
        if before is not None and not column.missing and before.version == column.version:
            known[name] = replace(before, cells={**before.cells, **column.cells})
            _write_page(known)
    return columns


def _write_page(known: Mapping[str, Column]) -> list[Column]:
    columns = [known[each] for each in SERVERS if each in known]
    write_columns(DATA, columns)
    PAGE.write_text(page(columns), encoding="utf-8")
    return columns


def _say(text: str) -> None:
    print(f"compat: {text}", file=sys.stderr, flush=True)


def _tally(columns: list[Column]) -> None:
    """For scripts/check, which counts; pytest has written down its own tests."""
    path = os.environ.get("SYNAPSE_S3_TALLY")
    if not path:
        return
    with Path(path).open("a", encoding="utf-8") as tally:
        for column in columns:
            if column.missing:
                tally.write(f"failed {column.name} could not be had: {column.missing}\n")
            for row, cells in column.cells.items():
                for scheme, cell in cells.items():
                    if row != CONTRACT:
                        is_well = cell.outcome.value != "failed"
                        tally.write(
                            "passed 1\n" if is_well else f"failed {column.name}, {scheme}, {row}: {cell.said}\n"
                        )


if __name__ == "__main__":
    sys.exit(main())
