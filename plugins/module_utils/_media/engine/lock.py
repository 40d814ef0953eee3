# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time on a media store, or one run on each of its shards."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Event

from ..rules.errors import LockedError
from ..rules.shard import ALL, Shard
from ..stores.media_store import MediaStore

_RETRY_SECONDS = 0.5
# `status` takes the lock for some microseconds to see whether it is free: that is no run.
_PROBE_SECONDS = 0.1


@contextmanager
def run_lock(
    media: MediaStore, *, wait: bool, stop: Event, shard: Shard = ALL, only_looks: bool = False
) -> Iterator[int]:
    """Hold the lock on ``media``, and give its descriptor.

    LockedError when another run holds it; with ``wait``, only once ``stop`` is set.

    ``only_looks``: of a dry run, which writes nothing, not even a lock file of its shard's.

    UnavailableError or AccessError when the system gives no lock: there is no other way to hold back a second run.
    """
    with ExitStack() as held:
        is_second_look = False
        while (descriptor := _take(media, shard, held, only_looks=only_looks)) is None:
            pause = _RETRY_SECONDS if is_second_look else _PROBE_SECONDS
            if (is_second_look and not wait) or stop.wait(pause):
                raise LockedError(
                    f"Could not start: another run is working on the media store {str(media.path)!r}."
                    " Wait until it has ended, or use --wait."
                )
            is_second_look = True
        yield descriptor


@contextmanager
def keep_out(media: MediaStore, shard: Shard, own: Shard, *, only_looks: bool) -> Iterator[bool]:
    """Keep out a run on ``shard`` for as long as this lasts; False where one may be under way.

    ``own`` and ``only_looks``: of the run that asks, and has `run_lock`. While it has that, no run on another share of
    the same media store is under way if its own is the whole, and none on the whole if its own is a share.
    """
    if own == ALL or shard == ALL:
        yield True
    elif only_looks:
        # Not even a lock file is written.
        yield False
    elif shard == own:
        yield True
    else:
        with ExitStack() as held:
            try:
                held.enter_context(media.lock_file(_lock_file(shard)))
            except BlockingIOError:
                yield False
            else:
                yield True


def _lock_file(shard: Shard) -> str:
    return f".shard-{shard.number}-of-{shard.count}.lock"


def _take(media: MediaStore, shard: Shard, held: ExitStack, *, only_looks: bool) -> int | None:
    """Shards share the lock on the media store, and each has one of its own, on a file that goes with the run."""
    with ExitStack() as taken:
        try:
            if shard == ALL:
                descriptor = taken.enter_context(media.lock(fcntl.LOCK_EX | fcntl.LOCK_NB))
            else:
                descriptor = taken.enter_context(media.lock(fcntl.LOCK_SH | fcntl.LOCK_NB))
                if not only_looks:
                    taken.enter_context(media.lock_file(_lock_file(shard)))
        except BlockingIOError:
            return None
        held.push(taken.pop_all())
        return descriptor
