# SPDX-License-Identifier: GPL-3.0-or-later
"""A bucket on an S3 server, by way of boto3. The only file that imports boto3 and botocore."""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import boto3
import botocore.exceptions
import botocore.parsers
import urllib3.exceptions
from botocore.config import Config
from urllib3.util.ssl_match_hostname import CertificateError

from ..rules.content import PART_SIZE
from ..rules.errors import MediaError
from ..rules.settings import BucketSettings
from .object_store import MULTIPART_THRESHOLD, ObjectFailure, Readable, RemoteObject
from .s3_failures import Failure, describe

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_LIBRARY_ERRORS = (
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
    botocore.parsers.ResponseParserError,
    urllib3.exceptions.HTTPError,
    # From an answer that is no S3 server's: a date that is none, a redirect that boto3 follows in circles.
    ValueError,
    RecursionError,
)


@dataclass(frozen=True)
class Limits:
    """How long to wait for the server, in seconds, and how often to try."""

    connect_timeout: float = 10
    read_timeout: float = 60
    attempts: int = 5


class S3ObjectStore:
    """An ObjectStore on an S3 bucket: see that protocol for the contract."""

    def __init__(self, settings: BucketSettings, max_connections: int, limits: Limits | None = None) -> None:
        self._settings = settings
        self._bucket = settings.bucket
        self._lock = threading.Lock()
        self._requests = 0
        self._redirected_to = ""
        # Until the server says that it knows no conditional writes.
        self._conditional = True
        self._encryption = _encryption_arguments(settings)
        self._new_object = {**self._encryption, "StorageClass": settings.storage_class}
        self._client = self._connect(max_connections, limits or Limits())

    def _connect(self, max_connections: int, limits: Limits) -> S3Client:
        """Make the client as Synapse's storage provider makes its own, so that both meet the same server."""
        settings = self._settings
        config = Config(
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=max_connections,
            connect_timeout=limits.connect_timeout,
            read_timeout=limits.read_timeout,
            retries={"mode": "standard", "total_max_attempts": limits.attempts},
        )
        action = f"use bucket {self._bucket!r}"
        with self._explained(action):
            try:
                client: S3Client = boto3.session.Session().client(
                    "s3",
                    region_name=settings.region_name,
                    endpoint_url=settings.endpoint_url,
                    aws_access_key_id=settings.access_key_id,
                    aws_secret_access_key=settings.secret_access_key,
                    aws_session_token=settings.session_token,
                    verify=settings.ca_bundle_path,
                    config=config,
                )
            except ValueError as error:
                raise describe(Failure("bad_endpoint"), settings, action) from error
        client.meta.events.register("before-send.s3", self._count_request)
        client.meta.events.register("response-received.s3", self._note_redirect)
        return client

    def _count_request(self, **_event: object) -> None:
        with self._lock:
            self._requests += 1

    def _note_redirect(self, parsed_response: dict[str, Any] | None = None, **_event: object) -> None:
        """Remember a region that a failed answer named: boto3 goes there without a word."""
        if parsed_response and parsed_response.get("Error", {}).get("Code") in _REDIRECTS:
            self._redirected_to = _region_named(parsed_response) or self._redirected_to

    @property
    def requests(self) -> int:
        return self._requests

    @property
    def redirected_to(self) -> str:
        """The region in which the server says the bucket is, '' when it took the configured one."""
        return "" if self._redirected_to == self._settings.region_name else self._redirected_to

    @property
    def endpoint_url(self) -> str:
        """Where requests go: the configured endpoint, or Amazon's own for the region."""
        return self._client.meta.endpoint_url

    def head(self, key: str) -> RemoteObject | None:
        answer = self._describe(key)
        return answer and RemoteObject(
            key, self._given(answer, "ContentLength", self._to_look_up(key)), _plain_etag(answer)
        )

    def storage_class(self, key: str) -> str:
        """The storage class in which an object is kept. Servers leave out the default one."""
        answer = self._describe(key)
        return str((answer or {}).get("StorageClass") or "STANDARD")

    def _describe(self, key: str) -> Any:
        with self._explained(self._to_look_up(key)):
            try:
                return self._client.head_object(Bucket=self._bucket, Key=key, **self._encryption)
            except botocore.exceptions.ClientError as error:
                if _status(error) != 404:
                    raise
                return None

    def put(self, key: str, source: BinaryIO, size: int, md5: bytes) -> RemoteObject:
        store = self._put_whole if size < MULTIPART_THRESHOLD else self._put_parts
        return RemoteObject(key, size, store(key, source, size, md5))

    def _put_whole(self, key: str, source: BinaryIO, size: int, md5: bytes) -> str:
        content = source.read(size + 1)
        if len(content) != size:
            raise self._source_changed(key)
        request = partial(
            self._client.put_object,
            Bucket=self._bucket,
            Key=key,
            Body=content,
            ContentMD5=_base64(md5),
            **self._new_object,
        )
        with self._storing(key):
            return _plain_etag(self._unless_taken(key, request))

    def _put_parts(self, key: str, source: BinaryIO, size: int, md5: bytes) -> str:
        # Not left to s3transfer: it passes on neither the condition nor the MD5 of a part, and it would not
        # notice a source that changes. Parts go one after the other; files go in parallel.
        with self._storing(key):
            self._refuse_if_taken(key)
            answer = self._client.create_multipart_upload(Bucket=self._bucket, Key=key, **self._new_object)
        upload = self._given(answer, "UploadId", self._to_store(key))
        try:
            parts = self._upload_parts(key, upload, source, size, md5)
            request = partial(
                self._client.complete_multipart_upload,
                Bucket=self._bucket,
                Key=key,
                UploadId=upload,
                MultipartUpload={"Parts": parts},
                **self._encryption,
            )
            with self._storing(key):
                return _plain_etag(self._unless_taken(key, request))
        except BaseException:
            # What can't be aborted now is left to the bucket's rule for unfinished uploads.
            with suppress(*_LIBRARY_ERRORS):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)
            raise

    def _upload_parts(self, key: str, upload: str, source: BinaryIO, size: int, md5: bytes) -> list[Any]:
        parts: list[Any] = []
        seen, left = hashlib.md5(usedforsecurity=False), size
        while content := source.read(PART_SIZE):
            seen.update(content)
            left -= len(content)
            if left < 0:
                break
            with self._storing(key):
                answer = self._client.upload_part(
                    Bucket=self._bucket,
                    Key=key,
                    UploadId=upload,
                    PartNumber=len(parts) + 1,
                    Body=content,
                    ContentMD5=_base64(hashlib.md5(content, usedforsecurity=False).digest()),
                    **self._encryption,
                )
            etag = self._given(answer, "ETag", self._to_store(key))
            parts.append({"PartNumber": len(parts) + 1, "ETag": etag})
        if left != 0 or seen.digest() != md5:
            raise self._source_changed(key)
        return parts

    def _unless_taken(self, key: str, request: Callable[..., Any]) -> Any:
        """Make a request that may only create an object; on a server without conditional writes, look first."""
        if self._conditional:
            try:
                return request(IfNoneMatch="*")
            except botocore.exceptions.ClientError as error:
                if _status(error) != 501:
                    raise
                self._conditional = False
        self._refuse_if_taken(key)
        return request()

    def _refuse_if_taken(self, key: str) -> None:
        if self._describe(key):
            raise describe(Failure("PreconditionFailed"), self._settings, self._to_store(key))

    @contextmanager
    def open(self, key: str) -> Iterator[Readable]:
        action = f"read object {key!r} from bucket {self._bucket!r}"
        with self._explained(action):
            body = self._client.get_object(Bucket=self._bucket, Key=key, **self._encryption)["Body"]
        with closing(body):
            yield _Content(body, partial(self._explained, action))

    def list(self, prefix: str) -> Iterator[RemoteObject]:
        action = f"list bucket {self._bucket!r}"
        pages = iter(self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix))
        previous = ""
        while True:
            with self._explained(action):
                page = next(pages, None)
            if page is None:
                return
            if "IsTruncated" not in page:
                # Any web page with status 200 would pass for the list of an empty bucket.
                raise describe(Failure("not_s3"), self._settings, action)
            for entry in page.get("Contents", ()):
                if entry["Key"] <= previous:
                    raise describe(Failure("list_order"), self._settings, action)
                previous = entry["Key"]
                yield RemoteObject(previous, entry["Size"], _plain_etag(entry))

    def delete(self, key: str) -> None:
        with self._explained(f"delete object {key!r} from bucket {self._bucket!r}"):
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def _given(self, answer: Any, name: str, action: str) -> Any:
        """A value that every S3 server gives. Any web page with status 200 would pass for an answer without it."""
        if name not in answer:
            raise describe(Failure("not_s3"), self._settings, action)
        return answer[name]

    def _to_look_up(self, key: str) -> str:
        return f"look up object {key!r} in bucket {self._bucket!r}"

    def _to_store(self, key: str) -> str:
        return f"store object {key!r} in bucket {self._bucket!r}"

    def _storing(self, key: str) -> AbstractContextManager[None]:
        return self._explained(self._to_store(key))

    def _source_changed(self, key: str) -> ObjectFailure:
        return ObjectFailure(
            f"Could not {self._to_store(key)}: the file changed while it was read. Try again when it is at rest."
        )

    @contextmanager
    def _explained(self, action: str) -> Iterator[None]:
        try:
            yield
        except _LIBRARY_ERRORS as error:
            raise explain(error, self._settings, action) from error


class _Content:
    """The body of a download, with its errors in plain words."""

    def __init__(self, body: Any, explained: Callable[[], AbstractContextManager[None]]) -> None:
        self._body = body
        self._explained = explained

    def read(self, size: int, /) -> bytes:
        with self._explained():
            content: bytes = self._body.read(size)
            return content


def explain(error: BaseException, settings: BucketSettings, action: str) -> MediaError:
    """Turn an error of boto3's into the one to raise. ``action`` completes "Could not ..."."""
    return describe(_failure(error), settings, action)


def _failure(error: BaseException) -> Failure:
    if isinstance(error, botocore.exceptions.ClientError):
        if _is_web_page(error):
            return Failure("not_s3")
        told = error.response.get("Error", {})
        return Failure(
            code=str(told.get("Code", "")),
            status=_status(error),
            operation=error.operation_name,
            said=str(told.get("Message") or ""),
            region=_region_named(error.response),
        )
    causes = list(_causes(error))
    for kind, code in _ON_THE_WAY:
        for cause in causes:
            if isinstance(cause, kind):
                return Failure(code(cause) if callable(code) else code)
    if isinstance(error, ValueError):
        return Failure("not_s3")
    return Failure(type(error).__name__, said=str(error))


def _is_web_page(error: botocore.exceptions.ClientError) -> bool:
    """Tell a page that came with status 200: botocore makes a bare 500 of what it can't parse."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return error.response["Error"].get("Code") == "500" and headers.get("content-type", "").startswith("text/html")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what is behind it: botocore and urllib3 keep the socket's error in several places."""
    waiting, seen = [error], set()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        behind = (
            getattr(cause, "kwargs", {}).get("error"),
            getattr(cause, "reason", None),
            cause.__cause__,
            cause.__context__,
            *cause.args,
        )
        waiting.extend(item for item in behind if isinstance(item, BaseException))


# X509_verify_cert_error_string(3): not yet valid, expired; host name, IP address.
_CERTIFICATE_CODES = {9: "tls_expired", 10: "tls_expired", 62: "tls_host_name", 64: "tls_host_name"}
_NO_TLS_REASONS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")


def _certificate_code(error: Any) -> str:
    return _CERTIFICATE_CODES.get(getattr(error, "verify_code", 0), "tls_untrusted")


def _tls_code(error: Any) -> str:
    # Made by OpenSSL it says what and where; made by Python itself, for a timeout, it does not.
    library, reason = getattr(error, "library", ""), getattr(error, "reason", "")
    if library in ("PEM", "X509"):
        return "ca_bundle"
    return "tls_not_spoken" if reason in _NO_TLS_REASONS else "tls_failed"


# The first kind that is among an error's causes names it.
_ON_THE_WAY: tuple[tuple[type[BaseException], str | Callable[[Any], str]], ...] = (
    (RecursionError, "not_s3"),
    (botocore.exceptions.NoCredentialsError, "no_credentials"),
    (botocore.exceptions.PartialCredentialsError, "no_credentials"),
    (botocore.exceptions.CredentialRetrievalError, "credentials_unavailable"),
    (botocore.exceptions.MetadataRetrievalError, "credentials_unavailable"),
    (botocore.exceptions.ProfileNotFound, "credentials_unavailable"),
    (botocore.parsers.ResponseParserError, "not_s3"),
    (botocore.exceptions.ParamValidationError, "InvalidBucketName"),
    (botocore.exceptions.InvalidRegionError, "InvalidRegion"),
    (botocore.exceptions.ProxyConnectionError, "proxy"),
    (ssl.SSLCertVerificationError, _certificate_code),
    (CertificateError, "tls_host_name"),
    (ssl.SSLError, _tls_code),
    (socket.gaierror, "unknown_host"),
    (ConnectionRefusedError, "refused"),
    (botocore.exceptions.EndpointConnectionError, "unreachable"),
    (FileNotFoundError, "ca_bundle"),
    (IsADirectoryError, "ca_bundle"),
    (PermissionError, "ca_bundle"),
    (botocore.exceptions.ConnectTimeoutError, "connect_timeout"),
    (botocore.exceptions.ReadTimeoutError, "read_timeout"),
    (botocore.exceptions.ConnectionClosedError, "closed"),
    (botocore.exceptions.IncompleteReadError, "cut"),
    (botocore.exceptions.HTTPClientError, "cut"),
    (urllib3.exceptions.HTTPError, "cut"),
)

# Codes with which a server sends a request to another region. boto3 follows them silently.
_REDIRECTS = (
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "TemporaryRedirect",
    "301",
    "302",
    "307",
)


def _region_named(response: Any) -> str:
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(response["Error"].get("Region") or headers.get("x-amz-bucket-region") or "")


def _status(error: botocore.exceptions.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _plain_etag(answer: Any) -> str:
    return str(answer.get("ETag", "")).strip('"')


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _encryption_arguments(settings: BucketSettings) -> dict[str, Any]:
    if not settings.sse_customer_key:
        return {}
    return {"SSECustomerKey": settings.sse_customer_key, "SSECustomerAlgorithm": settings.sse_customer_algo}
