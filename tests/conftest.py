# SPDX-License-Identifier: GPL-3.0-or-later
"""For every test run: tell scripts/check how many tests passed and failed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if path := os.environ.get("SYNAPSE_S3_TALLY"):
        counts = {name: len(terminalreporter.getreports(name)) for name in ("passed", "failed", "error")}
        with Path(path).open("a") as tally:
            tally.write(f"passed {counts['passed']}\nfailed {counts['failed'] + counts['error']}\n")
