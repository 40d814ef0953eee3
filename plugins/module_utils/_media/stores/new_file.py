# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a file that is not there yet, so that a kill leaves all of it under its name, or nothing."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from .rename import rename_new

# What a file system says that can't sync a directory.
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EACCES, errno.EPERM})


class Attributes(NamedTuple):
    """What the file is to have beside its content, where the file system has such."""

    modified_ns: int
    mode: int
    uid: int
    gid: int


def write_new(path: Path, content: bytes | BinaryIO, size: int, attributes: Attributes) -> None:
    """Write all of ``content``, which has ``size`` bytes, to a file that is not there yet.

    Raises FileExistsError if it is, and OSError when it can't be written. It appears complete. When this is killed, a
    part may stay beside it, under a name that the next try replaces.
    """
    temporary = path.with_name(f".put-back-{hashlib.sha256(path.name.encode()).hexdigest()[:16]}")
    temporary.unlink(missing_ok=True)
    try:
        _write(temporary, content, size, attributes)
        if _take_name(temporary, path):
            return
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    # Mountpoint for S3: a file appears there when it is closed.
    _write(path, content, size, attributes)


def sync_directory(directory: Path) -> None:
    """See that the names in it outlast a power failure, where the file system can do that."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync_names(descriptor)
    finally:
        os.close(descriptor)


def sync_names(directory: int) -> None:
    """As `sync_directory`, of a directory that is open."""
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _write(path: Path, content: bytes | BinaryIO, size: int, attributes: Attributes) -> None:
    """Write a new file; nothing stays of one that can't be written."""
    target = path.open("xb")
    try:
        with target:
            _fill(target, content, size)
    except BaseException:
        path.unlink()
        raise
    # Not each file system has these, and the content is what counts. The mode comes last: it may take the right away.
    with suppress(OSError):
        os.utime(path, ns=(attributes.modified_ns, attributes.modified_ns))
    with suppress(OSError):
        os.chown(path, attributes.uid, attributes.gid)
    with suppress(OSError):
        path.chmod(attributes.mode)


def _take_name(temporary: Path, path: Path) -> bool:
    """Give a file its name, FileExistsError if there is one of that name; False where that can't be done."""
    try:
        # Unlike a rename, a link replaces nothing.
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links has its own word for that: ENOTSUP, EPERM, and EIO from rclone.
        try:
            rename_new(str(temporary), str(path))
        except FileExistsError:
            raise
        except OSError:
            return False
    return True


def _fill(target: BinaryIO, content: bytes | BinaryIO, size: int) -> None:
    if isinstance(content, bytes):
        target.write(content)
    else:
        content.seek(0)
        shutil.copyfileobj(content, target)
    target.flush()
    os.fsync(target.fileno())
    if target.tell() != size:
        raise OSError(errno.EIO, "what is at hand is not all of it")
