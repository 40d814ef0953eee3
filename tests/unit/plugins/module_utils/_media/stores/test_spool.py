# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import io
import os
import tempfile
from pathlib import Path
from threading import Event, Thread
from typing import IO

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.content import (
    PART_SIZE,
    Content,
    read_content,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.spool import (
    HELD,
    NoRoomError,
    OverlongError,
    Room,
    Spool,
    StoppedError,
)


def taken(data: bytes, size: int | None = None) -> tuple[bytes, Content]:
    def work(room: Room) -> tuple[bytes, Content]:
        source, content = room.fill(io.BytesIO(data))
        return source.read(), content

    return Spool(lambda: False).use(len(data) if size is None else size, work)


@pytest.mark.parametrize("size", [0, 1, HELD, HELD + 1, PART_SIZE + 1])
def test_what_goes_in_comes_out(size: int) -> None:
    data = os.urandom(size)
    assert taken(data) == (data, read_content(io.BytesIO(data)))


@pytest.mark.parametrize("size", [0, HELD, HELD + 1])
def test_more_than_was_said_is_not_taken(size: int) -> None:
    with pytest.raises(OverlongError):
        taken(b"x" * (size + 1), size)


def test_nothing_of_it_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def work(room: Room) -> list[Path]:
        room.fill(io.BytesIO(b"x" * (HELD + 1)))
        return list(tmp_path.iterdir())

    assert Spool(lambda: False).use(HELD + 1, work) == []


class Full:
    """A file on a disk that is full while ``is_full``."""

    def __init__(self, file: IO[bytes], is_full: Event) -> None:
        self._file, self._is_full = file, is_full

    def write(self, data: bytes) -> int:
        if self._is_full.is_set():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def fill_disk(monkeypatch: pytest.MonkeyPatch, directory: Path) -> Event:
    full, make = Event(), tempfile.TemporaryFile
    full.set()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: Full(make(), full))
    return full


def test_full_disk_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk(monkeypatch, tmp_path)
    spool, tries = Spool(lambda: False), list[int]()

    def work(room: Room) -> None:
        tries.append(1)
        room.fill(io.BytesIO(b"x" * (HELD + 2)))

    for _turn in range(3):
        with pytest.raises(NoRoomError) as raised:
            spool.use(HELD + 2, work)
    message = (
        f"Could not keep a large object in a temporary file in {str(tmp_path)!r}: no room is left. Make room there, or"
        " name another directory in the environment variable TMPDIR."
    )
    assert [str(raised.value), spool.refusal] == [message, message]
    # Beside others and alone; then nobody fetches as large a one again, but for a smaller one there may be room.
    assert len(tries) == 2
    with pytest.raises(NoRoomError):
        spool.use(HELD + 1, work)
    assert len(tries) == 4


def test_what_finds_no_room_beside_others_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = fill_disk(monkeypatch, tmp_path)
    full.clear()
    spool, has_begun, may_end = Spool(lambda: False, at_once=2), Event(), Event()

    def hold(room: Room) -> None:
        room.fill(io.BytesIO(b"x" * (HELD + 1)))
        full.set()
        has_begun.set()
        may_end.wait(10)
        full.clear()

    other = Thread(target=spool.use, args=(HELD + 1, hold))
    other.start()
    has_begun.wait(10)
    tries = []

    def work(room: Room) -> int:
        tries.append(1)
        may_end.set()
        return room.fill(io.BytesIO(b"x" * (HELD + 1)))[1].size

    assert spool.use(HELD + 1, work) == HELD + 1
    assert (len(tries), spool.refusal) == (2, "")
    other.join()


def test_stop_ends_the_wait_for_room() -> None:
    stop, has_begun, may_end = Event(), Event(), Event()
    spool = Spool(stop.is_set, at_once=1)

    def hold(_room: Room) -> None:
        has_begun.set()
        may_end.wait(10)

    other = Thread(target=spool.use, args=(HELD + 1, hold))
    other.start()
    has_begun.wait(10)
    stop.set()

    with pytest.raises(StoppedError):
        spool.use(HELD + 1, hold)
    may_end.set()
    other.join()
