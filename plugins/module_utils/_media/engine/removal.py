# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes local files that are proven to be stored, and sees that the bucket is another thing than the disk.

Below a mount of the bucket (Goofys, s3fs, rclone, an NFS gateway) each file *is* its object: it is proven by itself,
and removed with itself. No look beforehand tells that for sure. So on each file system the first removal is followed
by a look at the object; until that has shown it, nothing else on that file system is removed. On a FUSE or network
mount each removal is: one such mount may be several disks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from threading import Lock
from typing import NoReturn, Protocol

from ..rules.content import Content
from ..rules.errors import ConfigurationError, MediaError, UnavailableError
from ..stores.aside import Aside, Copy
from ..stores.media_store import FileChangedError, LocalFile, MediaStore, Removed
from ..stores.mounts import is_remote
from ..stores.object_store import ObjectMissing, ObjectStore

# When to look, in seconds after a file was removed or written. A mount may pass that on late; a listing may be late.
_LOOKS_LOCAL = (0.0,)
LOOKS_REMOTE = (0.0, 2.0, 8.0)
# A listing that does not show an object any more is asked again after so many seconds.
_LISTED = (0.0, 0.5, 1.5)


class RunMustEndError(Exception):
    """Nothing more may be removed. ``error`` says why."""

    def __init__(self, error: MediaError) -> None:
        super().__init__(str(error))
        self.error = error


class Removal(Protocol):
    """How local files are removed, by many threads at once."""

    def remove(self, file: LocalFile, key: str, content: Content) -> None:
        """Remove a file whose ``content`` the bucket was seen to hold under ``key``.

        Raises FileChangedError and LocalFileError as `MediaStore.remove`, and RunMustEndError, for this and every
        further file, when the object has gone with the file: the file is back then.
        """

    def remove_empty(self, directory: str, older_than_ns: int) -> bool:
        """Remove a directory that was met empty, as `MediaStore.remove_empty`."""


class NoRemoval:
    """Of a run that leaves the local disk as it is."""

    def remove(self, file: LocalFile, key: str, content: Content) -> None:
        """Leave it."""

    def remove_empty(self, directory: str, older_than_ns: int) -> bool:  # noqa: ARG002 (the protocol's)
        """Leave it."""
        return False


class Remover:
    """Removes files, for many threads at once. ``aside`` keeps what is not seen to be safe yet.

    ``wait`` waits so many seconds, and tells whether the run is to stop: then nothing can be seen in time.
    """

    def __init__(
        self, media: MediaStore, store: ObjectStore, aside: Aside, wait: Callable[[float], object] = time.sleep
    ) -> None:
        self._media = media
        self._store = store
        self._aside = aside
        self._wait = wait
        self._lock = Lock()
        # A file system, and which of Synapse's directories: each of these may be mounted from elsewhere.
        self._seen_apart: set[tuple[int, str]] = set()
        self._is_remote = cache(is_remote)
        self._ended: RunMustEndError | None = None

    def remove(self, file: LocalFile, key: str, content: Content) -> None:
        place = (file.device, file.path.partition("/")[0])
        if place not in self._seen_apart:
            with self._lock:
                self._check()
                if place not in self._seen_apart:
                    looks = LOOKS_REMOTE if self._is_remote(file.device) else _LOOKS_LOCAL
                    self._remove_and_look(file, key, content, looks, listed=self._is_listed(key, page_size=1))
                    self._seen_apart.add(place)
                    return
        self._check()
        if self._is_remote(file.device):
            # Such a mount may be several disks, or pass on late what was written: one file tells nothing of another.
            self._remove_and_look(file, key, content, _LOOKS_LOCAL, listed=False)
        else:
            self._media.remove(file)

    def remove_empty(self, directory: str, older_than_ns: int) -> bool:
        return self._ended is None and self._media.remove_empty(directory, older_than_ns)

    def _check(self) -> None:
        if self._ended is not None:
            raise self._ended

    def _remove_and_look(
        self, file: LocalFile, key: str, content: Content, looks: Sequence[float], *, listed: bool
    ) -> None:
        with self._aside.copy(self._media, file) as copy:
            copy.is_needed = True
            try:
                removed = self._media.remove(file)
            except (FileChangedError, MediaError):
                copy.is_needed = False
                raise
            try:
                is_there, error = self._stays(key, content, looks, listed=listed), None
            except MediaError as failure:
                is_there, error = False, failure
            if is_there:
                copy.is_needed = False
                return
            self._put_back(removed, key, copy, content, error)

    def _put_back(self, removed: Removed, key: str, copy: Copy, content: Content, error: MediaError | None) -> NoReturn:
        """Put the file back, and let nothing more be removed."""
        path = removed.file.path
        end = _bucket_is_the_disk(path) if error is None else _bucket_not_seen(path, error)
        self._ended = RunMustEndError(end)
        if error is None:
            # Into the bucket, which is below the mount too. What fails here has a second chance below.
            with suppress(MediaError):
                self._store.put(key, copy.content, content)
        copy.content.seek(0)
        try:
            self._media.put_back(removed, copy.content)
            copy.is_needed = False
        except MediaError as failure:
            self._ended = RunMustEndError(
                UnavailableError(
                    f"Could not put back {path!r}, whose object was gone, or could not be seen, after it was removed:"
                    f" {failure} Its content is in {str(copy.path)!r}: keep that until the file is back."
                )
            )
        raise self._ended

    def _stays(self, key: str, content: Content, looks: Sequence[float], *, listed: bool) -> bool:
        for seconds in looks:
            if seconds and self._wait(seconds):
                raise UnavailableError("The run was stopped before that could be seen.")
            if not self._is_there(key, content) or (listed and not self._is_listed_still(key)):
                return False
        return True

    def _is_there(self, key: str, content: Content) -> bool:
        """By two requests, and a listing beside them: a cache on the way would have to keep each by itself."""
        if self._store.head(key) is None:
            return False
        try:
            with self._store.open(key) as body:
                return len(body.read(1)) == min(content.size, 1)
        except ObjectMissing:
            return False

    def _is_listed_still(self, key: str) -> bool:
        # With another size of the page each time, so that no cache has the answer.
        for page_size, seconds in enumerate(_LISTED, start=2):
            if seconds:
                self._wait(seconds)
            if self._is_listed(key, page_size):
                return True
        return False

    def _is_listed(self, key: str, page_size: int) -> bool:
        found = next(self._store.list(key, page_size=page_size), None)
        return found is not None and found.key == key


def _bucket_is_the_disk(path: str) -> MediaError:
    return ConfigurationError(
        f"Could not free the local disk: the media store is the bucket itself. When {path!r} was removed below it, its"
        " object was gone too; it was put back, and no other file was removed. Unmount the bucket there, and give"
        " Synapse a media_store_path on a disk of this host."
    )


def _bucket_not_seen(path: str, error: MediaError) -> MediaError:
    return UnavailableError(
        f"Could not see whether the bucket still holds {path!r} after its local file was removed: {error} The file was"
        " put back. Run this again when the bucket can be used."
    )
