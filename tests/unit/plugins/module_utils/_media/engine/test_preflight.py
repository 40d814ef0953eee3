# SPDX-License-Identifier: GPL-3.0-or-later
"""What the check says of servers that MinIO can't stand for. tests/integration runs it against a real one."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import BinaryIO

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.encryption import TEST_OBJECT
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.preflight import (
    Problem,
    check_bucket,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.content import Content
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    Readable,
    RemoteObject,
    StoreUnavailable,
    UnsortedList,
)
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import Body, MemoryStore

SETTINGS = BucketSettings(bucket="media", prefix="synapse/", endpoint_url="https://s3.example.org")


class FakeBucket(MemoryStore):
    """A bucket that accepts every setting and keeps none."""

    redirected_to = ""
    conditional = True
    content: bytes | None = None

    @contextmanager
    def open(self, key: str) -> Iterator[Readable]:
        with super().open(key) as body:
            yield body if self.content is None else Body(self.content)

    def put_as_provider(self, key: str, content: bytes) -> None:
        self.objects[key] = content

    def read_as_provider(self, key: str) -> bytes:
        return self.objects[key]

    def abort_as_provider(self, key: str) -> None:
        """Whoever may do anything may do this."""

    def erase(self, key: str) -> str:
        self.delete(key)
        return ""


class BreakingBucket(FakeBucket):
    """A bucket that is there for the list and gone, or interrupted, for the rest."""

    error: BaseException = StoreUnavailable("Could not reach it: the connection broke off. Try again later.")

    def put(self, key: str, source: BinaryIO, content: Content) -> RemoteObject:
        super().put(key, source, content)
        raise self.error


def always(bucket: FakeBucket) -> Callable[[BucketSettings], FakeBucket]:
    return lambda _settings: bucket


def test_a_good_bucket_has_no_problems_and_is_left_as_it_was() -> None:
    bucket = FakeBucket({"synapse/local_content/aa/bb/cc": b"media"})
    assert check_bucket(SETTINGS, always(bucket)) == []
    assert bucket.objects == {"synapse/local_content/aa/bb/cc": b"media"}


def test_a_storage_class_that_is_not_kept() -> None:
    bucket = FakeBucket()
    message = (
        "Could not use storage class 'STANDARD_IA': the server https://s3.example.org accepts it, but keeps objects as "
        "'STANDARD'. Set storage_class to 'STANDARD'."
    )
    problems = check_bucket(replace(SETTINGS, storage_class="STANDARD_IA"), always(bucket))
    assert problems == [Problem("storage_class", message, 78)]
    assert bucket.objects == {}


@pytest.mark.parametrize("part", ["synapse/", "synapse/remote_content/", "preflight"])
def test_a_rule_of_the_bucket_that_deletes_media(part: str) -> None:
    objects = {"synapse/remote_content/example.org/aa/bb/cc": b"media"}
    bucket = FakeBucket(objects)
    bucket.expiring = {part: 'expiry-date="Wed, 30 Dec 2026 00:00:00 GMT", rule-id="old backups"'}
    message = (
        "Could not rely on bucket 'media': a lifecycle rule of its own deletes what is stored below the prefix"
        ' \'synapse/\'. The server says: expiry-date="Wed, 30 Dec 2026 00:00:00 GMT", rule-id="old backups".'
        " Take that rule from the bucket, or keep it from the prefix."
    )
    assert check_bucket(SETTINGS, always(bucket)) == [Problem("expiry", message, 78)]
    assert bucket.objects == objects


def test_encryption_that_is_not_done() -> None:
    message = (
        "Could not encrypt objects in bucket 'media': the server https://s3.example.org ignores the encryption key, "
        "and gives objects to readers without it. Remove sse_customer_key, or use a server that has SSE-C."
    )
    problems = check_bucket(replace(SETTINGS, sse_customer_key="k" * 32), always(FakeBucket()))
    assert problems == [Problem("encryption", message, 78)]


@pytest.mark.parametrize("content", [b"", b"a page of a proxy"])
def test_content_that_comes_back_changed(content: bytes) -> None:
    bucket = FakeBucket()
    bucket.content = content
    (problem,) = check_bucket(SETTINGS, always(bucket))
    key, end = problem.message.removeprefix("Could not read back object '").split("'", 1)
    assert key.startswith("synapse/" + TEST_OBJECT)
    assert end == (
        " from bucket 'media': its content is not what was stored. "
        "Find what changes it at https://s3.example.org or on the way there."
    )
    assert (problem.check, problem.exit_status) == ("read", 69)
    assert bucket.objects == {}


def test_a_region_that_the_server_corrects() -> None:
    bucket = FakeBucket()
    bucket.redirected_to = "eu-central-1"
    message = (
        "Could not use bucket 'media': the bucket is in another region than 'us-east-1'. "
        "Set region_name to 'eu-central-1'."
    )
    problems = check_bucket(replace(SETTINGS, region_name="us-east-1"), always(bucket))
    assert problems == [Problem("region", message, 78)]


def test_a_region_that_is_left_to_the_server_may_be_corrected() -> None:
    bucket = FakeBucket()
    bucket.redirected_to = "eu-central-1"
    assert check_bucket(SETTINGS, always(bucket)) == []


def test_an_upload_without_an_answer_is_removed() -> None:
    bucket = BreakingBucket()
    problems = check_bucket(SETTINGS, always(bucket))
    assert problems == [Problem("write", str(BreakingBucket.error), 69)]
    assert bucket.objects == {}


def test_an_interrupted_check_removes_its_object() -> None:
    bucket = BreakingBucket()
    bucket.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        check_bucket(SETTINGS, always(bucket))
    assert bucket.objects == {}


def test_two_checks_at_once_do_not_meet() -> None:
    bucket = FakeBucket()
    keys = set()

    class Recorder(FakeBucket):
        def put(self, key: str, source: BinaryIO, content: Content) -> RemoteObject:
            keys.add(key)
            return bucket.put(key, io.BytesIO(source.read()), content)

    for _turn in range(2):
        check_bucket(SETTINGS, always(Recorder({"synapse/key": b""})))
    assert len(keys) == len(bucket.objects) == 2
    assert all(hashlib.md5(content).digest() for content in bucket.objects.values())


class UnsortedBucket(FakeBucket):
    def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
        yield from islice(super().list(prefix, after, page_size), page_size)
        if page_size == 1:
            raise UnsortedList("Could not list bucket 'media': the server does not list keys in ascending order.")


def test_lists_that_are_not_sorted_are_worth_knowing() -> None:
    notes: list[str] = []
    assert check_bucket(SETTINGS, always(UnsortedBucket()), notes.append) == []
    assert notes == [
        "The server https://s3.example.org does not list keys in ascending order, as S3 does. Synapse and migrate do "
        "not need that. Commands that read whole lists (status, verify, restore, purge-orphans, copy-bucket) end with "
        "an error where it shows."
    ]
