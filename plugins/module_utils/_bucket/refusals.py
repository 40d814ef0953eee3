# SPDX-License-Identifier: GPL-3.0-or-later
"""What it means that a server refuses something of a bucket: that it lacks that, or that something else is wrong."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from .._media.rules.endpoint import is_other_endpoint
from .._media.rules.errors import MediaError
from .._media.rules.settings import BucketSettings
from .._media.stores.libraries import botocore
from .._media.stores.s3_errors import http_status
from .._media.stores.s3_failures import server_name
from .._media.stores.s3_said import shortened, without_secrets

# What AWS calls it when there is no such setting.
_NONE = frozenset(
    {
        "NoSuchPublicAccessBlockConfiguration",
        "NoSuchLifecycleConfiguration",
        "ServerSideEncryptionConfigurationNotFoundError",
        "NoSuchBucketPolicy",
        "NoSuchWebsiteConfiguration",
    }
)
_UNKNOWN_REQUEST = frozenset({405, 501})
# So others than Amazon answer, with status 400, where they don't know a question: Google Cloud Storage the first
# (https://github.com/boto/boto3/issues/3174), Garage, before it had 501, the second.
_UNKNOWN_ELSEWHERE = frozenset({"InvalidArgument", "InvalidRequest", "NotImplemented"})
_REFUSALS = frozenset({301, 302, 307, 308, 401, 403})
# These are no refusals of a setting, although their status is 400 too.
_OF_THE_REQUEST = frozenset(
    {"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "RequestTimeout", "AuthorizationHeaderMalformed"}
)
# Nor are these: of policies and encryption they are known to who has them.
_OF_THE_CONTENT = frozenset({"PolicyTooLarge"})
# Amazon writes KMS.NotFoundException, MinIO kms:KeyNotFound.
_KMS = ("KMS.", "kms:")


class Unsupported(Exception):
    """The server does not implement a setting. Its text is a clause that says so, in the server's words."""


def failure(call: Callable[[], object]) -> MediaError | Unsupported | None:
    """Why a call fails, None if it does not."""
    try:
        call()
    except (MediaError, Unsupported) as error:
        return error
    return None


def sentence(error: MediaError | Unsupported) -> str:
    """What an error says, to go on after."""
    return f"{str(error).removesuffix('.')}."


def code_of(error: botocore.exceptions.ClientError) -> str:
    """What the server calls it."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_none(error: botocore.exceptions.ClientError) -> bool:
    """Whether there is no such setting."""
    return code_of(error) in _NONE


def is_unknown_request(error: botocore.exceptions.ClientError, settings: BucketSettings) -> bool:
    """Whether the server does not know what it was asked for."""
    is_elsewhere = not is_amazons(settings) and http_status(error) == HTTPStatus.BAD_REQUEST
    return http_status(error) in _UNKNOWN_REQUEST or (is_elsewhere and code_of(error) in _UNKNOWN_ELSEWHERE)


def is_unknown_setting(error: botocore.exceptions.ClientError, settings: BucketSettings) -> bool:
    """Whether the server does not know the setting that it was given: some refuse such a one as malformed.

    Amazon knows all of them.
    """
    code, status = code_of(error), http_status(error)
    if code in _OF_THE_REQUEST or code in _OF_THE_CONTENT or code.startswith(_KMS):
        return False
    return status in _UNKNOWN_REQUEST or (status == HTTPStatus.BAD_REQUEST and not is_amazons(settings))


def is_of_another_account(error: botocore.exceptions.ClientError, settings: BucketSettings) -> bool:
    """Whether the bucket is another account's, of whose policy Amazon says this."""
    is_refused = http_status(error) == HTTPStatus.METHOD_NOT_ALLOWED and error.operation_name.endswith("Policy")
    return is_refused and is_amazons(settings)


def is_of_encryption_key(error: MediaError | Unsupported) -> bool:
    """Whether a server has an encryption, and refuses its key: there is no such key, or this user may not use it."""
    cause = error.__cause__
    if not isinstance(cause, botocore.exceptions.ClientError):
        return False
    return http_status(cause) == HTTPStatus.FORBIDDEN or code_of(cause).startswith(_KMS)


def is_refusal(error: botocore.exceptions.ClientError) -> bool:
    """Whether a server that knows S3 has refused a request, or leads elsewhere with it, such as to HTTPS."""
    return http_status(error) in _REFUSALS


def tells_nothing(error: botocore.exceptions.ClientError) -> bool:
    """Whether a server has failed, or had too much to do: whether it would have let the request in is not known."""
    status = http_status(error)
    return status == HTTPStatus.TOO_MANY_REQUESTS or (status >= 500 and status not in _UNKNOWN_REQUEST)


def is_let_in(call: Callable[[], object]) -> bool:
    """Whether a server does what is asked; raises its error where that tells nothing."""
    try:
        call()
    except botocore.exceptions.ClientError as error:
        if tells_nothing(error):
            raise
        # What is only missing would have been shown.
        return http_status(error) == HTTPStatus.NOT_FOUND
    return True


def unsupported(error: botocore.exceptions.ClientError, settings: BucketSettings) -> Unsupported:
    """That a server does not implement what it refuses so."""
    told = error.response.get("Error", {})
    said = shortened(without_secrets(str(told.get("Message") or ""), settings)).rstrip(".")
    code = without_secrets(code_of(error), settings)
    return Unsupported(
        f"{server_name(settings)} does not implement it (HTTP {http_status(error)}"
        f" {code}{f': {said!r}' if said else ''})"
    )


def is_amazons(settings: BucketSettings) -> bool:
    return not is_other_endpoint(settings.endpoint_url or "")
