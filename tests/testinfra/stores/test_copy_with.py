# SPDX-License-Identifier: GPL-3.0-or-later
"""copy-with on a host whose Synapse has the provider: the user's tool copies, migrate proves and frees the disk.

It comes after the role bucket_mount's tests, which have installed rclone and leave a Synapse with the provider.
"""

from __future__ import annotations

from pathlib import Path

from ansible_collections.matrixops.synapse_s3.tests.testinfra.bucket import read_objects
from ansible_collections.matrixops.synapse_s3.tests.testinfra.endpoints import Endpoints
from ansible_collections.matrixops.synapse_s3.tests.testinfra.layouts import Layout
from ansible_collections.matrixops.synapse_s3.tests.testinfra.life import differences
from ansible_collections.matrixops.synapse_s3.tests.testinfra.media import local_files, upload_and_age
from testinfra.host import Host

PROGRAM = "matrix-synapse-s3-storage-provider"


def paths(host: Host, layout: Layout) -> set[str]:
    """The local files, by their paths below the media store."""
    return {path.removeprefix(f"{layout.media_store}/") for path in local_files(host, layout)}


def test_rclone_copies_and_migrate_finishes(
    host: Host, endpoints_path: Path, endpoints: Endpoints, layout: Layout
) -> None:
    host.check_output(f"systemctl stop {PROGRAM}-migrate.timer")
    record = upload_and_age(host, endpoints_path, layout)
    # A file that the user's tool must leave to Synapse.
    preview = f"{layout.media_store}/url_cache/a/b"
    host.check_output(f"runuser -u {layout.user} -- sh -c 'mkdir -p $(dirname {preview}) && echo 1 > {preview}'")
    local = paths(host, layout)
    before = read_objects(endpoints)

    copied = host.run(f"{PROGRAM} copy-with rclone")
    assert copied.rc == 0, copied.stderr
    assert endpoints.secret_access_key not in copied.stdout + copied.stderr
    stored = read_objects(endpoints)
    assert {key: stored[key] for key in before} == before
    media = {path for path in local if not path.startswith("url_cache")}
    assert {key.removeprefix(endpoints.prefix) for key in stored} >= media
    assert [key for key in stored if "url_cache" in key] == []
    assert paths(host, layout) == local

    migrated = host.run(f"{PROGRAM} migrate")
    assert migrated.rc == 0, migrated.stderr
    assert read_objects(endpoints) == stored
    assert local_files(host, layout) == [preview]
    host.check_output(f"rm -r {layout.media_store}/url_cache && systemctl start {PROGRAM}-migrate.timer")
    assert differences(record) == []
