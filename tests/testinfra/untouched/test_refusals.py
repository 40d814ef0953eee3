# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role refuses, before anything on the host changes. Each rule's own messages are in the unit tests."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.tests.testinfra.endpoints import Endpoints
from ansible_collections.matrixops.synapse_s3.tests.testinfra.layouts import Layout
from ansible_collections.matrixops.synapse_s3.tests.testinfra.play import HostState, PlayResult, RoleRunner
from testinfra.host import Host

# On one host, and the most with one layout: these plays are slow, and with containers only what runs Synapse's Python
# is another, which check mode tries.
pytestmark = pytest.mark.one_host
NATIVE_ONLY = pytest.mark.layouts("native")
PREFIX = "matrix_synapse_ext_synapse_s3_storage_provider_"


def check_refused(result: PlayResult, host_name: str, before: HostState, secrets: list[str]) -> str:
    """Nothing was changed, no secret shown; return the message."""
    assert result.changed(host_name) == 0, result.output
    assert result.states[host_name] == before
    assert [secret for secret in secrets if secret in result.output] == []
    return result.message(host_name)


@NATIVE_ONLY
def test_all_wrong_variables_at_once(
    state_before: dict[str, HostState], run_role: RoleRunner, host_name: str, secrets: list[str]
) -> None:
    wrong = {
        "config_bucket": "media of example",
        "config_endpoint_url": "minio:9000",
        "config_storage_class": "GLACIER",
        # By its kind: Ansible's own check would tell this one alone.
        "synapse_start_timeout": "2m",
    }
    message = check_refused(run_role(wrong), host_name, state_before[host_name], secrets)
    assert message.splitlines() == [
        "These variables are wrong:",
        f"- {PREFIX}config_bucket: 'media of example' can't be the name of a bucket. Write the name of the bucket.",
        f"- {PREFIX}config_endpoint_url: 'minio:9000' has no scheme. Write 'https://minio:9000'.",
        f"- {PREFIX}config_storage_class: 'GLACIER' is an archive: Synapse could not read media back at once. "
        "Use STANDARD, REDUCED_REDUNDANCY, STANDARD_IA or INTELLIGENT_TIERING.",
        f"- {PREFIX}synapse_start_timeout: is the text '2m', not a whole number. Write a whole number.",
    ]


def schedule_problem(cause: str) -> str:
    return (
        f"- Could not schedule the migration as {PREFIX}periodic_migration_schedule says: {cause}"
        " Write a calendar event of systemd such as '*-*-* 05:00:00'."
    )


@NATIVE_ONLY
def test_a_play_without_become(
    state_before: dict[str, HostState], run_role: RoleRunner, host_name: str, secrets: list[str]
) -> None:
    result = run_role({}, "--extra-vars={ansible_user: nobody, ansible_become: false}")
    assert check_refused(result, host_name, state_before[host_name], secrets) == (
        "Could not look at what is this role's on the host: only root may. Give the play `become: true`."
    )


@NATIVE_ONLY
def test_shares_of_a_part_of_the_hosts(
    state_before: dict[str, HostState], run_role: RoleRunner, host_name: str, secrets: list[str]
) -> None:
    """This fixture's plays are limited to one host: the files of the other's share would be nobody's."""
    message = check_refused(run_role({"migration_shards": "group"}), host_name, state_before[host_name], secrets)
    assert message == (
        f"Could not share the media among the hosts of the play: it was started with --limit {host_name}, and so"
        f" {PREFIX}migration_shards does not know how many they are. Run it without --limit."
    )


@NATIVE_ONLY
def test_all_that_is_not_ready_at_once(
    state_before: dict[str, HostState], run_role: RoleRunner, host_name: str, secrets: list[str]
) -> None:
    homeserver = "/etc/matrix-synapse/homeserver.yaml"
    wrong = {
        "base_path": "/etc/ssl",
        "synapse_dropin_path": homeserver,
        "metrics_path": "/srv/nowhere/migrate.prom",
        "synapse_health_url": "http://127.0.0.1:9/health",
        "config_storage_class": "STANDARD_IA",
        "periodic_migration_schedule": "every night",
    }
    message = check_refused(run_role(wrong), host_name, state_before[host_name], secrets)
    refused, written, missing, used, unhealthy, bucket, schedule = message.splitlines()
    assert refused == "Nothing was changed, because:"
    assert written == (
        f"- Could not write '{homeserver}': what is there was not written by this role. Move it away, or give another"
        f" place in {PREFIX}synapse_dropin_path."
    )
    assert missing == (
        "- Could not find the directory '/srv/nowhere': this host has none. Make it, so that Synapse's user can write"
        f" into it, or give another place in {PREFIX}metrics_path."
    )
    assert used.startswith(
        f"- Could not use '/etc/ssl' as {PREFIX}base_path: it holds 'certs', 'openssl.cnf', 'private'"
    )
    assert used.endswith(
        "which this role has not put there. Give a directory that is this role's alone; it need not exist."
    )
    assert unhealthy == (
        "- Could not see that Synapse serves, although its services run: at 'http://127.0.0.1:9/health' there is no"
        " answer ([Errno 111] Connection refused). Correct synapse_health_url: it is /health of a listener of"
        " Synapse's, as this host reaches it. If it is right, and Synapse itself is the matter, stop Synapse: one that"
        " does not run is not asked."
    )
    assert "does not support the storage class 'STANDARD_IA'" in bucket
    assert schedule == schedule_problem("Failed to parse calendar specification 'every night': Invalid argument.")


@NATIVE_ONLY
def test_removal_by_a_wrong_base_path_leaves_it_alone(
    state_before: dict[str, HostState], run_role: RoleRunner, host: Host, host_name: str
) -> None:
    result = run_role({"base_path": "/etc/ssl", "enabled": False})
    assert (result.failed(host_name), result.changed(host_name)) == (0, 0), result.output
    assert result.states[host_name] == state_before[host_name]
    assert host.file("/etc/ssl/openssl.cnf").exists


@NATIVE_ONLY
@pytest.mark.soak
def test_a_secret_key_that_the_bucket_s_server_does_not_know(
    state_before: dict[str, HostState], run_role: RoleRunner, host_name: str, secrets: list[str], endpoints: Endpoints
) -> None:
    """And a schedule that systemd knows, but that is over."""
    wrong = {"config_secret_access_key": "not-the-right-secret-key", "periodic_migration_schedule": "2020-01-01"}
    message = check_refused(run_role(wrong), host_name, state_before[host_name], [*secrets, "not-the-right-secret-key"])
    assert message.startswith(
        f"Nothing was changed, because:\n- Could not list bucket {endpoints.bucket!r}: "
        "the secret access key does not belong to the access key ID."
    )
    assert message.splitlines()[-1] == schedule_problem("it never comes again.")


@pytest.mark.layouts("docker")
def test_an_image_of_the_user_s_without_the_provider(
    state_before: dict[str, HostState], run_role: RoleRunner, host_name: str, secrets: list[str]
) -> None:
    result = run_role({"synapse_image_has_provider": True})
    message = check_refused(result, host_name, state_before[host_name], secrets)
    assert message.startswith("Nothing was changed, because:\n- Could not use the image")
    assert "No module named 's3_storage_provider'" in message


NOT_THERE = [
    ({"synapse_image": "docker.io/matrixdotorg/synapse:v0"}, "Could not find Synapse's image .*/synapse:v0: "),
    ({"synapse_network": "no-such-network"}, "Could not .*no-such-network"),
    (
        {"synapse_volumes": ["/srv/nowhere:/data:ro"]},
        "Could not .*: This host has no /srv/nowhere, which the container is to see. Correct",
    ),
]


@pytest.mark.layouts("docker")
@pytest.mark.soak
@pytest.mark.parametrize(("variables", "expected"), NOT_THERE)
def test_what_is_not_there(
    state_before: dict[str, HostState],
    run_role: RoleRunner,
    host: Host,
    host_name: str,
    secrets: list[str],
    variables: dict[str, Any],
    expected: str,
) -> None:
    message = check_refused(run_role(variables), host_name, state_before[host_name], secrets)
    assert re.match(f"Nothing was changed, because:\\n- {expected}", message)
    assert not host.file("/srv/nowhere").exists


@pytest.fixture(scope="module")
def another_hand(state_directory: Path, layout: Layout) -> Iterator[str]:
    """Somebody has configured a storage provider on every host; the file's name."""
    other = str(Path(layout.dropin).with_name("somebody-else.yaml"))
    names = [path.stem for path in state_directory.glob("*.json") if "." not in path.stem]
    write = f"printf 'media_storage_providers:\\n- module: other.Provider\\n' > {other}; chmod 644 {other}"
    containers = [f"{state_directory.name}-{name}" for name in names]
    for container in containers:
        subprocess.run(["docker", "exec", container, "sh", "-c", write], check=True)
    yield Path(other).name
    for container in containers:
        subprocess.run(["docker", "exec", container, "rm", other], check=True)


@NATIVE_ONLY
@pytest.mark.soak
def test_a_storage_provider_from_another_hand(
    state_before: dict[str, HostState], run_role: RoleRunner, host_name: str, another_hand: str
) -> None:
    result = run_role({}, label="with a storage provider from another hand")
    assert result.changed(host_name) == 0, result.output
    message = result.message(host_name)
    assert another_hand in message
    assert "media_storage_providers" in message
    after = {path: digest for path, digest in result.states[host_name].files.items() if another_hand not in path}
    assert after == state_before[host_name].files
