# SPDX-License-Identifier: GPL-3.0-or-later
"""What S3ObjectStore does beyond the contract: on a real server, and on one that fails by a script."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.content import PART_SIZE, read_content
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import (
    AccessError,
    ConfigurationError,
    UnavailableError,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    ObjectExists,
    ObjectFailure,
    ObjectUnreadable,
    PermissionDenied,
    RemoteObject,
    StoreUnavailable,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3 import Limits, S3ObjectStore
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3_trial import TrialBucket
from ansible_collections.matrixops.synapse_s3.tests.fault_proxy import Exchange, Kind, Plan, pass_all, run_proxy
from ansible_collections.matrixops.synapse_s3.tests.minio_server import MinioServer
from ansible_collections.matrixops.synapse_s3.tests.scripted_server import Answer, run_script, s3_error

KEY = "k" * 32
LARGE = b"0123456789abcdef" * (PART_SIZE // 16) + b"and some more"
LIMITS = Limits(connect_timeout=2, read_timeout=2, attempts=2)
DONE = Answer(200, headers={"ETag": '"etag"'})
START = Answer(200, b"<R><UploadId>u1</UploadId></R>")
NO_UPLOADS = Answer(200, b"<ListMultipartUploadsResult></ListMultipartUploadsResult>")
LAST_PAGE = "<ListBucketResult><IsTruncated>false</IsTruncated>{}</ListBucketResult>"
PAGE = (
    "<ListBucketResult><IsTruncated>true</IsTruncated>"
    "<NextContinuationToken>next</NextContinuationToken>{}</ListBucketResult>"
)


def md5_of(content: bytes) -> bytes:
    return hashlib.md5(content).digest()


def put(store: S3ObjectStore, key: str, content: bytes) -> RemoteObject:
    return store.put(key, io.BytesIO(content), read_content(io.BytesIO(content)))


def read(store: S3ObjectStore, key: str) -> bytes:
    with store.open(key) as body:
        return b"".join(iter(lambda: body.read(1_000_000), b""))


def settings_of(url: str, **changes: str) -> BucketSettings:
    settings = BucketSettings(
        bucket="media",
        region_name="eu-test-1",
        endpoint_url=url,
        access_key_id="key",
        secret_access_key="secret",
    )
    return replace(settings, **changes)


def scripted(url: str, conditional: bool | None = True, **changes: str) -> S3ObjectStore:
    return S3ObjectStore(settings_of(url, **changes), 2, LIMITS, conditional=conditional)


# --- on a real server


@pytest.mark.parametrize("content", [b"small", LARGE], ids=["single", "multipart"])
def test_encryption_with_the_customers_key(minio_https: MinioServer, content: bytes) -> None:
    settings = replace(minio_https.new_bucket(), sse_customer_key=KEY)
    store = S3ObjectStore(settings, 2)
    put(store, "key", content)
    found = store.head("key")
    assert found
    assert found.size == len(content)
    assert read(store, "key") == content
    with store.open("key") as body:
        # Such an ETag is no hash.
        assert body.md5 is None
    with pytest.raises(ObjectExists):
        put(store, "key", content)
    with pytest.raises(ObjectFailure) as failure:
        read(S3ObjectStore(replace(settings, sse_customer_key=None), 1), "key")
    assert str(failure.value) == (
        f"Could not read object 'key' from bucket '{settings.bucket}': it was stored with an sse_customer_key, and "
        "none is set. Set sse_customer_key to the key that it was stored with. The server said: 'The object was stored "
        "using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.'."
    )
    with pytest.raises(AccessError) as refusal:
        read(S3ObjectStore(replace(settings, sse_customer_key="x" * 32), 1), "key")
    assert "stored without, or with another, sse_customer_key" in str(refusal.value)


def test_an_object_that_was_stored_before_there_was_an_encryption_key(minio_https: MinioServer) -> None:
    settings = minio_https.new_bucket()
    put(S3ObjectStore(settings, 1), "key", b"content")
    store = S3ObjectStore(replace(settings, sse_customer_key=KEY), 1)
    for call, action in ((store.head, "look up object 'key' in"), (partial(read, store), "read object 'key' from")):
        with pytest.raises(ObjectFailure) as failure:
            call("key")
        assert str(failure.value).startswith(
            f"Could not {action} bucket '{settings.bucket}': it was stored without, or with another, sse_customer_key. "
            "Set sse_customer_key to the key that it was stored with, if any. The server said: "
        )


@pytest.mark.parametrize("content", [b"small", LARGE], ids=["single", "multipart"])
@pytest.mark.parametrize("storage_class", ["STANDARD", "REDUCED_REDUNDANCY"])
def test_storage_class(minio_http: MinioServer, storage_class: str, content: bytes) -> None:
    store = S3ObjectStore(replace(minio_http.new_bucket(), storage_class=storage_class), 2)
    put(store, "key", content)
    stored = store.head("key")
    assert stored is not None
    assert stored.storage_class == storage_class


@pytest.mark.parametrize("content", [b"small", LARGE], ids=["single", "multipart"])
def test_storage_class_that_is_refused(minio_http: MinioServer, content: bytes) -> None:
    store = S3ObjectStore(replace(minio_http.new_bucket(), storage_class="STANDARD_IA"), 2)
    with pytest.raises(ConfigurationError):
        put(store, "key", content)
    assert store.head("key") is None


class Interrupted(io.BytesIO):
    """A source whose second part is met by a Ctrl+C."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise KeyboardInterrupt
        return super().read(size)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (Interrupted(LARGE), KeyboardInterrupt),
        (io.BytesIO(LARGE[:-1]), ObjectFailure),
        (io.BytesIO(LARGE + b"!"), ObjectFailure),
    ],
    ids=["interrupted", "shrunk", "grown"],
)
def test_a_failed_upload_leaves_no_parts_behind(
    minio_http: MinioServer, source: BinaryIO, error: type[BaseException]
) -> None:
    settings = minio_http.new_bucket()
    store = S3ObjectStore(settings, 2)
    with pytest.raises(error):
        store.put("key", source, read_content(io.BytesIO(LARGE)))
    uploads = minio_http.client().list_multipart_uploads(Bucket=settings.bucket, Prefix="key")
    assert uploads.get("Uploads", []) == []
    assert list(store.list("")) == []


def test_a_large_file_does_not_fill_the_memory(minio_http: MinioServer, tmp_path: Path) -> None:
    size = 12 * PART_SIZE
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(size)
    with path.open("rb") as source:
        content = read_content(source)
    store = S3ObjectStore(minio_http.new_bucket(), 2)
    tracemalloc.start()
    try:
        with path.open("rb") as source:
            store.put("key", source, content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < PART_SIZE
    found = store.head("key")
    assert found
    assert found.size == size


def test_the_right_region_is_found_and_named(minio_http: MinioServer) -> None:
    settings = minio_http.new_bucket()
    right, wrong = (S3ObjectStore(replace(settings, region_name=name), 1) for name in ("eu-test-1", "us-east-1"))
    assert [list(store.list("")) for store in (right, wrong)] == [[], []]
    assert (right.redirected_to, wrong.redirected_to) == ("", "eu-test-1")


def test_that_a_server_does_conditional_writes_is_found_out_once(minio_http: MinioServer) -> None:
    store = S3ObjectStore(minio_http.new_bucket(), 1, conditional=None)
    put(store, "large", LARGE)
    put(store, "not small", LARGE[: 2 * 1024 * 1024])
    told, before = [store.conditional], store.requests
    put(store, "one", b"one")
    assert [*told, store.conditional] == [None, True]
    # A look, the upload, the same again, and a look at what is taken.
    assert store.requests - before == 4
    put(store, "two", b"two")
    assert store.requests - before == 5
    assert [read(store, key) for key in ("one", "two")] == [b"one", b"two"]


def test_a_refusal_tells_that_a_server_does_conditional_writes(minio_http: MinioServer) -> None:
    settings = minio_http.new_bucket()
    store = S3ObjectStore(settings, 1, conditional=None)

    class Late(io.BytesIO):
        """A file that Synapse stores too, just when it is read."""

        def read(self, size: int | None = -1, /) -> bytes:
            minio_http.client().put_object(Bucket=settings.bucket, Key="key", Body=b"Synapse's")
            return super().read(size)

    with pytest.raises(ObjectExists):
        store.put("key", Late(b"ours"), read_content(io.BytesIO(b"ours")))
    assert store.conditional is True
    assert read(store, "key") == b"Synapse's"


@pytest.mark.parametrize("way", ["directly", "by boto3"])
def test_a_server_that_passes_over_the_condition_does_not_overwrite_what_came_meanwhile(
    minio_http: MinioServer, way: str
) -> None:
    settings = minio_http.new_bucket()
    client = minio_http.client()

    def pass_over_the_condition(exchange: Exchange) -> bool:
        # It is signed, so it can't be left out. What is not there is not protected by it.
        key = exchange.request.head.split(b" ", 2)[1].decode().rpartition("/")[2]
        client.delete_object(Bucket=settings.bucket, Key=key)
        return pass_all(exchange)

    with run_proxy(minio_http.host, Plan(Kind.PUT, pass_over_the_condition, None)) as proxy:
        settings = replace(settings, endpoint_url=proxy.url)
        believing, store = S3ObjectStore(settings, 1), S3ObjectStore(settings, 1, conditional=None)
        if way == "by boto3":
            store._direct = None
        # So it was.
        put(believing, "lost", b"another's")
        put(believing, "lost", b"ours")
        assert read(store, "lost") == b"ours"
        put(store, "first", b"ours")
        assert store.conditional is False
        for content in (b"small", LARGE):
            client.put_object(Bucket=settings.bucket, Key="key", Body=b"another's")
            with pytest.raises(ObjectExists):
                put(store, "key", content)
            assert read(store, "key") == b"another's"
        before = store.requests
        put(store, "free", b"ours")
        assert store.requests - before == 2
        assert read(store, "first") == read(store, "free") == b"ours"


# --- on a server with a script


def test_no_upload_waits_to_be_asked_for_its_content() -> None:
    """As botocore's do, and then take the answer to an empty file for that to the next upload (its issue 3755)."""
    parts = [START, DONE, DONE, Answer(404), Answer(200, b"<R><ETag>e</ETag></R>"), NO_UPLOADS]
    with run_script(DONE, DONE, *parts) as server:
        store = scripted(server.url, sse_customer_key=KEY)
        for content in (b"", b"content", LARGE):
            put(store, "key", content)
    assert not server.answers
    assert [headers for headers in server.headers if "expect" in headers] == []


def test_only_what_is_tried_as_the_provider_does_waits_as_it_does() -> None:
    with run_script(DONE, DONE) as server:
        store = TrialBucket(settings_of(server.url, sse_customer_key=KEY), 1, LIMITS)
        store.put_as_provider("key", b"content")
        put(store, "key", b"content")
    assert [headers.get("expect") for headers in server.headers] == ["100-continue", None]


@pytest.mark.parametrize("second", [Answer(403), Answer(500), Answer(0), DONE])
def test_where_it_can_not_be_told_a_key_is_looked_up_before_each_upload(second: Answer) -> None:
    with run_script(Answer(404), DONE, *[second] * 3) as server:
        store = scripted(server.url, None)
        assert put(store, "one", b"content") == RemoteObject("one", 7, "etag")
        server.answers[:] = [Answer(404), DONE]
        put(store, "two", b"content")
    assert store.conditional is False
    assert server.seen[-2:] == ["HEAD /media/two", "PUT /media/two"]
    # It may do some good after all.
    assert server.headers[-1]["if-none-match"] == "*"


TEST_DESCRIBED: dict[str, tuple[dict[str, str], tuple[str, str]]] = {
    "nothing said": ({}, ("STANDARD", "")),
    "infrequent access": ({"x-amz-storage-class": "STANDARD_IA"}, ("STANDARD_IA", "")),
    "archive that is read at once": ({"x-amz-storage-class": "GLACIER_IR"}, ("GLACIER_IR", "")),
    "archive": ({"x-amz-storage-class": "GLACIER"}, ("GLACIER", "GLACIER")),
    "deep archive": ({"x-amz-storage-class": "DEEP_ARCHIVE"}, ("DEEP_ARCHIVE", "DEEP_ARCHIVE")),
    "on its way back": (
        {"x-amz-storage-class": "GLACIER", "x-amz-restore": 'ongoing-request="true"'},
        ("GLACIER", "GLACIER"),
    ),
    "brought back": (
        {
            "x-amz-storage-class": "GLACIER",
            "x-amz-restore": 'ongoing-request="false", expiry-date="Fri, 21 Dec 2029 00:00:00 GMT"',
        },
        ("GLACIER", ""),
    ),
    "archived by how it is used": (
        {"x-amz-storage-class": "INTELLIGENT_TIERING", "x-amz-archive-status": "DEEP_ARCHIVE_ACCESS"},
        ("INTELLIGENT_TIERING", "DEEP_ARCHIVE_ACCESS"),
    ),
}


@pytest.mark.parametrize("way", ["directly", "by boto3"])
@pytest.mark.parametrize("name", TEST_DESCRIBED)
def test_an_archive_is_told_by_head(name: str, way: str) -> None:
    headers, expected = TEST_DESCRIBED[name]
    answer = Answer(200, b"content", {"ETag": '"etag"', "Last-Modified": "Thu, 13 Feb 2020 01:02:03 GMT", **headers})
    with run_script(answer) as server:
        store = scripted(server.url)
        if way == "by boto3":
            store._direct = None
        found = store.head("key")
    assert found == RemoteObject("key", 7, "etag", *expected[:1], archive_status=expected[1])
    assert found.modified == 1581555723
    assert server.seen == ["HEAD /media/key"]


@pytest.mark.parametrize("way", ["directly", "by boto3"])
def test_a_rule_that_will_delete_an_object_is_told_by_head_and_by_put(way: str) -> None:
    expires = 'expiry-date="Wed, 30 Dec 2026 00:00:00 GMT", rule-id="old backups"'
    headers = {"ETag": '"etag"', "x-amz-expiration": expires}
    with run_script(Answer(200, b"content", headers), Answer(200, b"", headers)) as server:
        store = scripted(server.url)
        if way == "by boto3":
            store._direct = None
        assert store.head("key") == RemoteObject("key", 7, "etag", expires=expires)
        assert put(store, "key", b"content") == RemoteObject("key", 7, "etag", expires=expires)
    assert server.seen == ["HEAD /media/key", "PUT /media/key"]


TEST_LISTED_DATES = {
    "2020-02-13T01:02:03.250Z": 1581555723.25,
    "2020-02-13T01:02:03Z": 1581555723,
    "2020-02-13T01:02:03.123456789Z": 1581555723.123456789,
    "2020-02-13T02:02:03+01:00": 1581555723,
    "yesterdayZ": None,
}


@pytest.mark.parametrize("date", TEST_LISTED_DATES)
def test_class_and_date_are_told_by_a_listing(date: str) -> None:
    entry = f"<Key>a</Key><Size>1</Size><StorageClass>GLACIER</StorageClass><LastModified>{date}</LastModified>"
    with run_script(Answer(200, LAST_PAGE.format(f"<Contents>{entry}</Contents>").encode())) as server:
        (found,) = scripted(server.url).list("")
    assert found == RemoteObject("a", 1, "", "GLACIER")
    assert found.modified == TEST_LISTED_DATES[date]


def test_what_is_stored_in_an_archive_can_not_be_read_at_once() -> None:
    with run_script(DONE) as server:
        store = scripted(server.url, storage_class="GLACIER")
        assert put(store, "key", b"content") == RemoteObject("key", 7, "etag", "GLACIER", archive_status="GLACIER")


def test_a_failing_server_is_asked_again() -> None:
    with run_script(s3_error(503, "SlowDown"), DONE) as server:
        store = scripted(server.url)
        assert put(store, "key", b"content") == RemoteObject("key", 7, "etag")
    assert server.seen == ["PUT /media/key"] * 2
    assert store.requests == 2


def test_a_server_that_keeps_failing_is_unavailable() -> None:
    with run_script(*[s3_error(503, "SlowDown")] * 3) as server:
        store = scripted(server.url)
        with pytest.raises(StoreUnavailable) as failure:
            put(store, "key", b"content")
    assert str(failure.value) == (
        f"Could not store object 'key' in bucket 'media': the server {server.url} asks for fewer requests (SlowDown). "
        "Try again later, or with fewer workers."
    )
    # One the short way, two by way of boto3.
    assert (store.requests, store.slow_downs) == (3, 3)


def test_a_lost_answer_ends_as_a_taken_key() -> None:
    with run_script(Answer(0), s3_error(412, "PreconditionFailed")) as server, pytest.raises(ObjectExists):
        put(scripted(server.url), "key", b"content")


def test_content_is_sent_with_its_md5_and_the_condition() -> None:
    with run_script(DONE) as server:
        put(scripted(server.url), "key", b"content")
    (headers,) = server.headers
    assert headers["content-md5"] == "mgNkuembtIDdJeHwKEyFVQ=="
    assert headers["if-none-match"] == "*"
    assert headers["x-amz-storage-class"] == "STANDARD"
    assert [name for name in headers if "checksum" in name or "trailer" in name] == []


def test_without_conditional_writes_it_looks_first() -> None:
    answers = [
        s3_error(501, "NotImplemented"),
        s3_error(501, "NotImplemented"),
        Answer(404),
        DONE,
        Answer(404),
        DONE,
        DONE,
    ]
    with run_script(*answers) as server:
        store = scripted(server.url)
        put(store, "one", b"content")
        put(store, "two", b"content")
        with pytest.raises(ObjectExists):
            put(store, "three", b"content")
    assert server.seen == [
        "PUT /media/one",
        "PUT /media/one",
        "HEAD /media/one",
        "PUT /media/one",
        "HEAD /media/two",
        "PUT /media/two",
        "HEAD /media/three",
    ]
    assert ["if-none-match" in headers for headers in server.headers] == 2 * [True] + 5 * [False]


def test_a_multipart_upload_is_aborted_when_a_part_fails() -> None:
    with (
        run_script(START, DONE, s3_error(400, "BadDigest"), Answer(204), NO_UPLOADS) as server,
        pytest.raises(ObjectFailure) as failure,
    ):
        put(scripted(server.url), "key", LARGE)
    assert str(failure.value) == (
        "Could not store object 'key' in bucket 'media': the content did not arrive as it was sent (BadDigest). "
        "Nothing was stored; try again."
    )
    start, *parts, abort, look = server.seen
    assert start == "POST /media/key?uploads"
    assert sorted(parts) == [f"PUT /media/key?uploadId=u1&partNumber={number}" for number in (1, 2)]
    assert abort == "DELETE /media/key?uploadId=u1"
    assert look.startswith("GET /media?uploads&prefix=key")


def test_a_multipart_upload_that_cannot_be_aborted_fails_with_the_first_cause() -> None:
    refusals = [s3_error(403, "AccessDenied")] * 4
    with run_script(START, *refusals) as server, pytest.raises(AccessError) as failure:
        put(scripted(server.url), "key", LARGE)
    assert "s3:PutObject" in str(failure.value)


@pytest.mark.parametrize("sent", [b"", b"half"])
def test_a_download_that_breaks_off(sent: bytes) -> None:
    # The short way leaves such an answer to boto3, which asks again.
    answers = [Answer(200, sent, missing=10)] * 2
    with run_script(*answers) as server, pytest.raises(StoreUnavailable) as failure:
        read(scripted(server.url), "key")
    assert str(failure.value) == (
        f"Could not read object 'key' from bucket 'media': the connection to {server.url} broke off. "
        "Try again later; check the server and the network."
    )


TEST_DOUBTS = [
    (Answer(403), AccessError),
    (Answer(400), ObjectFailure),
    (Answer(500), StoreUnavailable),
]


@pytest.mark.parametrize(("answer", "error"), TEST_DOUBTS)
def test_only_a_404_means_that_there_is_no_object(answer: Answer, error: type[Exception]) -> None:
    # A 400 makes boto3 ask for the bucket's region, so there are more answers than calls.
    with run_script(*[answer] * 8) as server, pytest.raises(error):
        scripted(server.url).head("key")


EXPIRED = (
    "the session token is not valid or has expired. "
    "Give a new session_token with its access key, or remove session_token when the access key needs none."
)
TEST_SILENT: dict[str, tuple[Answer, Answer, type[Exception], str]] = {
    "an expired token, as AWS tells it": (
        Answer(400),
        s3_error(400, "ExpiredToken", "The provided token has expired."),
        AccessError,
        EXPIRED,
    ),
    "an access key that was taken away": (
        Answer(403),
        s3_error(403, "InvalidAccessKeyId"),
        AccessError,
        "the server {url} does not know the access key ID. Correct access_key_id.",
    ),
    "another encryption key": (
        Answer(400),
        s3_error(400, "InvalidRequest", "Requests specifying SSE-C are bad."),
        ObjectFailure,
        "it was stored with an sse_customer_key, and none is set. Set sse_customer_key to the key that it was stored "
        "with. The server said: 'Requests specifying SSE-C are bad.'.",
    ),
    "a policy on a prefix": (
        Answer(403),
        s3_error(403, "AccessDenied", "Access Denied"),
        PermissionDenied,
        "the access key does not have the permission s3:GetObject. Allow it in the policy of the access key or of the "
        "bucket; if it is allowed there, check the bucket's name.",
    ),
    "a GET that is allowed": (
        Answer(403),
        Answer(200, b"content", {"ETag": '"etag"'}),
        AccessError,
        "the server {url} refused without saying why (HTTP 403). Check access_key_id, secret_access_key, this host's "
        "clock and the permission s3:GetObject; the command preflight finds out which.",
    ),
    "a GET without words too": (
        Answer(403),
        Answer(403),
        AccessError,
        "the server {url} refused without saying why (HTTP 403). Check access_key_id, secret_access_key, this host's "
        "clock and the permission s3:GetObject; the command preflight finds out which.",
    ),
}


@pytest.mark.parametrize("name", TEST_SILENT)
def test_a_head_that_is_refused_without_words_is_explained_by_a_get(name: str) -> None:
    head, get, error, cause = TEST_SILENT[name]
    with (
        run_script(otherwise=lambda request: get if request.startswith("GET") else head) as server,
        pytest.raises(error) as failure,
    ):
        scripted(server.url).head("key")
    assert type(failure.value) in (AccessError, PermissionDenied, ObjectFailure, ObjectUnreadable)
    assert str(failure.value) == f"Could not look up object 'key' in bucket 'media': {cause.format(url=server.url)}"


def test_a_head_that_fails_is_not_asked_why() -> None:
    with run_script(otherwise=lambda _request: Answer(500)) as server, pytest.raises(StoreUnavailable):
        scripted(server.url).head("key")
    assert {request.split()[0] for request in server.seen} == {"HEAD"}


@pytest.mark.parametrize("way", ["directly", "by boto3"])
def test_a_deleted_key_that_the_server_takes_for_taken(way: str) -> None:
    # As versitygw in a bucket with versions, night after night.
    def answer(request: str) -> Answer:
        return Answer(404) if request.startswith("HEAD") else s3_error(412, "PreconditionFailed")

    with run_script(otherwise=answer) as server:
        store = scripted(server.url)
        if way == "by boto3":
            store._direct = None
        with pytest.raises(ObjectFailure) as failure:
            put(store, "key", b"content")
    assert failure.value.__class__ is ObjectFailure
    assert str(failure.value) == (
        f"Could not store object 'key' in bucket 'media': the server {server.url} has no such object, and refuses "
        "all the same to store one, as some do with a key that was deleted in a bucket with versions. Remove the "
        "key's delete marker there."
    )


@pytest.mark.parametrize("refuses", [False, True], ids=["stores", "refuses that too"])
@pytest.mark.parametrize("way", ["directly", "by boto3"])
def test_what_only_a_delete_marker_covers_is_stored_without_the_condition(way: str, refuses: bool) -> None:
    def answer(request: str) -> Answer:
        if request.startswith("HEAD"):
            return Answer(404)
        if request.startswith("GET"):
            return replace(s3_error(404, "NoSuchKey"), headers={"x-amz-delete-marker": "true"})
        taken = refuses or "if-none-match" in server.headers[-1]
        return s3_error(412, "PreconditionFailed") if taken else DONE

    with run_script(otherwise=answer) as server:
        store = scripted(server.url)
        if way == "by boto3":
            store._direct = None
        if not refuses:
            assert put(store, "key", b"content").etag == "etag"
            return
        with pytest.raises(ObjectFailure) as failure:
            put(store, "key", b"content")
    assert str(failure.value).endswith("Remove the key's delete marker there.")


def test_a_list_out_of_order_is_refused() -> None:
    contents = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in ("b", "a"))
    with run_script(Answer(200, LAST_PAGE.format(contents).encode())) as server:
        found: Iterator[RemoteObject] = scripted(server.url).list("")
        assert next(found) == RemoteObject("b", 1, "")
        with pytest.raises(ConfigurationError) as failure:
            next(found)
    assert str(failure.value) == (
        f"Could not list bucket 'media': the server {server.url} does not list keys in ascending order. "
        "Use a general purpose bucket, or a server, whose lists are sorted."
    )


def test_a_list_that_fails_on_its_second_page_does_not_end_early() -> None:
    first = Answer(200, PAGE.format("<Contents><Key>a</Key><Size>1</Size></Contents>").encode())
    with run_script(first, s3_error(403, "AccessDenied")) as server:
        found = scripted(server.url).list("")
        assert next(found).key == "a"
        with pytest.raises(AccessError):
            next(found)


@pytest.mark.parametrize("page", [b"", b"<html><p>well formed</p></html>", b"<!doctype html><p>as most are"])
def test_a_web_page_is_not_s3(page: bytes) -> None:
    answers = [Answer(200, page, {"Content-Type": "text/html; charset=utf-8"})] * 2
    with run_script(*answers) as server, pytest.raises(ConfigurationError) as failure:
        list(scripted(server.url).list(""))
    assert str(failure.value) == (
        f"Could not list bucket 'media': what answers at {server.url} does not speak S3. "
        "Correct endpoint_url: it names the S3 service itself, not its web console, and with the right port."
    )


WEB_PAGE = Answer(200, b"<html>Welcome</html>", {"Content-Type": "text/html"})
TEST_NOT_S3: dict[str, tuple[str, bytes, list[Answer]]] = {
    "HEAD without a length": ("look up", b"", [Answer(200, has_length=False)] * 2),
    "HEAD with a date that is none": ("look up", b"", [Answer(200, headers={"Last-Modified": "yesterday"})] * 2),
    "HEAD that is redirected in circles": ("look up", b"", [Answer(302, headers={"Location": "/login"})] * 2000),
    "upload that is not begun": ("store", LARGE, [WEB_PAGE, NO_UPLOADS]),
    "part without an ETag": ("store", LARGE, [START, WEB_PAGE, WEB_PAGE, Answer(204), NO_UPLOADS]),
}


@pytest.mark.parametrize("name", TEST_NOT_S3)
def test_an_answer_that_is_no_s3_servers(name: str) -> None:
    action, content, answers = TEST_NOT_S3[name]
    with run_script(*answers) as server:
        store = scripted(server.url)
        with pytest.raises(ConfigurationError) as failure:
            store.head("key") if action == "look up" else put(store, "key", content)
    assert str(failure.value) == (
        f"Could not {action} object 'key' in bucket 'media': what answers at {server.url} does not speak S3."
        " Correct endpoint_url: it names the S3 service itself, not its web console, and with the right port."
    )


def test_what_a_lost_start_has_begun_is_aborted() -> None:
    uploads = "<Upload><Key>key</Key><UploadId>{}</UploadId></Upload>"
    other = "<Upload><Key>key2</Key><UploadId>not ours</UploadId></Upload>"
    listed = f"<ListMultipartUploadsResult>{uploads.format('u0')}{other}</ListMultipartUploadsResult>"
    done = Answer(200, b"<R><ETag>&quot;etag&quot;</ETag></R>")
    with run_script(
        Answer(0), START, DONE, DONE, Answer(404), done, Answer(200, listed.encode()), Answer(204)
    ) as server:
        put(scripted(server.url), "key", LARGE)
    assert server.seen[0] == server.seen[1] == "POST /media/key?uploads"
    assert server.seen[-1] == "DELETE /media/key?uploadId=u0"


def test_what_a_lost_start_has_begun_is_found_on_every_page() -> None:
    page = (
        "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>{0}</NextKeyMarker>"
        "<NextUploadIdMarker>{1}</NextUploadIdMarker><Upload><Key>{0}</Key><UploadId>{1}</UploadId></Upload>"
        "</ListMultipartUploadsResult>"
    )
    with run_script(
        Answer(200, page.format("key-longer", "u1").encode()),
        Answer(200, page.format("key", "u2").encode()),
        Answer(204),
        # The same again: there is no more.
        Answer(200, page.format("key", "u2").encode()),
        Answer(204),
    ) as server:
        scripted(server.url).abort_unfinished("key")
    assert [request for request in server.seen if request.startswith("DELETE")] == ["DELETE /media/key?uploadId=u2"] * 2
    looks = [request for request in server.seen if request.startswith("GET")]
    assert ["key-marker" in look for look in looks] == [False, True, True]


def test_looking_for_unfinished_uploads_ends() -> None:
    numbers = iter(range(1000))

    def page(_request: str) -> Answer:
        number = next(numbers)
        return Answer(
            200,
            f"<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>key{number}</NextKeyMarker>"
            "</ListMultipartUploadsResult>".encode(),
        )

    with run_script(otherwise=page) as server:
        scripted(server.url).abort_unfinished("key")
    assert len(server.seen) == 10


def test_a_proxy_is_for_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_script(DONE, DONE) as server:
        monkeypatch.setenv("http_proxy", server.url)
        put(scripted("http://s3.example.org"), "key", b"content")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        put(scripted(server.url), "key", b"content")
    assert server.seen == ["PUT http://s3.example.org/media/key", "PUT /media/key"]
    # boto3 names each of its calls, the short way does not.
    assert ["amz-sdk-invocation-id" in headers for headers in server.headers] == [True, False]


def test_an_unusual_certificate_authority_is_trusted_only_when_it_is_named(minio_https: MinioServer) -> None:
    settings = minio_https.new_bucket()
    assert put(S3ObjectStore(settings, 1), "key", b"content").size == 7
    with pytest.raises(UnavailableError) as failure:
        put(S3ObjectStore(replace(settings, ca_bundle_path=None), 1, LIMITS), "key2", b"content")
    assert "is not signed by an authority that this host trusts" in str(failure.value)
