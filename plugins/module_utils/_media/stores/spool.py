# SPDX-License-Identifier: GPL-3.0-or-later
"""Room for content on its way from one bucket to another: small content in memory, larger in temporary files."""

from __future__ import annotations

import errno
import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import BoundedSemaphore, Lock
from typing import BinaryIO, TypeVar

from ..rules.content import Content, Reader, content_of, read_content
from ..rules.errors import MediaError
from .temporary import not_kept

Result = TypeVar("Result")

# Content up to this size, in bytes, is held in memory: with 128 files under way 128 MiB at the most.
HELD = 1024 * 1024
# So many larger files are under way at once: a few fill any line, and no more have to fit into the directory.
AT_ONCE = 8
_WAIT_SECONDS = 0.5


class NoRoomError(MediaError):
    """There is no room for this content, even for it alone."""


class StoppedError(Exception):
    """The run is to stop: what waits for room is not begun."""


class OverlongError(Exception):
    """The content goes on after its end."""


class Spool:
    """Room that all threads of a run share. ``stopped``: whether the run is to stop.

    The temporary files have no names: nothing of them outlasts the process, however it ends.
    """

    def __init__(self, stopped: Callable[[], bool], at_once: int = AT_ONCE) -> None:
        self._stopped = stopped
        self._at_once = at_once
        self._turns = BoundedSemaphore(at_once)
        self._alone = Lock()
        self._too_large = float("inf")
        # Why there was no room for some content, even alone; '' while there was for all.
        self.refusal = ""

    def use(self, size: int, work: Callable[[Room], Result]) -> Result:
        """Call ``work`` with room for ``size`` bytes, and return what it returns.

        Where the room is not enough beside that of others, it is called a second time, when it has all to itself.
        Raises `NoRoomError` when even that is not enough, and `StoppedError`.
        """
        if size <= HELD:
            return work(Room(size, None))
        if size >= self._too_large:
            raise NoRoomError(self.refusal)
        try:
            with self._turn(), _temporary() as file:
                return work(Room(size, file))
        except NoRoomError:
            # Others have some of it, and will give it back.
            pass
        with self._waited_for(self._alone):
            taken = 0
            try:
                while taken < self._at_once:
                    self._take(self._turns)
                    taken += 1
                with _temporary() as file:
                    return work(Room(size, file))
            except NoRoomError as error:
                # In this run: nobody is to fetch the next one only to find that out again.
                self.refusal, self._too_large = str(error), min(self._too_large, size)
                raise
            finally:
                for _turn in range(taken):
                    self._turns.release()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with self._waited_for(self._turns):
            yield

    @contextmanager
    def _waited_for(self, lock: Lock | BoundedSemaphore) -> Iterator[None]:
        self._take(lock)
        try:
            yield
        finally:
            lock.release()

    def _take(self, lock: Lock | BoundedSemaphore) -> None:
        while not lock.acquire(timeout=_WAIT_SECONDS):
            if self._stopped():
                raise StoppedError


class Room:
    """Room for the content of one file. ``size``: of how many bytes it is to be."""

    def __init__(self, size: int, file: BinaryIO | None) -> None:
        self._size = size
        self._file = file

    def fill(self, body: Reader) -> tuple[BinaryIO, Content]:
        """Take all of ``body``: what it was, and a source that gives it again from its start.

        Raises `OverlongError` when it is more than it is to be, and what ``body`` raises.
        """
        if self._file is None:
            chunks, missing = [], self._size + 1
            while missing and (chunk := body.read(missing)):
                chunks.append(chunk)
                missing -= len(chunk)
            if not missing:
                raise OverlongError
            data = b"".join(chunks)
            return io.BytesIO(data), content_of(data)
        content = read_content(_Kept(body, self._file, self._size))
        with _failure_in_words():
            self._file.flush()
            self._file.seek(0)
        return self._file, content


class _Kept:
    """A body, all that is read of which is written to a file too."""

    def __init__(self, body: Reader, file: BinaryIO, size: int) -> None:
        self._body = body
        self._file = file
        self._missing = size

    def read(self, size: int, /) -> bytes:
        chunk = self._body.read(size)
        self._missing -= len(chunk)
        if self._missing < 0:
            raise OverlongError
        with _failure_in_words():
            self._file.write(chunk)
        return chunk


@contextmanager
def _temporary() -> Iterator[BinaryIO]:
    with _failure_in_words():
        file = tempfile.TemporaryFile()  # noqa: SIM115 (closed below, where that may fail)
    try:
        yield file
    finally:
        # What is still to be written of a file that found no room is of no use.
        with suppress(OSError):
            file.close()


@contextmanager
def _failure_in_words() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        cause = "no room is left" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
        raise NoRoomError(not_kept("a large object", cause)) from error
