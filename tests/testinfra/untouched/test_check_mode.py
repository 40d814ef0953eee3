# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode and --diff on a host that the role was never run on."""

from __future__ import annotations

from ansible_collections.matrixops.synapse_s3.tests.testinfra.play import HostState, RoleRunner


def test_check_mode_announces_changes_and_makes_none(
    state_before: dict[str, HostState], run_role: RoleRunner, host_name: str
) -> None:
    result = run_role({}, "--check", "--diff")
    assert result.failed(host_name) == 0, result.output
    assert result.changed(host_name) > 0
    assert result.states[host_name] == state_before[host_name]


def test_diff_shows_files_but_no_secret(run_role: RoleRunner, secrets: list[str]) -> None:
    output = run_role({}, "--check", "--diff").output
    assert "+OnCalendar=*-*-* 05:00:00" in output
    assert [secret for secret in secrets if secret in output] == []


def test_most_verbose_output_has_no_secret(run_role: RoleRunner, secrets: list[str], host_name: str) -> None:
    result = run_role({}, "--check", "--diff", "-vvv")
    assert result.failed(host_name) == 0, result.output
    assert [secret for secret in secrets if secret in result.output] == []
