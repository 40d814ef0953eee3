# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``check-config``."""

from __future__ import annotations

import argparse
from pathlib import Path

from .common import add_json


def add(parser: argparse.ArgumentParser) -> None:
    add_json(parser)
    provider = parser.add_mutually_exclusive_group()
    provider.add_argument("--without-provider", action="store_true", help="look for no storage provider")
    provider.add_argument(
        "--provider-file",
        type=Path,
        metavar="FILE",
        help="the file that alone has, or is to have, the storage provider (default: any that is named)",
    )
    parser.add_argument(
        "--without-synapse", action="store_true", help="read the files only, and don't ask Synapse itself"
    )
