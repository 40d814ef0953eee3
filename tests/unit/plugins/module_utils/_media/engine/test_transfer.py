# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.transfer import run_parallel


def test_every_item_once() -> None:
    results = run_parallel(lambda number: number * 2, range(100), workers=4, stopped=lambda: False)

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

    for _ in run_parallel(lambda number: number, items(), workers=4, stopped=lambda: False):
        done += 1

    assert done == 1000
    assert most_ahead <= 9


def test_nothing_is_begun_after_the_stop() -> None:
    stop = threading.Event()
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 10:
            stop.set()
        return number

    results = list(run_parallel(work, range(1000), workers=2, stopped=stop.is_set))

    assert sorted(results) == sorted(begun)
    assert 10 in results
    assert len(results) < 20


def test_a_failure_of_the_function_is_raised() -> None:
    def fail(number: int) -> int:
        raise ValueError(number)

    with pytest.raises(ValueError, match=r"^0$"):
        list(run_parallel(fail, [0], workers=1, stopped=lambda: False))
