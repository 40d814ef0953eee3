# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark's command line."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.matrixops.synapse_s3.tests.benchmark import growth, move, nightly
from ansible_collections.matrixops.synapse_s3.tests.benchmark.document import outdated, publish
from ansible_collections.matrixops.synapse_s3.tests.benchmark.machine import describe
from ansible_collections.matrixops.synapse_s3.tests.benchmark.peers import cache_directory
from ansible_collections.matrixops.synapse_s3.tests.benchmark.report import as_text, programs_table, tables
from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import Condition, summarise, summarise_nights
from ansible_collections.matrixops.synapse_s3.tests.benchmark.saved import Results, load, save
from ansible_collections.matrixops.synapse_s3.tests.benchmark.settings import (
    ROUND_TRIPS_MS,
    SCHEMES,
    STORAGES,
    TOOLS,
    contests,
)
from ansible_collections.matrixops.synapse_s3.tests.benchmark.sweep import sweep
from ansible_collections.matrixops.synapse_s3.tests.benchmark.tools import MODULE_UTILS
from ansible_collections.matrixops.synapse_s3.tests.benchmark.tree import USUAL

RESULTS = cache_directory() / "benchmark.json"
_DESCRIPTION = """\
Measure `migrate` beside the programs that it replaces, on this machine alone.

Exit status 0: measured, and every file was found where it belongs. 1: a program lost or left files, or ended with an
error. How fast anything is never changes the status."""


def main(argv: Sequence[str]) -> int:
    """Run one benchmark and print what it found."""
    options = _parser().parse_args(argv)
    # So that servers end and directories go.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    status: int = options.run(options)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make bench", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    everything = command("all", _all, "move, nightly and growth, one after the other (about an hour)")
    moving = command("move", _move, "all programs put all files of a media store into a bucket")
    night = command("nightly", _nightly, "a large bucket, few local files: ours and s3_media_upload")
    growing = command("growth", _growth, "ours alone on more and more files: its memory, its time a file")
    sweeping = command("sweep", _sweep, "the other programs with many settings, to find their best")
    command("publish", _publish, "write the last results, their tables and the chart into docs/")
    command("lint", _lint, "are the tables and the chart in docs/ those of the results there?")

    for each in (everything, moving, night, growing, sweeping):
        each.add_argument(
            "--engine", type=Path, default=MODULE_UTILS, metavar="DIRECTORY", help="where our program, _media, is"
        )
        each.add_argument("--quick", action="store_true", help="few files, one round: to see that it works")
    for each in (moving, sweeping):
        each.add_argument("--files", type=int, default=8000, metavar="N", help="default: %(default)s")
        each.add_argument("--rounds", type=int, default=3, metavar="N", help="default: %(default)s")
        _add_list(each, "--rtt", ROUND_TRIPS_MS)
        _add_list(each, "--tool", TOOLS)
    _add_list(moving, "--storage", STORAGES)
    _add_list(moving, "--scheme", SCHEMES)
    night.add_argument("--objects", type=int, default=1_000_000, metavar="N", help="default: %(default)s")
    night.add_argument("--local-files", type=int, default=2000, metavar="N", help="default: %(default)s")
    night.add_argument("--rounds", type=int, default=1, metavar="N", help="default: %(default)s")
    night.add_argument("--rtt", type=int, default=10, metavar="MS", help="default: %(default)s")
    growing.add_argument(
        "--files", type=int, nargs="+", default=[10_000, 100_000], metavar="N", help="default: 10000 100000"
    )
    for each in (night, growing):
        each.add_argument("--storage", choices=STORAGES, default="memory", help="default: %(default)s")
    return parser


def _all(options: argparse.Namespace) -> int:
    """Each benchmark with its own defaults."""
    common = ["--engine", str(options.engine), *(["--quick"] if options.quick else [])]
    return max(main([name, *common]) for name in ("move", "nightly", "growth"))


def _move(options: argparse.Namespace) -> int:
    if options.quick:
        options.files, options.rounds, options.storage, options.scheme = 1000, 1, ["memory"], ["http"]
    with _work() as work:
        task = move.Task(USUAL, options.files, options.engine.resolve(), Path(work))
        matrix = list(contests(options.storage, options.scheme, options.rtt, options.rounds, options.tool))
        return _finish("move", tuple(summarise(move.measure(matrix, options.rounds, task, _say))))


def _nightly(options: argparse.Namespace) -> int:
    if options.quick:
        options.objects, options.local_files = 20_000, 200
    with _work() as work:
        night = nightly.Night(
            condition=Condition(options.storage, "http", options.rtt),
            objects=options.objects,
            local_files=options.local_files,
            rounds=options.rounds,
            engine=options.engine.resolve(),
            work=Path(work),
        )
        return _finish("nightly", tuple(summarise_nights(nightly.measure(night, _say))))


def _growth(options: argparse.Namespace) -> int:
    if options.quick:
        options.files = [1000, 10_000]
    with _work() as work:
        runs = growth.measure_growth(options.files, options.storage, options.engine.resolve(), Path(work), _say)
        return _finish("growth", tuple(summarise(runs)))


def _sweep(options: argparse.Namespace) -> int:
    if options.quick:
        options.files, options.rounds = 1000, 1
    with _work() as work:
        task = move.Task(USUAL, options.files, options.engine.resolve(), Path(work))
        tried = [sweep(Condition("memory", "http", rtt), options.rounds, tuple(options.tool)) for rtt in options.rtt]
        print(f"\n{as_text(programs_table(summarise(move.measure(tried, options.rounds, task, _say))))}")
        return 0


def _publish(_options: argparse.Namespace) -> int:
    publish(_kept())
    return 0


def _lint(_options: argparse.Namespace) -> int:
    names = outdated()
    for name in names:
        _say(f"docs/{name} is not what docs/performance.json leads to: make bench BENCH=publish writes it")
    return 1 if names else 0


def _finish(name: str, rows: tuple[Any, ...]) -> int:
    """Keep the results, print this benchmark's tables, and tell whether every file was where it belongs."""
    results = _kept().with_section(name, rows, describe())
    save(results, RESULTS)
    for table in tables(results)[name]:
        print(f"\n{as_text(table)}")
    return 1 if any(row.failed for row in rows) else 0


def _kept() -> Results:
    """The results of earlier runs."""
    try:
        return load(RESULTS)
    except (KeyError, TypeError, ValueError):
        _say(f"{RESULTS} was written by another version of the benchmark: it is begun anew")
        return Results()


def _work() -> tempfile.TemporaryDirectory[str]:
    """Room on the disk."""
    return tempfile.TemporaryDirectory(prefix="bench-", dir=cache_directory())


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _add_list(parser: argparse.ArgumentParser, name: str, choices: Sequence[Any]) -> None:
    """An option with some of the choices, between commas; by default all."""
    by_text = {str(choice): choice for choice in choices}

    def convert(text: str) -> list[Any]:
        if unknown := set(text.split(",")) - by_text.keys():
            raise argparse.ArgumentTypeError(f"{min(unknown)!r} is none of {', '.join(by_text)}")
        return [by_text[part] for part in text.split(",")]

    parser.add_argument(name, type=convert, default=list(choices), metavar="LIST", help=f"default: {','.join(by_text)}")
