# SPDX-License-Identifier: GPL-3.0-or-later
"""``purge-orphans``."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ..engine.orphans import new_orphans
from ..engine.progress import progress, waiting
from ..engine.purge_orphans import Found, PurgePlan, check_names, delete_orphans, find_orphans, new_summary
from ..engine.purge_versions import look_at_versions
from ..rules.errors import UsageError
from ..rules.orphan import Kind, refusal
from ..stores.journal import Journal, Later, kept_for_later, open_journal
from ..stores.s3 import S3ObjectStore
from ..stores.s3_failures import server_name
from ..stores.synapse_config import server_name as own_name
from .command import Command, Sides
from .run import Ready, carry_out, finish

_JOURNAL = "purge-orphans.jsonl"
# Batches are deleted at the same time, and one more connection lists.
_CONNECTIONS = 5
# Seconds. What Synapse receives just now is on the disk, and perhaps in the bucket, before its row is in the database.
# While the file stays, the next migration uploads it again.
_BEING_RECEIVED = 3600
_LOOKED_AT = "the lists of the bucket, of the disk and of the database"


def purge_orphans(command: Command) -> int:
    """List what the database no longer knows, or delete it."""
    options = command.options
    if options.delete_versions and not options.delete:
        raise UsageError("Could not start: --delete-versions is for --delete. Give both, or neither.")
    summary = new_summary(delete=options.delete)

    def work(ready: Ready) -> None:
        sides, prefix = ready.sides, ready.sides.bucket.prefix
        s3 = sides.store(_CONNECTIONS)
        store = ready.opened(s3)
        journal = _open_journal(command, ready)
        # Its questions tell the server's clock too: by that the objects are dated.
        check_names(prefix, ready.media, store)
        plan = _plan(command, sides, s3)
        summary.facts += _others(sides)
        orphans = ready.held.enter_context(new_orphans())
        with waiting(command.stderr, _LOOKED_AT):
            later = ready.held.enter_context(kept_for_later())
            named = _named(command, None if journal is None else later)
            tally = find_orphans(plan, prefix, ready.media, store, ready.database, orphans, summary, named)
        refused = refusal(tally, plan.maximum_share, plan.server_name)
        if not options.delete or journal is None:
            # A part of the list would pass for the whole.
            if journal is not None and not summary.errors:
                journal.write(later)
            if refused is not None:
                summary.facts.append(f"With --delete: {refused}")
            return
        if refused is not None:
            raise refused
        ready.begins()
        total = orphans.objects + orphans.files
        with progress(command.stderr, lambda: range(total)) as report:
            delete_orphans(
                orphans, ready.media, store, ready.database, journal, summary, stop=ready.stop, report=report
            )
            if not summary.errors and not ready.stop.is_set():
                look_at_versions(
                    plan,
                    prefix,
                    s3.versions,
                    orphans,
                    ready.database,
                    journal,
                    summary,
                    delete=options.delete_versions,
                    stop=ready.stop,
                    report=report,
                )
        summary.requests = store.requests

    carry_out(command, summary, work, writes_disk=options.delete)
    return finish(command, summary)


def _plan(command: Command, sides: Sides, s3: S3ObjectStore) -> PurgePlan:
    now = time.time()
    recent_after = now - command.options.minimum_age
    # Of two clocks the one that makes an object younger.
    return PurgePlan(
        object_recent_after=recent_after + min(0.0, s3.clock_ahead or 0.0),
        file_recent_after=min(recent_after, now - _BEING_RECEIVED),
        maximum_share=command.options.maximum_share,
        server_name=own_name(sides.config),
        is_only_bucket=not sides.others,
    )


def _others(sides: Sides) -> list[str]:
    if not sides.others:
        return []
    names = ", ".join(f"{bucket.bucket!r} at {server_name(bucket)}" for bucket in sides.others)
    return [f"Only the bucket that new media go to was looked at, not the other {len(sides.others)}: {names}."]


def _open_journal(command: Command, ready: Ready) -> Journal | None:
    options = command.options
    if options.report is None and not options.delete:
        return None
    path: Path = options.report or options.state_directory / _JOURNAL
    return ready.held.enter_context(open_journal(path))


def _named(command: Command, later: Later | None) -> Callable[[Found], None]:
    """What is done with each orphan that is found: nothing here if it is to be deleted."""
    options = command.options
    if options.delete:
        return lambda _found: None

    def name(found: Found) -> None:
        if later is not None:
            later.add(found.as_json())
        if not options.json and found.kind is Kind.ORPHAN:
            command.stdout.write(f"{found.name} ({found.size:,} bytes)\n")

    return name
