# SPDX-License-Identifier: GPL-3.0-or-later
"""Try a bucket for real: everything that Synapse's storage provider and the migration will ask of it."""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Protocol

from ..rules.content import content_of
from ..rules.errors import SOME_FAILED, ConfigurationError, MediaError, UnavailableError
from ..rules.service_profile import service_hints
from ..rules.settings import BucketSettings
from ..stores.object_store import (
    STANDARD,
    ObjectMissing,
    PermissionDenied,
    RemoteObject,
    StoreUnavailable,
    UnsortedList,
)
from ..stores.s3 import FIRST_CONTACT
from ..stores.s3_failures import server_name, wrong_region
from ..stores.s3_trial import TrialBucket
from .encryption import TEST_OBJECT, Erasing, passed_over

# The name of a second object: that of the first with this behind it.
SECOND = "-second"

# So many of the first objects are looked through for one of Synapse's.
_LOOKED_THROUGH = 1000


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the bucket or the settings."""

    check: str
    message: str
    exit_status: int


class Bucket(Erasing, Protocol):
    """What the check needs beyond an ObjectStore."""

    @property
    def redirected_to(self) -> str:
        """The region that the server named instead of the configured one, '' when it named none."""

    @property
    def conditional(self) -> bool | None:
        """Whether the server does conditional writes, as far as it has been seen."""

    def put_as_provider(self, key: str, content: bytes) -> None:
        """Store as Synapse's storage provider does."""

    def read_as_provider(self, key: str) -> bytes:
        """Look up and read as Synapse's storage provider does."""

    def abort_as_provider(self, key: str) -> None:
        """Ask for what ends an upload in parts that fails; raises PermissionDenied where that is not allowed."""


def connect_s3(settings: BucketSettings) -> Bucket:
    return TrialBucket(settings, max_connections=1, limits=FIRST_CONTACT)


def check_bucket(
    settings: BucketSettings,
    connect: Callable[[BucketSettings], Bucket] = connect_s3,
    note: Callable[[str], None] = lambda _text: None,
) -> list[Problem]:
    """Return every problem that can be told in one run; none means that the bucket can be used.

    ``note`` gets what is no problem and yet worth knowing, a sentence or two at a time.
    Writes two objects of names of their own below the prefix, and removes them again, with their versions if there
    are any. Ends with the first sign that the server does not answer: within 90 seconds by ``connect_s3``.
    """
    with ExitStack() as opened:
        found = list(_Check(settings, lambda each: opened.enter_context(closing(connect(each))), note).problems())
    for hint in service_hints(settings) if found else ():
        note(hint)
    return found


class _Check:
    def __init__(
        self,
        settings: BucketSettings,
        connect: Callable[[BucketSettings], Bucket],
        note: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._note = note
        self._key = settings.prefix + TEST_OBJECT + secrets.token_hex(8)
        self._content = secrets.token_bytes(1000)
        self._tried = [self._key]
        self._may_list = self._may_read = self._is_sorted = True
        # Once the server does not answer, every further question costs as long again.
        self._is_gone = False
        self._expires = False

    def problems(self) -> Iterator[Problem]:
        settings = self._settings
        try:
            store = self._connect(settings)
        except MediaError as error:
            yield self._problem("connect", error)
            return
        media = None
        try:
            media = next(filter(_is_media, islice(store.list(settings.prefix), _LOOKED_THROUGH)), None)
        except PermissionDenied as error:
            self._may_list = False
            yield self._problem("list", error)
        except UnsortedList:
            self._is_sorted = False
        except MediaError as error:
            yield self._problem("connect", error)
            return
        if settings.region_name and store.redirected_to:
            action = f"use bucket {settings.bucket!r}"
            yield self._problem("region", wrong_region(settings, store.redirected_to, action))
        yield from self._try_objects(store)
        if media and self._may_read and not self._is_gone:
            yield from self._read_media(store, media)

    def _try_objects(self, store: Bucket) -> Iterator[Problem]:
        try:
            refusal = _failure(partial(_put, store, self._key, self._content))
            if isinstance(refusal, ConfigurationError):
                yield self._problem("write", refusal)
                # Storage class or encryption refused: what remains is tried without them.
                self._settings = replace(self._settings, storage_class="STANDARD", sse_customer_key=None)
                store = self._connect(self._settings)
                refusal = _failure(partial(_put, store, self._key, self._content))
            if refusal:
                yield self._problem("write", refusal)
                # Without the permission to list, a missing object and a forbidden one look the same.
                if self._may_list and not self._is_gone:
                    denial = _failure(partial(_read, store, self._key))
                    if isinstance(denial, PermissionDenied):
                        self._may_read = False
                        yield self._problem("read", denial)
            else:
                yield from self._try_stored(store)
        except BaseException:
            for key in self._tried:
                _failure(partial(store.erase, key))
            raise
        yield from self._erase(store)

    def _try_stored(self, store: Bucket) -> Iterator[Problem]:
        for check in (self._read_back, self._overwrite, self._act_as_provider, self._abort, self._list_pages):
            if self._is_gone:
                return
            yield from check(store)

    def _read_back(self, store: Bucket) -> Iterator[Problem]:
        settings = self._settings
        try:
            if _read(store, self._key) != self._content:
                raise self._changed(self._key)
            found = store.head(self._key)
        except MediaError as error:
            self._may_read = False
            yield self._problem("read", error)
            return
        kept_as = found.storage_class if found is not None else STANDARD
        if kept_as != settings.storage_class:
            message = (
                f"Could not use storage class {settings.storage_class!r}: the server {server_name(settings)} accepts "
                f"it, but keeps objects as {kept_as!r}. Set storage_class to {kept_as!r}."
            )
            yield self._problem("storage_class", ConfigurationError(message))
        yield from self._expiry(found)
        if settings.sse_customer_key:
            without_key = self._connect(replace(settings, sse_customer_key=None))
            if not _failure(partial(_read, without_key, self._key)):
                yield self._problem("encryption", passed_over(settings))

    def _expiry(self, found: RemoteObject | None) -> Iterator[Problem]:
        settings = self._settings
        if found is None or not found.expires or self._expires:
            return
        self._expires = True
        message = (
            f"Could not rely on bucket {settings.bucket!r}: a lifecycle rule of its own deletes what is stored below "
            f"the prefix {settings.prefix!r}. The server says: {found.expires}. Take that rule from the bucket, or "
            "keep it from the prefix."
        )
        yield self._problem("expiry", ConfigurationError(message))

    def _overwrite(self, store: Bucket) -> Iterator[Problem]:
        """Find out whether a taken key is protected. It is no problem if not, as long as everybody knows."""
        failure = _failure(partial(_put, store, self._key, self._content[::-1]))
        if isinstance(failure, StoreUnavailable):
            yield self._problem("write", failure)
        if failure is None or store.conditional is False:
            self._note(
                f"The server {server_name(self._settings)} does no conditional writes (it passes over If-None-Match), "
                "so a key is looked up right before each upload. What another program stores under it in the moment "
                "between is overwritten."
            )

    def _act_as_provider(self, store: Bucket) -> Iterator[Problem]:
        key = self._key + SECOND
        self._tried.append(key)
        try:
            store.put_as_provider(key, self._content)
            if self._may_read and store.read_as_provider(key) != self._content:
                raise self._changed(key)
        except MediaError as error:
            yield self._problem("provider", error)

    def _abort(self, store: Bucket) -> Iterator[Problem]:
        """Nothing fails without it, and nothing tells that space is lost."""
        denial = _failure(partial(store.abort_as_provider, self._key))
        if isinstance(denial, PermissionDenied):
            self._note(
                f"What was sent of a large file would stay in the bucket, unseen, when its upload fails. {denial}"
            )
        return iter(())

    def _list_pages(self, store: Bucket) -> Iterator[Problem]:
        """List both objects on a page each: a server that can't go on with a list is found out while it is short."""
        if self._may_list:
            try:
                # Less than the whole key: MinIO's page of one object ends with the object that the prefix names.
                for _turn in store.list(self._key[:-1], page_size=1):
                    pass
            except UnsortedList:
                self._is_sorted = False
            except MediaError as error:
                yield self._problem("list", error)
        if not self._is_sorted:
            self._note(
                f"The server {server_name(self._settings)} does not list keys in ascending order, as S3 does. Synapse "
                "and migrate do not need that. Commands that read whole lists (status, verify, restore, purge-orphans, "
                "copy-bucket) end with an error where it shows."
            )

    def _erase(self, store: Bucket) -> Iterator[Problem]:
        locked = ""
        try:
            for key in self._tried:
                locked = store.erase(key) or locked
        except MediaError as error:
            # What is said of the first would be said of the other.
            yield self._problem("delete", error)
        if locked:
            self._note(
                f"The bucket {self._settings.bucket!r} has Object Lock: the objects of this check are deleted, but "
                f"their versions can't be removed before {locked}."
            )

    def _read_media(self, store: Bucket, media: RemoteObject) -> Iterator[Problem]:
        """Read an object that is there already as Synapse would: with the configured key, and at once."""
        try:
            with store.open(media.key) as body:
                body.read(1)
            # A rule may be for some of Synapse's directories only.
            yield from self._expiry(store.head(media.key))
        except ObjectMissing:
            return
        except MediaError as error:
            # One object stands for all of them here.
            status = ConfigurationError.exit_status if error.exit_status == SOME_FAILED else error.exit_status
            yield Problem("media", str(error), status)

    def _changed(self, key: str) -> UnavailableError:
        return UnavailableError(
            f"Could not read back object {key!r} from bucket {self._settings.bucket!r}: its content is not what was "
            f"stored. Find what changes it at {server_name(self._settings)} or on the way there."
        )

    def _problem(self, check: str, error: MediaError) -> Problem:
        self._is_gone = self._is_gone or isinstance(error, StoreUnavailable)
        return Problem(check, str(error), error.exit_status)


def _is_media(found: RemoteObject) -> bool:
    """Whether it may be Synapse's: no directory of some console, and nothing that an earlier check left behind."""
    return not found.key.endswith("/") and TEST_OBJECT not in found.key


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
