# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait out a short absence of the bucket: a server that restarts is away for some seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ..stores.object_store import StoreUnavailable

Result = TypeVar("Result")


@dataclass(frozen=True)
class Patience:
    """``waits``: how long before each further try, in seconds. ``wait`` waits; it tells whether the run is to stop."""

    waits: tuple[float, ...]
    wait: Callable[[float], bool]

    def with_call(self, call: Callable[[], Result]) -> Result:
        """Call until it does not raise StoreUnavailable, or there is nothing left to wait for."""
        waits = iter(self.waits)
        while True:
            try:
                return call()
            except StoreUnavailable:  # noqa: PERF203 (waiting is what it is for)
                seconds = next(waits, None)
                if seconds is None or self.wait(seconds):
                    raise


IMPATIENT = Patience((), lambda _seconds: True)
