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

from ansible_collections.matrixops.synapse_s3.tests.benchmark import growth, move, nightly, page_way, way_back
from ansible_collections.matrixops.synapse_s3.tests.benchmark.document import DOCS, outdated, publish
from ansible_collections.matrixops.synapse_s3.tests.benchmark.machine import describe
from ansible_collections.matrixops.synapse_s3.tests.benchmark.peers import cache_directory
from ansible_collections.matrixops.synapse_s3.tests.benchmark.report import as_text, programs_table, tables
from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import (
    Condition,
    summarise,
    summarise_nights,
)
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
Measure `migrate` and the commands of the way back beside the programs that they replace, on this machine alone.

Exit status 0: measured, and every file was found where it belongs. 1: a program lost or left files, or ended with an
error. How fast anything is never changes the status."""

_WAY_BACK = {
    "verify": "all files are where the database says, and one is not: ours and rclone check",
    "restore": "all files of a bucket back to the local disk: ours, rclone, s5cmd and aws",
    "copy-bucket": "all files of a bucket into another, by streams: ours and rclone",
    "purge-orphans": "objects that the database does not know, deleted: ours and s5cmd",
}
_FILES = {"verify": 1_000_000, "restore": 8000, "copy-bucket": 8000, "purge-orphans": 100_000}
# Many files take longer to make than to look at, or to delete.
_ROUNDS = {"verify": 1, "restore": 2, "copy-bucket": 2, "purge-orphans": 1}
_RIVALS = {
    "verify": ["rclone"],
    "restore": ["rclone", "s5cmd", "aws"],
    "copy-bucket": ["rclone"],
    "purge-orphans": ["s5cmd"],
}
_ON_DISK = ("restore", "copy_bucket")


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

    everything = command("all", _all, "all below but sweep, one after the other (hours)")
    moving = command("move", _move, "all programs put all files of a media store into a bucket")
    paged = command("page-way", _page_way, "a tool copies, then s3_media_upload deletes; beside migrate alone")
    night = command("nightly", _nightly, "a large bucket, few local files: ours and s3_media_upload")
    growing = command("growth", _growth, "ours alone on more and more files: its memory, its time a file")
    ways_back = [command(benchmark, _way_back, text) for benchmark, text in _WAY_BACK.items()]
    sweeping = command("sweep", _sweep, "the other programs with many settings, to find their best")
    command("publish", _publish, "write the last results, their tables and the chart into docs/")
    command("lint", _lint, "are the tables and the chart in docs/ those of the results there?")

    for each in (everything, moving, paged, night, growing, *ways_back, sweeping):
        each.add_argument(
            "--engine", type=Path, default=MODULE_UTILS, metavar="DIRECTORY", help="where our program, _media, is"
        )
        each.add_argument("--quick", action="store_true", help="few files, one round: to see that it works")
    for each in (moving, paged, sweeping):
        each.add_argument("--files", type=int, default=8000, metavar="N", help="default: %(default)s")
        each.add_argument("--rounds", type=int, default=3, metavar="N", help="default: %(default)s")
        _add_list(each, "--rtt", ROUND_TRIPS_MS)
        _add_list(each, "--tool", page_way.PAGE_TOOLS if each is paged else TOOLS)
    _add_list(moving, "--storage", STORAGES)
    _add_list(moving, "--scheme", SCHEMES)
    night.add_argument("--objects", type=int, default=1_000_000, metavar="N", help="default: %(default)s")
    night.add_argument("--local-files", type=int, default=2000, metavar="N", help="default: %(default)s")
    night.add_argument("--rounds", type=int, default=1, metavar="N", help="default: %(default)s")
    night.add_argument("--rtt", type=int, default=10, metavar="MS", help="default: %(default)s")
    growing.add_argument(
        "--files", type=int, nargs="+", default=[10_000, 100_000], metavar="N", help="default: 10000 100000"
    )
    for benchmark, each in zip(_WAY_BACK, ways_back, strict=True):
        each.set_defaults(name=benchmark.replace("-", "_"), storage="memory")
        each.add_argument("--files", type=int, default=_FILES[benchmark], metavar="N", help="default: %(default)s")
        each.add_argument("--rounds", type=int, default=_ROUNDS[benchmark], metavar="N", help="default: %(default)s")
        _add_list(each, "--rtt", ROUND_TRIPS_MS)
        _add_list(each, "--tool", (benchmark, *_RIVALS[benchmark]))
    # The others' many objects are links to one file, which a disk's file system has not so many of.
    for each in (night, growing, *(each for each in ways_back if each.get_default("name") in _ON_DISK)):
        each.add_argument("--storage", choices=STORAGES, default="memory", help="default: %(default)s")
    return parser


def _all(options: argparse.Namespace) -> int:
    """Each benchmark with its own defaults."""
    common = ["--engine", str(options.engine), *(["--quick"] if options.quick else [])]
    return max(main([name, *common]) for name in ("move", "page-way", "nightly", "growth", *_WAY_BACK))


def _move(options: argparse.Namespace) -> int:
    if options.quick:
        options.files, options.rounds, options.storage, options.scheme = 1000, 1, ["memory"], ["http"]
    with _work() as work:
        task = move.Task(USUAL, options.files, options.engine.resolve(), Path(work))
        matrix = list(contests(options.storage, options.scheme, options.rtt, options.rounds, options.tool))
        return _finish("move", tuple(summarise(move.measure(matrix, options.rounds, task, _say))))


def _page_way(options: argparse.Namespace) -> int:
    if options.quick:
        options.files, options.rounds = 600, 1
    with _work() as work:
        task = move.Task(USUAL, options.files, options.engine.resolve(), Path(work))
        matrix = list(page_way.contests(options.rtt, options.rounds, options.tool))
        return _finish("page_way", tuple(summarise(move.measure(matrix, options.rounds, task, _say))))


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


def _way_back(options: argparse.Namespace) -> int:
    if options.quick:
        options.files, options.rounds = 600, 1
    with _work() as work:
        task = way_back.WayBack(
            name=options.name,
            files=options.files,
            storage=options.storage,
            round_trips_ms=options.rtt,
            rounds=options.rounds,
            tools=options.tool,
            engine=options.engine.resolve(),
            work=Path(work),
        )
        return _finish(options.name, tuple(summarise(way_back.measure(task, _say))))


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
    """The results of earlier runs; where there was none on this machine, those that the documentation has."""
    try:
        return load(RESULTS if RESULTS.exists() else DOCS / "performance.json")
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
