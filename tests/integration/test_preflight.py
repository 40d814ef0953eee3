# SPDX-License-Identifier: GPL-3.0-or-later
"""Every failure that the check of a bucket explains, produced on a real server, and its whole message."""

from __future__ import annotations

import io
import re
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.preflight import Problem, check_bucket
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.content import content_of
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import UnavailableError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3 import (
    FIRST_CONTACT,
    Limits,
    S3ObjectStore,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3_trial import TrialBucket
from ansible_collections.matrixops.synapse_s3.tests.fault_proxy import (
    Exchange,
    Kind,
    Plan,
    answer,
    hang,
    http_answer,
    pass_all,
    run_proxy,
    s3_error,
)
from ansible_collections.matrixops.synapse_s3.tests.minio_server import MinioServer, free_port

KEY = "an encryption key of 32 letters!"
LIST, GET, PUT, DELETE = ALL = ("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject")
POLICY = "Allow it in the policy of the access key or of the bucket; if it is allowed there, check the bucket's name."

# (check, exit status, message), with {bucket}, {url} and {test_object}
Expected = list[tuple[str, int, str]]


def denied(check: str, action: str, permission: str) -> tuple[str, int, str]:
    return check, 77, f"Could not {action}: the access key does not have the permission {permission}. {POLICY}"


NO_LIST = denied("list", "list bucket '{bucket}'", LIST)
NO_PUT = denied("write", "store object '{test_object}' in bucket '{bucket}'", PUT)
NO_GET = denied("read", "read object '{test_object}' from bucket '{bucket}'", GET)
NO_DELETE = denied("delete", "delete object '{test_object}' from bucket '{bucket}'", DELETE)
WRONG_REGION = (
    "region",
    78,
    "Could not use bucket '{bucket}': the bucket is in another region than 'eu-central-1'. "
    "Set region_name to 'eu-test-1'.",
)
NO_STORAGE_CLASS = (
    "write",
    78,
    "Could not store object '{test_object}' in bucket '{bucket}': the server {url} does not support the storage class "
    "'STANDARD_IA'. Set storage_class to one that it supports, such as STANDARD.",
)
NO_ENCRYPTION_WITHOUT_TLS = (
    "write",
    78,
    "Could not store object '{test_object}' in bucket '{bucket}': the server {url} takes an encryption key only over "
    "HTTPS. Give an endpoint_url that begins with https://, or remove sse_customer_key. The server said: 'Requests "
    "specifying Server Side Encryption with Customer provided keys must be made over a secure connection.'.",
)


def connect(exit_status: int, cause: str) -> Expected:
    return [("connect", exit_status, "Could not list bucket '{bucket}': " + cause)]


UNTRUSTED = connect(
    69,
    "the TLS certificate of {url} is not signed by an authority that this host trusts. "
    "Set ca_bundle_path to a file with the certificate of that authority.",
)
CA_BUNDLE = (
    "the file with the trusted certificates {ca_bundle!r} can't be read. "
    "Set ca_bundle_path to a readable file of PEM certificates."
)


def verify(settings: BucketSettings, expected: Expected, problems: list[Problem]) -> None:
    """Compare whole messages, apart from the random end of the test object's name; and look for secrets."""
    test_object = settings.prefix + "matrixops-synapse-s3-preflight-0"
    told = [
        (problem.check, problem.exit_status, re.sub(r"(preflight-)[0-9a-f]{16}\b", r"\g<1>0", problem.message))
        for problem in problems
    ]
    values = {
        "bucket": settings.bucket,
        "url": settings.endpoint_url,
        "ca_bundle": settings.ca_bundle_path,
        "test_object": test_object,
    }
    assert told == [(check, status, message.format(**values)) for check, status, message in expected]
    hidden = (
        settings.access_key_id,
        settings.secret_access_key,
        settings.session_token,
        settings.sse_customer_key,
    )
    assert [secret for secret in hidden if secret and any(secret in problem.message for problem in problems)] == []


TEST_GOOD: dict[str, dict[str, str | None]] = {
    "plain": {},
    "prefix": {"prefix": "synapse/ünïcödé/"},
    "reduced redundancy": {"storage_class": "REDUCED_REDUNDANCY"},
    "region left to the server": {"region_name": None},
}


@pytest.mark.parametrize("name", TEST_GOOD)
def test_good_bucket(minio_http: MinioServer, name: str) -> None:
    settings = minio_http.new_bucket()
    assert check_bucket(replace(settings, **TEST_GOOD[name])) == []  # type: ignore[arg-type]
    assert list(S3ObjectStore(settings, 1).list("")) == []


@pytest.mark.parametrize("key", [None, KEY])
def test_good_bucket_with_tls(minio_https: MinioServer, key: str | None) -> None:
    settings = replace(minio_https.new_bucket(), sse_customer_key=key)
    assert check_bucket(settings) == []
    assert list(S3ObjectStore(settings, 1).list("")) == []


def test_user_with_just_the_permissions(minio_http: MinioServer) -> None:
    assert check_bucket(minio_http.restricted(minio_http.new_bucket(), *ALL)) == []


TEST_SETTINGS: dict[str, tuple[dict[str, str | None], Expected]] = {
    "wrong region": ({"region_name": "eu-central-1"}, [WRONG_REGION]),
    "missing bucket": (
        {"bucket": "no-such-bucket"},
        connect(69, "there is no such bucket at {url}. Create it, or correct bucket or endpoint_url."),
    ),
    "bucket name that can't be": (
        {"bucket": "not a name"},
        connect(78, "'not a name' is no valid name of a bucket. Correct bucket."),
    ),
    "wrong access key": (
        {"access_key_id": "NOBODYSKEY"},
        connect(77, "the server {url} does not know the access key ID. Correct access_key_id."),
    ),
    "wrong secret": (
        {"secret_access_key": "not-the-secret-of-this-key"},
        connect(77, "the secret access key does not belong to the access key ID. Correct secret_access_key."),
    ),
    "wrong session token": (
        {"session_token": "no-token-of-this-server"},
        connect(
            77,
            "the session token is not valid or has expired. "
            "Give a new session_token with its access key, or remove session_token when the access key needs none.",
        ),
    ),
    "storage class": ({"storage_class": "STANDARD_IA"}, [NO_STORAGE_CLASS]),
    "encryption key without TLS": ({"sse_customer_key": KEY}, [NO_ENCRYPTION_WITHOUT_TLS]),
    "unknown host": (
        {"endpoint_url": "https://s3.does-not-exist.invalid"},
        connect(69, "the host name of {url} is not known. Correct endpoint_url, or this host's DNS settings."),
    ),
    "no address": (
        {"endpoint_url": "s3.example.org"},
        [
            (
                "connect",
                78,
                "Could not use bucket '{bucket}': 's3.example.org' is no usable address of a server. "
                "Correct endpoint_url.",
            )
        ],
    ),
    "half of the credentials": (
        {"secret_access_key": None},
        [
            (
                "connect",
                77,
                "Could not use bucket '{bucket}': no credentials were found. "
                "Set access_key_id and secret_access_key, or give this host an instance profile.",
            )
        ],
    ),
    "several at once": (
        {"region_name": "eu-central-1", "storage_class": "STANDARD_IA"},
        [WRONG_REGION, NO_STORAGE_CLASS],
    ),
}


@pytest.mark.parametrize("name", TEST_SETTINGS)
def test_wrong_setting(minio_http: MinioServer, name: str) -> None:
    changes, expected = TEST_SETTINGS[name]
    bucket = minio_http.new_bucket()
    settings = replace(bucket, **changes)  # type: ignore[arg-type]
    verify(settings, expected, check_bucket(settings))
    assert list(S3ObjectStore(bucket, 1).list("")) == []


TEST_PERMISSIONS: dict[str, tuple[tuple[str, ...], dict[str, str], Expected]] = {
    "no list": ((GET, PUT, DELETE), {}, [NO_LIST]),
    "no get": ((LIST, PUT, DELETE), {}, [NO_GET]),
    "no put": ((LIST, GET, DELETE), {}, [NO_PUT]),
    "no delete": ((LIST, GET, PUT), {}, [NO_DELETE]),
    "only list": ((LIST,), {}, [NO_PUT, NO_GET, NO_DELETE]),
    "only put": ((PUT,), {"prefix": "media/"}, [NO_LIST, NO_GET, NO_DELETE]),
    # Without list and put, no server can tell whether a read would be allowed.
    "nothing": (("s3:GetBucketTagging",), {}, [NO_LIST, NO_PUT, NO_DELETE]),
    "bucket of somebody else": (ALL, {"bucket": "no-such-bucket"}, [NO_LIST, NO_PUT, NO_DELETE]),
    "nearly everything": (
        (PUT,),
        {"region_name": "eu-central-1", "storage_class": "STANDARD_IA"},
        [NO_LIST, WRONG_REGION, NO_STORAGE_CLASS, NO_GET, NO_DELETE],
    ),
}


@pytest.mark.parametrize("name", TEST_PERMISSIONS)
def test_missing_permission(minio_http: MinioServer, name: str) -> None:
    actions, changes, expected = TEST_PERMISSIONS[name]
    bucket = minio_http.new_bucket()
    settings = replace(minio_http.restricted(bucket, *actions), **changes)
    verify(settings, expected, check_bucket(settings))
    left_behind = [found.key for found in S3ObjectStore(bucket, 1).list("")]
    assert len(left_behind) == (2 if NO_DELETE in expected and NO_PUT not in expected else 0)


# --- what Synapse's provider does, and what is left behind


def versions(minio: MinioServer, bucket: str) -> list[str]:
    """Keys of all that is in a bucket, versions and delete markers too."""
    answer = minio.client().list_object_versions(Bucket=bucket)
    return [found["Key"] for name in ("Versions", "DeleteMarkers") for found in answer.get(name, [])]


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_a_bucket_with_versions_is_left_as_it_was(minio_http: MinioServer, status: str) -> None:
    settings, client = minio_http.new_bucket(), minio_http.client()
    client.put_bucket_versioning(Bucket=settings.bucket, VersioningConfiguration={"Status": "Enabled"})
    client.put_bucket_versioning(Bucket=settings.bucket, VersioningConfiguration={"Status": status})
    notes: list[str] = []
    assert check_bucket(settings, note=notes.append) == []
    assert versions(minio_http, settings.bucket) == notes == []


def test_without_the_permission_for_versions_the_objects_are_deleted_all_the_same(minio_http: MinioServer) -> None:
    refusal = s3_error("403 Forbidden", "AccessDenied")

    def demand_another_permission(exchange: Exchange) -> bool:
        of_a_version = b"versionId=" in exchange.request.head
        return (answer(refusal) if of_a_version else pass_all)(exchange)

    settings = minio_http.new_bucket()
    enabled = {"Status": "Enabled"}
    minio_http.client().put_bucket_versioning(Bucket=settings.bucket, VersioningConfiguration=enabled)
    notes: list[str] = []
    with run_proxy(minio_http.host, Plan(Kind.DELETE, demand_another_permission, None)) as proxy:
        assert check_bucket(replace(settings, endpoint_url=proxy.url), note=notes.append) == []
    assert notes == []
    assert list(S3ObjectStore(settings, 1).list("")) == []
    assert len(versions(minio_http, settings.bucket)) == 4


def test_versions_that_are_locked_are_told_and_are_no_problem(minio_http: MinioServer) -> None:
    settings, client = minio_http.settings(f"locked-{secrets.token_hex(8)}"), minio_http.client()
    client.create_bucket(Bucket=settings.bucket, ObjectLockEnabledForBucket=True)
    retention = {"Mode": "GOVERNANCE", "Days": 1}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}
    client.put_object_lock_configuration(Bucket=settings.bucket, ObjectLockConfiguration=lock)
    notes: list[str] = []
    assert check_bucket(settings, note=notes.append) == []
    assert [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "DATE", note) for note in notes] == [
        f"The bucket '{settings.bucket}' has Object Lock: the objects of this check are deleted, but their versions "
        "can't be removed before DATE UTC."
    ]
    assert list(S3ObjectStore(settings, 1).list("")) == []


def test_an_upload_of_synapses_provider_that_is_refused(minio_http: MinioServer) -> None:
    # As AWS does in a bucket with a default retention; MinIO takes it. All others pass.
    said = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters"
    refusal = http_answer("400 Bad Request", f"<Error><Code>InvalidRequest</Code><Message>{said}</Message></Error>")

    def demand_md5(exchange: Exchange) -> bool:
        return (pass_all if b"content-md5:" in exchange.request.head.lower() else answer(refusal))(exchange)

    settings = minio_http.new_bucket()
    with run_proxy(minio_http.host, Plan(Kind.PUT, demand_md5, None)) as proxy:
        settings = replace(settings, endpoint_url=proxy.url)
        message = (
            "Could not store object '{test_object}-second' in bucket '{bucket}' as Synapse's storage provider does: "
            "the server {url} takes nothing into this bucket without a checksum, and Synapse's storage provider sends "
            "none. Use a bucket without Object Lock, or at least without a default retention. "
            f"The server said: '{said}'."
        )
        verify(settings, [("provider", 78, message)], check_bucket(settings))
        assert list(S3ObjectStore(settings, 1).list("")) == []


def test_a_download_of_synapses_provider_that_is_changed(minio_http: MinioServer) -> None:
    def change(exchange: Exchange) -> bool:
        passed = exchange.pass_on()
        exchange.client.sendall(passed.head + bytes(len(passed.body)))
        return True

    settings = minio_http.new_bucket()
    with run_proxy(minio_http.host, Plan(Kind.GET, change, 1, skip=1)) as proxy:
        settings = replace(settings, endpoint_url=proxy.url)
        message = (
            "Could not read back object '{test_object}-second' from bucket '{bucket}': its content is not what was "
            "stored. Find what changes it at {url} or on the way there."
        )
        verify(settings, [("provider", 69, message)], check_bucket(settings))


def test_a_server_without_conditional_writes_is_told_and_is_no_problem(minio_http: MinioServer) -> None:
    settings, client = minio_http.new_bucket(), minio_http.client()

    def pass_over_the_condition(exchange: Exchange) -> bool:
        # It is signed, so it can't be left out. What is not there is not protected by it.
        key = exchange.request.head.split(b" ", 2)[1].decode().removeprefix(f"/{settings.bucket}/")
        client.delete_object(Bucket=settings.bucket, Key=key)
        return pass_all(exchange)

    notes: list[str] = []
    with run_proxy(minio_http.host, Plan(Kind.PUT, pass_over_the_condition, None)) as proxy:
        assert check_bucket(replace(settings, endpoint_url=proxy.url), note=notes.append) == []
    assert notes == [
        f"The server {proxy.url} does no conditional writes (it passes over If-None-Match), so a key is looked up "
        "right before each upload. What another program stores under it in the moment between is overwritten."
    ]
    assert list(S3ObjectStore(settings, 1).list("")) == []


def test_a_server_that_can_not_go_on_with_a_list_is_found_out_while_the_bucket_is_empty(
    minio_http: MinioServer,
) -> None:
    def know_only_version_1(exchange: Exchange) -> bool:
        passed = exchange.pass_on()
        body = re.sub(rb"<NextContinuationToken>.*?</NextContinuationToken>", b"", passed.body)
        exchange.client.sendall(http_answer("200 OK", body.decode(), content_type="application/xml"))
        return True

    settings = minio_http.new_bucket()
    with run_proxy(minio_http.host, Plan(Kind.LIST, know_only_version_1, None)) as proxy:
        settings = replace(settings, endpoint_url=proxy.url)
        cause = (
            "the server {url} gives the beginning of a long list and no way to ask for the rest, as servers do that "
            "know only version 1 of ListObjects. Use a server, or a version of it, that implements ListObjectsV2."
        )
        verify(settings, [("list", 78, "Could not list bucket '{bucket}': " + cause)], check_bucket(settings))
    assert list(S3ObjectStore(minio_http.settings(settings.bucket), 1).list("")) == []


# --- what is there already

SSE_SAID = (
    " The server said: 'The object was stored using a form of Server Side Encryption. The correct parameters must be "
    "provided to retrieve the object.'."
)
TEST_THERE: dict[str, tuple[str | None, str | None, int, str]] = {
    "nothing to tell": (KEY, KEY, 0, ""),
    "key switched on": (
        None,
        KEY,
        78,
        "it was stored without, or with another, sse_customer_key. Set sse_customer_key to the key that it was stored "
        "with, if any. The server said: 'The encryption parameters are not applicable to this object.'.",
    ),
    "key switched off": (
        KEY,
        None,
        78,
        "it was stored with an sse_customer_key, and none is set. Set sse_customer_key to the key that it was stored "
        "with." + SSE_SAID,
    ),
    "another key": (
        KEY,
        "k" * 32,
        77,
        "the access key does not have the permission s3:GetObject, or it was stored without, or with another, "
        "sse_customer_key. Allow it in the policy of the access key or of the bucket, or correct sse_customer_key.",
    ),
}


@pytest.mark.parametrize("name", TEST_THERE)
def test_what_is_there_already_is_read_with_the_configured_key(minio_https: MinioServer, name: str) -> None:
    before, now, status, cause = TEST_THERE[name]
    settings = replace(minio_https.new_bucket(), prefix="media/")
    store = S3ObjectStore(replace(settings, sse_customer_key=before), 1)
    store.put("media/local_content/aa/bb/cc", io.BytesIO(b"media"), content_of(b"media"))
    minio_https.client().put_object(Bucket=settings.bucket, Key="media/")
    settings = replace(settings, sse_customer_key=now)
    message = "Could not read object 'media/local_content/aa/bb/cc' from bucket '{bucket}': " + cause
    verify(settings, [("media", status, message)] if status else [], check_bucket(settings))


def test_an_object_in_an_archive_is_told(minio_http: MinioServer) -> None:
    settings = minio_http.new_bucket()
    store = S3ObjectStore(settings, 1)
    store.put("local_content/aa/bb/cc", io.BytesIO(b"media"), content_of(b"media"))

    def archive(exchange: Exchange) -> bool:
        there = b"/local_content/" in exchange.request.head
        return (answer(s3_error("403 Forbidden", "InvalidObjectState")) if there else pass_all)(exchange)

    with run_proxy(minio_http.host, Plan(Kind.GET, archive, None)) as proxy:
        settings = replace(settings, endpoint_url=proxy.url)
        message = (
            "Could not read object 'local_content/aa/bb/cc' from bucket '{bucket}': it is in an archive and can't be "
            "read at once. Restore it from the archive, and keep media out of archive storage classes. The server "
            "said: 'As planned.'."
        )
        verify(settings, [("media", 78, message)], check_bucket(settings))


def test_a_missing_permission_is_told_once(minio_http: MinioServer) -> None:
    settings = minio_http.new_bucket()
    S3ObjectStore(settings, 1).put("local_content/aa/bb/cc", io.BytesIO(b"media"), content_of(b"media"))
    settings = minio_http.restricted(settings, LIST, PUT, DELETE)
    verify(settings, [NO_GET], check_bucket(settings))


# --- a way that does not lead there


def test_certificate_that_is_not_trusted(minio_https: MinioServer) -> None:
    settings = replace(minio_https.new_bucket(), ca_bundle_path=None)
    verify(settings, UNTRUSTED, check_bucket(settings))


def test_certificate_that_another_authority_signed(minio_https: MinioServer) -> None:
    settings = replace(minio_https.new_bucket(), ca_bundle_path="/etc/ssl/certs/ca-certificates.crt")
    verify(settings, UNTRUSTED, check_bucket(settings))


def test_certificate_for_another_host_name(minio_https: MinioServer) -> None:
    settings = minio_https.new_bucket()
    settings = replace(settings, endpoint_url=minio_https.url.replace("127.0.0.1", "localhost"))
    expected = connect(
        69,
        "the TLS certificate of {url} is for another host name. "
        "Write endpoint_url with a name that is in the certificate.",
    )
    verify(settings, expected, check_bucket(settings))


@pytest.mark.parametrize("content", [None, "", "no certificate", "-----BEGIN CERTIFICATE-----\nx\n", "directory"])
def test_ca_bundle_that_cannot_be_read(minio_https: MinioServer, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "bundle.pem"
    if content == "directory":
        path.mkdir()
    elif content is not None:
        path.write_text(content)
    settings = replace(minio_https.new_bucket(), ca_bundle_path=str(path))
    verify(settings, connect(78, CA_BUNDLE), check_bucket(settings))


def test_plain_http_to_a_tls_port(minio_https: MinioServer) -> None:
    settings = replace(minio_https.new_bucket(), endpoint_url=f"http://{minio_https.host}")
    expected = connect(
        69,
        "the server {url} did not answer as an S3 server does. If it speaks TLS at this port, write endpoint_url with "
        "https://; if not, check that endpoint_url names the S3 service, and try again.",
    )
    verify(settings, expected, check_bucket(settings))


def test_tls_to_a_plain_http_port(minio_http: MinioServer) -> None:
    settings = replace(minio_http.new_bucket(), endpoint_url=f"https://{minio_http.host}")
    expected = connect(
        69,
        "the server {url} does not speak TLS at this port. "
        "Correct the port in endpoint_url, or write http:// when the server has no TLS.",
    )
    verify(settings, expected, check_bucket(settings))


def test_nobody_listens(minio_http: MinioServer) -> None:
    settings = replace(minio_http.settings("media"), endpoint_url=f"http://127.0.0.1:{free_port()}")
    expected = connect(
        69,
        "the server {url} refuses the connection. "
        "Check the port in endpoint_url, that the server runs, and the firewall.",
    )
    verify(settings, expected, check_bucket(settings))


def in_a_hurry(settings: BucketSettings) -> TrialBucket:
    return TrialBucket(settings, 1, Limits(connect_timeout=0.3, read_timeout=0.3, attempts=1))


def filled(listener: socket.socket) -> list[socket.socket]:
    """Fill the queue of a listener, so that the kernel leaves further connections unanswered."""
    waiting = [socket.socket() for _turn in range(4)]
    for client in waiting:
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
    return waiting


TEST_TIMEOUTS: dict[str, tuple[Callable[[socket.socket], list[socket.socket]], str]] = {
    "does not answer": (
        lambda _listener: [],
        "the server {url} took the request and did not answer in time. "
        "Check that endpoint_url names the S3 service, and that the service is well.",
    ),
    "does not accept": (
        filled,
        "the server {url} can't be reached: the connection timed out. "
        "Check endpoint_url, this host's network and the firewall.",
    ),
}


EVERYTHING = tuple(kind for kind in Kind if kind is not Kind.LIST)
TEST_HANGING = {
    "everything": tuple(Kind),
    "everything but the list": EVERYTHING,
    "uploads": (Kind.PUT,),
    "looks": (Kind.HEAD,),
    "downloads": (Kind.GET,),
    "deletions": (Kind.DELETE,),
}


@pytest.mark.parametrize("name", TEST_HANGING)
def test_a_server_that_stops_answering_is_given_up_within_90_seconds(minio_http: MinioServer, name: str) -> None:
    def connect_hurried(settings: BucketSettings) -> TrialBucket:
        return TrialBucket(settings, 1, replace(FIRST_CONTACT, connect_timeout=0.5, read_timeout=0.5))

    settings = minio_http.new_bucket()
    with run_proxy(minio_http.host, *(Plan(kind, hang, None) for kind in TEST_HANGING[name])) as proxy:
        problems = check_bucket(replace(settings, endpoint_url=proxy.url), connect_hurried)
        assert proxy.hits
        # Before a request is repeated, boto3 waits for up to a second.
        assert proxy.hits * (FIRST_CONTACT.read_timeout + 1) <= 90
    assert {problem.exit_status for problem in problems} == {69}
    assert all("took the request and did not answer in time" in problem.message for problem in problems)


def test_a_tls_handshake_that_never_ends(minio_https: MinioServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = replace(minio_https.settings("media"), endpoint_url=f"https://127.0.0.1:{listener.getsockname()[1]}")
        store = in_a_hurry(settings)
        begin = time.monotonic()
        assert check_bucket(settings, in_a_hurry)[0].exit_status == 69
        # The short way comes first, then boto3's.
        with pytest.raises(UnavailableError):
            store.head("key")
        assert time.monotonic() - begin < 5


@pytest.mark.parametrize("name", TEST_TIMEOUTS)
def test_timeout(minio_http: MinioServer, name: str) -> None:
    prepare, cause = TEST_TIMEOUTS[name]
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = prepare(listener)
        port = listener.getsockname()[1]
        settings = replace(minio_http.settings("media"), endpoint_url=f"http://127.0.0.1:{port}")
        problems = check_bucket(settings, in_a_hurry)
        for client in waiting:
            client.close()
    verify(settings, connect(69, cause), problems)
