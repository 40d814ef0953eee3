# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line, one file a command: parse, wire, print."""

from .program import main, run_process

__all__ = ["main", "run_process"]
