# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one function on many items in parallel: outages are waited out, or given up, and a stop ends it soon."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Generic, TypeVar

from ..rules.errors import AccessError, MediaError, UnavailableError
from ..stores.disk_errors import LocalFileError
from .summary import Outcome, Summary

Item = TypeVar("Item")
Result = TypeVar("Result")

# Results are collected that often, all at once: to wake up for each of them would cost more than the work itself.
_COLLECT_SECONDS = 0.005
# Items that wait, or whose results wait, for each worker: enough for the time between two collections.
_AHEAD = 8
# After so many files in a row for which the bucket can't be used the run pauses, and in the end gives up.
_OUTAGE = 25


@dataclass(frozen=True)
class Endurance:
    """How long a run waits, in seconds.

    ``pauses``: each time that the bucket seems to be gone; after the last one the run gives up.
    ``grace``: for the files under way, once the run is to stop. What then is still waiting for an answer is left.
    """

    pauses: tuple[float, ...] = (5, 10, 20, 40, 80)
    grace: float = 12


def is_unavailable(error: MediaError) -> bool:
    """Whether it is not of one file: refused credentials concern the whole bucket too, a read-only disk all files."""
    if isinstance(error, LocalFileError):
        return error.concerns_all
    return isinstance(error, (UnavailableError, AccessError))


def run(
    work: Callable[[Item], Outcome],
    items: Iterable[Item],
    summary: Summary,
    *,
    workers: Callable[[], int],
    stop: Event,
    report: Callable[[Outcome], None],
    endurance: Endurance,
) -> None:
    """Do ``work`` on every item, and add each outcome to ``summary``; a file's failure is an outcome, never raised.

    Failures that concern the bucket, or the disk, as a whole are held back: when it works again they are told one by
    one, and when it does not, the run gives up and says so once. What ``items`` raises ends the run with what it has.

    :param workers: is asked again and again how many items may be under way.
    :param stop: ends the run between files.
    :param report: gets outcomes in the caller's thread; those of a bucket that was given up are in the summary only.
    """
    held: list[Outcome] = []
    pauses = iter(endurance.pauses)
    may_begin = Event()
    may_begin.set()
    over = Event()

    def begin(item: Item) -> Outcome:
        # During a pause nothing is begun that would only fail.
        while not may_begin.is_set():
            may_begin.wait(1)
        return work(item)

    def add(outcome: Outcome, *, told: bool = True) -> None:
        summary.add(outcome)
        if told:
            report(outcome)

    outcomes = run_parallel(
        begin, items, workers=workers, stopped=lambda: over.is_set() or stop.is_set(), grace=endurance.grace
    )
    try:
        for outcome in outcomes:
            if outcome.ends_run is not None:
                summary.end(outcome.ends_run)
                over.set()
            if outcome.answered:
                for earlier in held:
                    add(earlier)
                held.clear()
                pauses = iter(endurance.pauses)
            if not outcome.unavailable:
                add(outcome)
                continue
            held.append(outcome)
            if len(held) % _OUTAGE == 0 and not over.is_set() and not stop.is_set():
                pause = next(pauses, None)
                if pause is None:
                    over.set()
                    summary.errors.append(f"Gave up, since no file could be worked on any more. {outcome.reason}")
                else:
                    may_begin.clear()
                    stop.wait(pause)
                    may_begin.set()
    except MediaError as error:
        # The database or the bucket is gone: the run ends with what it has.
        summary.errors.append(str(error))
    except Abandoned as left:
        summary.abandoned = left.count
    finally:
        may_begin.set()
    given_up = over.is_set() and summary.ended_with is None
    for outcome in held:
        add(outcome, told=not given_up)


class Abandoned(Exception):
    """So many items were still under way when the time for them was over."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} items were left")
        self.count = count


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
        for _turn in range(workers - self._wanted):
            # One that hangs at a server when the run is over must not hold up the process.
            thread = Thread(target=self._work, daemon=True)
            thread.start()
            self._threads.append(thread)
        for _turn in range(self._wanted - workers):
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

    def join(self, timeout: float | None = None) -> None:
        self.resize(0)
        for thread in self._threads:
            thread.join(timeout)

    @property
    def begun(self) -> int:
        """How many items are in some thread's hands, at least."""
        return max(0, self.under_way - self._todo.qsize())

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
    grace: float = float("inf"),
) -> Iterator[Result]:
    """Yield ``function(item)`` for every item, in the order in which they end.

    Items are taken one by one, in the caller's thread, as room becomes free; ``workers()`` is asked again and again
    how many may be under way. Once ``stopped()``, no further item is begun; those under way are carried to their end,
    but for those that take longer than ``grace`` seconds: then `Abandoned` is raised. When ``items`` raises, those
    under way are carried to their end too: what it raised comes after all results.
    """
    ended = Event()
    failures: list[Exception] = []
    threads: _Threads[Item, Result] = _Threads(function, lambda: ended.is_set() or stopped())
    give_up = float("inf")
    timeout: float | None = None
    try:
        threads.resize(workers())
        for item in _until_failure(items, failures):
            if stopped():
                break
            threads.begin(item)
            if threads.under_way < _AHEAD * workers():
                continue
            while threads.under_way > _AHEAD * workers() // 2 and not stopped():
                time.sleep(_COLLECT_SECONDS)
                yield from threads.results()
                threads.resize(workers())
        while threads.under_way:
            time.sleep(_COLLECT_SECONDS)
            yield from threads.results()
            if stopped():
                give_up = min(give_up, time.monotonic() + grace)
            if threads.under_way and time.monotonic() > give_up:
                # They end when they can.
                timeout = 0
                raise Abandoned(threads.begun)
        for failure in failures:
            raise failure
    finally:
        # Also when the caller has had enough, or a function raised.
        ended.set()
        threads.join(timeout)


def _until_failure(items: Iterable[Item], failures: list[Exception]) -> Iterator[Item]:
    try:
        yield from items
    except Exception as error:  # noqa: BLE001 (raised again by the caller)
        failures.append(error)
