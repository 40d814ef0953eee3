# SPDX-License-Identifier: GPL-3.0-or-later
"""What MinIO can't stand for: a server that passes over encryption keys, and takes a delete marker for an object."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.content import PART_SIZE, read_content
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3 import S3ObjectStore
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import NONE, Homeserver, count
from ansible_collections.matrixops.synapse_s3.tests.s3_server import S3Server
from ansible_collections.matrixops.synapse_s3.tests.versitygw_server import versitygw_http

__all__ = ["versitygw_http"]

KEY = "an encryption key of 32 letters!"
LARGE = b"0123456789abcdef" * (PART_SIZE // 16) + b"and some more"


@pytest.fixture
def on_versitygw(tmp_path: Path, versitygw_http: S3Server) -> Homeserver:
    return Homeserver(tmp_path, versitygw_http)


def configure(homeserver: Homeserver, *keys: str | None) -> None:
    """Give Synapse a provider for each key: the first for the homeserver's bucket, others for buckets of their own."""
    providers = []
    for number, key in enumerate(keys):
        bucket = homeserver.bucket if number == 0 else homeserver.server.new_bucket()
        settings = {name: value for name, value in vars(replace(bucket, sse_customer_key=key)).items() if value}
        providers.append(
            {"module": "s3_storage_provider.S3StorageProviderBackend", "store_local": number == 0, "config": settings}
        )
    homeserver.configure(media_storage_providers=providers)


def ignored(homeserver: Homeserver) -> str:
    return (
        f"Could not encrypt objects in bucket '{homeserver.bucket.bucket}': the server {homeserver.server.url} ignores "
        "the encryption key, and gives objects to readers without it. Remove sse_customer_key, or use a server that "
        "has SSE-C."
    )


@pytest.mark.parametrize("arguments", [(), ("--keep-local",)])
def test_nothing_is_uploaded_in_the_belief_that_it_is_encrypted(
    on_versitygw: Homeserver, arguments: tuple[str, ...]
) -> None:
    content = on_versitygw.upload([10, 20])
    configure(on_versitygw, KEY)
    result = on_versitygw.migrate(*arguments)
    assert (result["exit_code"], result["errors"]) == (78, [ignored(on_versitygw)])
    assert (result["uploaded"], result["deleted"]) == (NONE, NONE)
    assert on_versitygw.local() == content
    assert on_versitygw.stored() == {}


def test_nothing_is_copied_in_that_belief(on_versitygw: Homeserver) -> None:
    configure(on_versitygw, KEY, None)
    on_versitygw.upload([10])
    status, stdout, _unused = on_versitygw.run("copy-bucket", "--json", "--state-directory", str(on_versitygw.state))
    assert (status, json.loads(stdout)["errors"]) == (78, [ignored(on_versitygw)])
    assert on_versitygw.stored() == {}


def test_preflight_says_it_too(on_versitygw: Homeserver) -> None:
    configure(on_versitygw, KEY)
    status, stdout, _unused = on_versitygw.run("preflight", "--json")
    assert (status, json.loads(stdout)["problems"]) == (78, [ignored(on_versitygw)])


def test_what_was_deleted_in_a_bucket_with_versions_is_stored_again(on_versitygw: Homeserver) -> None:
    homeserver, client = on_versitygw, on_versitygw.server.client()
    bucket = homeserver.bucket.bucket
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    content = homeserver.upload([10, 5000, len(LARGE)])
    homeserver.migrate()
    for path in content:
        client.delete_object(Bucket=bucket, Key=f"hs/{path}")
    homeserver.write(content)
    result = homeserver.migrate()
    assert (result["exit_code"], result["uploaded"], result["deleted"]) == (0, count(content), count(content))
    assert homeserver.stored() == content


@pytest.mark.parametrize("content", [b"content", LARGE], ids=["single", "multipart"])
@pytest.mark.parametrize("way", ["directly", "by boto3"])
def test_what_is_there_is_not_taken_for_deleted(versitygw_http: S3Server, way: str, content: bytes) -> None:
    settings, client = versitygw_http.new_bucket(), versitygw_http.client()
    client.put_bucket_versioning(Bucket=settings.bucket, VersioningConfiguration={"Status": "Enabled"})
    store = S3ObjectStore(settings, 1)
    if way == "by boto3":
        store._direct = None
    client.put_object(Bucket=settings.bucket, Key="key", Body=b"the first")
    client.delete_object(Bucket=settings.bucket, Key="key")
    store.put("key", io.BytesIO(content), read_content(io.BytesIO(content)))
    with pytest.raises(Exception, match="the key is taken already"):
        store.put("key", io.BytesIO(LARGE), read_content(io.BytesIO(LARGE)))
    with store.open("key") as body:
        assert read_content(body) == read_content(io.BytesIO(content))
