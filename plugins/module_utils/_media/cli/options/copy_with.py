# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``copy-with``."""

from __future__ import annotations

import argparse

from ...rules.copy_with import IMAGES, TOOLS
from .common import add_minimum_age, add_run


def add(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("tool", choices=TOOLS, help="the program that copies; it has to be installed")
    parser.add_argument(
        "--print",
        dest="prints",
        action="store_true",
        help="run nothing: print what would be run, without secrets, as a script for the shell",
    )
    parser.add_argument(
        "--image",
        nargs="?",
        const="",
        metavar="NAME",
        help="with --print: from an image, by Docker or Podman (default: the tool's own image,"
        f" {', '.join(IMAGES[tool] for tool in TOOLS)})",
    )
    add_minimum_age(parser, "1h", "leave files alone that were modified more recently, where the tool can do that")
