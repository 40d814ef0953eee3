# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to do for ``restore``: one pass over the database, the disk and the buckets, before the first file.

What is to be worked on is kept in a temporary file (some 250 bytes a file, below TMPDIR), so that the space that it
takes is known beforehand, and nothing is asked of a listing while files are on their way.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, NamedTuple

from ..rules.decision import Known, known_as
from ..rules.errors import MediaError, UnavailableError
from ..rules.media_path import MediaPath, Root, parse_media_path
from ..rules.restoration import Action, Case, Compared, Here, There, decide
from ..rules.selection import Selection
from ..stores.arrivals import Disk
from ..stores.database import KnownFile, MediaRow
from ..stores.media_store import LocalFile
from ..stores.object_store import RemoteObject
from ..stores.temporary import not_kept
from .merge import Bucket, Joined, join
from .places import LegacyNames, Place
from .space import on_disk
from .summary import Count

_HERE = {Known.COMPLETE: Here.RIGHT, Known.DAMAGED: Here.WRONG, Known.UNFINISHED: Here.UNTOLD}


class Found(NamedTuple):
    """An object, in the bucket of the provider of this number."""

    place: int
    size: int
    etag: str
    storage_class: str
    modified: float | None

    def modified_ns(self, now_ns: int) -> int:
        """What a file that is restored from it gets as its modification time: when it was stored, in whole seconds.

        So migrate's minimum age, which is for files that are still written, does not keep it; a backup and the next
        `restore` see that it is the same. Not in the future, where migrate would never touch it.
        """
        return now_ns if self.modified is None else min(int(self.modified) * 10**9, now_ns)


class Item(NamedTuple):
    """A file to work on: what the sides have of it. ``objects`` are in the order of the providers."""

    path: str
    row: MediaRow
    file: LocalFile | None
    objects: tuple[Found, ...]
    all_listed: bool

    @property
    def fitting(self) -> tuple[Found, ...]:
        """The objects that have a length which the database gives; all where it gives none."""
        lengths = self.row.lengths
        return tuple(found for found in self.objects if not lengths or found.size in lengths)

    @property
    def size(self) -> int:
        """In bytes: the object's that is to come, else the local file's, else what the database gives."""
        if self.fitting:
            return self.fitting[0].size
        if self.file is not None:
            return self.file.size
        return min(self.row.lengths, default=0)

    @property
    def case(self) -> Case:
        """As far as the sides tell it, without reading anything."""
        media = parse_media_path(self.path)
        fitting = self.fitting
        there = There.FITTING if fitting else There.WRONG if self.objects else There.NOTHING
        is_same = self.file is not None and bool(fitting) and is_restored(self.file, fitting[0])
        return Case(
            Here.NOTHING if self.file is None else here(self.row, self.file),
            there,
            Compared.SAME if is_same else Compared.NOT_YET,
            is_finished=bool(self.row.lengths),
            has_sha256=self.row.sha256 is not None,
            is_thumbnail=media is not None and media.thumbnail is not None,
            all_listed=self.all_listed,
        )


def here(row: MediaRow, file: LocalFile, sha256: str | None = None) -> Here:
    """The local file beside the database; ``sha256``: of its content, None as long as it was not read."""
    return _HERE[known_as(row.lengths, row.sha256, file.size, sha256)]


def is_restored(file: LocalFile, found: Found) -> bool:
    """Whether a local file has length and time as restored from this object: it was proven then, and is not read again.

    Who writes a file with the time of day does not give it a whole second, let alone that of the object.
    """
    return found.modified is not None and file.size == found.size and file.modified_ns == int(found.modified) * 10**9


@dataclass
class Survey:
    """What is to be done. ``coming``: how much is to come to each disk, as `on_disk` tells it.

    ``unfinished``: rows without a length and without a file, which Synapse may still finish. ``skipped``: rows that
    stand for no file of Synapse's. ``unknown``: media in the buckets alone that the database does not know.
    ``errors``: buckets that could not be listed. ``origins``: those of the selected ones of which the database knows
    media.
    """

    places: Sequence[Place]
    spool: IO[bytes]
    count: int = 0
    coming: dict[Disk, Count] = field(default_factory=dict)
    not_selected: Count = field(default_factory=Count)
    already_local: Count = field(default_factory=Count)
    unknown: Count = field(default_factory=Count)
    unfinished: int = 0
    skipped: int = 0
    listed: int = 0
    errors: list[str] = field(default_factory=list)
    origins: set[str] = field(default_factory=set)

    def items(self) -> Iterator[Item]:
        """The files to work on, ascending by path. Raises UnavailableError when the temporary file can't be read."""
        try:
            self.spool.seek(0)
            for line in self.spool:
                yield _decode(line)
        except OSError as error:
            raise _no_spool(error) from error


def survey(
    known: Iterable[KnownFile],
    files: Iterable[LocalFile],
    places: Sequence[Place],
    selection: Selection,
    disk_of: Callable[[Root], Disk],
    *,
    repair: bool,
    unusable: Sequence[MediaError] = (),
    stopped: Callable[[], bool],
) -> Survey:
    """Join the sides, and note what is to be done. Raises a MediaError when a side is not there; nothing is touched.

    A bucket that can't be listed is told in ``errors``, with those that are ``unusable``: what is nowhere else is not
    missing for sure then. One must be listed, so that a run that can do nothing does not begin.
    """
    result = Survey(places, _new_spool(), errors=[str(error) for error in unusable])
    disks: dict[Root, Disk] = {}
    legacy = LegacyNames()
    try:
        buckets = [Bucket(place.prefix, _objects(result, place, must=len(places) == 1)) for place in places]
        for joined in join(files, known, buckets):
            if stopped():
                break
            row = joined.known
            if row is None:
                _note_unknown(result, joined)
                continue
            may_be_absent = legacy.stand_for(joined)
            if may_be_absent and joined.file is None and not any(joined.objects):
                continue
            media = parse_media_path(joined.path)
            if media is None:
                # The database gives only paths of Synapse's.
                continue
            if media.origin in selection.origins:
                result.origins.add(media.origin)
            item = _item(joined, row.row, all_listed=not result.errors)
            if not selection.has(media, row.row.accessed_ms):
                result.not_selected.add(item.size)
            else:
                _note(result, item, media, disks, disk_of, repair=repair)
        result.spool.flush()
    except OSError as error:
        result.spool.close()
        raise _no_spool(error) from error
    except BaseException:
        result.spool.close()
        raise
    return result


def _note_unknown(result: Survey, joined: Joined) -> None:
    found = next((found for found in joined.objects if found is not None), None)
    if found is not None and joined.file is None and parse_media_path(joined.path) is not None:
        result.unknown.add(found.size)


def _note(
    result: Survey,
    item: Item,
    media: MediaPath,
    disks: dict[Root, Disk],
    disk_of: Callable[[Root], Disk],
    *,
    repair: bool,
) -> None:
    action = decide(item.case._replace(repair=repair)).action
    if action is Action.SKIP:
        result.unfinished += 1
        return
    if action is Action.LEAVE and not repair:
        result.already_local.add(item.size)
        return
    if action in (Action.RESTORE, Action.REPAIR):
        if media.root not in disks:
            disks[media.root] = disk_of(media.root)
        result.coming.setdefault(disks[media.root], Count()).add(on_disk(item.size))
    result.count += 1
    result.spool.write(_encode(item))


def _item(joined: Joined, row: MediaRow, *, all_listed: bool) -> Item:
    objects = tuple(
        Found(number, found.size, found.etag, found.storage_class, found.modified)
        for number, found in enumerate(joined.objects)
        if found is not None
    )
    return Item(joined.path, row, joined.file, objects, all_listed)


def _objects(result: Survey, place: Place, *, must: bool) -> Iterator[RemoteObject]:
    try:
        for found in place.store.list(place.prefix):
            result.listed += 1
            yield found
    except MediaError as error:
        if must:
            raise
        result.errors.append(str(error))


def _new_spool() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise _no_spool(error) from error


def _no_spool(error: OSError) -> MediaError:
    return UnavailableError(not_kept("what is to be restored", str(error.strerror)))


def _encode(item: Item) -> bytes:
    row = (sorted(item.row.lengths), item.row.sha256, item.row.accessed_ms)
    return (
        json.dumps((item.path, row, item.file, item.objects, item.all_listed), separators=(",", ":")).encode() + b"\n"
    )


def _decode(line: bytes) -> Item:
    path, (lengths, sha256, accessed_ms), file, objects, all_listed = json.loads(line)
    return Item(
        path,
        MediaRow(frozenset(lengths), sha256, accessed_ms),
        None if file is None else LocalFile(*file),
        tuple(Found(*found) for found in objects),
        all_listed,
    )
