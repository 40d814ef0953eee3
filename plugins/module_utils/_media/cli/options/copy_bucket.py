# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``copy-bucket``."""

from __future__ import annotations

import argparse

from .common import add_bandwidth, add_dry_run, add_run, add_workers, whole_number


def add(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument(
        "--from",
        dest="from_",
        type=whole_number(1),
        metavar="N",
        help="the S3 provider to copy from, counted from 1 as in Synapse's configuration (default: the only other one)",
    )
    parser.add_argument(
        "--to",
        type=whole_number(1),
        metavar="N",
        help="the S3 provider to copy to (default: the one that new media go to)",
    )
    add_dry_run(parser)
    add_workers(parser)
    add_bandwidth(parser, "send")
