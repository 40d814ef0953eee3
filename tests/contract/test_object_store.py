# SPDX-License-Identifier: GPL-3.0-or-later
"""What every ObjectStore keeps: one suite, run on the memory store and on every real server."""

from __future__ import annotations

import hashlib
import io
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import NamedTuple

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.content import PART_SIZE, read_content
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    ObjectExists,
    ObjectFailure,
    ObjectMissing,
    ObjectStore,
    RemoteObject,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.retrying import RetryingStore
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3 import S3ObjectStore
from ansible_collections.matrixops.synapse_s3.tests.s3_server import given_server
from ansible_collections.matrixops.synapse_s3.tests.unit.directory_store import DirectoryStore
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import MemoryStore

WORKERS = 8


STORES = [
    "memory",
    "directory",
    "retrying",
    "minio_http",
    "minio_https",
    "minio_http by boto3",
    "minio_https by boto3",
]


@pytest.fixture(params=["server", "server by boto3"] if given_server() else STORES)
def store(request: pytest.FixtureRequest) -> Iterator[ObjectStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    if request.param == "directory":
        yield DirectoryStore(request.getfixturevalue("tmp_path"))
        return
    if request.param == "retrying":
        yield RetryingStore(MemoryStore(), (), lambda _seconds: False)
        return
    server, _unused, way = request.param.partition(" ")
    with closing(S3ObjectStore(request.getfixturevalue(server).new_bucket(), WORKERS)) as s3:
        # The short way is taken wherever it can be; all that it does boto3 must do too.
        direct = s3._direct
        assert direct is not None
        if way:
            s3._direct = None
        yield s3
        assert direct.is_understood


class Case(NamedTuple):
    size: int
    parts: int


TEST_SIZES = {
    "empty": Case(0, 0),
    "one byte": Case(1, 0),
    "largest single": Case(PART_SIZE - 1, 0),
    "smallest multipart": Case(PART_SIZE, 1),
    "one byte in the second part": Case(PART_SIZE + 1, 2),
    "20 MiB": Case(20 * 1024 * 1024, 3),
}

TEST_KEYS = [
    "local_content/aa/bb/ccddee",
    "remote_content/example.org:8448/aa/bb/cc",
    "remote_content/[2001:db8::1]:8448/aa/bb/cc",
    "remote_thumbnail/example.org/aa/bb/cc/32-32-image-png-crop",
    "media/ünïcödé/媒体/😀",
    "with space/and+plus/and%20percent/and&and=and?and#and",
    "quotes/'single'/\"double\"/~!*()@$,;",
    "a/" + "x" * 200,
]


def content_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # noqa: S311


def md5_of(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()


def put(store: ObjectStore, key: str, content: bytes) -> RemoteObject:
    return store.put(key, io.BytesIO(content), read_content(io.BytesIO(content)))


def read(store: ObjectStore, key: str, size: int = 100_000) -> bytes:
    with store.open(key) as body:
        return b"".join(iter(lambda: body.read(size), b""))


def expected_etag(content: bytes, parts: int) -> str:
    if not parts:
        return md5_of(content).hex()
    digests = [md5_of(content[start : start + PART_SIZE]) for start in range(0, len(content), PART_SIZE)]
    return f"{md5_of(b''.join(digests)).hex()}-{parts}"


@pytest.mark.parametrize("name", TEST_SIZES)
def test_content_comes_back_as_it_was_put(store: ObjectStore, name: str) -> None:
    size, parts = TEST_SIZES[name]
    content = content_of(size)
    expected = RemoteObject("some/key", size, expected_etag(content, parts))
    assert put(store, "some/key", content) == expected
    assert store.head("some/key") == expected
    assert list(store.list("")) == [expected]
    assert read(store, "some/key") == content


def test_storage_class_and_date_are_told(store: ObjectStore) -> None:
    before = time.time()
    stored = put(store, "key", b"content")
    after = time.time()
    found, (listed,) = store.head("key"), store.list("")
    assert found == stored == listed
    assert (found.storage_class, found.archive_status) == ("STANDARD", "")
    assert stored.modified is None
    for told in (found, listed):
        # HEAD gives whole seconds.
        assert told.modified is not None
        assert int(before) <= told.modified <= after


@pytest.mark.parametrize("key", TEST_KEYS)
def test_every_key_is_kept_as_it_is(store: ObjectStore, key: str) -> None:
    put(store, key, b"content")
    assert [found.key for found in store.list("")] == [key]
    assert [found.key for found in store.list(key)] == [key]
    assert store.head(key) == RemoteObject(key, 7, expected_etag(b"content", 0))
    assert read(store, key) == b"content"
    store.delete(key)
    assert list(store.list("")) == []


@pytest.mark.parametrize("size", [5, PART_SIZE], ids=["single", "multipart"])
def test_a_taken_key_keeps_its_content(store: ObjectStore, size: int) -> None:
    put(store, "key", b"the first")
    with pytest.raises(ObjectExists):
        put(store, "key", content_of(size))
    assert read(store, "key") == b"the first"


@pytest.mark.parametrize("size", [5, PART_SIZE, PART_SIZE + 1])
def test_content_that_is_already_there_is_taken_too(store: ObjectStore, size: int) -> None:
    content = content_of(size)
    put(store, "key", content)
    with pytest.raises(ObjectExists):
        put(store, "key", content)
    assert read(store, "key") == content


@pytest.mark.parametrize("size", [1, 5, 300_000, PART_SIZE, PART_SIZE + 1])
def test_other_bytes_than_described_are_not_stored(store: ObjectStore, size: int) -> None:
    content = content_of(size)
    other = content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(ObjectFailure) as failure:
        store.put("key", io.BytesIO(other), read_content(io.BytesIO(content)))
    assert not isinstance(failure.value, (ObjectExists, ObjectMissing))
    assert store.head("key") is None
    assert list(store.list("")) == []


@pytest.mark.parametrize("size", [5, 256 * 1024, 300_000, PART_SIZE, 2 * PART_SIZE])
@pytest.mark.parametrize("change", [-1, 1], ids=["shrunk", "grown"])
def test_content_of_another_size_is_not_stored(store: ObjectStore, size: int, change: int) -> None:
    content = content_of(size)
    with pytest.raises(ObjectFailure):
        store.put("key", io.BytesIO(content), read_content(io.BytesIO(content_of(size - change))))
    assert store.head("key") is None


def test_what_is_missing(store: ObjectStore) -> None:
    assert store.head("missing") is None
    with pytest.raises(ObjectMissing), store.open("missing"):
        pytest.fail("a missing object was opened")
    store.delete("missing")


def test_delete_removes_only_its_key(store: ObjectStore) -> None:
    for key in ("a", "a/b", "ab"):
        put(store, key, key.encode())
    store.delete("a")
    assert [found.key for found in store.list("")] == ["a/b", "ab"]
    assert store.head("a") is None
    assert put(store, "a", b"again").size == 5


def test_list_is_complete_and_sorted_over_pages(store: ObjectStore) -> None:
    keys = [f"media/{number * 7919 % 1203:05}" for number in range(1203)]
    odd = ["media0", "medib", "Media/1", "media/ä", "media/z", "media/💡", "media/\uffee"]
    with ThreadPoolExecutor(WORKERS) as threads:
        list(threads.map(lambda key: put(store, key, key.encode()), keys + odd))
    expected = sorted(keys + odd, key=lambda key: key.encode())
    before = store.requests
    assert [found.key for found in store.list("")] == expected
    assert store.requests - before == 2
    assert [found.key for found in store.list("media/")] == [key for key in expected if key.startswith("media/")]
    assert [found.size for found in store.list("media/ä")] == [8]
    assert list(store.list("nothing/")) == []
    assert [found.key for found in store.list("media/", after="media/01200")] == [
        key for key in expected if key.startswith("media/") and key > "media/01200"
    ]
    before = store.requests
    assert next(store.list("", page_size=1)).key == "Media/1"
    assert store.requests - before == 1


def test_list_begins_before_it_has_everything(store: ObjectStore) -> None:
    put(store, "key", b"")
    found: Iterator[RemoteObject] = store.list("")
    assert next(found).key == "key"
    assert next(found, None) is None


def test_open_reads_as_little_as_asked(store: ObjectStore) -> None:
    content = content_of(10_000)
    put(store, "key", content)
    with store.open("key") as body:
        assert body.read(10) == content[:10]
    assert read(store, "key", 7) == content


def test_threads_share_a_store(store: ObjectStore) -> None:
    def round_trip(number: int) -> bool:
        content = content_of(1000 + number)
        key = f"thread/{number:03}"
        etag = put(store, key, content).etag
        found = store.head(key)
        same = read(store, key) == content
        store.delete(key)
        return same and found == RemoteObject(key, len(content), etag) and store.head(key) is None

    with ThreadPoolExecutor(WORKERS) as threads:
        assert all(threads.map(round_trip, range(100)))
    assert list(store.list("")) == []


def test_of_many_writers_one_wins(store: ObjectStore) -> None:
    def write(number: int) -> bytes | None:
        content = content_of(1000 + number)
        try:
            put(store, "key", content)
        except ObjectExists:
            return None
        return content

    with ThreadPoolExecutor(WORKERS) as threads:
        winners = [content for content in threads.map(write, range(WORKERS)) if content is not None]
    assert winners == [read(store, "key")]


def test_unfinished_uploads_are_counted(store: ObjectStore) -> None:
    """MinIO tells them for a whole key only, and else nothing: then nobody knows, which is not 0."""
    put(store, "media/finished", content_of(PART_SIZE))
    begin_upload(store, "media/begun")
    begin_upload(store, "other/begun")
    assert store.unfinished_uploads("media/begun") == 1
    assert store.unfinished_uploads("media/") in (1, None)
    assert store.unfinished_uploads("media/finished") in (0, None)
    assert store.unfinished_uploads("") in (2, None)


def begin_upload(store: ObjectStore, key: str) -> None:
    """Begin an upload in parts that nobody ends."""
    if isinstance(store, S3ObjectStore):
        store._client.create_multipart_upload(Bucket=store._bucket, Key=key)
        return
    behind = store._store if isinstance(store, RetryingStore) else store
    assert isinstance(behind, MemoryStore)
    behind.unfinished.append(key)


def test_every_request_is_counted(store: ObjectStore) -> None:
    def cost(call: object) -> int:
        before = store.requests
        assert callable(call)
        call()
        return store.requests - before

    assert store.requests == 0
    assert cost(lambda: put(store, "small", b"content")) == 1
    # The start, the parts, a look, the completion, and a look for unfinished uploads.
    assert cost(lambda: put(store, "large", content_of(PART_SIZE + 1))) == 6
    assert cost(lambda: store.head("small")) == 1
    assert cost(lambda: store.head("missing")) == 1
    assert cost(lambda: read(store, "small")) == 1
    assert cost(lambda: list(store.list(""))) == 1
    assert cost(lambda: store.delete("small")) == 1
    assert cost(lambda: store.unfinished_uploads("media/")) == 1


def test_many_are_deleted_by_one_request(store: ObjectStore) -> None:
    keys = [f"media/{number:04}" for number in range(1000)]
    with ThreadPoolExecutor(WORKERS) as threads:
        list(threads.map(lambda key: put(store, key, b"content"), [*keys[:990], *TEST_KEYS, "kept", "media"]))
    before = store.requests

    refused = store.delete_many([*keys[:992], *TEST_KEYS])

    # Two of them were not there.
    assert refused == {}
    assert store.requests - before == 1
    assert [found.key for found in store.list("")] == ["kept", "media"]
    assert store.delete_many([]) == {}
