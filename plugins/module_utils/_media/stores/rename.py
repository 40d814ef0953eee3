# SPDX-License-Identifier: GPL-3.0-or-later
"""Renames that lose nothing: os.rename takes the place of what another program has put there just then."""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache
from typing import Any

# linux/fcntl.h, linux/fs.h
_AT_FDCWD = -100
_NOREPLACE = 1
_EXCHANGE = 2
# What is said where there is no such rename.
NOT_SUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP})


def rename_new(source: str, target: str, source_directory: int = _AT_FDCWD, target_directory: int = _AT_FDCWD) -> None:
    """Give ``source`` the name ``target``; paths are relative to the directories, which are open.

    Raises FileExistsError when there is something of that name, and OSError with one of `NOT_SUPPORTED` where the C
    library or the file system has no such rename (renameat2, see its manual page).
    """
    _rename(source, target, source_directory, target_directory, _NOREPLACE)


def rename_exchange(one: str, other: str, one_directory: int, other_directory: int) -> None:
    """Let two files change places in one step. Raises FileNotFoundError, and OSError as `rename_new`."""
    _rename(one, other, one_directory, other_directory, _EXCHANGE)


def _rename(source: str, target: str, source_directory: int, target_directory: int, flags: int) -> None:
    call = _renameat2()
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if call(source_directory, os.fsencode(source), target_directory, os.fsencode(target), flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@cache
def _renameat2() -> Any:
    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
