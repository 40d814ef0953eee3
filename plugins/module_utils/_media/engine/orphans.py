# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds what the database no longer knows, in one listing of each side and one pass over the database."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import IO, NamedTuple

from ..rules.media_path import parse_media_path
from ..rules.orphan import Kind, Tally, kind_of
from ..stores.database import KnownFile
from ..stores.media_store import LocalFile
from ..stores.object_store import RemoteObject
from ..stores.temporary import keeping
from .merge import Bucket, Joined, join

_LIST = "the list of orphans"


class Orphan(NamedTuple):
    """What is at a path that the database does not know, and is old enough to go: an object, a local file, or both."""

    path: str
    found: RemoteObject | None
    file: LocalFile | None


class Orphans:
    """Orphans on the disk, ascending by path: however many there are, some thousand are in memory.

    ``objects`` and ``files`` count them.
    """

    def __init__(self, spool: IO[bytes]) -> None:
        self._spool = spool
        self.objects = 0
        self.files = 0

    def add(self, orphan: Orphan) -> None:
        """Append one."""
        found, file = orphan.found, orphan.file
        self.objects += found is not None
        self.files += file is not None
        described = found and (found.key, found.size, found.etag, found.storage_class, found.modified)
        with keeping(_LIST):
            self._spool.write(json.dumps((orphan.path, described, file)).encode() + b"\n")

    def __iter__(self) -> Iterator[Orphan]:
        """All of them, from the first on."""
        with keeping(_LIST):
            self._spool.flush()
            self._spool.seek(0)
        while True:
            with keeping(_LIST):
                line = self._spool.readline()
            if not line:
                return
            path, found, file = json.loads(line)
            yield Orphan(path, RemoteObject(*found) if found else None, LocalFile(*file) if file else None)

    def batches(self, size: int) -> Iterator[list[Orphan]]:
        """The same in lists of at most ``size``."""
        rest = iter(self)
        while batch := list(islice(rest, size)):
            yield batch


@contextmanager
def new_orphans() -> Iterator[Orphans]:
    """An empty list, below TMPDIR."""
    with keeping(_LIST):
        spool = tempfile.TemporaryFile()  # noqa: SIM115 (closed below)
    try:
        yield Orphans(spool)
    finally:
        with keeping(_LIST):
            spool.close()


class Sides(NamedTuple):
    """What to look at: each ascending by path. ``bucket`` is the one that is purged."""

    files: Iterable[LocalFile]
    known: Iterable[KnownFile]
    bucket: Bucket


class Finder:
    """Sorts all that the sides have. Times in seconds since 1970.

    ``object_recent_after``, ``file_recent_after``: what was stored later is too recent. ``server_name``: this
    homeserver's. ``told`` is called with each object or file that is no row's.
    """

    def __init__(
        self,
        *,
        object_recent_after: float,
        file_recent_after: float,
        server_name: str,
        told: Callable[[Kind, RemoteObject | LocalFile], None],
    ) -> None:
        self._object_recent_after = object_recent_after
        self._file_recent_after = file_recent_after
        # As a path has it behind the directory of remote media.
        self._of_ourselves = tuple(f"{root}/{server_name}/" for root in ("remote_content", "remote_thumbnail"))
        self._told = told
        self._odd: set[str] = set()

    def pass_over(self, path: str) -> None:
        """A row of the database that stands for no file of Synapse's: what looks like one at its path is no orphan."""
        if kind_of(path, None, is_known=False, recent_after=0) is not Kind.FOREIGN:
            self._odd.add(path)

    def find(self, sides: Sides, orphans: Orphans) -> Tally:
        """Add the orphans, and tell how much of all there is. Raises what the sides raise."""
        objects = unknown_objects = paths = unknown_files = originals = missing = 0
        of_ourselves = files_of_ourselves = 0
        for joined in join(sides.files, sides.known, [sides.bucket]):
            of_object, of_file = self._kinds(joined)
            is_media = of_object not in (None, Kind.FOREIGN)
            objects += is_media
            paths += is_media or of_file is not None
            if joined.path in self._odd:
                continue
            if joined.known is not None:
                is_original = _is_complete_original(joined.known)
                originals += is_original
                missing += is_original and of_object is None and of_file is None
                continue
            unknown_objects += is_media
            unknown_files += of_file is not None
            if joined.path.startswith(self._of_ourselves):
                of_ourselves += is_media
                files_of_ourselves += of_file is not None
            self._sort(joined, of_object, of_file, orphans)
        return Tally(
            objects, unknown_objects, paths, unknown_files, originals, missing, of_ourselves, files_of_ourselves
        )

    def _kinds(self, joined: Joined) -> tuple[Kind | None, Kind | None]:
        (found,) = joined.objects
        is_known = joined.known is not None or joined.path in self._odd
        of_object = of_file = None
        if found is not None:
            of_object = kind_of(joined.path, found.modified, is_known=is_known, recent_after=self._object_recent_after)
        if joined.file is not None:
            modified = joined.file.modified_ns / 1e9
            of_file = kind_of(joined.path, modified, is_known=is_known, recent_after=self._file_recent_after)
        return of_object, of_file

    def _sort(self, joined: Joined, of_object: Kind | None, of_file: Kind | None, orphans: Orphans) -> None:
        (found,) = joined.objects
        if found is not None and of_object is not None:
            self._told(of_object, found)
        if joined.file is not None and of_file is not None:
            self._told(of_file, joined.file)
        orphan = Orphan(
            joined.path,
            found if of_object is Kind.ORPHAN else None,
            joined.file if of_file is Kind.ORPHAN else None,
        )
        if orphan.found is not None or orphan.file is not None:
            orphans.add(orphan)


def _is_complete_original(known: KnownFile) -> bool:
    if not known.row.lengths or known.legacy:
        return False
    media = parse_media_path(known.path)
    return media is not None and media.thumbnail is None
