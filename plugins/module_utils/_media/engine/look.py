# SPDX-License-Identifier: GPL-3.0-or-later
"""What each of Synapse's places holds of one file of its database: by listings, or by looking at each of them now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..rules.content import Content, Reader, read_content
from ..rules.media_path import Root, format_media_path, parse_media_path
from ..rules.verdict import Copy, Original, copy_of
from ..stores.database import MediaRow
from ..stores.disk_errors import LocalFileError
from ..stores.media_store import FileChangedError, LocalFile, MediaStore
from ..stores.object_store import ObjectMissing, ObjectUnreadable, Readable, RemoteObject
from ..stores.s3_description import archived_as, must_be_opened
from .places import Place

# A file that Synapse fetches from the bucket just now grows while it is read.
_TRIES = 3
# The words of the one that is read.
_NOT_READABLE = "Could not read the local file: permission denied. Give it and its directory to Synapse's user."
_ORIGINALS = {Root.LOCAL_THUMBNAILS: Root.LOCAL_CONTENT, Root.REMOTE_THUMBNAIL: Root.REMOTE_CONTENT}


class Item(NamedTuple):
    """A file that the database knows, with what the listings told of it: ``objects`` one for each bucket."""

    path: str
    row: MediaRow
    file: LocalFile | None = None
    objects: tuple[RemoteObject | None, ...] = ()


class Found(NamedTuple):
    """What one place holds: the copy, its ``size`` in bytes where it is known, what was ``said`` of it.

    ``content``: where all of it was read; ``is_proven``: and compared with a hash.
    """

    copy: Copy
    size: int | None = None
    said: str = ""
    content: Content | None = None
    is_proven: bool = False


class Source(NamedTuple):
    """What Synapse would make a thumbnail of: the original's path, and the ``size`` in bytes of what it would take."""

    path: str
    size: int


class Facts(NamedTuple):
    """All places: the local disk, and the buckets in Synapse's order. ``original``: of a thumbnail that is nowhere.

    ``source``: that original, where it is THERE; whether it is whole, its row tells. ``is_on_disk``: where one bucket
    alone is asked and does not have it, that the local disk does.
    """

    local: Found
    stored: tuple[Found, ...]
    original: Original = Original.NOT_TOLD
    source: Source | None = None
    is_on_disk: bool = False

    @property
    def found(self) -> tuple[Found, ...]:
        return (self.local, *self.stored)

    @property
    def is_nowhere(self) -> bool:
        return all(found.copy is Copy.NONE for found in self.found)


NOTHING = Found(Copy.NONE)


def by_listings(item: Item) -> Facts:
    """What the listings tell: lengths, and classes that are archives."""
    lengths = item.row.lengths
    local = NOTHING if item.file is None else Found(copy_of(lengths, item.file.size), item.file.size)
    return Facts(local, tuple(Found(listed(lengths, each), each.size) if each else NOTHING for each in item.objects))


def listed(lengths: frozenset[int], remote: RemoteObject | None) -> Copy:
    """What a bucket holds, as far as a listing tells."""
    if remote is None:
        return Copy.NONE
    return Copy.ARCHIVED if archived_as(remote.storage_class) else copy_of(lengths, remote.size)


class Looker:
    """Looks at files, each place anew, and as Synapse would: with the configured key. Serves many threads at once.

    The disk comes first: what migrate moves meanwhile is then found in the bucket. ``alone``: the disk does not count.
    ``deep``: all is read, and compared with the hashes that there are.
    """

    def __init__(self, media: MediaStore, places: Sequence[Place], *, deep: bool, alone: bool) -> None:
        self._media = media
        self._places = places
        self._deep = deep
        self._alone = alone

    def look(self, path: str, row: MediaRow) -> Facts:
        """Raises a `MediaError` when a place can't be looked at."""
        facts = self._look(path, row)
        if not facts.is_nowhere:
            return facts
        media = parse_media_path(path)
        thumbnail = media.thumbnail if media is not None else None
        if media is not None and media.root is Root.REMOTE_THUMBNAIL and thumbnail and thumbnail.method is not None:
            # It may be there under its old name.
            old = format_media_path(media._replace(thumbnail=thumbnail._replace(method=None)))
            if not (found := self._look(old, row)).is_nowhere:
                return found
        if self._alone:
            file = self._media.find(path)
            return facts._replace(is_on_disk=file is not None and file.size in row.lengths)
        if media is None or thumbnail is None:
            return facts
        original = format_media_path(media._replace(root=_ORIGINALS[media.root], thumbnail=None))
        size = self._size_served(original)
        if not size:
            return facts._replace(original=Original.LOST)
        return facts._replace(original=Original.THERE, source=Source(original, size))

    def _look(self, path: str, row: MediaRow) -> Facts:
        local = NOTHING if self._alone else self._look_at_disk(path, row)
        return _compared(Facts(local, tuple(self._look_at_object(place, path, row) for place in self._places)))

    def _size_served(self, path: str) -> int:
        """In bytes, what Synapse takes: the local file, or the first object. 0: there is none, or it can't read it."""
        if file := self._media.find(path):
            return file.size
        return next((size for place in self._places if (size := _size_in(place, path)) is not None), 0)

    def _look_at_disk(self, path: str, row: MediaRow) -> Found:
        for _turn in range(_TRIES):
            file = self._media.find(path)
            if file is None:
                return NOTHING
            copy = copy_of(row.lengths, file.size)
            if copy is Copy.RIGHT and not self._media.is_readable(path):
                raise LocalFileError(_NOT_READABLE)
            if copy is not Copy.RIGHT or not self._deep:
                return Found(copy, file.size)
            try:
                with self._media.open(file) as source:
                    return _read(source, row)
            except FileChangedError:
                continue
        raise LocalFileError("Could not read the local file: it changes all the time. Try again when it is at rest.")

    def _look_at_object(self, place: Place, path: str, row: MediaRow) -> Found:
        key = place.prefix + path
        try:
            remote = place.store.head(key)
        except ObjectUnreadable as error:
            return Found(Copy.OTHER_KEY, said=str(error))
        if remote is None:
            return NOTHING
        if archived_as(remote.storage_class) and not remote.archive_status:
            said = f"It was brought back from {remote.storage_class} for a while only."
            return Found(Copy.ARCHIVED, remote.size, said)
        found = Found(copy_of(row.lengths, remote.size), remote.size)
        try:
            if found.copy is Copy.RIGHT and self._deep:
                with place.store.open(key) as body:
                    found = _read(body, row, remote.etag, body)
            elif must_be_opened(remote):
                # The name of a class does not tell: some servers give objects of the same class at once.
                with place.store.open(key) as body:
                    body.read(1)
        except ObjectMissing:
            return NOTHING
        except ObjectUnreadable as error:
            kind = Copy.ARCHIVED if must_be_opened(remote) else Copy.OTHER_KEY
            return Found(kind, remote.size, str(error))
        if found.copy is Copy.RIGHT and remote.expires:
            return found._replace(copy=Copy.EXPIRING, said=f"The server says: {remote.expires}.")
        return found


def _size_in(place: Place, path: str) -> int | None:
    """The size of an object, in bytes; 0 where Synapse can't read it, and None where there is none."""
    key = place.prefix + path
    try:
        remote = place.store.head(key)
        if remote is not None and must_be_opened(remote):
            with place.store.open(key) as body:
                body.read(1)
    except ObjectMissing:
        return None
    except ObjectUnreadable:
        return 0
    return None if remote is None else remote.size


def _read(source: Reader, row: MediaRow, etag: str = "", stored: Readable | None = None) -> Found:
    """Read all of a copy, and compare it: with the database's sha256, else with what the store keeps of it."""
    content = read_content(source)
    copy, is_proven = copy_of(row.lengths, content.size), False
    if copy is Copy.RIGHT:
        is_right = content.sha256 == row.sha256 if row.sha256 is not None else None
        if is_right is None and stored is not None:
            is_right = content.is_proven_by(etag) or content.is_as_kept(stored.sha256, stored.md5)
        copy, is_proven = Copy.RIGHT if is_right is not False else Copy.OTHER_CONTENT, bool(is_right)
    return Found(copy, content.size, content=content, is_proven=is_proven)


def _compared(facts: Facts) -> Facts:
    """Copies of the right length that differ are not both right."""
    right = {found.content.sha256 for found in facts.found if found.content and found.copy is Copy.RIGHT}
    if len(right) < 2:
        return facts
    local, *stored = (
        found._replace(copy=Copy.DIFFERENT) if found.content and found.copy is Copy.RIGHT else found
        for found in facts.found
    )
    return facts._replace(local=local, stored=tuple(stored))
