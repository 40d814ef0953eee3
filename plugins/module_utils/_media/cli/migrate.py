# SPDX-License-Identifier: GPL-3.0-or-later
"""``migrate``, and what every run that changes something shares: the lock, the sides, an end that is always told."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial

from ..engine import pace, upstream
from ..engine.lock import run_lock
from ..engine.migrate import MigrationPlan, new_summary
from ..engine.migrate import migrate as migrate_all
from ..engine.progress import progress, waiting
from ..engine.removal import NoRemoval, Remover
from ..engine.sides import check_sides
from ..engine.summary import Summary
from ..engine.throttle import Throttle
from ..rules.decision import Policy
from ..rules.errors import SOME_FAILED, MediaError, UnavailableError
from ..stores import synapse_config
from ..stores.database import connect
from ..stores.dry_run import DryRunStore
from ..stores.media_store import LocalFile, MediaStore
from ..stores.object_store import ObjectStore
from ..stores.retrying import RetryingStore
from ..stores.s3 import FIRST_CONTACT
from .command import Command, Sides, read_sides, script_surroundings
from .metrics import write_metrics
from .output import SteadyStream, print_result, unexpected
from .signals import StoppedHard, clean_stop

_DAY_SECONDS = 24 * 3600
# A server that restarts is away for some seconds.
_WAITS = (0.5, 2)
# Before the first file a server that never answers is given up within a minute and a half.
_FIRST_WAITS = (5,)
_WAITED_FOR = "another run, the database, or the bucket's first answer"
_UNCONDITIONAL = (
    "The server does no conditional writes: each key is looked up right before it is written, and what another program"
    " stores there just then would be overwritten."
)

Before = Callable[[Sides, str], list[str]]


def migrate(command: Command) -> int:
    """Upload what is only local, prove it, delete it."""
    options, began = command.options, time.time()
    plan = MigrationPlan(
        policy=Policy(delete_local=not options.keep_local),
        now_ns=int(began * 1e9),
        recent_after_ns=int((began - options.minimum_age) * 1e9),
        in_use_after_ms=int((began - options.unused_days * _DAY_SECONDS) * 1000) if options.unused_days else None,
        workers=options.workers,
        shard=options.shard,
    )
    before: Before | None = None
    if options.engine == "s3_media_upload" and not options.dry_run:
        plan, before = replace(plan, upload=False), partial(_upload_with_script, command)
    summary = new_summary(dry_run=options.dry_run)
    carry_out(command, plan, summary, before=before, bandwidth=options.bandwidth)
    return finish(command, summary)


def carry_out(
    command: Command,
    plan: MigrationPlan,
    summary: Summary,
    *,
    before: Before | None = None,
    bandwidth: int | None = None,
) -> None:
    """Do what ``plan`` says, under the lock. Raises nothing: whatever ends the run is in ``summary``.

    ``before`` is called first, once all sides are known to be there, with the bucket's endpoint; it returns its
    failures.
    """
    began, has_begun = time.time(), False
    if not summary.dry_run:
        command.history.begin(began, summary.command)
    try:
        with clean_stop(command.stop, command.stderr), ExitStack() as held:
            sides = read_sides(command)
            sides.check_serves_media()
            leaves_disk = summary.dry_run or not plan.policy.delete_local
            media = sides.media(writable=not leaves_disk)
            stop = command.stop.event
            beginning = held.enter_context(ExitStack())
            beginning.enter_context(waiting(command.stderr, _WAITED_FOR))
            lock = run_lock(media, wait=command.options.wait, stop=stop, shard=plan.shard, only_looks=summary.dry_run)
            held.enter_context(lock)
            database = held.enter_context(connect(synapse_config.database_settings(sides.config)))
            prefix = sides.bucket.prefix
            with closing(sides.store(1, FIRST_CONTACT)) as first:
                check_sides(media, RetryingStore(first, _FIRST_WAITS, stop.wait), database, prefix)
                endpoint_url = first.endpoint_url
            beginning.close()
            aside = command.aside(media, plan.shard)
            if not leaves_disk:
                for path in aside.put_back(media):
                    print(f"Put back {path!r}: an earlier run was killed while it removed it.", file=command.stderr)
            if before is not None:
                summary.errors += before(sides, endpoint_url)
            # A stop is not held up by what was to be sent slowly.
            throttle = Throttle(bandwidth, sleep=stop.wait) if bandwidth else None
            s3 = held.enter_context(closing(sides.store(plan.workers or pace.MOST, pass_on=throttle, conditional=None)))
            store: ObjectStore = RetryingStore(s3, _WAITS, stop.wait)
            removal = NoRemoval() if leaves_disk else Remover(media, store, aside, stop.wait)
            if summary.dry_run:
                store = DryRunStore(store)
            report = held.enter_context(progress(command.stderr, partial(_files, media, plan)))
            has_begun = True
            migrate_all(plan, prefix, media, store, database, removal, summary, stop=stop, report=report)
            if s3.conditional is False:
                summary.facts.append(_UNCONDITIONAL)
    except MediaError as error:
        _note(summary, str(error), error.exit_status, has_begun=has_begun)
    except StoppedHard:
        # Told by ``interrupted_by``.
        pass
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        cause = error.strerror or type(error).__name__
        message = f"Could not go on: {cause}{place}. Check the disk that it names, and this host's memory."
        _note(summary, message, UnavailableError.exit_status, has_begun=has_begun)
    except Exception as error:  # noqa: BLE001 (whatever ends a run is told in words, in the JSON and in the metrics)
        command.stderr.write(traceback.format_exc())
        _note(summary, unexpected(error), SOME_FAILED, has_begun=has_begun)
    summary.seconds = time.time() - began
    summary.interrupted_by = command.stop.number


def _note(summary: Summary, message: str, exit_status: int, *, has_begun: bool) -> None:
    # Counted, not raised: a run that could not begin must replace the metrics of an earlier, better one.
    summary.errors.append(message)
    if not has_begun:
        summary.refused_with = exit_status


def finish(command: Command, summary: Summary) -> int:
    """Tell how a run ended: errors, the metrics, the result. Returns the exit status."""
    for message in summary.errors:
        print(message, file=command.stderr)
    if command.options.json:
        # Before the JSON, which is to tell what became of it.
        print(summary.as_text(), file=command.stderr)
    command.stderr.flush()
    if isinstance(command.stderr, SteadyStream) and command.stderr.failure:
        summary.errors.append(
            f"Could not tell all that happened: {command.stderr.failure}. See that what stderr is connected to stays"
            " open and has space."
        )
    _write_down(command, summary)
    try:
        print_result(command.stdout, summary.as_text(), summary.as_json() if command.options.json else None)
    except MediaError as error:
        summary.errors.append(str(error))
        print(error, file=command.stderr)
        _write_down(command, summary)
    return summary.exit_status


def _write_down(command: Command, summary: Summary) -> None:
    """For whoever was not there. A dry run did nothing, so what the last run did remains true."""
    if summary.dry_run:
        return
    command.history.end(summary.as_json(), time.time())
    path = getattr(command.options, "metrics_file", None)
    if path is None:
        return
    try:
        write_metrics(path, summary.as_metrics(time.time()))
    except MediaError as error:
        summary.errors.append(str(error))
        print(error, file=command.stderr)


def _files(media: MediaStore, plan: MigrationPlan) -> Iterator[LocalFile]:
    """The files of a run, to be counted: what can't be read is met, and told, by the run itself."""
    return (file for file in media.scan(lambda _error: None) if plan.shard.has(file.path))


def _upload_with_script(command: Command, sides: Sides, endpoint_url: str) -> list[str]:
    # Before it begins, so that a run without the script has touched nothing.
    upstream.find_script()
    with script_surroundings(command, sides, endpoint_url) as (environment, directory):
        try:
            upstream.run_all(
                sides.bucket, environment, directory, show_progress=command.stderr.isatty(), stop=command.stop.event
            )
        except MediaError as error:
            return [str(error)]
    return []
