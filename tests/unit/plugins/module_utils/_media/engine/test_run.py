# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.run import Abandoned, run_parallel


def test_every_item_once() -> None:
    results = run_parallel(lambda number: number * 2, range(100), workers=lambda: 4, stopped=lambda: False)

    assert sorted(results) == [number * 2 for number in range(100)]


def test_items_are_taken_only_as_they_are_needed() -> None:
    taken = 0
    most_ahead = 0
    done = 0

    def items() -> Iterator[int]:
        nonlocal taken, most_ahead
        for number in range(1000):
            taken += 1
            most_ahead = max(most_ahead, taken - done)
            yield number

    for _turn in run_parallel(lambda number: number, items(), workers=lambda: 4, stopped=lambda: False):
        done += 1

    assert done == 1000
    # Eight for each worker.
    assert most_ahead <= 33


def test_nothing_is_begun_after_the_stop() -> None:
    stop = threading.Event()
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 10:
            stop.set()
        return number

    results = list(run_parallel(work, range(1000), workers=lambda: 2, stopped=stop.is_set))

    assert sorted(results) == sorted(begun)
    assert 10 in results
    assert len(results) < 20


def test_a_failure_of_the_function_is_raised() -> None:
    def fail(number: int) -> int:
        raise ValueError(number)

    with pytest.raises(ValueError, match=r"^0$"):
        list(run_parallel(fail, [0], workers=lambda: 1, stopped=lambda: False))


def test_what_is_under_way_is_told_before_the_failure_of_the_items() -> None:
    def items() -> Iterator[int]:
        yield from range(10)
        raise ValueError("no more")

    results = run_parallel(lambda number: number, items(), workers=lambda: 2, stopped=lambda: False)

    assert sorted(next(results) for _turn in range(10)) == list(range(10))
    with pytest.raises(ValueError, match=r"^no more$"):
        next(results)


def test_the_number_of_workers_may_change() -> None:
    wanted = [1]
    most = 0
    under_way = 0
    lock = threading.Lock()

    def work(number: int) -> int:
        nonlocal most, under_way
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.001)
        with lock:
            under_way -= 1
        return number

    seen = []
    for number in run_parallel(work, range(400), workers=lambda: wanted[-1], stopped=lambda: False):
        seen.append(number)
        if len(seen) == 50:
            assert most == 1
            wanted.append(6)
        if len(seen) == 300:
            assert 1 < most <= 6
            wanted.append(1)
    assert sorted(seen) == list(range(400))


def test_a_caller_that_has_had_enough_ends_it() -> None:
    before = set(threading.enumerate())
    results = run_parallel(lambda number: number, range(10_000), workers=lambda: 2, stopped=lambda: False)
    next(results)
    assert isinstance(results, Generator)
    results.close()
    assert set(threading.enumerate()) <= before


def test_what_hangs_when_the_time_is_over_is_left() -> None:
    """A bucket that does not answer holds up no stop."""
    stop, never = threading.Event(), threading.Event()

    def work(number: int) -> int:
        if number == 5:
            stop.set()
            never.wait()
        return number

    results = run_parallel(work, range(1000), workers=lambda: 2, stopped=stop.is_set, grace=0.1)

    with pytest.raises(Abandoned) as caught:
        list(results)
    assert caught.value.count == 1
    never.set()
