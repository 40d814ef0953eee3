# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.pace import (
    FEWEST,
    FIRST,
    MOST,
    Pace,
    PaceKeeper,
    first_pace,
    next_pace,
)
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import MemoryStore
from hypothesis import given
from hypothesis import strategies as st

# Workers -> requests a second.
Line = Callable[[int], float]

TEST_LINES: dict[str, tuple[Line, int]] = {
    "near: more threads are in each other's way": (lambda workers: 2000.0 - workers, FIRST),
    "a slow server: nothing helps": (lambda _workers: 100.0, FIRST),
    "far: each thread adds its share": (lambda workers: 25.0 * workers, MOST),
    "far, but the line is full at 64": (lambda workers: 25.0 * min(workers, 64), 64),
}


def settle(line: Line, measurements: int = 10) -> Pace:
    pace = first_pace(None)
    for _turn in range(measurements):
        pace = next_pace(pace, line(pace.workers), slow_down=False)
    return pace


@pytest.mark.parametrize("name", TEST_LINES)
def test_it_settles_where_the_line_is_best_used(name: str) -> None:
    line, workers = TEST_LINES[name]

    assert settle(line).workers == workers


def test_it_tries_again_later() -> None:
    pace = settle(lambda _workers: 100.0)
    tried = []
    for _turn in range(100):
        pace = next_pace(pace, 25.0 * pace.workers, slow_down=False)
        tried.append(pace.workers)

    assert tried[-1] == MOST


def test_a_server_that_asks_for_fewer_requests_gets_fewer() -> None:
    pace = settle(lambda workers: 25.0 * workers)
    halved = []
    for _turn in range(7):
        pace = next_pace(pace, 1000.0, slow_down=True)
        halved.append(pace.workers)

    assert halved == [64, 32, 16, 8, 4, FEWEST, FEWEST]
    assert next_pace(pace, 1000.0, slow_down=False).workers == FEWEST


def test_a_given_number_is_kept() -> None:
    pace = first_pace(10)
    for rate in (1.0, 1000.0, 1.0):
        pace = next_pace(pace, rate, slow_down=False)
        assert pace.workers == 10
    assert next_pace(pace, 1.0, slow_down=True).workers == 5
    assert next_pace(first_pace(1), 1.0, slow_down=True).workers == 1


@given(
    st.one_of(st.none(), st.integers(1, 500)),
    st.lists(st.tuples(st.floats(0, 1e6), st.booleans()), max_size=200),
)
def test_whatever_is_measured_it_stays_within_bounds(workers: int | None, measured: list[tuple[float, bool]]) -> None:
    pace = first_pace(workers)
    for rate, slow_down in measured:
        pace = next_pace(pace, rate, slow_down=slow_down)
        assert min(FEWEST, workers or FEWEST) <= pace.workers <= (workers or MOST)


def test_keeper_measures_over_some_time() -> None:
    now = [0.0]
    store = MemoryStore()
    keeper = PaceKeeper(store, None, lambda: now[-1])
    workers = []
    for second in range(6):
        now.append(second / 8)
        for _turn in range(keeper.workers()):
            store.head("key")
        workers.append(keeper.workers())

    assert workers == [32, 32, 64, 64, 128, 128]
