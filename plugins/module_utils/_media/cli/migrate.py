# SPDX-License-Identifier: GPL-3.0-or-later
"""``migrate``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial

from ..engine import pace, upstream
from ..engine.encryption import check_encryption
from ..engine.migrate import MigrationPlan, new_summary
from ..engine.migrate import migrate as migrate_all
from ..engine.places import Place, name_of
from ..engine.preflight import connect_s3
from ..engine.progress import progress, waiting
from ..engine.removal import NoRemoval, Remover
from ..engine.sides import check_knows_media
from ..engine.summary import Summary
from ..rules.decision import Policy
from ..rules.errors import MediaError
from ..stores.dry_run import DryRunStore
from ..stores.media_store import LocalFile, MediaStore
from ..stores.object_store import ObjectStore
from ..stores.retrying import FIRST_WAITS, RetryingStore
from ..stores.s3 import FIRST_CONTACT, S3ObjectStore
from .command import Command, Sides, script_surroundings
from .run import Ready, carry_out, finish

_DAY_SECONDS = 24 * 3600
_UNCONDITIONAL = (
    "The server does no conditional writes: each key is looked up right before it is written, and what another program"
    " stores there just then would be overwritten."
)

# The sides, and the bucket's endpoint -> its failures
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
    return run_plan(command, plan, summary, before=before, bandwidth=options.bandwidth)


def run_plan(
    command: Command,
    plan: MigrationPlan,
    summary: Summary,
    *,
    before: Before | None = None,
    bandwidth: int | None = None,
) -> int:
    """Do what ``plan`` says, and tell how it ended. Returns the exit status.

    ``before`` is called first, once all sides are known to be there.
    """
    leaves_disk = summary.dry_run or not plan.policy.delete_local

    def work(ready: Ready) -> None:
        media, stop = ready.media, ready.stop
        check_knows_media(media, ready.database)
        with waiting(command.stderr, "the bucket"):
            check_encryption(ready.sides.bucket, connect_s3, stop.wait, may_write=not summary.dry_run)
        connections = plan.workers or pace.MOST
        earlier = _earlier(command, ready, connections) if plan.policy.delete_local else []
        if before is not None:
            summary.errors += before(ready.sides, ready.endpoint_url)
        s3 = ready.sides.store(connections, pass_on=ready.throttle(bandwidth), conditional=None)
        store: ObjectStore = ready.opened(s3)
        removal = NoRemoval() if leaves_disk else Remover(media, store, command.aside(media, plan.shard), stop.wait)
        if summary.dry_run:
            store = DryRunStore(store)
        report = ready.held.enter_context(progress(command.stderr, partial(_files, media, plan)))
        ready.begins()
        prefix = ready.sides.bucket.prefix
        database = ready.database
        migrate_all(plan, prefix, media, store, database, removal, summary, stop=stop, report=report, earlier=earlier)
        if s3.conditional is False:
            summary.facts.append(_UNCONDITIONAL)

    carry_out(command, summary, work, writes_disk=not leaves_disk, puts_back=not summary.dry_run, shard=plan.shard)
    return finish(command, summary)


def _earlier(command: Command, ready: Ready, connections: int) -> list[Place]:
    """The buckets that Synapse asks before the one that stores. Raises a `MediaError` where one can't be listed."""
    places = []
    for number, bucket in enumerate(ready.sides.earlier, 1):
        try:
            with (
                waiting(command.stderr, f"S3 provider {number}"),
                closing(S3ObjectStore(bucket, 1, FIRST_CONTACT)) as first,
            ):
                next(iter(RetryingStore(first, FIRST_WAITS, ready.stop.wait).list(bucket.prefix, page_size=1)), None)
        except MediaError as error:
            raise type(error)(
                f"{error} Synapse asks it before the bucket, as S3 provider {number} of its configuration, and would"
                " serve nothing of the bucket. Correct it, or write the provider that stores before it."
            ) from error
        places.append(Place(name_of(bucket), ready.opened(S3ObjectStore(bucket, connections)), bucket.prefix))
    return places


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
