# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the program from a checkout: ``PYTHONPATH=plugins/module_utils python3 -m _media``."""

from __future__ import annotations

from .cli import run_process

if __name__ == "__main__":
    run_process()
