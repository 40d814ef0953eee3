# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress of long work: a bar on a terminal, a line a minute elsewhere; problems are named as they come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TextIO

from ..rules.errors import MediaError
from ..stores.media_store import MediaStore
from .summary import PROBLEMS, Outcome, format_bytes

_LINE_SECONDS = 60.0


@contextmanager
def progress(stream: TextIO, media: MediaStore) -> Iterator[Callable[[Outcome], None]]:
    """Give a function that is told every outcome of a run on ``media``; its files are counted where a bar is drawn."""
    # The provider brings tqdm; a run from a checkout may be without.
    if stream.isatty() and find_spec("tqdm") is not None:
        with _bar(stream, _count_files(media)) as report:
            yield report
    else:
        yield _lines(stream)


def _count_files(media: MediaStore) -> int | None:
    try:
        return sum(1 for _ in media.scan(lambda _error: None))
    except MediaError:
        # The run itself will meet this, and tell it.
        return None


@contextmanager
def _bar(stream: TextIO, total: int | None) -> Iterator[Callable[[Outcome], None]]:
    import tqdm

    with tqdm.tqdm(total=total, unit=" files", file=stream, dynamic_ncols=True) as bar:
        size = 0

        def report(outcome: Outcome) -> None:
            nonlocal size
            size += outcome.size
            if outcome.steps & PROBLEMS:
                bar.write(_problem(outcome), file=stream)
            bar.set_postfix_str(format_bytes(size), refresh=False)
            bar.update()

        yield report


def _lines(stream: TextIO) -> Callable[[Outcome], None]:
    files, size = 0, 0
    next_line = time.monotonic() + _LINE_SECONDS

    def report(outcome: Outcome) -> None:
        nonlocal files, size, next_line
        files, size = files + 1, size + outcome.size
        if outcome.steps & PROBLEMS:
            print(_problem(outcome), file=stream, flush=True)
        if time.monotonic() >= next_line:
            print(f"{files:,} files, {format_bytes(size)} so far", file=stream, flush=True)
            next_line = time.monotonic() + _LINE_SECONDS

    return report


def _problem(outcome: Outcome) -> str:
    return f"{outcome.path}: {outcome.reason}"
