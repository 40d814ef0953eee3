# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy of the filter on a real MinIO: with it alone all works, and without one of its actions what needs that."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.refusals import failure
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.cli.program import main
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import AccessError, MediaError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3_trial import TrialBucket
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.bucket_policy import PERMISSIONS, bucket_policy
from ansible_collections.matrixops.synapse_s3.tests.fault_proxy import (
    Exchange,
    Kind,
    Plan,
    answer,
    pass_all,
    run_proxy,
    s3_error,
)
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import PREFIX, Homeserver
from ansible_collections.matrixops.synapse_s3.tests.minio_server import MinioServer
from ansible_collections.matrixops.synapse_s3.tests.soak import soak_but

MIB = 2**20
NEW_PREFIX = "new/"


class Ran(NamedTuple):
    """How a command ended: its exit status and all that it said."""

    status: int
    said: str


def policy(bucket: str, prefix: str, without: tuple[str, ...]) -> dict[str, Any]:
    document = bucket_policy(bucket, prefix, without=without)
    if without:
        # MinIO takes some actions for allowed by others, and no more when they are denied.
        denial = {"Effect": "Deny", "Action": list(without), "Resource": ["arn:aws:s3:::*"]}
        document["Statement"].append(denial)
    return document


class Life:
    """A homeserver whose bucket keeps old versions, and all that is ever done with it, by a key of such a policy."""

    def __init__(self, directory: Path, server: MinioServer, without: tuple[str, ...], url: str = "") -> None:
        self.homeserver = Homeserver(directory, server)
        self.client = server.client()
        bucket = self.homeserver.bucket
        self.client.put_bucket_versioning(Bucket=bucket.bucket, VersioningConfiguration={"Status": "Enabled"})
        self.settings = replace(server.with_policy(bucket, policy(bucket.bucket, PREFIX, without)), prefix=PREFIX)
        target = server.new_bucket()
        self.target = replace(server.with_policy(target, policy(target.bucket, NEW_PREFIX, without)), prefix=NEW_PREFIX)
        if url:
            self.settings, self.target = (
                replace(self.settings, endpoint_url=url),
                replace(self.target, endpoint_url=url),
            )
        self.homeserver.configure(self.settings)

    def everything(self) -> dict[str, Ran]:
        return {name: step(self) for name, step in STEPS.items()}

    def run(self, *arguments: str) -> Ran:
        state = [] if arguments[0] == "preflight" else ["--state-directory", str(self.homeserver.state)]
        if arguments[0] == "verify":
            state = []
        stdout, stderr = io.StringIO(), io.StringIO()
        status = main(["--config", str(self.homeserver.configuration), *arguments, "--json", *state], stdout, stderr)
        return Ran(status, f"{stdout.getvalue()}\n{stderr.getvalue()}")

    def provider(self) -> Ran:
        """Store and read a large file as Synapse's storage provider does, and look for one that is not there."""
        bucket, content = TrialBucket(self.settings, 1), b"x" * 9 * MIB
        try:
            bucket.put_as_provider(f"{PREFIX}local_content/pp/pp/large", content)
            assert bucket.read_as_provider(f"{PREFIX}local_content/pp/pp/large") == content
            assert bucket.head(f"{PREFIX}local_content/pp/pp/missing") is None
        except MediaError as error:
            return Ran(error.exit_status, str(error))
        finally:
            bucket.close()
            self._erase()
        return Ran(0, "")

    def _erase(self) -> None:
        self.client.delete_object(Bucket=self.settings.bucket, Key=f"{PREFIX}local_content/pp/pp/large")

    def migrate(self) -> Ran:
        self.homeserver.upload([10, 9 * MIB])
        return self.run("migrate")

    def restore(self) -> Ran:
        self._only_stored()
        return self.run("restore")

    def _only_stored(self) -> str:
        content = self.homeserver.upload([2000])
        (path,) = list(content)
        self.homeserver.store(content)
        (self.homeserver.media / path).unlink()
        return path

    def purge(self, *arguments: str) -> Ran:
        path = self._only_stored()
        self.homeserver.forget(path.partition("/")[2].replace("/", ""))
        return self.run("purge-orphans", "--delete", "--minimum-age", "0s", "--maximum-share", "100%", *arguments)

    def copy(self) -> Ran:
        self._only_stored()
        self._only_stored()
        self.homeserver.configure(media_storage_providers=[_provider(self.target), _provider(self.settings)])
        return self.run("copy-bucket")


def _provider(bucket: BucketSettings) -> Mapping[str, Any]:
    config = {name: value for name, value in vars(bucket).items() if value is not None and name != "ca_bundle_path"}
    own = bucket.prefix == NEW_PREFIX
    return {
        "module": "s3_storage_provider.S3StorageProviderBackend",
        "store_local": own,
        "store_remote": own,
        "config": config,
    }


STEPS: dict[str, Callable[[Life], Ran]] = {
    "provider": Life.provider,
    "preflight": lambda life: life.run("preflight"),
    "migrate": Life.migrate,
    "verify": lambda life: life.run("verify"),
    "verify --deep": lambda life: life.run("verify", "--deep"),
    "restore": Life.restore,
    "purge-orphans": Life.purge,
    "purge-orphans --delete-versions": lambda life: life.purge("--delete-versions"),
    "copy-bucket": Life.copy,
}


EVERYTHING = frozenset(STEPS)
VERIFY = frozenset({"verify", "verify --deep"})
PURGE_VERSIONS = frozenset({"purge-orphans --delete-versions"})
# What fails without each action, and what only says that it is missing. All the rest works as ever.
WITHOUT: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    # MinIO tells the provider all the same what is missing. Others answer 403, which it takes for a failure.
    "s3:ListBucket": (EVERYTHING - {"provider"}, frozenset()),
    "s3:GetObject": (EVERYTHING - {"verify"}, frozenset()),
    "s3:PutObject": (frozenset({"provider", "preflight", "migrate", "copy-bucket"}), frozenset()),
    "s3:AbortMultipartUpload": (frozenset(), frozenset({"preflight"})),
    "s3:DeleteObject": (PURGE_VERSIONS | {"preflight", "purge-orphans"}, frozenset()),
    "s3:DeleteObjectVersion": (PURGE_VERSIONS, frozenset()),
    "s3:ListBucketVersions": (PURGE_VERSIONS | {"purge-orphans"}, frozenset()),
    "s3:ListBucketMultipartUploads": (frozenset(), VERIFY),
    "s3:GetBucketVersioning": (PURGE_VERSIONS, frozenset({"purge-orphans"})),
    "s3:GetLifecycleConfiguration": (frozenset(), frozenset({"purge-orphans"})),
}


# What each of the others does is for `make soak`.
SHOWN = ("s3:GetObject", "s3:ListBucketVersions")


def _refuse_versions(exchange: Exchange) -> bool:
    """As Amazon does. MinIO lets everybody list versions who may list objects, whatever the policy says."""
    of_versions = b"versions" in exchange.request.head.split(b" ", 2)[1]
    return (answer(s3_error("403 Forbidden", "AccessDenied")) if of_versions else pass_all)(exchange)


def test_everything_works_with_the_policy_alone(tmp_path: Path, minio_http: MinioServer) -> None:
    ran = Life(tmp_path, minio_http, ()).everything()
    assert {name: each.said for name, each in ran.items() if each.status or "the permission" in each.said} == {}


@pytest.mark.parametrize("action", soak_but(SHOWN, WITHOUT))
def test_without_an_action_what_needs_it_fails_and_names_it(
    tmp_path: Path, minio_http: MinioServer, action: str
) -> None:
    refuse_versions = Plan(Kind.OTHER, _refuse_versions if action == "s3:ListBucketVersions" else pass_all, None)
    with run_proxy(minio_http.host, refuse_versions) as proxy:
        ran = Life(tmp_path, minio_http, (action,), proxy.url).everything()
    fails, tells = WITHOUT[action]
    assert {name for name, each in ran.items() if each.status} == fails
    # A name that begins as another one does is not meant.
    named = {name for name, each in ran.items() if re.search(rf"the permission {action}\b", each.said)}
    assert named == fails | tells


def test_each_action_is_tried_and_is_there_for_what_needs_it() -> None:
    assert list(WITHOUT) == [permission.action for permission in PERMISSIONS]
    for permission in PERMISSIONS:
        fails, tells = WITHOUT[permission.action]
        # preflight tells of some that others need; the documentation has each command once, with what it needs most.
        needed = {name.split()[0] for name in permission.needed_by}
        assert {name.split()[0] for name in (fails | tells) if name not in {"provider", "preflight"}} <= needed


def test_nothing_outside_the_prefix(minio_http: MinioServer) -> None:
    """Neither another homeserver's objects nor the list of them."""
    bucket = minio_http.new_bucket()
    client = minio_http.client()
    client.put_object(Bucket=bucket.bucket, Key="other/secret", Body=b"1")
    mine = TrialBucket(minio_http.with_policy(bucket, policy(bucket.bucket, PREFIX, ())), 1)
    tried: tuple[Callable[[], object], ...] = (
        lambda: list(mine.list("")),
        lambda: list(mine.list("other/")),
        lambda: list(mine.versions.list("")),
        lambda: mine.read_as_provider("other/secret"),
        lambda: mine.put_as_provider("other/secret", b"2"),
        lambda: mine.delete("other/secret"),
    )
    assert [isinstance(failure(call), AccessError) for call in tried] == [True] * len(tried)
    assert client.get_object(Bucket=bucket.bucket, Key="other/secret")["Body"].read() == b"1"
    mine.close()


def test_only_by_tls(minio_http: MinioServer) -> None:
    """On MinIO it has an effect in the policy of the user alone."""
    bucket = minio_http.new_bucket()
    user = minio_http.with_policy(bucket, bucket_policy(bucket.bucket, tls_only=True))
    with pytest.raises(AccessError):
        list(TrialBucket(user, 1).list(""))
