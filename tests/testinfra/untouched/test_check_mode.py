# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode and --diff on a host that the role was never run on."""

from __future__ import annotations

import pytest
from ansible_collections.matrixops.synapse_s3.tests.testinfra.play import HostState, RoleRunner

# What these two change in the container's host is what Docker's layout changes too.
pytestmark = pytest.mark.soak_layouts("podman", "mdad")

# One run for all that is asked here. As verbose as it gets: what it shows holds all that less verbose runs show.
VARIABLES = {"migration_shards": "group"}
CHECK = ("--check", "--diff", "-vvv")


def test_check_mode_announces_changes_and_makes_none(
    state_before: dict[str, HostState], run_role: RoleRunner, host_name: str
) -> None:
    result = run_role(VARIABLES, *CHECK)
    assert result.failed(host_name) == 0, result.output
    assert result.changed(host_name) > 0
    assert result.states[host_name] == state_before[host_name]


def test_verbose_output_shows_files_but_no_secret(run_role: RoleRunner, secrets: list[str]) -> None:
    result = run_role(VARIABLES, *CHECK)
    output = result.output
    # Each of the hosts has a share of its own.
    hosts = len(result.states)
    assert [f"--shard {number}/{hosts} " in output for number in range(1, hosts + 1)] == [True] * hosts
    assert "+OnCalendar=*-*-* 05:00:00" in output
    assert [secret for secret in secrets if secret in output] == []
