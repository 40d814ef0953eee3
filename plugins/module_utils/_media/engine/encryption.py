# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the server encrypt with the configured key (SSE-C), or does it take the key and pass over it?

Some do pass over it, such as versitygw: whoever reads needs no key then, and nothing of the answers tells. So it is
tried, before anything is stored in the belief that nobody can read it.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from itertools import islice
from typing import Protocol

from ..rules.content import content_of
from ..rules.errors import AccessError, ConfigurationError, MediaError
from ..rules.settings import BucketSettings
from ..stores.object_store import ObjectExists, ObjectFailure, ObjectStore, PermissionDenied, UnsortedList
from ..stores.retrying import FIRST_WAITS, RetryingStore
from ..stores.s3_failures import server_name

TEST_OBJECT = "matrixops-synapse-s3-preflight-"

# So many of the first objects are looked through for one with content.
_LOOKED_THROUGH = 1000


class Connected(ObjectStore, Protocol):
    """An ObjectStore that was made for a trial alone."""

    def close(self) -> None:
        """Close idle connections. Nothing may be under way."""


class Erasing(Connected, Protocol):
    """What a trial needs beyond an ObjectStore."""

    def erase(self, key: str) -> str:
        """Delete an object with its versions; return until when one of them is locked, '' for none."""


def check_encryption(
    settings: BucketSettings,
    connect: Callable[[BucketSettings], Erasing],
    wait: Callable[[float], bool],
    *,
    may_write: bool = True,
) -> None:
    """Raise a ConfigurationError if the server passes over ``sse_customer_key``; no key: nothing to see.

    An object below the prefix that is given with the key and not without it shows that all is well. Where none does,
    an object of random bytes is stored, read without the key, and erased; unless ``may_write`` is false.
    Raises what the stores raise when it can't be told.

    :param wait: waits so many seconds, and tells whether the run is to stop.
    """
    if not settings.sse_customer_key:
        return
    with closing(connect(settings)) as trial, closing(connect(replace(settings, sse_customer_key=None))) as plain:
        with_key = RetryingStore(trial, FIRST_WAITS, wait)
        without_key = RetryingStore(plain, FIRST_WAITS, wait)
        if _seen_in_the_bucket(with_key, without_key, settings.prefix) or not may_write:
            return
        key = settings.prefix + TEST_OBJECT + secrets.token_hex(8)
        content = secrets.token_bytes(1000)
        try:
            # Taken: the answer to our own upload was lost.
            with suppress(ObjectExists):
                with_key.put(key, io.BytesIO(content), content_of(content))
            with with_key.open(key) as body:
                body.read(1)
            is_open = _gives(without_key, key)
        finally:
            # A run needs no permission to delete. What stays is random bytes.
            with suppress(MediaError):
                trial.erase(key)
    if is_open:
        raise passed_over(settings)


def passed_over(settings: BucketSettings) -> ConfigurationError:
    """The error of a server that gives what was stored with a key to readers without it."""
    return ConfigurationError(
        f"Could not encrypt objects in bucket {settings.bucket!r}: the server {server_name(settings)} ignores the "
        "encryption key, and gives objects to readers without it. Remove sse_customer_key, or use a server that has "
        "SSE-C."
    )


def _gives(store: ObjectStore, key: str) -> bool:
    """Whether the store gives an object to a reader. Raises StoreUnavailable."""
    try:
        with store.open(key) as body:
            body.read(1)
    except (ObjectFailure, AccessError):
        return False
    return True


def _seen_in_the_bucket(with_key: ObjectStore, without_key: ObjectStore, prefix: str) -> bool:
    try:
        found = next((each for each in islice(with_key.list(prefix), _LOOKED_THROUGH) if each.size), None)
    except (PermissionDenied, UnsortedList):
        return False
    # Given with the key tells nothing: there are servers that read the key, and pass over it for what is not encrypted.
    return found is not None and _gives(with_key, found.key) and not _gives(without_key, found.key)
