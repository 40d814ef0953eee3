# SPDX-License-Identifier: GPL-3.0-or-later
"""``purge-orphans`` on a real MinIO bucket that keeps old versions."""

from __future__ import annotations

import pytest
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import NONE, PREFIX, Homeserver, count
from ansible_collections.matrixops.synapse_s3.tests.integration.test_purge_orphans import ALL, id_of, purge


class Versions:
    """A bucket that keeps old versions."""

    def __init__(self, homeserver: Homeserver) -> None:
        self.client = homeserver.server.client()
        self.bucket = homeserver.bucket.bucket
        self.client.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})

    def kept(self) -> dict[str, int]:
        """Versions and delete markers by key."""
        found: dict[str, int] = {}
        answer = self.client.list_object_versions(Bucket=self.bucket)
        for entry in (*answer.get("Versions", ()), *answer.get("DeleteMarkers", ())):
            key = entry["Key"].removeprefix(PREFIX)
            found[key] = found.get(key, 0) + 1
        return found


def test_bucket_that_keeps_old_versions(homeserver: Homeserver) -> None:
    versions = Versions(homeserver)
    (path,), kept = content, _unused = homeserver.upload([10]), homeserver.upload([20])
    homeserver.migrate()
    homeserver.store(content)
    homeserver.forget(id_of(path))

    result = purge(homeserver, "--delete", *ALL)

    assert (result["deleted"], homeserver.stored()) == (count(content), kept)
    assert result["old_versions"] == {"files": 2, "bytes": 20}
    assert result["facts"][-1] == (
        "The bucket keeps 2 old versions of what was deleted (20 B), and no lifecycle rule of the bucket"
        " (NoncurrentVersionExpiration) ends them. With --delete --delete-versions they go for good."
    )
    assert versions.kept()[path] == 3

    # The next night, or after the request of a user: also what an earlier run has deleted.
    result = purge(homeserver, "--delete", "--delete-versions", *ALL)

    assert (result["orphans"], result["deleted_versions"]) == (NONE, {"files": 3, "bytes": 20})
    assert (set(versions.kept()), result["exit_code"]) == (set(kept), 0)
    assert homeserver.stored() == kept


def test_rule_that_ends_old_versions(homeserver: Homeserver) -> None:
    versions = Versions(homeserver)
    rule = {
        "ID": "old",
        "Status": "Enabled",
        "Filter": {"Prefix": PREFIX},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
    }
    versions.client.put_bucket_lifecycle_configuration(Bucket=versions.bucket, LifecycleConfiguration={"Rules": [rule]})
    (path,) = homeserver.upload([10])
    homeserver.upload([20])
    homeserver.migrate()
    homeserver.forget(id_of(path))

    result = purge(homeserver, "--delete", *ALL)

    assert result["facts"][-1] == (
        "The bucket keeps 1 old versions of what was deleted (10 B): the lifecycle rule 'old' ends them after 30 days."
        " With --delete --delete-versions they go for good."
    )


def test_all_versions_of_what_is_purged_go_at_once(homeserver: Homeserver) -> None:
    versions = Versions(homeserver)
    (path,) = content = homeserver.upload([10])
    kept = homeserver.upload([20])
    homeserver.migrate()
    homeserver.store({**content, **kept, "backup.tar": b"1"})
    beside = {"Bucket": versions.bucket, "Key": f"other/{path}"}
    versions.client.put_object(**beside, Body=b"1")
    versions.client.delete_object(**beside)
    homeserver.forget(id_of(path))

    result = purge(homeserver, "--delete", "--delete-versions", *ALL)

    assert result["deleted_versions"] == {"files": 3, "bytes": 20}
    (known,) = kept
    assert versions.kept() == {known: 2, "backup.tar": 1, f"other/{path}": 2}


def test_locked_version_is_told_by_its_key(homeserver: Homeserver) -> None:
    client, name = homeserver.server.client(), f"{homeserver.bucket.bucket}-locked"
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    homeserver.bucket = homeserver.server.settings(name)
    homeserver.configure()
    (path,) = homeserver.upload([10])
    homeserver.upload([20])
    homeserver.migrate()
    client.put_object_legal_hold(Bucket=name, Key=PREFIX + path, LegalHold={"Status": "ON"})
    homeserver.forget(id_of(path))

    result = purge(homeserver, "--delete", "--delete-versions", *ALL)

    assert (result["exit_code"], result["deleted_versions"]) == (1, NONE)
    (problem,) = result["problems"]
    assert problem["path"] == PREFIX + path
    assert "is still there. Could not delete object" in problem["reason"]
    # Its delete marker stays too, so that it is no object again.
    assert path not in homeserver.stored()


@pytest.mark.parametrize("erase", [False, True])
def test_key_that_may_not_look_at_versions(homeserver: Homeserver, erase: bool) -> None:
    """It says so once, and deletes all the same; but who asked for more has not got it."""
    (path,) = homeserver.upload([10])
    kept = homeserver.upload([20])
    homeserver.migrate()
    homeserver.forget(id_of(path))
    actions = ("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject")
    homeserver.configure(homeserver.server.restricted(homeserver.bucket, *actions))

    result = purge(homeserver, "--delete", *(["--delete-versions"] if erase else []), *ALL)

    assert (result["exit_code"], homeserver.stored()) == (int(erase), kept)
    bucket, advice = homeserver.bucket.bucket, "if it is allowed there, check the bucket's name."
    assert result["errors" if erase else "facts"][-1] == (
        f"Whether old versions stay in the bucket can't be told. Could not ask whether bucket {bucket!r} keeps old"
        " versions: the access key does not have the permission s3:GetBucketVersioning. Allow it in the policy of the"
        f" access key or of the bucket; {advice}"
    )
