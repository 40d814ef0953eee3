# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time on a media store."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Event

from ..rules.errors import LockedError
from ..stores.media_store import MediaStore

_RETRY_SECONDS = 0.5


@contextmanager
def run_lock(media: MediaStore, *, wait: bool, stop: Event) -> Iterator[None]:
    """Hold the lock on ``media``. LockedError when another run holds it; with ``wait``, only once ``stop`` is set."""
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(media.lock(fcntl.LOCK_EX | fcntl.LOCK_NB))
                break
            except BlockingIOError as error:
                if not wait or stop.wait(_RETRY_SECONDS):
                    raise LockedError(
                        f"Could not start: another run is working on the media store {str(media.path)!r}."
                        " Wait until it has ended, or use --wait."
                    ) from error
        yield
