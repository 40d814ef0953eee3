# SPDX-License-Identifier: GPL-3.0-or-later
"""Something that will be needed next, begun while what came before it is still worked on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

Value = TypeVar("Value")


def begin(fetch: Callable[[], Value]) -> Callable[[], Value]:
    """Call ``fetch`` in the background. What is returned waits for its end, and gives its result or raises its error.

    Nobody need wait: an end of the program does not.
    """
    future = Future[Value]()

    def work() -> None:
        try:
            future.set_result(fetch())
        except BaseException as error:  # noqa: BLE001 (raised where the result is asked for)
            future.set_exception(error)

    Thread(target=work, daemon=True).start()
    return future.result
