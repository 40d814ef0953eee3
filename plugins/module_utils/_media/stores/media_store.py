# SPDX-License-Identifier: GPL-3.0-or-later
"""Synapse's media store on the local disk: look, read, and remove what is no longer needed there."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..rules.errors import AccessError, MediaError, UnavailableError
from ..rules.media_path import Root


class LocalFile(NamedTuple):
    """One file as it was seen. ``path`` is relative to the media store; ``size`` in bytes; times since 1970.

    ``changed_ns`` is the inode's: a program that writes and then sets the modification time back can't set this one.
    """

    path: str
    size: int
    modified_ns: int
    changed_ns: int
    inode: int
    device: int


class FileChangedError(Exception):
    """The file is not the one that was seen: another one, or changed, or gone."""


class MediaStore:
    """The directory ``media_store_path``.

    Symbolic links are never followed below it (the path itself may be one).
    """

    def __init__(self, path: Path) -> None:
        if not _is_directory(path):
            raise UnavailableError(
                f"Could not open the media store {str(path)!r}: there is no such directory. Mount it, or correct"
                " media_store_path in Synapse's configuration."
            )
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise _no_access(path)
        self.path = path
        self._path = str(path)

    def has_roots(self) -> bool:
        """Whether at least one of Synapse's four media directories is there."""
        return any(self._root(root).is_dir() for root in Root)

    def linked_roots(self) -> list[str]:
        """The media directories that are symbolic links: nothing below them is looked at."""
        return [root.value for root in Root if self._root(root).is_symlink()]

    def scan(self, failed: Callable[[MediaError], None]) -> Iterator[LocalFile]:
        """Every regular file below the four directories, ascending by path as S3 lists keys.

        ``failed`` is told of each directory that can't be read; what is in the others still comes.
        """
        for root in sorted(Root, key=lambda root: f"{root.value}/"):
            if self._root(root).is_dir() and not self._root(root).is_symlink():
                yield from self._scan(root.value, failed)

    @contextmanager
    def open(self, file: LocalFile) -> Iterator[BinaryIO]:
        """Open ``file`` for reading; FileChangedError when it is not as it was seen, before or after."""
        with open(self._open(file), "rb", buffering=0) as source:
            _check_unchanged(file, os.fstat(source.fileno()))
            yield source
            _check_unchanged(file, os.fstat(source.fileno()))

    def read(self, file: LocalFile) -> bytes:
        """The content of a small file; FileChangedError when it is not as it was seen, after it was read."""
        descriptor = self._open(file)
        try:
            # One byte more than there were, to have an end. What changed before or meanwhile shows afterwards.
            content = os.read(descriptor, file.size + 1)
            _check_unchanged(file, os.fstat(descriptor))
        finally:
            os.close(descriptor)
        if len(content) != file.size:
            raise FileChangedError(file.path)
        return content

    def _open(self, file: LocalFile) -> int:
        try:
            # O_NONBLOCK: a pipe that has taken the file's place would be waited for without end.
            return os.open(f"{self._path}/{file.path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
                raise FileChangedError(file.path) from error
            raise

    def remove(self, file: LocalFile) -> None:
        """Delete ``file`` if it is still as it was seen (else FileChangedError), and directories that this left empty.

        The four directories themselves stay.
        """
        target = f"{self._path}/{file.path}"
        try:
            _check_unchanged(file, os.lstat(target))
            os.unlink(target)  # noqa: PTH108 (a Path costs as much as the call, a million times)
        except FileNotFoundError as error:
            raise FileChangedError(file.path) from error
        parent = file.path.rpartition("/")[0]
        while "/" in parent:
            try:
                os.rmdir(f"{self._path}/{parent}")  # noqa: PTH106 (as above)
            except OSError:
                return
            parent = parent.rpartition("/")[0]

    @contextmanager
    def lock(self, operation: int) -> Iterator[None]:
        """Hold the lock on the media store; BlockingIOError when another run has it.

        ``operation`` is that of `fcntl.flock`. The lock is on the directory itself: it needs no file, is seen
        from a container too, and ends with its process.
        """
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, operation)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def lock_file(self, name: str) -> Iterator[None]:
        """Hold the lock on a file of this name in the media store; BlockingIOError when another run has it.

        The file is there as long as it is locked (after a run that was killed, until the next one ends).
        """
        path = self.path / name
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Who had it before may have removed it in between: then this lock is on a file that is nowhere.
                if path.exists() and os.fstat(descriptor).st_ino == path.stat().st_ino:
                    break
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def _root(self, root: Root) -> Path:
        return self.path / root.value

    def _scan(self, directory: str, failed: Callable[[MediaError], None]) -> Iterator[LocalFile]:
        for entry in self._entries(directory, failed):
            path = f"{directory}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from self._scan(path, failed)
            elif entry.is_file(follow_symlinks=False):
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError as error:
                    self._report(directory, error, failed)
                else:
                    yield _seen(path, status)

    def _entries(self, directory: str, failed: Callable[[MediaError], None]) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.path / directory) as listing:
                # "a/b" sorts after "a-b": a directory's place is that of its name with the slash.
                return sorted(listing, key=_sort_key)
        except OSError as error:
            self._report(directory, error, failed)
            return []

    def _report(self, directory: str, error: OSError, failed: Callable[[MediaError], None]) -> None:
        """Tell what went wrong; what is gone by now is passed over."""
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return
        place = f"Could not read the directory {str(self.path / directory)!r}"
        if isinstance(error, PermissionError):
            failed(AccessError(f"{place}: permission denied. Give it to Synapse's user."))
        else:
            failed(UnavailableError(f"{place}: {error.strerror}. Check its disk."))


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        # ValueError: a path with a null character.
        return False
    except PermissionError as error:
        raise _no_access(path) from error
    except OSError as error:
        raise UnavailableError(
            f"Could not open the media store {str(path)!r}: {error.strerror}. Check its disk, and that it is mounted."
        ) from error


def _no_access(path: Path) -> AccessError:
    return AccessError(
        f"Could not open the media store {str(path)!r}: permission denied. Run this as root or as Synapse's user."
    )


def _sort_key(entry: os.DirEntry[str]) -> bytes:
    name = os.fsencode(entry.name)
    return name + b"/" if entry.is_dir(follow_symlinks=False) else name


def _seen(path: str, status: os.stat_result) -> LocalFile:
    return LocalFile(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


def _check_unchanged(file: LocalFile, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or _seen(file.path, status) != file:
        raise FileChangedError(file.path)
