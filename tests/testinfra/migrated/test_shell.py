# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell of the page that the collection comes from, and its three commands."""

from __future__ import annotations

from ansible_collections.matrixops.synapse_s3.tests.testinfra.endpoints import Endpoints
from ansible_collections.matrixops.synapse_s3.tests.testinfra.layouts import Layout
from testinfra.host import Host


def environment(host: Host, layout: Layout) -> dict[str, str]:
    return dict(
        line.split("=", 1) for line in host.check_output(f"{layout.command}-shell env").splitlines() if "=" in line
    )


def test_the_shell_s_variables(host: Host, host_name: str, endpoints: Endpoints, layout: Layout) -> None:
    found = environment(host, layout)
    names = ("MEDIA_PATH", "BUCKET", "STORAGE_CLASS", "UPDATE_DB_DURATION", "UPDATE_DB_DAYS", "PREFIX")
    assert {name: found.get(name) for name in names} == {
        "MEDIA_PATH": layout.seen_media_store,
        "BUCKET": endpoints.bucket,
        "STORAGE_CLASS": "STANDARD",
        "UPDATE_DB_DURATION": "0d",
        "UPDATE_DB_DAYS": "0",
        "PREFIX": endpoints.prefix,
    }
    tls = "https://minio-tls:9443"
    assert found["ENDPOINT"] == {"debian13": tls, "docker12": tls}.get(host_name, "http://minio:9000")
    assert found["AWS_SECRET_ACCESS_KEY"] == endpoints.secret_access_key


def test_the_shell_is_synapse_s_user(host: Host, layout: Layout) -> None:
    if layout.engine and layout.job_user != "root":
        # As a user's own container sees that user.
        user = "0"
    else:
        user = layout.user if layout.user.isdecimal() else host.check_output(f"id --user {layout.user}")
    assert host.check_output(f"{layout.command}-shell id --user") == user


def test_the_three_commands_work_as_printed(host: Host, layout: Layout) -> None:
    for line in (
        "s3_media_upload update-db $UPDATE_DB_DURATION",
        "s3_media_upload check-deleted $MEDIA_PATH",
        "s3_media_upload upload $MEDIA_PATH $BUCKET --delete --storage-class $STORAGE_CLASS --endpoint-url $ENDPOINT",
    ):
        found = host.run(f"{layout.command}-shell sh -c %s", line)
        assert found.rc == 0, f"{line}\n{found.stdout}\n{found.stderr}"


def test_the_shell_says_what_is_set_in_it(host: Host, endpoints: Endpoints, layout: Layout) -> None:
    found = host.run("echo exit | script --quiet --return --command %s /dev/null", f"{layout.command}-shell")
    assert found.rc == 0, found.stdout
    lines = [line.strip() for line in found.stdout.splitlines()]
    assert {f"BUCKET={endpoints.bucket}", "s3_media_upload check-deleted $MEDIA_PATH"} <= set(lines), found.stdout
    assert endpoints.secret_access_key not in found.stdout
