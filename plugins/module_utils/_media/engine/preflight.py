# SPDX-License-Identifier: GPL-3.0-or-later
"""Try a bucket for real: everything that Synapse's storage provider and the migration will ask of it."""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from ..rules.content import content_of
from ..rules.errors import ConfigurationError, MediaError, UnavailableError
from ..rules.settings import BucketSettings
from ..stores.object_store import ObjectStore
from ..stores.s3 import Limits, S3ObjectStore
from ..stores.s3_failures import PermissionDenied, server_name, wrong_region

TEST_OBJECT = "matrixops-synapse-s3-preflight-"

# Somebody waits for the answer: give up sooner than a nightly run does.
PATIENCE = Limits(connect_timeout=5, read_timeout=20, attempts=3)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the bucket or the settings."""

    check: str
    message: str
    exit_status: int


class Bucket(ObjectStore, Protocol):
    """What the check needs beyond an ObjectStore."""

    @property
    def redirected_to(self) -> str:
        """The region that the server named instead of the configured one, '' when it named none."""

    def storage_class(self, key: str) -> str:
        """The storage class in which an object is kept."""


def connect_s3(settings: BucketSettings) -> Bucket:
    return S3ObjectStore(settings, max_connections=1, limits=PATIENCE)


def check_bucket(settings: BucketSettings, connect: Callable[[BucketSettings], Bucket] = connect_s3) -> list[Problem]:
    """Return every problem that can be told in one run; none means that the bucket can be used.

    Writes one object of a name of its own below the prefix, and removes it again.
    """
    return list(_problems(settings, connect))


def _problems(settings: BucketSettings, connect: Callable[[BucketSettings], Bucket]) -> Iterator[Problem]:
    may_list = True
    try:
        store = connect(settings)
    except MediaError as error:
        yield _problem("connect", error)
        return
    try:
        next(store.list(settings.prefix), None)
    except PermissionDenied as error:
        may_list = False
        yield _problem("list", error)
    except MediaError as error:
        yield _problem("connect", error)
        return
    if settings.region_name and store.redirected_to:
        action = f"use bucket {settings.bucket!r}"
        yield _problem("region", wrong_region(settings, store.redirected_to, action))
    yield from _try_object(settings, connect, store, may_list)


def _try_object(
    settings: BucketSettings, connect: Callable[[BucketSettings], Bucket], store: Bucket, may_list: bool
) -> Iterator[Problem]:
    key = settings.prefix + TEST_OBJECT + secrets.token_hex(8)
    content = secrets.token_bytes(1000)
    try:
        refusal = _failure(partial(_put, store, key, content))
        if isinstance(refusal, ConfigurationError):
            yield _problem("write", refusal)
            # Storage class or encryption refused: what remains is tried without them.
            settings = replace(settings, storage_class="STANDARD", sse_customer_key=None)
            store = connect(settings)
            refusal = _failure(partial(_put, store, key, content))
        if not refusal:
            yield from _stored_problems(settings, connect, store, key, content)
        else:
            yield _problem("write", refusal)
            # Without the permission to list, a missing object and a forbidden one look the same.
            if may_list and isinstance(denial := _failure(partial(_read, store, key)), PermissionDenied):
                yield _problem("read", denial)
    except BaseException:
        _failure(partial(store.delete, key))
        raise
    if stays := _failure(partial(store.delete, key)):
        yield _problem("delete", stays)


def _stored_problems(
    settings: BucketSettings,
    connect: Callable[[BucketSettings], Bucket],
    store: Bucket,
    key: str,
    content: bytes,
) -> Iterator[Problem]:
    try:
        if _read(store, key) != content:
            raise UnavailableError(
                f"Could not read back object {key!r} from bucket {settings.bucket!r}: its content is not what was "
                f"stored. Find what changes it at {server_name(settings)} or on the way there."
            )
        kept_as = store.storage_class(key)
    except MediaError as error:
        yield _problem("read", error)
        return
    if kept_as != settings.storage_class:
        message = (
            f"Could not use storage class {settings.storage_class!r}: the server {server_name(settings)} accepts it, "
            f"but keeps objects as {kept_as!r}. Set storage_class to {kept_as!r}."
        )
        yield _problem("storage_class", ConfigurationError(message))
    if settings.sse_customer_key:
        without_key = connect(replace(settings, sse_customer_key=None))
        if not _failure(partial(_read, without_key, key)):
            message = (
                f"Could not encrypt objects in bucket {settings.bucket!r}: the server {server_name(settings)} ignores "
                "the encryption key, and gives objects to readers without it. Remove sse_customer_key, or use a "
                "server that has SSE-C."
            )
            yield _problem("encryption", ConfigurationError(message))


def _put(store: Bucket, key: str, content: bytes) -> None:
    store.put(key, io.BytesIO(content), content_of(content))


def _read(store: Bucket, key: str) -> bytes:
    with store.open(key) as body:
        return b"".join(iter(partial(body.read, 4096), b""))


def _failure(call: Callable[[], object]) -> MediaError | None:
    try:
        call()
    except MediaError as error:
        return error
    return None


def _problem(check: str, error: MediaError) -> Problem:
    return Problem(check, str(error), error.exit_status)
