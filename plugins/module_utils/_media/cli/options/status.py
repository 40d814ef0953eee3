# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``status``."""

from __future__ import annotations

import argparse

from .common import PROGRAM, add_json, add_state_directory


def add(parser: argparse.ArgumentParser) -> None:
    add_json(parser)
    add_state_directory(parser)
    parser.add_argument(
        "--unit", default=f"{PROGRAM}-migrate", help="the systemd unit of the nightly run (default: %(default)s)"
    )
