# SPDX-License-Identifier: GPL-3.0-or-later
"""Synapse's media store on the local disk: look, read, and remove what is no longer needed there."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..rules.errors import AccessError, UnavailableError
from ..rules.media_path import Root


@dataclass(frozen=True)
class LocalFile:
    """One file as it was seen. ``path`` is relative to the media store; ``size`` in bytes."""

    path: str
    size: int
    modified_ns: int
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

    def has_roots(self) -> bool:
        """Whether at least one of Synapse's four media directories is there."""
        return any(self._root(root).is_dir() for root in Root)

    def linked_roots(self) -> list[str]:
        """The media directories that are symbolic links: nothing below them is looked at."""
        return [root.value for root in Root if self._root(root).is_symlink()]

    def scan(self) -> Iterator[LocalFile]:
        """Every regular file below the four directories, ascending by path as S3 lists keys."""
        for root in sorted(Root, key=lambda root: f"{root.value}/"):
            if self._root(root).is_dir() and not self._root(root).is_symlink():
                yield from self._scan(root.value)

    @contextmanager
    def open(self, file: LocalFile) -> Iterator[BinaryIO]:
        """Open ``file`` for reading; FileChangedError when it is not as it was seen, before or after."""
        try:
            # O_NONBLOCK: a pipe that has taken the file's place would be waited for without end.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            descriptor = os.open(self.path / file.path, flags)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
                raise FileChangedError(file.path) from error
            raise
        with open(descriptor, "rb", buffering=0) as source:
            _check_unchanged(file, os.fstat(descriptor))
            yield source
            _check_unchanged(file, os.fstat(descriptor))

    def remove(self, file: LocalFile) -> None:
        """Delete ``file`` if it is still as it was seen (else FileChangedError), and directories that this left empty.

        The four directories themselves stay.
        """
        target = self.path / file.path
        try:
            _check_unchanged(file, target.lstat())
            target.unlink()
        except FileNotFoundError as error:
            raise FileChangedError(file.path) from error
        for parent in Path(file.path).parents:
            if len(parent.parts) < 2:
                return
            try:
                (self.path / parent).rmdir()
            except OSError:
                return

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

    def _root(self, root: Root) -> Path:
        return self.path / root.value

    def _scan(self, directory: str) -> Iterator[LocalFile]:
        for entry in self._entries(directory):
            path = f"{directory}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from self._scan(path)
            elif entry.is_file(follow_symlinks=False):
                status = None
                with self._reading(directory):
                    status = entry.stat(follow_symlinks=False)
                if status is not None:
                    yield _seen(path, status)

    def _entries(self, directory: str) -> list[os.DirEntry[str]]:
        entries: list[os.DirEntry[str]] = []
        with self._reading(directory), os.scandir(self.path / directory) as listing:
            # "a/b" sorts after "a-b": a directory's place is that of its name with the slash.
            entries += sorted(listing, key=_sort_key)
        return entries

    @contextmanager
    def _reading(self, directory: str) -> Iterator[None]:
        """What is gone by now is passed over; any other failure is told."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            pass
        except PermissionError as error:
            raise AccessError(
                f"Could not read the directory {str(self.path / directory)!r}: permission denied. Give it to"
                " Synapse's user."
            ) from error
        except OSError as error:
            raise UnavailableError(
                f"Could not read the directory {str(self.path / directory)!r}: {error.strerror}. Check its disk."
            ) from error


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
    return LocalFile(path, status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev)


def _check_unchanged(file: LocalFile, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or _seen(file.path, status) != file:
        raise FileChangedError(file.path)
