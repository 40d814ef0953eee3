# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the program from a checkout: ``PYTHONPATH=plugins/module_utils python3 -m _media``."""

from __future__ import annotations

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout, sys.stderr))
