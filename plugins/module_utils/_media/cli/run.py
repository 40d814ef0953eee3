# SPDX-License-Identifier: GPL-3.0-or-later
"""What every run shares: an end that is always told; and what those that change something do: the lock, the sides."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Event

from ..engine.left_copies import see_to_copies
from ..engine.lock import run_lock
from ..engine.progress import waiting
from ..engine.sides import check_sides
from ..engine.summary import Summary
from ..engine.throttle import Throttle
from ..rules.errors import SOME_FAILED, MediaError, UnavailableError
from ..rules.shard import ALL, Shard
from ..stores import synapse_config
from ..stores.database import SynapseDatabase, connect
from ..stores.media_store import MediaStore
from ..stores.retrying import FIRST_WAITS, WAITS, RetryingStore
from ..stores.s3 import FIRST_CONTACT, S3ObjectStore
from ..stores.stream import say
from .command import Command, Sides, read_sides
from .metrics import write_metrics
from .output import SteadyStream, check_printed, print_result, unexpected
from .signals import StoppedHard, clean_stop

_WAITED_FOR = "another run, the database, or the bucket's first answer"


@dataclass(frozen=True)
class Ready:
    """What a run has once all sides were seen to be there.

    ``endpoint_url``: the bucket's. ``lock``: the descriptor of the run's. ``held``: what the run opens is closed with
    it. ``begins`` is called when the run is about to touch the first file: until then, whatever ends it means that
    nothing was done.
    """

    sides: Sides
    media: MediaStore
    database: SynapseDatabase
    endpoint_url: str
    lock: int
    held: ExitStack
    stop: Event
    begins: Callable[[], None]

    def opened(self, store: S3ObjectStore) -> RetryingStore:
        """The store with patience, for as long as the run."""
        return RetryingStore(self.held.enter_context(closing(store)), WAITS, self.stop.wait)

    def throttle(self, bandwidth: int | None) -> Callable[[int], None]:
        """Called before so many bytes are passed on, it keeps them to ``bandwidth`` a second; None: no limit.

        A stop is not held up by what was to be passed on slowly.
        """
        return Throttle(bandwidth, sleep=self.stop.wait) if bandwidth else lambda _size: None


def carry_out(
    command: Command,
    summary: Summary,
    work: Callable[[Ready], None],
    *,
    writes_disk: bool,
    puts_back: bool | None = None,
    shard: Shard = ALL,
    new_disk: bool = False,
) -> None:
    """Do ``work`` under the lock. Raises nothing: whatever ends the run is in ``summary``.

    ``writes_disk``: whether files of the media store are to be removed or written. ``puts_back``: whether what a run
    that was killed had removed is to be put back; None: where the disk is written. ``new_disk``: as `check_sides`.
    """
    if not summary.dry_run:
        command.history.begin(time.time(), summary.command)
    with told(command, summary) as (held, begins):
        sides = read_sides(command)
        sides.check_serves_media()
        media = sides.media(writable=writes_disk)
        stop = command.stop.event
        beginning = held.enter_context(ExitStack())
        beginning.enter_context(waiting(command.stderr, _WAITED_FOR))
        lock = run_lock(media, wait=command.options.wait, stop=stop, shard=shard, only_looks=summary.dry_run)
        descriptor = held.enter_context(lock)
        database = held.enter_context(connect(synapse_config.database_settings(sides.config)))
        with closing(sides.store(1, FIRST_CONTACT)) as first:
            store = RetryingStore(first, FIRST_WAITS, stop.wait)
            check_sides(media, store, database, sides.bucket.prefix, new_disk=new_disk)
            endpoint_url = first.endpoint_url
        beginning.close()
        only_looks = not (writes_disk if puts_back is None else puts_back)
        tell = partial(say, command.stderr)
        with waiting(command.stderr, "the copies that a run which was killed has kept"):
            see_to_copies(command.asides(), media, database, summary, tell, shard=shard, only_looks=only_looks)
        work(Ready(sides, media, database, endpoint_url, descriptor, held, stop, begins))


@contextmanager
def told(command: Command, summary: Summary) -> Iterator[tuple[ExitStack, Callable[[], None]]]:
    """Note in ``summary`` whatever ends the block, and raise nothing of it; a signal stops the block cleanly.

    Gives what is closed at the end, and what is to be called when the block begins its work: what ends it before means
    that nothing was done.
    """
    began, has_begun = time.time(), False

    def begins() -> None:
        nonlocal has_begun
        has_begun = True

    def note(message: str, exit_status: int) -> None:
        # Counted, not raised: a run that could not begin must replace the metrics of an earlier, better one.
        summary.errors.append(message)
        if not has_begun:
            summary.refused_with = exit_status

    try:
        with clean_stop(command.stop, command.stderr), ExitStack() as held:
            yield held, begins
    except MediaError as error:
        note(str(error), error.exit_status)
    except StoppedHard:
        # Told by ``interrupted_by``.
        pass
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        cause = error.strerror or type(error).__name__
        message = f"Could not go on: {cause}{place}. Check the disk that it names, and this host's memory."
        note(message, UnavailableError.exit_status)
    except Exception as error:  # noqa: BLE001 (whatever ends a run is told in words, in the JSON and in the metrics)
        command.stderr.write(traceback.format_exc())
        note(unexpected(error), SOME_FAILED)
    summary.seconds = time.time() - began
    summary.interrupted_by = command.stop.number


def finish(command: Command, summary: Summary) -> int:
    """Tell how a run ended: errors, the metrics, the result. Returns the exit status."""
    for message in summary.errors:
        say(command.stderr, message)
    if command.options.json:
        # Before the JSON, which is to tell what became of it.
        say(command.stderr, summary.as_text())
    command.stderr.flush()
    if isinstance(command.stderr, SteadyStream) and command.stderr.failure:
        summary.errors.append(
            f"Could not tell all that happened: {command.stderr.failure}. See that what stderr is connected to stays"
            " open and has space."
        )
    _noted(command, summary, lambda: check_printed(command.stdout))
    _write_down(command, summary)
    as_json = summary.as_json() if command.options.json else None
    if _noted(command, summary, lambda: print_result(command.stdout, summary.as_text(), as_json)):
        _write_down(command, summary)
    return summary.exit_status


def _noted(command: Command, summary: Summary, do: Callable[[], None]) -> bool:
    """Do it, and tell why that can't be done. Returns whether that is news."""
    try:
        do()
    except MediaError as error:
        if str(error) not in summary.errors:
            summary.errors.append(str(error))
            say(command.stderr, str(error))
            return True
    return False


def _write_down(command: Command, summary: Summary) -> None:
    """For whoever was not there. A dry run did nothing, so what the last run did remains true."""
    if summary.dry_run:
        return
    path = getattr(command.options, "metrics_file", None)
    if path is not None:
        _noted(command, summary, lambda: write_metrics(path, summary.as_metrics(time.time())))
    # Last, since it fails no run, and is to tell what did.
    command.history.end(summary.as_json(), time.time())
