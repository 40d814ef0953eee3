# SPDX-License-Identifier: GPL-3.0-or-later
"""What an S3 server said, and what of it an administrator should read. Pure."""

from __future__ import annotations

import base64
from http import HTTPStatus
from urllib.parse import quote, quote_plus, urlsplit

from ..rules.settings import BucketSettings


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text)).casefold()


# Of a server's words this many characters are passed on: they are a sentence, and no web page.
_SAID_LENGTH = 500
# What servers say, letter for letter, to anybody who meets the code, and the names of HTTP's statuses.
_SAID_BY_ALL = frozenset(
    _letters(text)
    for text in (
        *(status.phrase for status in HTTPStatus),
        "Access Denied",
        "The AWS Access Key Id you provided does not exist in our records.",
        "The Access Key Id you provided does not exist in our records.",
        "The request signature we calculated does not match the signature you provided.",
        (
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method."
        ),
        (
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS secret access key and signing method."
        ),
        "The security token included in the request is invalid",
        "The provided token has expired.",
        "The provided token is malformed or otherwise invalid.",
        "The difference between the request time and the current time is too large.",
        "The difference between the request time and the server's time is too large.",
        "The specified bucket does not exist",
        "The specified bucket is not valid.",
        "The specified key does not exist.",
        (
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
            "completed."
        ),
        (
            "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been "
            "aborted or completed."
        ),
        "At least one of the pre-conditions you specified did not hold",
        "The Content-Md5 you specified did not match what we received.",
        "The Content-MD5 you specified is not valid.",
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
        "You did not provide the number of bytes specified by the Content-Length HTTP header.",
        "The storage class you specified is not valid",
        "Invalid storage class.",
        "The operation is not valid for the object's storage class",
        "Please reduce your request rate.",
        "Please reduce your request rate",
        "The specified method is not allowed against this resource.",
        "A header you provided implies functionality that is not implemented",
        "Your key is too long",
        (
            "The bucket you are attempting to access must be addressed using the specified endpoint. "
            "Please send all future requests to this endpoint."
        ),
    )
)


def without_secrets(text: str, settings: BucketSettings) -> str:
    """Take every form of a secret out of a text that a server or a library wrote."""
    secrets = (
        settings.secret_access_key,
        settings.session_token,
        settings.sse_customer_key,
        settings.access_key_id,
        urlsplit(settings.endpoint_url or "").password,
    )
    forms = {form for secret in secrets if secret for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "***")
    return text


def _forms(secret: str) -> tuple[str, ...]:
    return secret, quote(secret), quote(secret, safe=""), quote_plus(secret), base64.b64encode(secret.encode()).decode()


def says_more(said: str, code: str) -> bool:
    """Whether the server's words are more than the code in other letters, or what every server says to it."""
    letters = _letters(said)
    return bool(letters) and letters != _letters(code) and letters not in _SAID_BY_ALL


def shortened(said: str) -> str:
    return said if len(said) <= _SAID_LENGTH else said[:_SAID_LENGTH] + "…"
