# SPDX-License-Identifier: GPL-3.0-or-later
"""A change that Synapse does not survive, taking the provider away, and coming back. The tests build on each other."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.matrixops.synapse_s3.tests.testinfra.life import (
    Record,
    differences,
    read_record,
    record_path,
    upload_and_record,
)
from ansible_collections.matrixops.synapse_s3.tests.testinfra.play import HostState, PlayResult, RoleRunner
from testinfra.host import Host

# Nothing answers there: the role must believe that Synapse does not come up.
NOBODY = {"synapse_health_url": "http://127.0.0.1:9/health", "synapse_start_timeout": 3}
CHANGED = {**NOBODY, "store_synchronous": True}
OURS = "s3-storage-provider"
MEDIA = "/var/lib/matrix-synapse/media"


def fail_to_start(run_role: RoleRunner) -> PlayResult:
    return run_role(CHANGED)


def remove(run_role: RoleRunner) -> PlayResult:
    fail_to_start(run_role)
    return run_role({"enabled": False})


def remove_again(run_role: RoleRunner) -> PlayResult:
    remove(run_role)
    return run_role({"enabled": False}, label="again")


def fail_to_install(run_role: RoleRunner) -> PlayResult:
    remove_again(run_role)
    return run_role(NOBODY)


def come_back(run_role: RoleRunner) -> PlayResult:
    fail_to_install(run_role)
    return run_role({}, label="come back")


def restarted_files(state: HostState) -> dict[str, str]:
    """What Synapse reads when it starts."""
    return {
        path: digest
        for path, digest in state.files.items()
        if path.startswith(("/etc/matrix-synapse", "/etc/systemd/system/matrix-synapse.service.d"))
    }


def test_failed_restart_puts_everything_back(
    state_before: dict[str, HostState], run_role: RoleRunner, host_name: str, secrets: list[str]
) -> None:
    result = fail_to_start(run_role)
    message = result.message(host_name)
    assert message.startswith("Could not restart Synapse with the change: the step 'Wait until Synapse serves' failed.")
    assert "The end of Synapse's log:" in message
    assert "synapse" in message.partition("The end of Synapse's log:")[2]
    assert [secret for secret in secrets if secret in result.output] == []
    assert restarted_files(result.states[host_name]) == restarted_files(state_before[host_name])
    assert result.states[host_name].health == 200


def test_removal_leaves_nothing_behind_and_synapse_serving(run_role: RoleRunner, host_name: str) -> None:
    result = remove(run_role)
    state = result.states[host_name]
    assert result.failed(host_name) == 0, result.output
    assert [path for path in state.files if OURS in path] == []
    assert OURS not in state.timers
    assert state.health == 200


def test_removal_says_what_happens_to_the_media(run_role: RoleRunner) -> None:
    assert "Every object stays in the bucket" in remove(run_role).output


def test_second_removal_changes_nothing(run_role: RoleRunner, host_name: str) -> None:
    result = remove_again(run_role)
    assert (result.failed(host_name), result.changed(host_name)) == (0, 0), result.output


def test_failed_first_install_leaves_synapse_without_the_provider(run_role: RoleRunner, host_name: str) -> None:
    result = fail_to_install(run_role)
    state = result.states[host_name]
    assert result.message(host_name).startswith("Could not restart Synapse with the change:")
    assert [path for path in restarted_files(state) if OURS in path] == []
    assert state.health == 200


def test_coming_back_serves_all_media_again(run_role: RoleRunner, host_name: str, record: Record) -> None:
    result = come_back(run_role)
    assert result.failed(host_name) == 0, result.output
    assert differences(record) == []


def test_nothing_is_left_to_change_then(run_role: RoleRunner, host_name: str) -> None:
    come_back(run_role)
    result = run_role({}, label="once more")
    assert (result.failed(host_name), result.changed(host_name)) == (0, 0), result.output


def local_files(host: Host) -> list[str]:
    found: str = host.check_output(f"find {MEDIA} -type f")
    return found.splitlines()


def upload_and_age(host: Host, endpoints_path: Path) -> Record:
    """The user uploads once more, and two hours pass."""
    upload_and_record(endpoints_path, "after")
    assert local_files(host) != []
    host.check_output(f"find {MEDIA} -type f -exec touch --date=-2hours {{}} +")
    return read_record(record_path(endpoints_path))


def test_job_by_hand_shows_progress_on_a_terminal(host: Host, run_role: RoleRunner, endpoints_path: Path) -> None:
    come_back(run_role)
    upload_and_age(host, endpoints_path)
    # A terminal of no size, as this one begins, has no room for a bar.
    command = "stty rows 24 cols 100; matrix-synapse-s3-storage-provider-migrate"
    found = host.run("script --quiet --return --command %s /dev/null", command)
    assert found.rc == 0, found.stdout
    assert "100%|" in found.stdout
    assert local_files(host) == []


def test_upstream_s_script_as_the_engine(
    host: Host, run_role: RoleRunner, host_name: str, endpoints_path: Path
) -> None:
    come_back(run_role)
    # This host alone: the other's tests are still to run, with the role's own engine.
    result = run_role({"migration_engine": "s3_media_upload"}, f"--limit={host_name}")
    assert result.failed(host_name) == 0, result.output
    record = upload_and_age(host, endpoints_path)
    found = host.run("systemctl start matrix-synapse-s3-storage-provider-migrate.service")
    assert found.rc == 0, found.stderr
    assert local_files(host) == []
    assert differences(record) == []
