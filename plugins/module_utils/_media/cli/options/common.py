# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several commands have, and how their values are read."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ...rules.bandwidth import parse_bandwidth
from ...rules.duration import parse_duration

Value = TypeVar("Value")

PROGRAM = "matrix-synapse-s3-storage-provider"
STATE_DIRECTORY = Path("/var/lib") / PROGRAM


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line of stdout")


def add_state_directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state-directory",
        type=Path,
        default=STATE_DIRECTORY,
        metavar="PATH",
        help="where the last runs are written down, and s3_media_upload keeps its cache.db (default: %(default)s)",
    )


def add_unused_days(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--unused-days",
        type=whole_number(0),
        default=0,
        metavar="N",
        help="leave media on the local disk that was accessed within N days (default: 0, none)",
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """What every run has that changes something."""
    add_json(parser)
    add_state_directory(parser)
    parser.add_argument("--wait", action="store_true", help="wait for another run to end instead of failing")
    parser.add_argument(
        "--metrics-file",
        type=Path,
        metavar="FILE",
        help="write the result in Prometheus text format (not of a dry run)",
    )


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="change nothing, say what would be done")


def add_minimum_age(parser: argparse.ArgumentParser, default: str, what: str) -> None:
    parser.add_argument(
        "--minimum-age",
        type=converted(parse_duration),
        default=parse_duration(default),
        metavar="DURATION",
        help=f"{what}, as 90s, 30m, 1h or 2d (default: {default})",
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers",
        type=whole_number(1),
        metavar="N",
        help="files under way at once (default: found by trying, from 32 on to 128, fewer when the server asks for it)",
    )


def add_bandwidth(parser: argparse.ArgumentParser, verb: str) -> None:
    parser.add_argument(
        "--bandwidth",
        type=converted(parse_bandwidth),
        metavar="RATE",
        help=f"{verb} at most so many bytes a second, as 500K or 20M (default: no limit)",
    )


def whole_number(minimum: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        # Larger numbers than these overflow where they are used.
        if not text.isdecimal() or len(text) > 9 or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {minimum} to 999999999")
        return int(text)

    return convert


def converted(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """A rule's parser as argparse takes it: with the rule's own words for what is wrong."""

    def convert(text: str) -> Value:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert
