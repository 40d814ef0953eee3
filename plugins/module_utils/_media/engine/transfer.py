# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one function on many items in parallel, with a bounded number of them under way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def run_parallel(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, stopped: Callable[[], bool]
) -> Iterator[Result]:
    """Yield ``function(item)`` for every item, in the order in which they end.

    Items are taken one by one, in the caller's thread, as room becomes free. Once ``stopped()``, no
    further item is begun; those under way are carried to their end.
    """
    with ThreadPoolExecutor(workers) as pool:
        pending: set[Future[Result]] = set()
        for item in items:
            if stopped():
                break
            pending.add(pool.submit(function, item))
            if len(pending) >= 2 * workers:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from _results(done)
        while pending:
            if stopped():
                pending = {future for future in pending if not future.cancel()}
            done, pending = wait(pending, timeout=1, return_when=FIRST_COMPLETED)
            yield from _results(done)


def _results(done: Iterable[Future[Result]]) -> Iterator[Result]:
    return (future.result() for future in done if not future.cancelled())
