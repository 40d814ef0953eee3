# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``verify``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...rules.sample import parse_sample
from .common import STATE_DIRECTORY, add_json, add_workers, converted, whole_number


def add(parser: argparse.ArgumentParser) -> None:
    add_json(parser)
    # It changes nothing, so that it is none of the runs that are written down.
    parser.set_defaults(state_directory=STATE_DIRECTORY)
    parser.add_argument(
        "--deep",
        action="store_true",
        help="read every file and every object to its end, and compare them with the hashes that there are",
    )
    parser.add_argument(
        "--sample",
        type=converted(parse_sample),
        metavar="N|N%",
        help="look at so many media, or such a part of them, drawn by chance, with their thumbnails (default: all)",
    )
    parser.add_argument("--origin", metavar="HOST", help="look only at media of this homeserver, by its server name")
    parser.add_argument(
        "--store",
        type=whole_number(1),
        metavar="N",
        help="ask whether the bucket of the N-th S3 provider in Synapse's configuration is whole, by itself",
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="write all that is not well to this file, a JSON object a line, readable only by its owner",
    )
    parser.add_argument("--metrics-file", type=Path, metavar="FILE", help="write the result in Prometheus text format")
    add_workers(parser)
