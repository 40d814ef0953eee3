# SPDX-License-Identifier: GPL-3.0-or-later
"""For every test run: tell scripts/check how many tests passed, which failed; many more examples in `make soak`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.tests.soak import SOAK
from hypothesis import settings

# Its asserts tell what they compared, as those of a test file do.
pytest.register_assert_rewrite("ansible_collections.matrixops.synapse_s3.tests.integration.homeserver")

# How long an example takes says more of the machine than of the code.
settings.register_profile("test", deadline=None)
settings.register_profile("soak", max_examples=2000, deadline=None)
settings.load_profile("soak" if SOAK else "test")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    long = [] if SOAK else [item for item in items if item.get_closest_marker("soak")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # With several workers the tests are counted where they are gathered.
    if (path := os.environ.get("SYNAPSE_S3_TALLY")) and "PYTEST_XDIST_WORKER" not in os.environ:
        failed = [*terminalreporter.getreports("failed"), *terminalreporter.getreports("error")]
        with Path(path).open("a") as tally:
            tally.write(f"passed {len(terminalreporter.getreports('passed'))}\n")
            for report in failed:
                said = [line[2:].strip() for line in report.longreprtext.splitlines() if line.startswith("E ")]
                tally.write(f"failed {report.nodeid}: {' | '.join(filter(None, said))[:2000]}\n")
