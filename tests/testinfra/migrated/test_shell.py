# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell of the page that the collection comes from, and its three commands."""

from __future__ import annotations

from ansible_collections.matrixops.synapse_s3.tests.testinfra.endpoints import Endpoints
from testinfra.host import Host

SHELL = "/usr/local/bin/matrix-synapse-s3-storage-provider-shell"


def environment(host: Host) -> dict[str, str]:
    return dict(line.split("=", 1) for line in host.check_output(f"{SHELL} env").splitlines() if "=" in line)


def test_the_shell_s_variables(host: Host, host_name: str, endpoints: Endpoints) -> None:
    found = environment(host)
    names = ("MEDIA_PATH", "BUCKET", "STORAGE_CLASS", "UPDATE_DB_DURATION", "UPDATE_DB_DAYS", "PREFIX")
    assert {name: found.get(name) for name in names} == {
        "MEDIA_PATH": "/var/lib/matrix-synapse/media",
        "BUCKET": endpoints.bucket,
        "STORAGE_CLASS": "STANDARD",
        "UPDATE_DB_DURATION": "0d",
        "UPDATE_DB_DAYS": "0",
        "PREFIX": endpoints.prefix,
    }
    assert found["ENDPOINT"] == {"debian12": "http://minio:9000", "debian13": "https://minio-tls:9443"}[host_name]
    assert found["AWS_SECRET_ACCESS_KEY"] == endpoints.secret_access_key


def test_the_shell_is_synapse_s_user(host: Host) -> None:
    assert host.check_output(f"{SHELL} id --user --name") == "matrix-synapse"


def test_the_three_commands_work_as_printed(host: Host) -> None:
    for line in (
        "s3_media_upload update-db $UPDATE_DB_DURATION",
        "s3_media_upload check-deleted $MEDIA_PATH",
        "s3_media_upload upload $MEDIA_PATH $BUCKET --delete --storage-class $STORAGE_CLASS --endpoint-url $ENDPOINT",
    ):
        found = host.run(f"{SHELL} sh -c %s", line)
        assert found.rc == 0, f"{line}\n{found.stdout}\n{found.stderr}"
