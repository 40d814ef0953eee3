# SPDX-License-Identifier: GPL-3.0-or-later
"""An error of boto3's, botocore's or urllib3's -> the failure that ``s3_failures`` has words for."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from ..rules.errors import MediaError
from ..rules.settings import BucketSettings
from .libraries import botocore, urllib3
from .s3_failures import Failure, describe

LIBRARY_ERRORS = (
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
    botocore.parsers.ResponseParserError,
    urllib3.exceptions.HTTPError,
    # From an answer that is no S3 server's: a date that is none, a redirect that boto3 follows in circles.
    ValueError,
    RecursionError,
)


def explain(error: BaseException, settings: BucketSettings, action: str, operation: str = "") -> MediaError:
    """Turn an error of boto3's into the one to raise. ``action`` completes "Could not ...".

    ``operation``: what needs another permission than the operation that boto3 names.
    """
    failure = _failure(error)
    return describe(replace(failure, operation=operation or failure.operation), settings, action)


def _failure(error: BaseException) -> Failure:
    if isinstance(error, botocore.exceptions.ClientError):
        if _is_web_page(error):
            return Failure("not_s3")
        told = error.response.get("Error", {})
        return Failure(
            code=str(told.get("Code", "")),
            status=http_status(error),
            operation=error.operation_name,
            said=str(told.get("Message") or ""),
            region=region_named(error.response),
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
    (urllib3.util.ssl_match_hostname.CertificateError, "tls_host_name"),
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
REDIRECTS = (
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "TemporaryRedirect",
    "301",
    "302",
    "307",
)


def region_named(response: Any) -> str:
    """The region in which the server says that the bucket is, '' when it does not say."""
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(response["Error"].get("Region") or headers.get("x-amz-bucket-region") or "")


def http_status(error: botocore.exceptions.ClientError) -> int:
    """The HTTP status of a failed answer, 0 when it has none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
