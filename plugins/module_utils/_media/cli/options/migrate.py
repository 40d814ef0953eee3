# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``migrate``."""

from __future__ import annotations

import argparse

from ...rules.shard import ALL, parse_shard
from .common import add_bandwidth, add_dry_run, add_minimum_age, add_run, add_unused_days, add_workers, converted


def add(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    add_unused_days(parser)
    parser.add_argument("--keep-local", action="store_true", help="delete nothing from the local disk")
    add_dry_run(parser)
    add_minimum_age(parser, "1h", "leave files alone that were modified more recently")
    add_workers(parser)
    add_bandwidth(parser, "send")
    parser.add_argument(
        "--shard",
        type=converted(parse_shard),
        default=ALL,
        metavar="I/N",
        help="work on the I-th of N shares of all files: for several hosts on one shared media store (default: all)",
    )
    parser.add_argument(
        "--engine",
        choices=("parallel", "s3_media_upload"),
        default="parallel",
        help="what uploads: this program, or upstream's script, whose work is then checked (default: %(default)s)",
    )
