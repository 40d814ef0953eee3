# SPDX-License-Identifier: GPL-3.0-or-later
"""How many files to have under way at once: found by trying, since nobody can know it.

Near a server a few threads keep the processor busy, and more of them are in each other's way. Far from it most of a
thread's time is waiting, and many are needed. A server that asks for fewer requests gets fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

FEWEST = 4
FIRST = 32
MOST = 128
# What more workers must bring to be worth it; what is measured swings by as much as that.
_GAIN = 1.15
_MEASURE_SECONDS = 0.25
# After so many measurements without a try it is tried again: lines and servers change.
_REST = 40


@dataclass(frozen=True)
class Pace:
    """``workers`` is the answer. ``trying``: it was raised, from ``before`` with ``rate_before`` requests a second."""

    workers: int
    most: int
    trying: bool = False
    before: int = 0
    rate_before: float = 0.0
    rest: int = 0


def first_pace(workers: int | None) -> Pace:
    """Begin; a given number of ``workers`` is kept, unless the server asks for fewer."""
    return Pace(FIRST, MOST) if workers is None else Pace(workers, workers)


def next_pace(pace: Pace, rate: float, *, slow_down: bool) -> Pace:
    """Draw the conclusion from one measurement: ``rate`` in requests a second; whether the server asked for fewer."""
    if slow_down:
        fewer = max(FEWEST, pace.workers // 2)
        return Pace(min(pace.workers, fewer), pace.most, rest=_REST)
    if pace.trying and rate < pace.rate_before * _GAIN:
        return Pace(pace.before, pace.most, rest=_REST)
    if pace.rest:
        return replace(pace, trying=False, rest=pace.rest - 1)
    more = min(pace.most, pace.workers * 2)
    if more == pace.workers:
        return replace(pace, trying=False)
    return Pace(more, pace.most, trying=True, before=pace.workers, rate_before=rate)


class Asked(Protocol):
    """A store, as far as the pace goes."""

    @property
    def requests(self) -> int:
        """The number of requests so far."""

    @property
    def slow_downs(self) -> int:
        """How often fewer requests were asked for so far."""


class Together(NamedTuple):
    """Several stores that are asked for the same files."""

    stores: Sequence[Asked]

    @property
    def requests(self) -> int:
        return sum(store.requests for store in self.stores)

    @property
    def slow_downs(self) -> int:
        return sum(store.slow_downs for store in self.stores)


class PaceKeeper:
    """Measures how fast a store is asked, and keeps the pace. ``clock`` tells seconds."""

    def __init__(self, store: Asked, workers: int | None, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._pace = first_pace(workers)
        self._since = clock()
        self._requests, self._slow_downs = store.requests, store.slow_downs

    def workers(self) -> int:
        """How many files may be under way now."""
        seconds = self._clock() - self._since
        if seconds >= _MEASURE_SECONDS:
            requests, slow_downs = self._store.requests, self._store.slow_downs
            rate = (requests - self._requests) / seconds
            self._pace = next_pace(self._pace, rate, slow_down=slow_downs > self._slow_downs)
            self._since, self._requests, self._slow_downs = self._clock(), requests, slow_downs
        return self._pace.workers
