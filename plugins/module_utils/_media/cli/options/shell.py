# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``shell``, and of ``s3_media_upload`` in it."""

from __future__ import annotations

import argparse

from .common import STATE_DIRECTORY, add_state_directory, add_unused_days


def add(parser: argparse.ArgumentParser) -> None:
    add_state_directory(parser)
    add_unused_days(parser)
    _add_rest(parser)


def add_of_script(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(json=False, wait=False, state_directory=STATE_DIRECTORY)
    _add_rest(parser)


def _add_rest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("argv", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="passed on as it is")
