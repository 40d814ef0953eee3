# SPDX-License-Identifier: GPL-3.0-or-later
"""On other mounts: tests/integration/test_restore_disk.py."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import UnavailableError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores import arrivals as module
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.arrivals import (
    Arrivals,
    DiskFullError,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.disk_errors import LocalFileError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import (
    LocalFile,
    MediaStore,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.rename import rename_exchange

PATH = "local_content/aa/bb/cc"
THEN_NS = 1_700_000_000 * 10**9


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "media"
    path.mkdir()
    path.chmod(0o2750)
    return path


@pytest.fixture
def arrivals(root: Path) -> Iterator[Arrivals]:
    with closing(Arrivals(MediaStore(root))) as arrivals:
        yield arrivals


def bring(arrivals: Arrivals, content: bytes, path: str = PATH) -> None:
    with arrivals.new(path) as arrival:
        arrival.write(content[:3])
        arrival.write(content[3:])
        arrival.take_name(THEN_NS)


def leave(place: Path) -> None:
    """What a run that is killed may leave."""
    (place / f"{'0' * 32}.tree" / "bb").mkdir(parents=True)
    (place / f"{'0' * 32}.tree" / "bb" / "cc").touch()
    (place / ("1" * 32)).write_bytes(b"half")
    (place / "trial").touch()
    (place / f"trial-{'2' * 16}").touch()


def aside(root: Path) -> list[str]:
    return sorted(path.name for path in (root / ".restore").iterdir())


def seen(root: Path, path: str = PATH) -> LocalFile:
    status = (root / path).lstat()
    return LocalFile(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


def test_a_file_appears_complete_with_the_media_stores_owner_and_mode(root: Path, arrivals: Arrivals) -> None:
    os.chown(root, 12345, 23456)
    root.chmod(0o2750)
    arrivals = Arrivals(MediaStore(root))

    bring(arrivals, b"content")

    file, directory = (root / PATH).stat(), (root / PATH).parent.stat()
    assert (root / PATH).read_bytes() == b"content"
    assert (file.st_uid, file.st_gid, stat.S_IMODE(file.st_mode)) == (12345, 23456, 0o640)
    assert (directory.st_uid, directory.st_gid, stat.S_IMODE(directory.st_mode)) == (12345, 23456, 0o2750)
    assert (file.st_mtime_ns, file.st_nlink) == (THEN_NS, 1)


def test_the_directory_of_an_earlier_file_is_gone(root: Path, arrivals: Arrivals) -> None:
    """As where Synapse deletes the media of that file meanwhile, with its thumbnails' directory."""
    thumbnails = "local_thumbnails/aa/bb/cc"
    bring(arrivals, b"first", f"{thumbnails}/1")
    shutil.rmtree(root / thumbnails)
    bring(arrivals, b"second", f"{thumbnails}/2")
    (root / thumbnails / "2").unlink()
    (root / thumbnails).rmdir()
    (root / thumbnails).mkdir()
    bring(arrivals, b"third", f"{thumbnails}/3")

    assert {path.name: path.read_bytes() for path in (root / thumbnails).iterdir()} == {"3": b"third"}


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_owner_and_mode_are_right_whatever_a_new_file_has(root: Path, mask: int) -> None:
    """With the usual mask a new file has them at once; with a stricter one it is given them."""
    root.chmod(0o755)
    before = os.umask(mask)
    try:
        with closing(Arrivals(MediaStore(root))) as arrivals:
            bring(arrivals, b"content")
    finally:
        os.umask(before)
    assert stat.S_IMODE((root / PATH).stat().st_mode) == 0o644
    assert stat.S_IMODE((root / PATH).parent.stat().st_mode) == 0o755


def test_nothing_of_the_program_is_left(root: Path, arrivals: Arrivals) -> None:
    bring(arrivals, b"content")
    assert (root / ".restore").stat().st_mode & 0o777 == 0o700
    assert aside(root) == []

    arrivals.close()

    assert [path.name for path in root.iterdir()] == ["local_content"]


def test_until_it_has_its_name_nothing_is_there(root: Path, arrivals: Arrivals) -> None:
    with arrivals.new(PATH) as arrival:
        arrival.write(b"content")
        assert [path.name for path in root.iterdir()] == [".restore"]
        assert len(aside(root)) == 1

    assert aside(root) == []
    assert not (root / "local_content").exists()


@pytest.mark.parametrize("links", [True, False], ids=["with links", "without links"])
def test_what_is_there_is_never_replaced(
    root: Path, arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        refuse(monkeypatch, "link", errno.EPERM)
    bring(arrivals, b"content")
    (root / PATH).with_name("directory").mkdir()
    (root / PATH).with_name("link").symlink_to("nowhere")
    for other in ("local_content/aa/bb/directory", "local_content/aa/bb/link"):
        with pytest.raises(FileExistsError):
            bring(arrivals, b"content", other)

    with pytest.raises(FileExistsError):
        bring(arrivals, b"other")
    assert (root / PATH).read_bytes() == b"content"
    assert aside(root) == []


def test_leftovers_of_a_killed_run_go(root: Path) -> None:
    for directory in (root, root / "remote_content"):
        leave(directory / ".restore")

    with closing(Arrivals(MediaStore(root))) as arrivals:
        arrivals.clear()

    assert [path.name for path in root.rglob("*")] == ["remote_content"]


def test_what_somebody_else_has_put_there_stays(root: Path) -> None:
    """Also what has nearly a name of ours, and what is of another kind."""
    place = root / ".restore"
    leave(place)
    others = ["backup.tar", "4567.tree", "a" * 31, "A" * 32, "trial-1", "trials", f"{'b' * 32}.tree"]
    for name in others:
        (place / name).write_bytes(b"precious")
    (place / ("c" * 32) / "directory").mkdir(parents=True)

    with closing(Arrivals(MediaStore(root))) as arrivals:
        arrivals.clear()
        bring(arrivals, b"content")

    assert aside(root) == sorted([*others, "c" * 32])
    assert (root / PATH).read_bytes() == b"content"


def test_nothing_is_written_through_a_link(root: Path, tmp_path: Path, arrivals: Arrivals) -> None:
    """Whoever can write to the media store, or has moved a part of it, would get our files elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / "local_content").mkdir()
    (root / "local_content" / "aa").symlink_to(elsewhere)
    message = (
        "Could not write the local file: a symbolic link, or a file, is where its directory should be. Nothing is"
        " written through a link: mount the other disk there instead."
    )

    with pytest.raises(LocalFileError) as failure:
        bring(arrivals, b"content")

    assert str(failure.value) == message
    assert list(elsewhere.iterdir()) == []


def test_a_link_in_place_of_the_directory_of_ours(root: Path, tmp_path: Path, arrivals: Arrivals) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    (root / ".restore").symlink_to(elsewhere)

    with pytest.raises(LocalFileError):
        bring(arrivals, b"content")
    with pytest.raises(LocalFileError):
        arrivals.clear()

    assert [path.name for path in elsewhere.iterdir()] == ["precious"]


@pytest.mark.parametrize("links", [True, False], ids=["with links", "without links"])
def test_what_is_replaced_is_kept(root: Path, arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    bring(arrivals, b"damaged")
    if not links:
        refuse(monkeypatch, "link", errno.ENOTSUP)
    for content in (b"good", b"better"):
        with arrivals.new(PATH) as arrival:
            arrival.write(content)
            assert arrival.replace(seen(root), THEN_NS)

    kept = root / ".restore-damaged" / PATH
    assert (root / PATH).read_bytes() == b"better"
    assert (kept.read_bytes(), kept.with_name("cc.1").read_bytes()) == (b"damaged", b"good")
    assert arrivals.kept == 2
    assert aside(root) == []


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"newer"), Path.unlink], ids=["changed", "gone"])
def test_what_is_not_as_it_was_seen_is_not_replaced(
    root: Path, arrivals: Arrivals, change: Callable[[Path], object]
) -> None:
    bring(arrivals, b"damaged")
    before = seen(root)
    change(root / PATH)
    left = {path: path.read_bytes() for path in root.rglob("cc")}

    with arrivals.new(PATH) as arrival:
        arrival.write(b"good")
        assert not arrival.replace(before, THEN_NS)

    assert {path: path.read_bytes() for path in root.rglob("cc")} == left
    assert arrivals.kept == 0


def test_what_synapse_puts_there_just_then_is_not_replaced(
    root: Path, arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(arrivals, b"damaged")
    before = seen(root)
    exchange = rename_exchange
    news = [b"Synapse's"]

    def late(*arguments: Any) -> None:
        if news:
            (root / PATH).unlink()
            (root / PATH).write_bytes(news.pop())
        exchange(*arguments)

    monkeypatch.setattr(module, "rename_exchange", late)
    with arrivals.new(PATH) as arrival:
        arrival.write(b"good")
        assert not arrival.replace(before, THEN_NS)

    assert (root / PATH).read_bytes() == b"Synapse's"
    assert [path for path in (root / ".restore-damaged").rglob("*") if path.is_file()] == []
    assert (aside(root), arrivals.kept) == ([], 0)


@pytest.mark.parametrize("use", ["take_name", "replace"])
def test_a_file_system_on_which_a_file_could_be_lost(
    root: Path, arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    """As a mount of rclone's: no hard links, and no other rename than one that replaces."""

    def not_supported(*_arguments: Any) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    bring(arrivals, b"damaged", "local_content/aa/bb/dd")
    if use == "replace":
        bring(arrivals, b"damaged")
    refuse(monkeypatch, "link", errno.EIO)
    for name in ("rename_new", "rename_exchange"):
        monkeypatch.setattr(module, name, not_supported)

    with arrivals.new(PATH) as arrival:
        arrival.write(b"good")
        arguments = (seen(root), THEN_NS) if use == "replace" else (THEN_NS,)
        with pytest.raises(LocalFileError) as failure:
            getattr(arrival, use)(*arguments)

    assert str(failure.value) == (
        "Could not repair the local file: its file system can't exchange two files in one step (renameat2). Move the"
        " damaged file out of the media store, and run this without --repair."
        if use == "replace"
        else "Could not restore the file: its file system has neither hard links nor a rename that replaces nothing"
        " (renameat2), so that a file of Synapse's could be lost. Restore to a directory on a disk of this host."
    )
    assert aside(root) == []
    assert (root / PATH).exists() == (use == "replace")


def test_after_the_end_nothing_gets_a_name(root: Path, arrivals: Arrivals) -> None:
    """A thread that hung at the bucket comes back when the run is over, and its lock is gone."""
    with arrivals.new(PATH) as arrival:
        arrival.write(b"content")
        arrivals.close()
        with pytest.raises(LocalFileError):
            arrival.take_name(THEN_NS)

    assert not (root / PATH).exists()
    with pytest.raises(LocalFileError):
        bring(arrivals, b"content")


@pytest.mark.parametrize("call", ["write", "fsync", "link", "mkdir"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk(root: Path, arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    refuse(monkeypatch, call, number)

    with pytest.raises(DiskFullError) as failure:
        bring(arrivals, b"content")

    assert str(failure.value) == (
        f"Could not write any more: {os.strerror(number)}. Free some space (and inodes: df -i), and run this again:"
        " what was restored stays."
    )
    assert failure.value.exit_status == 1
    assert not (root / PATH).exists()


def test_names_are_synced_for_many_at_once(arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(module, "sync_file_system", synced.append)
    monkeypatch.setattr(module, "_UNSYNCED", 3)

    for number in range(4):
        bring(arrivals, b"content", f"{PATH}{number}")
    assert len(synced) == 1
    arrivals.sync()
    assert len(synced) == 2


def test_names_that_can_not_be_synced_are_told(arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(arrivals, b"content")

    def fails(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    arrivals.sync()
    monkeypatch.setattr(module, "sync_file_system", fails)
    with pytest.raises(LocalFileError) as failure:
        arrivals.sync()

    assert str(failure.value) == "Could not write the local file: Input/output error. Check its disk."


@pytest.mark.parametrize("directory", ["", "local_content"])
def test_a_disk_that_is_no_longer_there(root: Path, directory: str) -> None:
    """As after a lazy unmount: what is open stays, and files would arrive where nobody finds them."""
    (root / "local_content").mkdir()
    with closing(Arrivals(MediaStore(root))) as arrivals:
        bring(arrivals, b"first")
        arrivals.sync()
        place = root / directory
        place.rename(root.parent / "elsewhere")
        place.mkdir()
        bring(arrivals, b"second", "local_content/aa/bb/dd")

        with pytest.raises(UnavailableError) as failure:
            arrivals.sync()

    assert str(failure.value) == (
        f"Could not see that what was restored is in its place: '{place}' is no longer the directory that it was. Check"
        " that its disk is mounted, and run this again."
    )


def test_failing_disk(root: Path, arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "fsync", errno.EIO)

    with pytest.raises(LocalFileError) as failure:
        bring(arrivals, b"content")

    assert str(failure.value) == "Could not write the local file: Input/output error. Check its disk."
    assert not failure.value.concerns_all
    assert not (root / PATH).exists()


@pytest.mark.parametrize("links", [True, False], ids=["with links", "without links"])
@pytest.mark.parametrize("filled", [True, False], ids=["with a file", "empty"])
def test_a_directory_that_synapse_makes_at_the_same_time(
    root: Path, arrivals: Arrivals, monkeypatch: pytest.MonkeyPatch, links: bool, filled: bool
) -> None:
    rename = os.rename
    synapses = root / "local_content" / "aa" / "synapses"
    if not links:
        refuse(monkeypatch, "link", errno.EPERM)

    def late(source: str, target: str, **where: int) -> None:
        if source.endswith(".tree"):
            synapses.parent.mkdir(parents=True, exist_ok=True)
            if filled:
                synapses.touch()
        rename(source, target, **where)

    monkeypatch.setattr(os, "rename", late)

    bring(arrivals, b"content")

    assert (root / PATH).read_bytes() == b"content"
    assert synapses.exists() == filled
    assert aside(root) == []


def test_many_threads_make_the_same_directories(root: Path, arrivals: Arrivals) -> None:
    paths = [f"local_content/{number // 50}a/{number // 10 % 5}b/{number}" for number in range(200)]

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda path: bring(arrivals, path.encode(), path), paths))

    assert {path: (root / path).read_bytes() for path in paths} == {path: path.encode() for path in paths}
    assert aside(root) == []


def refuse(monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    def refused(*_arguments: object, **_named: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refused)
