# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one function on many items in parallel, with a bounded number of them under way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Results are collected that often, all at once: to wake up for each of them would cost more than the work itself.
_COLLECT_SECONDS = 0.005
# Items that wait, or whose results wait, for each worker: enough for the time between two collections.
_AHEAD = 8


class _NotBegun:
    """The result of an item that was reached after the stop."""


class _Threads(Generic[Item, Result]):
    """Threads that take items from one queue and put results into another."""

    def __init__(self, function: Callable[[Item], Result], stopped: Callable[[], bool]) -> None:
        self._function = function
        self._stopped = stopped
        self._threads: list[Thread] = []
        self._wanted = 0
        # None ends one thread.
        self._todo: SimpleQueue[Item | None] = SimpleQueue()
        self._done: SimpleQueue[Result | BaseException | _NotBegun] = SimpleQueue()
        self.under_way = 0

    def begin(self, item: Item) -> None:
        self.under_way += 1
        self._todo.put(item)

    def resize(self, workers: int) -> None:
        for _ in range(workers - self._wanted):
            thread = Thread(target=self._work)
            thread.start()
            self._threads.append(thread)
        for _ in range(self._wanted - workers):
            self._todo.put(None)
        self._wanted = workers

    def results(self) -> Iterator[Result]:
        """What has ended by now."""
        with suppress(Empty):
            while True:
                result = self._done.get_nowait()
                self.under_way -= 1
                if isinstance(result, BaseException):
                    raise result
                if not isinstance(result, _NotBegun):
                    yield result

    def join(self) -> None:
        self.resize(0)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (item := self._todo.get()) is not None:
            self._done.put(_NotBegun() if self._stopped() else self._result(item))

    def _result(self, item: Item) -> Result | BaseException:
        try:
            return self._function(item)
        except BaseException as error:  # noqa: BLE001 (raised again in the caller's thread)
            return error


def run_parallel(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: Callable[[], int],
    stopped: Callable[[], bool],
) -> Iterator[Result]:
    """Yield ``function(item)`` for every item, in the order in which they end.

    Items are taken one by one, in the caller's thread, as room becomes free; ``workers()`` is asked again and again
    how many may be under way. Once ``stopped()``, no further item is begun; those under way are carried to their end.
    So they are when ``items`` raises: what it raised comes after all results.
    """
    ended = Event()
    failures: list[Exception] = []
    threads: _Threads[Item, Result] = _Threads(function, lambda: ended.is_set() or stopped())
    try:
        threads.resize(workers())
        for item in _until_failure(items, failures):
            if stopped():
                break
            threads.begin(item)
            if threads.under_way < _AHEAD * workers():
                continue
            while threads.under_way > _AHEAD * workers() // 2:
                time.sleep(_COLLECT_SECONDS)
                yield from threads.results()
                threads.resize(workers())
        while threads.under_way:
            time.sleep(_COLLECT_SECONDS)
            yield from threads.results()
        for failure in failures:
            raise failure
    finally:
        # Also when the caller has had enough, or a function raised.
        ended.set()
        threads.join()


def _until_failure(items: Iterable[Item], failures: list[Exception]) -> Iterator[Item]:
    try:
        yield from items
    except Exception as error:  # noqa: BLE001 (raised again by the caller)
        failures.append(error)
