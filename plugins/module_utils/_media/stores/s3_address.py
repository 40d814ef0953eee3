# SPDX-License-Identifier: GPL-3.0-or-later
"""Where boto3 sends the requests for a bucket's objects, and how it signs them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from .s3_direct import Address

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# The region for which boto3 signed a request to S3 itself.
_SCOPE = re.compile(r"^AWS4-HMAC-SHA256 Credential=[^,]*/\d{8}/([^/,]+)/s3/aws4_request,")


class _Stopped(Exception):
    """A request that boto3 has prepared, and that is not sent."""

    def __init__(self, request: Any) -> None:
        super().__init__()
        self.url = urlsplit(request.url)
        authorization = request.headers.get("Authorization", "")
        self.authorization = authorization.decode() if isinstance(authorization, bytes) else authorization


def object_address(client: S3Client, bucket: str) -> Address | None:
    """Where boto3 goes for the objects of a bucket, by a request of its own; None when that is no plain place in S3."""

    def stop(request: Any, **_event: object) -> None:
        raise _Stopped(request)

    client.meta.events.register("before-send.s3", stop)
    try:
        client.head_object(Bucket=bucket, Key="key")
    except _Stopped as stopped:
        url, scope = stopped.url, _SCOPE.search(stopped.authorization)
        if scope is None or url.scheme not in ("http", "https") or not url.hostname or url.username is not None:
            return None
        port = url.port or {"http": 80, "https": 443}[url.scheme]
        return Address(url.scheme, url.hostname, port, unquote(url.path).removesuffix("key"), scope[1])
    finally:
        client.meta.events.unregister("before-send.s3", stop)
    return None
