# SPDX-License-Identifier: GPL-3.0-or-later
"""What the program asks of a bucket: the contract that ``s3`` and the tests' memory store keep.

``tests/contract/test_object_store.py`` holds every implementation to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from ..rules.content import PART_SIZE, Content
from ..rules.errors import AccessError, ConfigurationError, MediaError, UnavailableError

# From this size on, content is stored in parts of PART_SIZE, as Synapse's storage provider does it: equal
# content gets an equal ETag whoever stored it.
MULTIPART_THRESHOLD = PART_SIZE

# The storage class of an object of which the server names none.
STANDARD = "STANDARD"


@dataclass(frozen=True)
class RemoteObject:
    """An object as the bucket describes it.

    ``etag``: without quotes, '' when there is none.
    ``storage_class``: STANDARD when the server names none.
    ``modified``: when it was stored, in seconds since 1970; None when the server does not say, and in the answer to
    ``put``. Two descriptions that differ in nothing else are equal.
    ``archive_status``: the archive in which it is, '' when nothing says that it can't be read at once. Told by
    ``head`` and ``put``, never by a listing. Some servers give at once what AWS archives: to open it decides.
    ``expires``: when a lifecycle rule of the bucket will delete it, as the server says that, '' when it says nothing.
    Told by ``head`` and ``put``, never by a listing. Of a bucket with versions some servers tell in the answer to
    ``put`` when the object would go if it were an old version: then ``head`` is right.
    """

    key: str
    size: int
    etag: str
    storage_class: str = STANDARD
    modified: float | None = field(default=None, compare=False)
    archive_status: str = ""
    expires: str = ""


class StoreUnavailable(UnavailableError):
    """The bucket can't be reached, or answers with a failure of its own. The same call may succeed later."""


class PermissionDenied(AccessError):
    """The credentials are right, but don't allow this one thing: this kind of request, or this key. Others may do."""


class UnsortedList(ConfigurationError):
    """The bucket does not list keys in ascending order. What it says of a single key still holds."""


class ObjectFailure(MediaError):
    """This one object can't be stored or read. Others still may be; the same call would fail again."""


class ObjectUnreadable(ObjectFailure):
    """Synapse can't read this object at once: it is in an archive, or not encrypted with the configured key."""


class ObjectExists(ObjectFailure):
    """The key is taken; what it holds was not touched."""


class ObjectMissing(ObjectFailure):
    """The bucket certainly has no object of this key."""


class Readable(Protocol):
    """An object's content, front to back."""

    @property
    def sha256(self) -> str | None:
        """The SHA-256 that the store keeps with the object, of all its content, in hexadecimal digits; None without."""

    @property
    def md5(self) -> str | None:
        """The same of the MD5: the ETag, where it is one."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, and b'' only at the true end of the object.

        Content that stops early raises StoreUnavailable.
        """


class ObjectStore(Protocol):
    """One bucket.

    Threads: one store serves many threads at once.
    Retries: an implementation retries what is worth retrying before it raises, so a caller need not. It
    may do so: each call leads to the same end when it is made twice, except ``put``: see there.
    Errors: UnavailableError, AccessError and ConfigurationError concern the whole bucket; ObjectFailure
    concerns the one object. Nothing else is raised for what the bucket answers, or for its silence.
    StoreUnavailable may pass by itself. An AccessError (credentials that are refused or have expired, an account that
    is blocked) passes when somebody gives other credentials: until then every call ends so, and a caller need not
    try each object. Only PermissionDenied, a kind of it, may be of one key (a policy on a prefix) or of one kind of
    request: when other keys meet it in a row, it is the bucket.
    """

    @property
    def requests(self) -> int:
        """The number of HTTP requests tried so far, retries included."""

    @property
    def slow_downs(self) -> int:
        """How often the server has asked for fewer requests so far."""

    def head(self, key: str) -> RemoteObject | None:
        """Describe an object. None only when the bucket is sure that there is none: any doubt raises."""

    def put(self, key: str, source: BinaryIO, content: Content) -> RemoteObject:
        """Store what ``source`` holds, which is ``content``, under a key that is free.

        ``source`` stands at its start and can be sought; if it holds something else, or if the bytes change
        on the way, ObjectFailure is raised and the key stays free. A taken key raises ObjectExists
        and keeps its content. A retry after a lost answer meets the caller's own object, so ObjectExists
        may also mean "stored just now": compare the content. Some servers ignore the condition, so a
        caller looks (``head`` or ``list``) before it puts, and an implementation that does not know the server to keep
        it looks once more right before. Holds little of it in memory, whatever its size,
        and leaves no unfinished upload of the key behind.
        """

    def abort_unfinished(self, key: str) -> None:
        """Abort what is left of uploads of this key: of a run that was killed, or of a start whose answer was lost.

        Raises nothing: what can't be aborted costs space, and nothing else. Nobody may be at work on one of them.
        """

    def open(self, key: str) -> AbstractContextManager[Readable]:
        """Open an object for reading. Raises ObjectMissing, on entering, when there is none."""

    def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
        """Describe all objects whose keys begin with ``prefix`` and come after ``after``, ascending in UTF-8 order.

        In constant memory, with a request for every ``page_size`` objects (1 to 1000), made when the first of them is
        asked for, or some while before. An iterator that ends without an error has named every object; but with pages
        of one object MinIO ends after the one whose key is all of ``prefix``. Raises UnsortedList as soon as it shows
        that the server sorts in another way; what comes before ``after`` in its own order may then be left out before.
        """

    def delete(self, key: str) -> None:
        """Remove an object. A missing one is no error."""

    def unfinished_uploads(self, prefix: str) -> int | None:
        """How many uploads in parts, of keys that begin with ``prefix``, were begun and neither completed nor aborted.

        None when the server has no list of them, or only one for a whole key: then nobody knows. With a request for
        every 1000 of them. Raises PermissionDenied where the credentials don't allow the list.
        """

    def delete_many(self, keys: Sequence[str]) -> Mapping[str, MediaError]:
        """Remove up to 1000 objects, by one request where the server knows it. A missing one is no error.

        The answer is why each key that may still be there could not be removed. What concerns all of them is raised:
        then any of them may be gone.
        """
