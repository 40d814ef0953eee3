# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of boto3's -> plain messages. Answers are quoted from real servers; tests/integration has MinIO's own."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field, replace
from typing import Any

import botocore.exceptions
import botocore.parsers
import pytest
import urllib3.exceptions
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import AccessError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    ObjectExists,
    ObjectFailure,
    ObjectMissing,
    PermissionDenied,
    StoreUnavailable,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3_errors import explain

URL = "https://s3.example.org"
SETTINGS = BucketSettings(
    bucket="media",
    region_name="eu-test-1",
    endpoint_url=URL,
    access_key_id="AKIDEXAMPLE",
    secret_access_key="very-secret",
)
DENIED = "Allow it in the policy of the access key or of the bucket; if it is allowed there, check the bucket's name."
POLICY = "If the permission {} is missing, allow it in the policy of the access key or of the bucket."
SILENT = (
    f"the server {URL} refused without saying why (HTTP 403). Check access_key_id, secret_access_key, "
    "this host's clock and the permission s3:GetObject; the command preflight finds out which."
)
REGION = "the bucket is in another region than 'eu-test-1'. Set region_name to 'eu-central-1'."
REGION_UNKNOWN = "the bucket is in another region than 'eu-test-1'. Set region_name to the region of the bucket."
TOKEN = (
    "the session token is not valid or has expired. "
    "Give a new session_token with its access key, or remove session_token when the access key needs none."
)
SKEW = (
    f"the clocks of this host and of {URL} are too far apart. "
    "Set this host's clock right, for example with `timedatectl set-ntp true`."
)
BLOCKED = f"the server {URL} has blocked the account, or all access to the bucket. Ask the provider of the storage."
NO_BUCKET = f"there is no such bucket at {URL}. Create it, or correct bucket or endpoint_url."
NOT_S3 = (
    f"what answers at {URL} does not speak S3. "
    "Correct endpoint_url: it names the S3 service itself, not its web console, and with the right port."
)


@dataclass(frozen=True)
class Answer:
    """A server's answer: operation, HTTP status, error code, message; then what it should read as."""

    operation: str
    status: int
    code: str
    said: str
    expected: str
    exit_status: int
    settings: dict[str, Any] = field(default_factory=dict)
    error: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    # Whether the server's words say more than the code, so that they are passed on.
    is_told: bool = False


TEST_ANSWERS = {
    "Garage: access key": Answer(
        "ListObjectsV2",
        403,
        "AccessDenied",
        "Forbidden: No such key: AKIDEXAMPLE",
        f"the server {URL} does not know the access key ID. Correct access_key_id.",
        77,
        is_told=True,
    ),
    "Garage: secret": Answer(
        "ListObjectsV2",
        403,
        "AccessDenied",
        "Forbidden: Invalid signature",
        "the secret access key does not belong to the access key ID. Correct secret_access_key.",
        77,
        is_told=True,
    ),
    "Garage: permission": Answer(
        "PutObject",
        403,
        "AccessDenied",
        "Forbidden: Operation is not allowed for this key.",
        f"the server {URL} refused it. {POLICY.format('s3:PutObject')}",
        77,
        is_told=True,
    ),
    "Garage: object kept with an encryption key": Answer(
        "GetObject",
        400,
        "InvalidRequest",
        "Bad request: Object is encrypted",
        "it was stored with an sse_customer_key, and none is set. "
        "Set sse_customer_key to the key that it was stored with.",
        1,
        is_told=True,
    ),
    "VGW: HEAD in the wrong region": Answer(
        "HeadObject",
        400,
        "400",
        "Bad Request",
        f"the server {URL} refused without saying why (HTTP 400). "
        "Check region_name and session_token, and whether it was stored without, or with another, sse_customer_key; "
        "the command preflight finds out which.",
        1,
    ),
    "VGW: key below an object": Answer(
        "PutObject",
        409,
        "ObjectParentIsFile",
        "Object parent already exists as a file.",
        f"the server {URL} does not accept this key (ObjectParentIsFile). Keep the file where it is.",
        1,
        is_told=True,
    ),
    "MinIO: other encryption key, or permission": Answer(
        "GetObject",
        403,
        "AccessDenied",
        "Access Denied.",
        "the access key does not have the permission s3:GetObject, or it was stored without, or with another, "
        "sse_customer_key. "
        "Allow it in the policy of the access key or of the bucket, or correct sse_customer_key.",
        77,
        {"sse_customer_key": "k" * 32},
    ),
    "Backblaze B2: storage cap": Answer(
        "PutObject",
        403,
        "AccessDenied",
        "Cannot upload files, storage cap exceeded. See the Caps & Alerts page to increase your cap.",
        f"the server {URL} refused it. {POLICY.format('s3:PutObject')}",
        77,
        is_told=True,
    ),
    "AWS: a bucket policy that demands an encryption header": Answer(
        "PutObject",
        403,
        "AccessDenied",
        "User: arn:aws:iam::1:user/x is not authorized to perform: s3:PutObject on resource: "
        '"arn:aws:s3:::media/key" with an explicit deny in a resource-based policy',
        f"the server {URL} refused it. {POLICY.format('s3:PutObject')}",
        77,
        is_told=True,
    ),
    "a refusal with a code of the server's own": Answer(
        "PutObject",
        403,
        "UnpaidInvoice",
        "Pay, very-secret",
        f"the server {URL} refused with HTTP 403 UnpaidInvoice 'Pay, ***'. Check access_key_id, secret_access_key and "
        "the permission s3:PutObject, and the account at the storage's provider.",
        77,
    ),
    "a refusal without words": Answer(
        "ListObjectsV2",
        401,
        "401",
        "Unauthorized",
        SILENT.replace("403", "401").replace("GetObject", "ListBucket"),
        77,
    ),
    "a web page as the reason": Answer(
        "GetObject",
        404,
        "NoSuchKey",
        "x" * 2000,
        "there is no such object. It may have been deleted meanwhile. The server said: '" + "x" * 500 + "…'.",
        1,
    ),
    "RGW: permission": Answer(
        "DeleteObject",
        403,
        "AccessDenied",
        "",
        f"the access key does not have the permission s3:DeleteObject. {DENIED}",
        77,
    ),
    "RGW: bucket": Answer("ListObjectsV2", 404, "NoSuchBucket", "", NO_BUCKET, 69),
    "RGW: storage class": Answer(
        "PutObject",
        400,
        "InvalidArgument",
        "",
        f"the server {URL} does not support the storage class 'STANDARD_IA'. "
        "Set storage_class to one that it supports, such as STANDARD.",
        78,
        {"storage_class": "STANDARD_IA"},
    ),
    "RGW: encryption key without TLS": Answer(
        "PutObject",
        400,
        "InvalidRequest",
        "",
        "the server http://s3.example.org takes an encryption key only over HTTPS. "
        "Give an endpoint_url that begins with https://, or remove sse_customer_key.",
        78,
        {"sse_customer_key": "k" * 32, "endpoint_url": "http://s3.example.org"},
    ),
    "RGW: encryption key": Answer(
        "CreateMultipartUpload",
        400,
        "InvalidArgument",
        "",
        f"the server {URL} does not accept the encryption key. "
        "Correct sse_customer_key and sse_customer_algo, or remove them if the server has no SSE-C.",
        78,
        {"sse_customer_key": "k" * 32, "storage_class": "STANDARD_IA"},
    ),
    "AWS: redirect": Answer(
        "ListObjectsV2",
        301,
        "PermanentRedirect",
        "The bucket you are attempting to access must be addressed using the specified endpoint.",
        REGION,
        78,
        headers={"x-amz-bucket-region": "eu-central-1"},
        is_told=True,
    ),
    "AWS: redirect of HEAD": Answer("HeadObject", 301, "301", "Moved Permanently", REGION_UNKNOWN, 78),
    "AWS: region of the signature": Answer(
        "ListObjectsV2",
        400,
        "AuthorizationHeaderMalformed",
        "The authorization header is malformed; the region 'eu-test-1' is wrong; expecting 'eu-central-1'",
        REGION,
        78,
        error={"Region": "eu-central-1"},
        is_told=True,
    ),
    "AWS: malformed access key": Answer(
        "ListObjectsV2",
        400,
        "AuthorizationHeaderMalformed",
        "The authorization header is malformed; a non-empty Access Key (AKID) must be provided in the credential.",
        f"the server {URL} does not understand the signature of the request. "
        "Check region_name, and access_key_id for stray characters.",
        78,
        is_told=True,
    ),
    "AWS: region that must be opted in": Answer(
        "ListObjectsV2",
        400,
        "IllegalLocationConstraintException",
        "The eu-test-1 location constraint is incompatible for the region specific endpoint.",
        REGION_UNKNOWN,
        78,
        is_told=True,
    ),
    "Ceph: location constraint": Answer("PutObject", 400, "InvalidLocationConstraint", "", REGION_UNKNOWN, 78),
    "AWS: access key": Answer(
        "ListObjectsV2",
        403,
        "InvalidAccessKeyId",
        "The AWS Access Key Id you provided does not exist in our records.",
        f"the server {URL} does not know the access key ID. Correct access_key_id.",
        77,
    ),
    "AWS: secret": Answer(
        "ListObjectsV2",
        403,
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided.",
        "the secret access key does not belong to the access key ID. Correct secret_access_key.",
        77,
    ),
    "AWS: expired token": Answer("GetObject", 400, "ExpiredToken", "The provided token has expired.", TOKEN, 77),
    "AWS: invalid token": Answer(
        "GetObject", 400, "InvalidToken", "The provided token is malformed.", TOKEN, 77, is_told=True
    ),
    "AWS: clock": Answer(
        "PutObject",
        403,
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
        SKEW,
        69,
    ),
    "AWS: blocked": Answer(
        "PutObject",
        403,
        "AllAccessDisabled",
        "All access to this object has been disabled",
        BLOCKED,
        77,
        is_told=True,
    ),
    "AWS: account": Answer(
        "PutObject", 403, "AccountProblem", "There is a problem with your account", BLOCKED, 77, is_told=True
    ),
    "AWS: list": Answer(
        "ListObjectsV2",
        403,
        "AccessDenied",
        "User: arn:aws:iam::1:user/x is not authorized to perform: s3:ListBucket",
        f"the server {URL} refused it. {POLICY.format('s3:ListBucket')}",
        77,
        is_told=True,
    ),
    "MinIO: HEAD with another encryption key": Answer(
        "HeadObject",
        403,
        "403",
        "Forbidden",
        f"the server {URL} refused without saying why (HTTP 403). Check whether it was stored without, or with "
        "another, sse_customer_key, and the permission s3:GetObject.",
        77,
        settings={"sse_customer_key": "k" * 32},
    ),
    "AWS: HEAD without permission": Answer("HeadObject", 403, "403", "Forbidden", SILENT, 77),
    "AWS: object": Answer(
        "GetObject",
        404,
        "NoSuchKey",
        "The specified key does not exist.",
        "there is no such object. It may have been deleted meanwhile.",
        1,
    ),
    "AWS: archive": Answer(
        "GetObject",
        403,
        "InvalidObjectState",
        "The operation is not valid for the object's storage class",
        "it is in an archive and can't be read at once. "
        "Restore it from the archive, and keep media out of archive storage classes.",
        1,
    ),
    "AWS: taken": Answer(
        "PutObject",
        412,
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
        "the key is taken already. It was left as it is.",
        1,
    ),
    "AWS: two at once": Answer(
        "PutObject",
        409,
        "ConditionalRequestConflict",
        "A conflicting operation occurred.",
        "something else changes the same key just now. Try again.",
        1,
        is_told=True,
    ),
    "AWS: storage class": Answer(
        "PutObject",
        400,
        "InvalidStorageClass",
        "The storage class you specified is not valid",
        f"the server {URL} does not support the storage class 'STANDARD'. "
        "Set storage_class to one that it supports, such as STANDARD.",
        78,
    ),
    "AWS: too fast": Answer(
        "PutObject",
        503,
        "SlowDown",
        "Please reduce your request rate.",
        f"the server {URL} asks for fewer requests (SlowDown). Try again later, or with fewer workers.",
        69,
    ),
    "AWS: failed": Answer(
        "PutObject",
        500,
        "InternalError",
        "We encountered an internal error. Please try again.",
        f"the server {URL} failed (HTTP 500 InternalError 'We encountered an internal error. Please try again.'). "
        "Try again later; if it goes on failing, look into the server's own log.",
        69,
    ),
    "AWS: damaged": Answer(
        "UploadPart",
        400,
        "BadDigest",
        "The Content-MD5 you specified did not match what we received.",
        "the content did not arrive as it was sent (BadDigest). Nothing was stored; try again.",
        1,
    ),
    "MinIO: full": Answer(
        "PutObject",
        507,
        "XMinioStorageFull",
        "Storage backend has reached its minimum free drive threshold.",
        f"the server {URL} has no space left for it (XMinioStorageFull). Free space there, or raise the quota.",
        69,
        is_told=True,
    ),
    "a web server": Answer("ListObjectsV2", 405, "405", "Method Not Allowed", NOT_S3, 78),
    "no conditional or other feature": Answer(
        "PutObject",
        501,
        "NotImplemented",
        "A header you provided implies functionality that is not implemented.",
        f"the server {URL} does not implement this request. Use a server, or a version of it, that does.",
        78,
    ),
    "a secret in an unknown answer": Answer(
        "GetObject",
        418,
        "Teapot",
        "AKIDEXAMPLE came with very-secret",
        f"the server {URL} answered HTTP 418 Teapot '*** came with ***'. "
        "Look the answer up in the server's documentation.",
        1,
    ),
}


@pytest.mark.parametrize("name", TEST_ANSWERS)
def test_explain_answer(name: str) -> None:
    answer = TEST_ANSWERS[name]
    response: Any = {
        "Error": {"Code": answer.code, "Message": answer.said, **answer.error},
        "ResponseMetadata": {"HTTPStatusCode": answer.status, "HTTPHeaders": answer.headers},
    }
    error = botocore.exceptions.ClientError(response, answer.operation)
    told = explain(error, replace(SETTINGS, **answer.settings), "act")
    said = answer.said.replace("AKIDEXAMPLE", "***")
    words = f" The server said: {said!r}." if answer.is_told else ""
    assert (str(told), told.exit_status) == (f"Could not act: {answer.expected}{words}", answer.exit_status)


TEST_KINDS = [
    ("GetObject", 404, "NoSuchKey", ObjectMissing),
    ("PutObject", 412, "PreconditionFailed", ObjectExists),
    ("PutObject", 400, "BadDigest", ObjectFailure),
    ("PutObject", 503, "Anything", StoreUnavailable),
    ("PutObject", 403, "AccessDenied", PermissionDenied),
    # Credentials: every other object would meet the same.
    ("PutObject", 400, "ExpiredToken", AccessError),
    ("GetObject", 400, "ExpiredTokenException", AccessError),
    ("GetObject", 403, "InvalidAccessKeyId", AccessError),
    ("PutObject", 403, "SignatureDoesNotMatch", AccessError),
    ("PutObject", 403, "AccountProblem", AccessError),
    ("PutObject", 403, "InvalidSecurity", AccessError),
    ("PutObject", 402, "PaymentRequired", AccessError),
    ("GetObject", 401, "Unauthorized", AccessError),
    ("HeadObject", 401, "401", AccessError),
    ("HeadObject", 403, "403", AccessError),
]


@pytest.mark.parametrize(("operation", "status", "code", "kind"), TEST_KINDS)
def test_kind_of_error(operation: str, status: int, code: str, kind: type[Exception]) -> None:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    assert explain(botocore.exceptions.ClientError(response, operation), SETTINGS, "act").__class__ is kind


def behind(error: BaseException, outer: BaseException) -> BaseException:
    outer.__cause__ = error
    return outer


def certificate_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    return error


TEST_ON_THE_WAY = {
    "refused": (
        botocore.exceptions.EndpointConnectionError(endpoint_url=URL, error=ConnectionRefusedError(111, "refused")),
        f"the server {URL} refuses the connection. "
        "Check the port in endpoint_url, that the server runs, and the firewall.",
        69,
    ),
    "unknown host": (
        behind(socket.gaierror(-2, "unknown"), botocore.exceptions.EndpointConnectionError(endpoint_url=URL)),
        f"the host name of {URL} is not known. Correct endpoint_url, or this host's DNS settings.",
        69,
    ),
    "no route": (
        botocore.exceptions.EndpointConnectionError(endpoint_url=URL, error=OSError(113, "No route to host")),
        f"there is no way to the server {URL} in the network. "
        "Check endpoint_url, this host's network and the firewall.",
        69,
    ),
    "forbidden by the firewall": (
        botocore.exceptions.EndpointConnectionError(endpoint_url=URL, error=PermissionError(1, "not permitted")),
        f"there is no way to the server {URL} in the network. "
        "Check endpoint_url, this host's network and the firewall.",
        69,
    ),
    "CA bundle that may not be read": (
        botocore.exceptions.HTTPClientError(error=PermissionError(13, "Permission denied")),
        "the file with the trusted certificates named by AWS_CA_BUNDLE can't be read. "
        "Set ca_bundle_path to a readable file of PEM certificates.",
        78,
    ),
    "connect timeout": (
        botocore.exceptions.ConnectTimeoutError(endpoint_url=URL),
        f"the server {URL} can't be reached: the connection timed out. "
        "Check endpoint_url, this host's network and the firewall.",
        69,
    ),
    "read timeout": (
        botocore.exceptions.ReadTimeoutError(endpoint_url=URL),
        f"the server {URL} took the request and did not answer in time. "
        "Check that endpoint_url names the S3 service, and that the service is well.",
        69,
    ),
    "closed": (
        botocore.exceptions.ConnectionClosedError(endpoint_url=URL),
        f"the connection to {URL} broke off. Try again later; check the server and the network.",
        69,
    ),
    "cut": (
        botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2),
        f"the connection to {URL} broke off. Try again later; check the server and the network.",
        69,
    ),
    "cut while reading": (
        urllib3.exceptions.ProtocolError("Connection broken"),
        f"the connection to {URL} broke off. Try again later; check the server and the network.",
        69,
    ),
    "proxy": (
        botocore.exceptions.ProxyConnectionError(proxy_url="http://user:word@proxy"),
        f"the proxy on the way to {URL} can't be used. Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY.",
        69,
    ),
    "own authority": (
        behind(certificate_error(18), botocore.exceptions.SSLError(endpoint_url=URL, error=OSError())),
        f"the TLS certificate of {URL} is not signed by an authority that this host trusts. "
        "Set ca_bundle_path to a file with the certificate of that authority.",
        69,
    ),
    "expired certificate": (
        behind(certificate_error(10), botocore.exceptions.SSLError(endpoint_url=URL, error=OSError())),
        f"the TLS certificate of {URL} has expired, or is not valid yet. "
        "Renew the certificate, or set this host's clock right.",
        69,
    ),
    "certificate of another host": (
        behind(certificate_error(62), botocore.exceptions.SSLError(endpoint_url=URL, error=OSError())),
        f"the TLS certificate of {URL} is for another host name. "
        "Write endpoint_url with a name that is in the certificate.",
        69,
    ),
    "other TLS failure": (
        botocore.exceptions.SSLError(endpoint_url=URL, error=ssl.SSLError(1, "handshake failure")),
        f"no TLS connection to {URL} could be made. Check endpoint_url, and the TLS settings of the server.",
        69,
    ),
    "no credentials": (
        botocore.exceptions.NoCredentialsError(),
        "no credentials were found. Set access_key_id and secret_access_key, or give this host an instance profile.",
        77,
    ),
    "instance profile": (
        botocore.exceptions.CredentialRetrievalError(provider="iam-role", error_msg="x"),
        "the credentials of this host's instance profile or AWS settings can't be used. "
        "Repair them, or set access_key_id and secret_access_key.",
        77,
    ),
    "web page": (botocore.parsers.ResponseParserError("Unable to parse response (<html>)"), NOT_S3, 78),
    "region that can't be": (
        botocore.exceptions.InvalidRegionError(region_name="eu test"),
        REGION_UNKNOWN,
        78,
    ),
    "bucket that can't be": (
        botocore.exceptions.ParamValidationError(report="Invalid bucket name"),
        "'media' is no valid name of a bucket. Correct bucket.",
        78,
    ),
    "anything else of botocore's": (
        botocore.exceptions.BotoCoreError(),
        "boto3 failed with BotoCoreError 'An unspecified error occurred'. Check the settings, and try again.",
        69,
    ),
}


@pytest.mark.parametrize("name", TEST_ON_THE_WAY)
def test_explain_failure_on_the_way(name: str) -> None:
    error, expected, exit_status = TEST_ON_THE_WAY[name]
    told = explain(error, SETTINGS, "act")
    assert (str(told), told.exit_status) == (f"Could not act: {expected}", exit_status)


def test_a_server_that_may_want_tls() -> None:
    settings = replace(SETTINGS, endpoint_url="http://s3.example.org")
    expected = (
        "Could not act: the server http://s3.example.org did not answer as an S3 server does. If it speaks TLS at this "
        "port, write endpoint_url with https://; if not, check that endpoint_url names the S3 service, and try again."
    )
    bare: Any = {"Error": {"Code": "400"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    errors = [
        botocore.exceptions.ConnectionClosedError(endpoint_url=URL),
        botocore.exceptions.ClientError(bare, "ListObjectsV2"),
    ]
    assert [str(explain(error, settings, "act")) for error in errors] == [expected, expected]


def test_a_circle_of_causes_ends() -> None:
    first, second = botocore.exceptions.BotoCoreError(), ValueError("x")
    first.__cause__, second.__cause__ = second, first
    assert "BotoCoreError" in str(explain(first, SETTINGS, "act"))
