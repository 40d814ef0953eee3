# SPDX-License-Identifier: GPL-3.0-or-later
"""After the nightly job: all media is in the bucket, only what is too young on the disk, and no user sees it."""

from __future__ import annotations

import hashlib

from ansible_collections.matrixops.synapse_s3.tests.testinfra.bucket import read_objects
from ansible_collections.matrixops.synapse_s3.tests.testinfra.conftest import Migration
from ansible_collections.matrixops.synapse_s3.tests.testinfra.endpoints import Endpoints
from ansible_collections.matrixops.synapse_s3.tests.testinfra.layouts import Layout
from ansible_collections.matrixops.synapse_s3.tests.testinfra.life import Record, content_path, differences
from testinfra.host import Host


def test_job_succeeds(host: Host, migration: Migration) -> None:
    assert migration.job_status == 0
    assert (
        host.check_output("systemctl show --property=Result --value matrix-synapse-s3-storage-provider-migrate.service")
        == "success"
    )


def test_every_local_file_is_in_the_bucket_with_its_bytes(endpoints: Endpoints, migration: Migration) -> None:
    stored = {key: hashlib.sha256(content).hexdigest() for key, content in read_objects(endpoints).items()}
    assert stored == {f"{endpoints.prefix}{path}": digest for path, digest in migration.files_before.items()}


def test_every_upload_is_in_the_bucket_under_its_media_id(endpoints: Endpoints, record: Record) -> None:
    stored = {key: hashlib.sha256(content).hexdigest() for key, content in read_objects(endpoints).items()}
    uploads = {f"{endpoints.prefix}{content_path(upload.media_id)}": upload.sha256 for upload in record.uploads}
    assert {key: stored.get(key) for key in uploads} == uploads


def test_thumbnails_were_migrated_too(migration: Migration, record: Record) -> None:
    images = sum(bool(upload.thumbnails) for upload in record.uploads)
    thumbnails = [path for path in migration.files_before if path.startswith("local_thumbnails/")]
    assert len(thumbnails) >= 2 * images > 0


def test_only_the_young_file_is_left_on_the_disk(migration: Migration, record: Record) -> None:
    young = [content_path(upload.media_id) for upload in record.uploads if upload.batch == "young"]
    assert len(young) == 1
    assert sorted(migration.files_after) == young


def test_the_roots_of_the_media_store_stay(host: Host, layout: Layout) -> None:
    for root in ("local_content", "local_thumbnails"):
        assert host.file(f"{layout.media_store}/{root}").is_directory


def test_a_second_run_does_nothing(migration: Migration) -> None:
    assert migration.again_status == 0
    counts = {
        name: migration.again[name]["files"]
        for name in ("uploaded", "already_stored", "deleted", "kept", "conflicts", "failed")
    }
    assert counts == {"uploaded": 0, "already_stored": 0, "deleted": 0, "kept": 1, "conflicts": 0, "failed": 0}


def test_synapse_still_serves_every_file_and_thumbnail(record: Record) -> None:
    assert len(record.uploads) > 10
    assert differences(record) == []
