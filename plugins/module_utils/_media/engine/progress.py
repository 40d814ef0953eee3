# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress of long work: a bar on a terminal, a line every 30 seconds elsewhere; problems are named as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from threading import Event, Thread
from typing import TYPE_CHECKING, TextIO

from ..stores.stream import say
from .summary import Outcome, format_bytes

if TYPE_CHECKING:
    import tqdm

# Nothing is silent for longer.
_LINE_SECONDS = 30.0


@contextmanager
def waiting(stream: TextIO, what: str) -> Iterator[None]:
    """Say every 30 seconds that ``what``, such as "the bucket's first answer", is still waited for."""
    began = time.monotonic()

    def line() -> str:
        return f"Still waiting for {what} ({time.monotonic() - began:.0f} s)"

    with _every_so_often(stream, line):
        yield


@contextmanager
def telling(stream: TextIO, line: Callable[[], str]) -> Iterator[None]:
    """Say every 30 seconds how far the work is, in the words that ``line`` gives then."""
    with _every_so_often(stream, line):
        yield


@contextmanager
def progress(stream: TextIO, files: Callable[[], Iterable[object]]) -> Iterator[Callable[[Outcome], None]]:
    """Give a function that is told every outcome.

    ``files`` gives the files of the run; they are counted where a bar is drawn, beside the work, to tell the time left.
    """
    # The provider brings tqdm; a run from a checkout may be without.
    if stream.isatty() and find_spec("tqdm") is not None:
        with _bar(stream, files) as report:
            yield report
    else:
        with _lines(stream) as report:
            yield report


@contextmanager
def _bar(stream: TextIO, files: Callable[[], Iterable[object]]) -> Iterator[Callable[[Outcome], None]]:
    import tqdm

    ended = Event()
    with tqdm.tqdm(total=0, unit=" files", unit_scale=True, file=stream, dynamic_ncols=True) as shown:
        size = 0

        def report(outcome: Outcome) -> None:
            nonlocal size
            size += outcome.size
            if _is_told(outcome):
                shown.write(_line(outcome), file=stream)
            shown.set_postfix_str(_amount(size, shown.format_dict["elapsed"]), refresh=False)
            shown.update()

        counting = Thread(target=_count, args=(files, shown, ended), daemon=True)
        counting.start()
        try:
            yield report
        finally:
            ended.set()
            counting.join()


def _count(files: Callable[[], Iterable[object]], shown: tqdm.tqdm[object], ended: Event) -> None:
    """Tell the bar how many files there are, once that is known."""
    total = 0
    for _turn in files():
        total += 1
        if ended.is_set():
            return
    shown.total = total


@contextmanager
def _lines(stream: TextIO) -> Iterator[Callable[[Outcome], None]]:
    files, size, told = 0, 0, 0
    began = time.monotonic()

    def report(outcome: Outcome) -> None:
        nonlocal files, size
        files, size = files + 1, size + outcome.size
        if _is_told(outcome):
            say(stream, _line(outcome))

    def line() -> str:
        nonlocal told
        seconds = time.monotonic() - began
        so_far = f"{files:,} files, {_amount(size, seconds)}, {files / seconds:,.0f} files/s so far"
        stands_still, told = files == told, files
        return f"{so_far}; waiting for the bucket" if stands_still else so_far

    with _every_so_often(stream, line):
        yield report


@contextmanager
def _every_so_often(stream: TextIO, line: Callable[[], str]) -> Iterator[None]:
    ended = Event()

    def speak() -> None:
        while not ended.wait(_LINE_SECONDS):
            say(stream, line())

    speaker = Thread(target=speak, daemon=True)
    speaker.start()
    try:
        yield
    finally:
        ended.set()
        speaker.join()


def _is_told(outcome: Outcome) -> bool:
    return outcome.is_problem or outcome.is_told


def _amount(size: int, seconds: float) -> str:
    return f"{format_bytes(size)}, {format_bytes(size / max(seconds, 1e-9))}/s"


def _line(outcome: Outcome) -> str:
    return f"{outcome.path}: {outcome.reason}"
