# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``purge-orphans``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...rules.share import parse_share
from .common import add_minimum_age, add_run, converted


def add(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--delete", action="store_true", help="delete them (default: list them)")
    parser.add_argument(
        "--delete-versions",
        action="store_true",
        help="with --delete, on a bucket that keeps old versions: delete all versions of them, for good",
    )
    add_minimum_age(parser, "7d", "leave alone what was stored more recently")
    parser.add_argument(
        "--maximum-share",
        type=converted(parse_share),
        default=parse_share("5%"),
        metavar="SHARE",
        help="delete nothing if more of the objects is unknown to the database, as 5%% or 0.5%% (default: 5%%)",
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="append to this file, as JSON lines, each orphan, before it is deleted; without --delete also each object"
        " that is no media of Synapse's (default with --delete: purge-orphans.jsonl in the state directory)",
    )
