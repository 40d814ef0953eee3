# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.throttle import Throttle
from hypothesis import given
from hypothesis import strategies as st


class Time:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_bytes_wait_until_they_are_due() -> None:
    time = Time()
    throttle = Throttle(1000, time.clock, time.sleep)

    for size in (500, 1000, 1):
        throttle(size)

    assert time.slept == [0.5, 1.0]


def test_a_pause_is_not_made_up_for() -> None:
    time = Time()
    throttle = Throttle(1000, time.clock, time.sleep)
    throttle(1000)
    time.now += 3600

    throttle(1000)
    throttle(1000)

    assert time.slept == [1.0]


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=50), st.integers(1, 10**6))
def test_the_rate_is_never_exceeded(sizes: list[int], rate: int) -> None:
    time = Time()
    throttle = Throttle(rate, time.clock, time.sleep)

    for sent, size in enumerate(sizes):
        throttle(size)
        assert time.now - 100 >= sum(sizes[:sent]) / rate - 1e-6 * (1 + time.now)
