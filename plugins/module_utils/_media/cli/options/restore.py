# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``restore``."""

from __future__ import annotations

import argparse

from ...rules.free_space import parse_minimum_free
from .common import PROGRAM, add_bandwidth, add_dry_run, add_run, add_workers, converted, whole_number

_MINIMUM_FREE = "5%"


def add(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--local", action="store_true", help="media of this homeserver's own users")
    parser.add_argument(
        "--origin",
        action="append",
        default=[],
        metavar="HOST",
        help="media that came from this homeserver; may be repeated, and given beside --local",
    )
    parser.add_argument(
        "--media",
        action="append",
        default=[],
        metavar="URI",
        help="one media with its thumbnails, as mxc://SERVER/ID; may be repeated; - reads a list on stdin, one a line",
    )
    parser.add_argument(
        "--accessed-within",
        type=whole_number(1),
        metavar="DAYS",
        help="of these, or of all, only media that was accessed within so many days",
    )
    add_dry_run(parser)
    parser.add_argument(
        "--new-disk",
        action="store_true",
        help="the media store is empty because its disk is new; without this it is taken for one that is not mounted",
    )
    parser.add_argument(
        "--minimum-free",
        type=converted(parse_minimum_free),
        default=parse_minimum_free(_MINIMUM_FREE),
        metavar="SIZE",
        help=f"leave so much of the disk free, as 5G or 5%% (default: {_MINIMUM_FREE}%)",
    )
    parser.add_argument(
        "--repair",
        action="store_true",
        help="replace local files that are damaged, by the database, with objects that are proven; what was there is"
        " kept in .restore-damaged in the media store. Reads all local files that are selected",
    )
    add_workers(parser)
    add_bandwidth(parser, "receive")
    parser.add_argument(
        "--unit",
        default=f"{PROGRAM}-migrate",
        help="the systemd unit of the nightly run, which frees the disk again (default: %(default)s)",
    )
