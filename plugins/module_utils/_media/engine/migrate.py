# SPDX-License-Identifier: GPL-3.0-or-later
"""The subcommand ``migrate``: upload what is only local, prove it, delete the local file."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from ..rules.content import Content, content_of, read_content
from ..rules.decision import Action, Decision, Known, Policy, Stored, decide
from ..rules.errors import MediaError, UnavailableError
from ..rules.shard import ALL, Shard
from ..stores.database import MediaDatabase, MediaRow
from ..stores.media_store import FileChangedError, LocalFile, MediaStore
from ..stores.object_store import (
    MULTIPART_THRESHOLD,
    ObjectExists,
    ObjectStore,
    RemoteObject,
)
from .inventory import Item, inventory, is_text
from .lookup import Lookup, NotLooked
from .pace import PaceKeeper
from .patience import IMPATIENT, Patience
from .summary import Outcome, Step, Summary
from .transfer import run_parallel

# A file up to this size, in bytes, is held in memory from its hash to its upload; a larger one is read twice.
_HELD = 128 * 1024
# After so many files in a row for which the bucket can't be used the run pauses, and in the end gives up.
_OUTAGE = 25
_BUCKET_ANSWERED = frozenset({Step.UPLOADED, Step.ALREADY_STORED, Step.CONFLICT})


@dataclass(frozen=True)
class Plan:
    """What one run is to do.

    ``recent_after_ns``: files modified later are too recent, in nanoseconds since 1970.
    ``in_use_after_ms``: media accessed later stays local, in milliseconds since 1970; None: no such rule.
    ``upload``: False when another program has uploaded already, so that what is missing has failed.
    ``workers``: files under way at once; None: found by trying. ``bandwidth``: bytes a second; None: no limit.
    ``retries``: how long to wait, in seconds, before a file is tried again for which the bucket could not be used.
    ``pauses``: how long to wait, in seconds, each time that the bucket seems to be gone; then the run gives up.
    """

    policy: Policy
    recent_after_ns: int
    in_use_after_ms: int | None = None
    upload: bool = True
    workers: int | None = None
    bandwidth: int | None = None
    shard: Shard = ALL
    dry_run: bool = False
    retries: tuple[float, ...] = (0.5, 2)
    pauses: tuple[float, ...] = (5, 10, 20, 40, 80)


def check_sides(
    media: MediaStore, store: ObjectStore, database: MediaDatabase, prefix: str, patience: Patience = IMPATIENT
) -> None:
    """Refuse to begin unless all three sides are there; raises a `MediaError`, nothing is touched."""
    links = media.linked_roots()
    if links:
        raise UnavailableError(
            f"Could not use the media store {str(media.path)!r}: {', '.join(links)} is a symbolic link, which is"
            " never followed. Mount the other disk there instead (a bind mount will do)."
        )
    if not media.has_roots() and database.has_media():
        raise UnavailableError(
            f"Could not use the media store {str(media.path)!r}: the database knows media, but the directory has"
            " none of Synapse's directories (local_content, remote_content, ...). Is the disk mounted, and is this"
            " Synapse's media_store_path?"
        )
    # A listing fails when the bucket is missing; asking for a single key does not tell that from a missing key.
    patience.with_call(lambda: next(iter(store.list(prefix, page_size=1)), None))


def migrate(
    plan: Plan,
    prefix: str,
    media: MediaStore,
    store: ObjectStore,
    database: MediaDatabase,
    summary: Summary,
    *,
    stop: Event,
    report: Callable[[Outcome], None],
) -> None:
    """Migrate every file of the media store and add it to ``summary``. `check_sides` comes first.

    ``stop`` ends the run between files; ``report`` gets every outcome in the caller's thread.
    """
    unavailable, pauses, given_up = 0, iter(plan.pauses), False

    def stopped() -> bool:
        return stop.is_set() or given_up

    def migrate_one(item: Item) -> Outcome:
        return migrate_file(plan, media, store, prefix + item.file.path, item, patience)

    patience = Patience(plan.retries, stop.wait)
    lookup = Lookup(store, prefix, patience)
    items = inventory(
        media,
        database,
        lookup,
        prefix,
        shard=plan.shard,
        recent_after_ns=plan.recent_after_ns,
        failed=lambda error: summary.errors.append(str(error)),
        stopped=stopped,
    )
    pace = PaceKeeper(store, plan.workers, time.monotonic)
    try:
        for outcome in run_parallel(migrate_one, items, workers=pace.workers, stopped=stopped):
            summary.add(outcome)
            report(outcome)
            if outcome.steps & _BUCKET_ANSWERED:
                unavailable, pauses = 0, iter(plan.pauses)
            unavailable += outcome.unavailable
            if outcome.unavailable and unavailable % _OUTAGE == 0 and not stopped():
                pause = next(pauses, None)
                if pause is None:
                    given_up = True
                    summary.errors.append(
                        f"Gave up after {unavailable} files for which the bucket could not be used: {outcome.reason}"
                    )
                else:
                    stop.wait(pause)
    except MediaError as error:
        # The database or the bucket is gone: the run ends with what it has.
        summary.errors.append(str(error))
    summary.requests = store.requests
    summary.listed, summary.asked = lookup.listed, lookup.asked


def migrate_file(
    plan: Plan, media: MediaStore, store: ObjectStore, key: str, item: Item, patience: Patience = IMPATIENT
) -> Outcome:
    """Carry out the decision on one file. A failure is an outcome; nothing is raised."""
    file, seen = item.file, item.seen

    def look_and_migrate() -> tuple[set[Step], str]:
        nonlocal seen
        if isinstance(seen, NotLooked):
            # Once only: what is there at a second try may be what the first one has uploaded.
            seen = store.head(key)
        return _migrate_file(plan, media, store, key, item, seen)

    if item.recent:
        return Outcome(file.path, file.size, frozenset({Step.KEPT}), "too recent")
    if not is_text(file.path):
        # Neither Synapse nor a bucket can have such a name.
        return Outcome(file.path, file.size, frozenset({Step.KEPT}), "its name is not UTF-8")
    try:
        steps, reason = patience.with_call(look_and_migrate)
        return Outcome(file.path, file.size, frozenset(steps), reason)
    except FileChangedError:
        return Outcome(file.path, file.size, frozenset({Step.KEPT}), "it changed while it was looked at")
    except MediaError as error:
        failed = frozenset({Step.FAILED})
        return Outcome(file.path, file.size, failed, str(error), unavailable=isinstance(error, UnavailableError))
    except OSError as error:
        cure = "Give it and its directory to Synapse's user" if isinstance(error, PermissionError) else "Check its disk"
        reason = f"Could not use the local file: {error.strerror}. {cure}."
        return Outcome(file.path, file.size, frozenset({Step.FAILED}), reason)


def _migrate_file(
    plan: Plan, media: MediaStore, store: ObjectStore, key: str, item: Item, remote: RemoteObject | None
) -> tuple[set[Step], str]:
    file, row = item.file, item.row
    in_use = _in_use(plan, row)

    def decide_on(known: Known, stored: Stored) -> Decision:
        return decide(recent=False, in_use=in_use, known=known, stored=stored, policy=plan.policy)

    if remote is None and (row is None or not row.lengths):
        # Whatever is in it, it stays: no need to read it, night after night.
        return {Step.KEPT}, decide_on(Known.UNKNOWN if row is None else Known.UNFINISHED, Stored.NOTHING).reason

    held, content = _read(media, file)
    known = _known(row, content)
    stored = Stored.NOTHING if remote is None else _compare(store, remote, content)
    decision = decide_on(known, stored)
    steps = {Step.ALREADY_STORED} if stored is Stored.SAME else set()
    if stored is Stored.SAME and content.size >= MULTIPART_THRESHOLD and not plan.dry_run:
        # A killed run's, which nobody would meet again. Synapse's own ended before the file reached the minimum age.
        store.abort_unfinished(key)

    if decision.action is Action.UPLOAD:
        if not plan.upload:
            return ({Step.KEPT} if in_use else {Step.FAILED}), "It is not in the bucket after s3_media_upload ran."
        stored = Stored.SAME if plan.dry_run else _upload(media, store, file, key, held, content)
        steps = {Step.UPLOADED}
        decision = decide_on(known, stored)

    if decision.action is Action.DELETE:
        if not plan.dry_run:
            media.remove(file)
        return steps | {Step.DELETED}, decision.reason
    if decision.action is Action.CONFLICT:
        return {Step.CONFLICT}, f"Conflict, nothing was changed: {decision.reason}."
    if decision.action is Action.UPLOAD:
        return {Step.FAILED}, "It is not in the bucket, although its upload was accepted."
    return steps | {Step.KEPT}, decision.reason


def _read(media: MediaStore, file: LocalFile) -> tuple[bytes | None, Content]:
    """The content of a file, and its bytes if it is small enough to be held."""
    if file.size <= _HELD:
        held = media.read(file)
        return held, content_of(held)
    with media.open(file) as source:
        return None, read_content(source)


def _known(row: MediaRow | None, content: Content) -> Known:
    if row is None:
        return Known.UNKNOWN
    if not row.lengths:
        return Known.UNFINISHED
    same = content.size in row.lengths and row.sha256 in (None, content.sha256)
    return Known.COMPLETE if same else Known.DAMAGED


def _in_use(plan: Plan, row: MediaRow | None) -> bool:
    if plan.in_use_after_ms is None or row is None or row.accessed_ms is None:
        return False
    return row.accessed_ms > plan.in_use_after_ms


def _look(store: ObjectStore, key: str, content: Content) -> Stored:
    remote = store.head(key)
    return Stored.NOTHING if remote is None else _compare(store, remote, content)


def _compare(store: ObjectStore, remote: RemoteObject, content: Content) -> Stored:
    """Compare an object with the local content: by its ETag, else by a checksum kept with it, else by reading it."""
    if remote.size != content.size:
        return Stored.OTHER
    if content.is_proven_by(remote.etag):
        return Stored.SAME
    with store.open(remote.key) as body:
        sha256 = body.sha256 or read_content(body).sha256
    return Stored.SAME if sha256 == content.sha256 else Stored.OTHER


def _upload(
    media: MediaStore, store: ObjectStore, file: LocalFile, key: str, held: bytes | None, content: Content
) -> Stored:
    try:
        if held is not None:
            uploaded = store.put(key, io.BytesIO(held), content)
        else:
            with media.open(file) as source:
                uploaded = store.put(key, source, content)
    except ObjectExists:
        # Either somebody was faster, or the answer to our own upload was lost: the content tells.
        return _look(store, key, content)
    return Stored.SAME if content.is_proven_by(uploaded.etag) else _look(store, key, content)
