# SPDX-License-Identifier: GPL-3.0-or-later
"""Many objects deleted at once: what servers do that is not in the contract's suite."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.content import read_content
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import MediaError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    ObjectFailure,
    PermissionDenied,
    StoreUnavailable,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_versions import ObjectVersion
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3 import Limits, S3ObjectStore
from ansible_collections.matrixops.synapse_s3.tests.minio_server import MinioServer
from ansible_collections.matrixops.synapse_s3.tests.scripted_server import (
    Answer,
    ScriptedServer,
    run_script,
    s3_error,
)

DONE = Answer(204)


@contextmanager
def scripted(*answers: Answer) -> Iterator[tuple[S3ObjectStore, ScriptedServer]]:
    with run_script(*answers) as server:
        settings = BucketSettings("media", "", "eu-test-1", server.url, "key", "secret")
        with closing(S3ObjectStore(settings, 1, Limits(2, 2, 1))) as store:
            yield store, server


def result(deleted: str = "", **errors: str) -> Answer:
    """``errors``: key -> code."""
    done = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in deleted.split())
    failed = "".join(
        f"<Error><Key>{key}</Key><Code>{code}</Code><Message>Because of {key}.</Message></Error>"
        for key, code in errors.items()
    )
    return Answer(200, f"<?xml version='1.0'?><DeleteResult>{done}{failed}</DeleteResult>".encode())


@pytest.mark.parametrize(
    "refusal",
    [
        s3_error(501, "NotImplemented"),
        s3_error(405, "MethodNotAllowed"),
        s3_error(400, "InvalidRequest", "Missing required header for this request: Content-MD5."),
        s3_error(411, "MissingContentLength"),
        s3_error(403, "AccessDenied"),
    ],
    ids=["501", "405", "400", "411", "403"],
)
def test_server_without_the_request_is_found_out_once(refusal: Answer) -> None:
    with scripted(refusal, *[DONE] * 5) as (store, server):
        assert store.delete_many(["a", "b", "c"]) == {}
        assert store.delete_many(["d", "e"]) == {}
        seen = [each.partition("?")[0] for each in server.seen]
    assert seen[0] == "POST /media"
    assert sorted(seen[1:]) == [f"DELETE /media/{key}" for key in "abcde"]


def test_what_could_not_be_deleted_one_by_one_is_told_by_its_key() -> None:
    denied = s3_error(403, "AccessDenied", "Not this one.")
    with scripted(s3_error(501, "NotImplemented"), DONE, denied) as (store, _unused):
        refused = store.delete_many(["a", "b"])
    assert list(refused) == ["b"]
    assert isinstance(refused["b"], PermissionDenied)
    assert str(refused["b"]).endswith("The server said: 'Not this one.'.")


def test_refusal_of_all_is_raised() -> None:
    with (
        scripted(s3_error(403, "AccessDenied"), s3_error(403, "AccessDenied")) as (store, server),
        pytest.raises(PermissionDenied) as failure,
    ):
        store.delete_many(["a", "b", "c"])
    assert len(server.seen) == 2
    assert str(failure.value) == (
        "Could not delete object 'a' from bucket 'media': the access key does not have the permission s3:DeleteObject."
        " Allow it in the policy of the access key or of the bucket; if it is allowed there, check the bucket's name."
    )


def test_server_that_fails_is_not_taken_for_one_without_the_request() -> None:
    with scripted(s3_error(503, "SlowDown")) as (store, server), pytest.raises(StoreUnavailable) as failure:
        store.delete_many(["a"])
    assert len(server.seen) == 1
    assert str(failure.value) == (
        f"Could not delete objects from bucket 'media': the server {server.url} asks for fewer requests (SlowDown). Try"
        " again later, or with fewer workers."
    )


def test_errors_in_an_answer_of_200() -> None:
    with scripted(result("a", b="AccessDenied", c="InternalError", d="SlowDown")) as (store, server):
        refused = store.delete_many(["a", "b", "c", "d"])
    assert {key: type(error) for key, error in refused.items()} == {
        "b": PermissionDenied,
        "c": StoreUnavailable,
        "d": StoreUnavailable,
    }
    assert {key: str(error) for key, error in refused.items()} == {
        "b": f"Could not delete object 'b' from bucket 'media': the server {server.url} refused it. If the permission"
        " s3:DeleteObject is missing, allow it in the policy of the access key or of the bucket. The server said:"
        " 'Because of b.'.",
        "c": f"Could not delete object 'c' from bucket 'media': the server {server.url} failed (HTTP 500 InternalError"
        " 'Because of c.'). Try again later; if it goes on failing, look into the server's own log.",
        "d": f"Could not delete object 'd' from bucket 'media': the server {server.url} asks for fewer requests"
        " (SlowDown). Try again later, or with fewer workers. The server said: 'Because of d.'.",
    }


@pytest.mark.parametrize("answer", [result("a"), Answer(200, b"<?xml version='1.0'?><DeleteResult></DeleteResult>")])
def test_what_no_answer_confirms_is_not_deleted(answer: Answer) -> None:
    """An answer that names nothing would pass for one without errors."""
    with scripted(answer) as (store, _unused):
        refused = store.delete_many(["a", "b"])
    assert refused["b"].__class__ is ObjectFailure
    assert str(refused["b"]) == (
        "Could not delete object 'b' from bucket 'media': the server's answer does not say that it was deleted. Run"
        " this again."
    )


@pytest.mark.parametrize(
    ("named", "is_gone"),
    [
        ("<VersionId>2</VersionId><DeleteMarkerVersionId>2</DeleteMarkerVersionId>", True),
        # SeaweedFS
        ("<DeleteMarkerVersionId>2</DeleteMarkerVersionId>", True),
        # A server that knows no versions here, and so has made a marker.
        ("<DeleteMarkerVersionId>3</DeleteMarkerVersionId>", False),
    ],
)
def test_a_delete_marker_that_is_gone_and_one_that_is_new(named: str, is_gone: bool) -> None:
    deleted = f"<Deleted><Key>a</Key><DeleteMarker>true</DeleteMarker>{named}</Deleted>"
    marker = ObjectVersion("a", "2", 0, None, is_latest=True, is_delete_marker=True)
    with scripted(Answer(200, f"<?xml version='1.0'?><DeleteResult>{deleted}</DeleteResult>".encode())) as (
        store,
        _unused,
    ):
        refused = store.versions.delete([marker])
    assert set(refused) == (set() if is_gone else {marker})


def test_web_page_is_no_answer() -> None:
    page = Answer(200, b"<html><body>Welcome</body>", {"Content-Type": "text/html"})
    with scripted(page) as (store, _unused), pytest.raises(MediaError) as failure:
        store.delete_many(["a"])
    assert "does not speak S3" in str(failure.value)


def test_clock_of_the_server() -> None:
    listing = b"<?xml version='1.0'?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    with scripted(Answer(200, listing)) as (store, _unused):
        before = store.clock_ahead
        list(store.list(""))
        after = store.clock_ahead
    assert before is None
    assert after is not None
    # The script's server has the clock of this host; its date has whole seconds.
    assert 0 <= after + 2 < 4


def test_key_that_may_not_delete(minio_http: MinioServer) -> None:
    """MinIO answers 200, and refuses each."""
    settings = minio_http.restricted(minio_http.new_bucket(), "s3:ListBucket", "s3:PutObject", "s3:GetObject")
    with closing(S3ObjectStore(settings, 1)) as store:
        store.put("a", io.BytesIO(b"a"), read_content(io.BytesIO(b"a")))
        refused = store.delete_many(["a"])
        assert refused["a"].__class__ is PermissionDenied
        assert store.head("a") is not None
