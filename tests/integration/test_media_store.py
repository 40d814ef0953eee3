# SPDX-License-Identifier: GPL-3.0-or-later
"""The media store on real file systems, and under the eyes of another user than root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.lock import run_lock
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import (
    AccessError,
    MediaError,
    UnavailableError,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.shard import ALL, Shard
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.disk_errors import LocalFileError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import (
    MediaStore,
    PassedOver,
)

FILE = "remote_content/example.org/aa/bb/cc"
NOBODY = 65534
READ_ONLY = (
    "Read-only file system. Mount it writable (the volume of a container too). A disk with errors is made read-only by"
    " the kernel, whose log tells."
)


@pytest.fixture
def directory() -> Iterator[Path]:
    """A media store with one file, which every user can reach (pytest's own directories are root's alone)."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    (path / FILE).parent.mkdir(parents=True)
    (path / FILE).write_bytes(b"content")
    yield path
    shutil.rmtree(path)


@contextmanager
def mounted(*arguments: str | Path) -> Iterator[None]:
    """Mount something as long as the block runs; the last argument is where."""
    subprocess.run(["mount", *arguments], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", arguments[-1]], check=True)


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    with mounted("--bind", path, path):
        subprocess.run(["mount", "-o", "remount,bind,ro", path], check=True)
        yield


@contextmanager
def another_user() -> Iterator[None]:
    """Be a user without any rights of root's."""
    os.setresgid(NOBODY, NOBODY, 0)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)


def fail(error: MediaError) -> None:
    raise error


def test_lost_and_found_of_a_disk_at_remote_content(directory: Path) -> None:
    """Our own message recommends to mount one there; every night failed, for whoever could not read it."""
    content = (directory / FILE).read_bytes()
    root = directory / "remote_content"
    with mounted("-t", "tmpfs", "none", root):
        (directory / FILE).parent.mkdir(parents=True)
        (directory / FILE).write_bytes(content)
        (root / "lost+found").mkdir(mode=0o700)
        expected = [PassedOver("remote_content/lost+found", "a directory that Synapse does not make", False)]
        for user in (another_user, _root):
            passed_over: list[PassedOver] = []
            with user():
                media = MediaStore(directory, writable=False)
                assert [file.path for file in media.scan(fail, passed_over.append)] == [FILE]
            assert passed_over == expected


@contextmanager
def _root() -> Iterator[None]:
    yield


def test_directory_of_synapse_that_may_not_be_read(directory: Path) -> None:
    (directory / FILE).parent.chmod(0o700)
    errors: list[str] = []

    with another_user():
        assert list(MediaStore(directory, writable=False).scan(lambda error: errors.append(str(error)))) == []

    assert errors == [
        f"Could not read the directory {str((directory / FILE).parent)!r}: permission denied."
        " Give it to Synapse's user."
    ]


@pytest.mark.parametrize("place", ["", "remote_content"])
def test_read_only_file_system_is_no_matter_of_rights(directory: Path, place: str) -> None:
    """It was called "permission denied. Run this as root", to root."""
    with read_only(directory / place), pytest.raises(UnavailableError) as caught:
        MediaStore(directory)

    assert str(caught.value) == f"Could not write to {str(directory / place)!r}: {READ_ONLY}"


def test_who_only_looks_needs_no_right_to_write(directory: Path) -> None:
    with read_only(directory):
        assert [file.path for file in MediaStore(directory, writable=False).scan(fail)] == [FILE]
    with another_user():
        assert [file.path for file in MediaStore(directory, writable=False).scan(fail)] == [FILE]
        with pytest.raises(AccessError) as caught:
            MediaStore(directory)
    assert str(caught.value) == (
        f"Could not open the media store {str(directory)!r}: permission denied. Run this as root or as Synapse's user."
    )


def test_file_system_that_becomes_read_only_during_a_run(directory: Path) -> None:
    media = MediaStore(directory)
    with read_only(directory):
        file = next(media.scan(fail))
        with pytest.raises(LocalFileError) as caught:
            media.remove(file)
    assert str(caught.value) == f"Could not remove the local file: {READ_ONLY}"
    assert caught.value.concerns_all


def test_empty_directory_on_a_read_only_file_system(directory: Path) -> None:
    media = MediaStore(directory)
    (directory / "local_content" / "aa").mkdir(parents=True)
    with read_only(directory), pytest.raises(UnavailableError) as caught:
        media.remove_empty("local_content/aa", 2**62)
    empty = directory / "local_content" / "aa"
    assert str(caught.value) == f"Could not remove the empty directory {str(empty)!r}: {READ_ONLY}"


def test_empty_mount_point_stays(directory: Path) -> None:
    media = MediaStore(directory)
    place = directory / "remote_content" / "disk.example.org"
    place.mkdir()
    with mounted("-t", "tmpfs", "none", place):
        assert not media.remove_empty("remote_content/disk.example.org", 2**62)
        assert place.is_dir()


def test_disk_that_is_unmounted_during_a_run(directory: Path) -> None:
    """Each of its directories is "gone by now", and the run ended with "All done"."""
    errors: list[str] = []
    with mounted("-t", "tmpfs", "none", directory / "remote_content"):
        for name in ("aa", "bb"):
            path = directory / "remote_content" / "example.org" / name / "cc" / "file"
            path.parent.mkdir(parents=True)
            path.write_bytes(b"content")
        files = MediaStore(directory).scan(lambda error: errors.append(str(error)))
        assert next(files).path == "remote_content/example.org/aa/cc/file"
    list(files)
    assert errors == [
        f"Could not read the directory {str(directory / 'remote_content')!r} to its end: it is no longer the one that"
        " it was. Check that its disk is mounted."
    ]


def locked(media: MediaStore, shard: Shard = ALL) -> AbstractContextManager[int]:
    return run_lock(media, wait=True, stop=Event(), shard=shard)


def test_read_only_file_system_can_be_locked_to_look(directory: Path) -> None:
    """A dry run takes the lock, and needs no right to write for it; a shard's is a file."""
    with read_only(directory):
        media = MediaStore(directory, writable=False)
        assert not media.is_locked()
        with locked(media):
            assert media.is_locked()
        with pytest.raises(UnavailableError) as caught, locked(media, Shard(1, 2)):
            pass
    lock = directory / ".shard-1-of-2.lock"
    assert str(caught.value) == f"Could not lock {str(lock)!r}: {READ_ONLY}"


def test_lock_file_of_another_user(directory: Path) -> None:
    """A run as root was killed, and the next one is Synapse's user's."""
    lock = directory / ".shard-1-of-2.lock"
    lock.touch(mode=0o600)
    directory.chmod(0o777)
    with another_user(), pytest.raises(AccessError) as caught, locked(MediaStore(directory), Shard(1, 2)):
        pass
    assert str(caught.value) == (
        f"Could not lock {str(lock)!r}: permission denied. It belongs to a run of another user: start all runs as the"
        " same one, and once none is under way, remove this file."
    )


def test_lock_file_where_none_may_be_made(directory: Path) -> None:
    lock = directory / ".shard-1-of-2.lock"
    media = MediaStore(directory, writable=False)
    with another_user(), pytest.raises(AccessError) as caught, locked(media, Shard(1, 2)):
        pass
    assert str(caught.value) == (
        f"Could not lock {str(lock)!r}: permission denied. Run this as root or as Synapse's user."
    )


def test_run_of_another_process_is_seen(directory: Path) -> None:
    with subprocess.Popen(["flock", directory, "sh", "-c", "echo locked; read line"], stdin=-1, stdout=-1) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"locked\n"
        assert MediaStore(directory, writable=False).is_locked()
        with another_user():
            assert MediaStore(directory, writable=False).is_locked()
        run.communicate(b"\n")
    assert not MediaStore(directory, writable=False).is_locked()
