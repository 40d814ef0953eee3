# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks on the media store: one run at a time, and in words what the system says where it gives none."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import (
    AccessError,
    UnavailableError,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import MediaStore


@pytest.fixture
def media(tmp_path: Path) -> MediaStore:
    return MediaStore(tmp_path)


def test_lock_excludes_another_run(media: MediaStore) -> None:
    other = MediaStore(media.path)

    with (
        media.lock(fcntl.LOCK_EX | fcntl.LOCK_NB),
        pytest.raises(BlockingIOError),
        other.lock(fcntl.LOCK_EX | fcntl.LOCK_NB),
    ):
        pass
    with other.lock(fcntl.LOCK_EX | fcntl.LOCK_NB):
        pass


def test_lock_file_excludes_another_run_and_goes_with_it(media: MediaStore) -> None:
    other = MediaStore(media.path)

    with media.lock_file("lock"):
        assert (media.path / "lock").exists()
        with pytest.raises(BlockingIOError), other.lock_file("lock"):
            pass
        with other.lock_file("another lock"):
            pass
    assert list(media.path.iterdir()) == []
    (media.path / "lock").touch()
    with other.lock_file("lock"):
        pass
    assert list(media.path.iterdir()) == []


NO_LOCKS = (
    "Its file system gives no lock, and without one no run begins: see its mount options (on NFS local_lock and the"
    " server's lock service), or run this on a host that has the disk itself."
)
TEST_NO_LOCK = [
    (errno.ENOLCK, UnavailableError, f"No locks available. {NO_LOCKS}"),
    (errno.EBADF, UnavailableError, f"Bad file descriptor. {NO_LOCKS}"),
    (errno.EOPNOTSUPP, UnavailableError, f"Operation not supported. {NO_LOCKS}"),
    (errno.EACCES, AccessError, "permission denied. Run this as root or as Synapse's user."),
    (
        errno.ESTALE,
        UnavailableError,
        "Stale file handle. The NFS server does not know it any more: mount it again.",
    ),
    (errno.EIO, UnavailableError, "Input/output error. Check its disk."),
]


@pytest.mark.parametrize(("number", "kind", "message"), TEST_NO_LOCK)
def test_lock_that_the_system_does_not_give(
    media: MediaStore, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception], message: str
) -> None:
    def failing(_descriptor: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", failing)
    open_files = len(list(Path("/proc/self/fd").iterdir()))

    with pytest.raises(kind) as caught, media.lock(fcntl.LOCK_EX | fcntl.LOCK_NB):
        pass
    assert str(caught.value) == f"Could not lock {str(media.path)!r}: {message}"
    with pytest.raises(kind) as caught, media.lock_file(".shard"):
        pass
    assert str(caught.value) == f"Could not lock {str(media.path / '.shard')!r}: {message}"
    with pytest.raises(kind):
        media.is_locked()
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "No space left on device. Free some."),
        (errno.ELOOP, "Too many levels of symbolic links. Check what is there, and its disk."),
        (errno.EISDIR, "Is a directory. Check what is there, and its disk."),
    ],
)
def test_lock_file_that_cannot_be_made(
    media: MediaStore, monkeypatch: pytest.MonkeyPatch, number: int, message: str
) -> None:
    if number == errno.ELOOP:
        (media.path / ".shard").symlink_to("elsewhere")
    elif number == errno.EISDIR:
        (media.path / ".shard").mkdir()
    else:

        def full(*_arguments: object) -> int:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "open", full)

    with pytest.raises(UnavailableError) as caught, media.lock_file(".shard"):
        pass
    assert str(caught.value) == f"Could not lock {str(media.path / '.shard')!r}: {message}"


def test_lock_file_that_cannot_be_removed_ends_no_run_with_a_failure(
    media: MediaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_path: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patched, media.lock_file(".shard"):
        patched.setattr(Path, "unlink", failing)
    assert [path.name for path in media.path.iterdir()] == [".shard"]
    with media.lock_file(".shard"):
        pass
    assert list(media.path.iterdir()) == []
