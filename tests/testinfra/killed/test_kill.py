# SPDX-License-Identifier: GPL-3.0-or-later
"""A migration may be killed at any moment. `make soak` does it a hundred times."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.tests.testinfra.kill import FILES_PER_RUN, kill_and_check
from testinfra.host import Host

# The program is a process of the host there, that a test can kill.
pytestmark = [pytest.mark.layouts("native"), pytest.mark.one_host]
KILLS = 5


def test_killed_migrations_lose_nothing(host: Host, endpoints_path: Path) -> None:
    report = kill_and_check(endpoints_path, KILLS, secrets.randbelow(1_000_000))
    assert report.problems == [], report.as_text()
    assert report.uploads >= KILLS * FILES_PER_RUN
    # No run that ended by itself had anything to complain of either.
    assert set(report.ended_by_themselves) <= {0}, report.as_text()
    assert host.check_output("systemctl is-active matrix-synapse.service") == "active"
