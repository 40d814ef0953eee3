# SPDX-License-Identifier: GPL-3.0-or-later
"""How an S3 server describes an object, in a listing or in the answer to HEAD -> a RemoteObject. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, NamedTuple

from .object_store import STANDARD, RemoteObject

# Classes whose objects have to be brought back before they can be read.
_ARCHIVE_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
# Classes of Amazon's whose objects can be read at once. What another class of another service means, opening tells.
_READABLE_CLASSES = frozenset(
    {"STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"}
    | {"EXPRESS_ONEZONE"}
)
_MD5 = re.compile("[0-9a-f]{32}")
# With other encryptions, with keys of KMS or the customer's, an ETag is no hash.
_ENCRYPTED_BY_THE_SERVER = frozenset({"", "AES256"})
_CLASSES_OF_ODD_ETAGS = frozenset({"EXPRESS_ONEZONE"})


class Receipt(NamedTuple):
    """What the server answered to an upload: see `RemoteObject` for both."""

    etag: str
    expires: str = ""


def receipt(answer: Mapping[str, Any]) -> Receipt:
    """The same of boto3's answer."""
    return Receipt(plain_etag(answer.get("ETag", "")), answer.get("Expiration", ""))


def listed_object(entry: Mapping[str, Any]) -> RemoteObject:
    """One of a listing's ``Contents``. A listing does not tell whether an object of an archive class was restored."""
    return RemoteObject(
        entry["Key"],
        entry["Size"],
        plain_etag(entry.get("ETag", "")),
        entry.get("StorageClass") or STANDARD,
        listed_date(entry.get("LastModified")),
    )


def described_object(
    key: str,
    size: int,
    etag: str,
    *,
    storage_class: str | None,
    modified: datetime | None,
    archive_status: str | None,
    restore: str | None,
    expires: str | None,
) -> RemoteObject:
    """What HEAD tells; None for what it leaves out."""
    kept_as = storage_class or STANDARD
    return RemoteObject(
        key,
        size,
        plain_etag(etag),
        kept_as,
        modified.timestamp() if modified else None,
        archive_status or archived_as(kept_as, restore or ""),
        expires or "",
    )


def must_be_opened(found: RemoteObject) -> bool:
    """Whether only opening an object tells that it can be read at once."""
    return bool(found.archive_status) or found.storage_class not in _READABLE_CLASSES


def archived_as(storage_class: str, restore: str = "") -> str:
    """The archive in which an object of this class is, '' for none. ``restore``: the value of x-amz-restore."""
    if storage_class not in _ARCHIVE_CLASSES or 'ongoing-request="false"' in restore:
        return ""
    return storage_class


def http_date(text: str) -> datetime | None:
    """The date of a field such as Last-Modified, None for ''. Raises ValueError for what is no date."""
    if not text:
        return None
    date = parsedate_to_datetime(text)
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)


def plain_etag(etag: str) -> str:
    return etag.strip('"')


def md5_of(etag: str, encryption: str, storage_class: str) -> str | None:
    """The MD5 of an object's content, in hexadecimal digits, where its ETag is that; None where it is none.

    An upload in parts has another. ``encryption``: as the answer to a GET names it, '' for none. See
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html.
    """
    found = plain_etag(etag).lower()
    is_hash = encryption in _ENCRYPTED_BY_THE_SERVER and storage_class not in _CLASSES_OF_ODD_ETAGS
    return found if is_hash and _MD5.fullmatch(found) else None


def listed_date(found: Any) -> float | None:
    """Seconds since 1970. What is no date is no reason to give up a listing."""
    if isinstance(found, datetime):
        return found.timestamp()
    try:
        day, time = found.removesuffix("Z").split("T")
        hours, minutes, seconds = time.split(":")
        return _start_of(day) + 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except (AttributeError, ValueError):
        return None


@lru_cache(maxsize=4096)
def _start_of(day: str) -> float:
    """When a day begins, in seconds since 1970."""
    return datetime.fromisoformat(day).replace(tzinfo=timezone.utc).timestamp()
