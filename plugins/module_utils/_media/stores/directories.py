# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories that are open, and what is in them by its name: so no path is followed through a link meanwhile."""

from __future__ import annotations

import ctypes
import os
from contextlib import ExitStack, suppress

# How one is opened: itself, never what a link leads to.
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def hold_open(name: str, held: ExitStack, directory: int | None = None, flags: int = DIRECTORY) -> int:
    """Open a directory, by its name in another one that is open, until ``held`` ends."""
    descriptor = os.open(name, flags, dir_fd=directory)
    held.callback(os.close, descriptor)
    return descriptor


def mount_of(descriptor: int) -> tuple[int, bytes]:
    """The device of what is open, and the number of its mount (proc_pid_fdinfo(5)): no link leads to another."""
    # Asked for each directory that files come into: Python's own way to read a file takes five times as long.
    about = os.open(f"/proc/self/fdinfo/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        lines = os.read(about, 1024).split(b"\n")
    finally:
        os.close(about)
    return os.fstat(descriptor).st_dev, next((line for line in lines if line.startswith(b"mnt_id:")), b"")


def sync_file_system(descriptor: int) -> None:
    """See that all that was written to a file system outlasts a power failure (syncfs(2), which Python has not)."""
    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError):
        os.sync()
        return
    if syncfs(descriptor):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def open_if_there(name: str, directory: int, held: ExitStack) -> int | None:
    try:
        return hold_open(name, held, directory)
    except FileNotFoundError:
        return None


def names_in(directory: int) -> set[str]:
    return set(os.listdir(directory))


def remove_tree(name: str, directory: int) -> None:
    """Remove a directory of ours with what is in it: directories, and in the last one a file."""
    with ExitStack() as held:
        tree = hold_open(name, held, directory)
        for each in names_in(tree):
            try:
                os.unlink(each, dir_fd=tree)
            except (IsADirectoryError, PermissionError):  # noqa: PERF203 (POSIX has it EPERM)
                remove_tree(each, tree)
    os.rmdir(name, dir_fd=directory)


def unlink_quietly(name: str, directory: int) -> None:
    with suppress(OSError):
        os.unlink(name, dir_fd=directory)


def is_there_in(name: str, directory: int) -> bool:
    try:
        os.lstat(name, dir_fd=directory)
    except FileNotFoundError:
        return False
    return True
