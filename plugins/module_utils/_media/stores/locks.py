# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks on a directory and on a file of its own, which keep out a second run."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..rules.errors import MediaError
from .disk_errors import RUN_AS, in_words

# What the kernel says where a file system has no locks; EBADF: NFS gives none on what is open for reading only.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.EBADF, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_WITHOUT_LOCKS = (
    "Its file system gives no lock, and without one no run begins: see its mount options (on NFS local_lock and the"
    " server's lock service), or run this on a host that has the disk itself."
)
# How long to wait before another look, in seconds: much longer than who only looks holds the lock.
_PROBE_SECONDS = 0.1


@contextmanager
def lock(path: Path, operation: int) -> Iterator[int]:
    """Hold the lock on a directory; BlockingIOError when another run has it.

    ``operation`` is that of `fcntl.flock`. The lock is on the directory itself: it needs no file and no right to write,
    is seen from a container too, and ends with its process, or with the last child that inherits the descriptor, which
    is what this gives. Raises UnavailableError or AccessError where the system gives no lock for another reason.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _no_lock(path, error, RUN_AS) from error
    try:
        _flock(path, descriptor, operation)
        yield descriptor
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether another has a lock on a directory, as far as this host sees; holds nothing back.

    The lock is taken and given back at once: /proc/locks does not show, from a container, who runs outside. A run
    that begins in these microseconds tries again (engine/lock.py), and so does this, which may meet its like.
    """
    for wait in (_PROBE_SECONDS, 0):
        try:
            with lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
                return False
        except BlockingIOError:  # noqa: PERF203 (two times)
            time.sleep(wait)
    return True


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Hold the lock on a file, which is made for it; BlockingIOError when another run has it.

    The file is there as long as it is locked (after a run that was killed, until the next one ends). Raises
    UnavailableError or AccessError where the system gives no lock for another reason.
    """
    while True:
        descriptor = _open_lock_file(path)
        try:
            _flock(path, descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who had it before may have removed it in between: then this lock is on a file that is nowhere.
            if _is_at(path, descriptor):
                break
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    try:
        yield
    finally:
        with suppress(OSError):
            # A file that is left holds back nobody.
            path.unlink()
        os.close(descriptor)


def _open_lock_file(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if isinstance(error, PermissionError) and os.path.lexists(path):
            permission = (
                "It belongs to a run of another user: start all runs as the same one, and once none is under way,"
                " remove this file."
            )
        else:
            permission = RUN_AS
        otherwise = "Check what is there, and its disk."
        raise _no_lock(path, error, permission, otherwise) from error


def _flock(path: Path, descriptor: int, operation: int) -> None:
    """As `fcntl.flock`; BlockingIOError when another has the lock."""
    try:
        fcntl.flock(descriptor, operation)
    except BlockingIOError:
        raise
    except OSError as error:
        otherwise = _WITHOUT_LOCKS if error.errno in _NO_LOCKS else "Check its disk."
        raise _no_lock(path, error, RUN_AS, otherwise) from error


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the open file is what is at ``path``."""
    try:
        found, opened = path.lstat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _no_lock(path, error, RUN_AS) from error
    return (found.st_dev, found.st_ino) == (opened.st_dev, opened.st_ino)


def _no_lock(path: Path, error: OSError, permission: str, otherwise: str = "Check its disk.") -> MediaError:
    return in_words(f"Could not lock {str(path)!r}", error, permission, otherwise)
