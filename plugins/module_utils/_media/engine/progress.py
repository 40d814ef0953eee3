# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress of long work: a bar on a terminal, a line a minute elsewhere; problems are named as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from threading import Event, Thread
from typing import TYPE_CHECKING, TextIO

from .summary import PROBLEMS, Outcome, format_bytes

if TYPE_CHECKING:
    import tqdm

_LINE_SECONDS = 60.0


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
        yield _lines(stream)


@contextmanager
def _bar(stream: TextIO, files: Callable[[], Iterable[object]]) -> Iterator[Callable[[Outcome], None]]:
    import tqdm

    ended = Event()
    with tqdm.tqdm(total=0, unit=" files", unit_scale=True, file=stream, dynamic_ncols=True) as bar:
        size = 0

        def report(outcome: Outcome) -> None:
            nonlocal size
            size += outcome.size
            if outcome.steps & PROBLEMS:
                bar.write(_problem(outcome), file=stream)
            bar.set_postfix_str(_amount(size, bar.format_dict["elapsed"]), refresh=False)
            bar.update()

        counting = Thread(target=_count, args=(files, bar, ended))
        counting.start()
        try:
            yield report
        finally:
            ended.set()
            counting.join()


def _count(files: Callable[[], Iterable[object]], bar: tqdm.tqdm[object], ended: Event) -> None:
    """Tell the bar how many files there are, once that is known."""
    total = 0
    for _ in files():
        total += 1
        if ended.is_set():
            return
    bar.total = total


def _lines(stream: TextIO) -> Callable[[Outcome], None]:
    files, size = 0, 0
    began = time.monotonic()
    next_line = began + _LINE_SECONDS

    def report(outcome: Outcome) -> None:
        nonlocal files, size, next_line
        files, size = files + 1, size + outcome.size
        if outcome.steps & PROBLEMS:
            print(_problem(outcome), file=stream, flush=True)
        now = time.monotonic()
        if now >= next_line:
            rate = files / (now - began)
            print(f"{files:,} files, {_amount(size, now - began)}, {rate:,.0f} files/s so far", file=stream, flush=True)
            next_line = now + _LINE_SECONDS

    return report


def _amount(size: int, seconds: float) -> str:
    return f"{format_bytes(size)}, {format_bytes(size / max(seconds, 1e-9))}/s"


def _problem(outcome: Outcome) -> str:
    return f"{outcome.path}: {outcome.reason}"
