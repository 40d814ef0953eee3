# SPDX-License-Identifier: GPL-3.0-or-later
"""A limit to the bandwidth that all threads of a run share."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock


class Throttle:
    """Call it with a number of bytes before they are sent: it waits until they are due at ``rate`` bytes a second."""

    def __init__(
        self, rate: float, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = Lock()
        self._due = clock()

    def __call__(self, size: int) -> None:
        with self._lock:
            now = self._clock()
            # What was not used is not saved up: no burst follows a pause.
            start = max(now, self._due)
            self._due = start + size / self._rate
        if start > now:
            self._sleep(start - now)
