# SPDX-License-Identifier: GPL-3.0-or-later
"""Every failure that the check of a bucket explains, produced on a real server, and its whole message."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.preflight import Problem, check_bucket
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3 import Limits, S3ObjectStore
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
    "HTTPS. Give an endpoint_url that begins with https://, or remove sse_customer_key.",
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
    secrets = (
        settings.access_key_id,
        settings.secret_access_key,
        settings.session_token,
        settings.sse_customer_key,
    )
    assert [secret for secret in secrets if secret and any(secret in problem.message for problem in problems)] == []


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
    assert len(left_behind) == (NO_DELETE in expected and NO_PUT not in expected)


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


def in_a_hurry(settings: BucketSettings) -> S3ObjectStore:
    return S3ObjectStore(settings, 1, Limits(connect_timeout=0.3, read_timeout=0.3, attempts=1))


def filled(listener: socket.socket) -> list[socket.socket]:
    """Fill the queue of a listener, so that the kernel leaves further connections unanswered."""
    waiting = [socket.socket() for _ in range(4)]
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
