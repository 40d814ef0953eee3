# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's playbooks, as an administrator runs them. The tests build on test_lifecycle.py."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.tests.testinfra.layouts import Layout
from ansible_collections.matrixops.synapse_s3.tests.testinfra.media import local_files, upload_and_age
from ansible_collections.matrixops.synapse_s3.tests.testinfra.play import PlayResult, RoleRunner
from testinfra.host import Host

pytestmark = [pytest.mark.layouts("native"), pytest.mark.hosts("debian13")]

SERVICE = "matrix-synapse-s3-storage-provider-migrate.service"
INSTALLED = "/usr/local/bin/matrix-synapse-s3-storage-provider"


def run_playbook(run_role: RoleRunner, host_name: str, name: str, *arguments: str, label: str = "") -> PlayResult:
    """On one host, which no group names: a user's group is another than the tests'."""
    return run_role(
        {},
        f"--extra-vars=matrix_hosts={host_name}",
        *arguments,
        label=f"{name} {label}",
        playbook=f"matrixops.synapse_s3.{name}",
    )


def test_install(host: Host, run_role: RoleRunner, host_name: str) -> None:
    enable = "--extra-vars=matrix_synapse_ext_synapse_s3_storage_provider_enabled=true"
    result = run_playbook(run_role, host_name, "install", enable, label="by the command line")
    assert "is the text 'true', not true or false" in result.message(host_name)
    enable = '--extra-vars={"matrix_synapse_ext_synapse_s3_storage_provider_enabled": true}'
    result = run_playbook(run_role, host_name, "install", enable)
    assert result.failed(host_name) == 0, result.output
    assert host.file(INSTALLED).exists


def test_migrate(host: Host, run_role: RoleRunner, host_name: str, endpoints_path: Path, layout: Layout) -> None:
    upload_and_age(host, endpoints_path, layout)
    before = local_files(host, layout)
    result = run_playbook(run_role, host_name, "migrate", "--check")
    assert (result.failed(host_name), result.changed(host_name)) == (0, 0), result.output
    assert "Dry run: nothing was changed." in result.output
    assert local_files(host, layout) == before
    result = run_playbook(run_role, host_name, "migrate")
    assert result.failed(host_name) == 0, result.output
    assert "All done." in result.output
    assert local_files(host, layout) == []


def test_migrate_while_the_nightly_run_is_under_way(
    host: Host, run_role: RoleRunner, host_name: str, endpoints_path: Path, layout: Layout
) -> None:
    """It was green at once, whatever became of that run."""
    upload_and_age(host, endpoints_path, layout)
    host.check_output(f"systemctl start --no-block {SERVICE} && sleep 0.3 && systemctl kill --signal=STOP {SERVICE}")
    host.check_output(f"systemd-run --on-active=8 systemctl kill --signal=CONT {SERVICE}")
    started = time.monotonic()
    result = run_playbook(run_role, host_name, "migrate", label="meanwhile")
    assert result.failed(host_name) == 0, result.output
    assert time.monotonic() - started > 6
    assert host.service(SERVICE).is_running is False
    assert local_files(host, layout) == []


def test_migrate_that_fails(host: Host, run_role: RoleRunner, host_name: str, layout: Layout) -> None:
    host.check_output(f"mv {layout.media_store} {layout.media_store}.away")
    result = run_playbook(run_role, host_name, "migrate", label="fails")
    host.check_output(f"mv {layout.media_store}.away {layout.media_store} && systemctl reset-failed {SERVICE}")
    assert "Could not open the media store" in result.output
    assert result.message(host_name).startswith(f"Could not finish the migration: Job for {SERVICE} failed because")


def test_migrate_by_a_command_of_somebody_else_s(host: Host, run_role: RoleRunner, host_name: str) -> None:
    """That of matrix-docker-ansible-deploy deletes what is not proven to be stored, and knows no --dry-run."""
    host.check_output(f"mv {INSTALLED}-migrate /run/kept && printf '#!/bin/sh\n>/run/was-run\n' > {INSTALLED}-migrate")
    host.check_output(f"chmod 755 {INSTALLED}-migrate")
    result = run_playbook(run_role, host_name, "migrate", "--check", label="theirs")
    host.check_output(f"mv /run/kept {INSTALLED}-migrate")
    assert result.message(host_name) == (
        f"Could not run the migration: {host_name} has no {SERVICE} of this collection's."
        " Run matrixops.synapse_s3.install first."
    )
    assert not host.file("/run/was-run").exists
