# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGINT, SIGTERM and SIGHUP: a clean stop between files, that ends soon also when the bucket does not answer."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from types import FrameType
from typing import TextIO

# After so many seconds the main thread is taken from whatever it waits for. A run gives its files less than that.
_STOP_SECONDS = 18.0


class StoppedHard(BaseException):
    """The main thread is taken from what it waits for: what it does is over."""


@dataclass
class Stop:
    """``event`` is set when the run is to stop, ``number`` is the signal's."""

    event: Event = field(default_factory=Event)
    number: int | None = None


@contextmanager
def clean_stop(stop: Stop, stderr: TextIO) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP ask for a clean stop; the same signal once more ends the program at once.

    Raises StoppedHard, in the main thread, when that takes too long.
    """

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.number = number
        stop.event.set()
        signal.signal(number, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, _STOP_SECONDS)
        # Not print(): the signal may have come in the middle of one.
        try:
            os.write(stderr.fileno(), b"Stopping after the files under way; once more to stop at once.\n")
        except (OSError, ValueError):
            # Nobody listens any more.
            return

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise StoppedHard

    asked = {signal.SIGINT: ask, signal.SIGTERM: ask, signal.SIGHUP: ask}
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        # nohup: it is to outlive its terminal.
        del asked[signal.SIGHUP]
    with handlers({**asked, signal.SIGALRM: give_up}):
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def stop_at_once(stop: Stop) -> Iterator[None]:
    """SIGINT and SIGTERM end what only looks: StoppedHard is raised in the main thread."""

    def end(number: int, _frame: FrameType | None) -> None:
        stop.number = number
        raise StoppedHard

    with handlers({signal.SIGINT: end, signal.SIGTERM: end}):
        yield


@contextmanager
def handlers(wanted: dict[signal.Signals, Callable[[int, FrameType | None], None] | signal.Handlers]) -> Iterator[None]:
    """Have these handlers for a while."""
    previous = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, earlier in previous.items():
            signal.signal(number, earlier)
