# SPDX-License-Identifier: GPL-3.0-or-later
"""The subcommand ``migrate``: upload what is only local, prove it, delete the local file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from threading import Event

from ..rules.content import Content, read_content
from ..rules.decision import Action, Known, Policy, Stored, decide
from ..rules.errors import MediaError, UnavailableError
from ..rules.media_path import MediaPath, parse_media_path
from ..stores.database import MediaDatabase, MediaRow
from ..stores.media_store import FileChangedError, LocalFile, MediaStore
from ..stores.object_store import ObjectExists, ObjectStore
from .summary import Outcome, Step, Summary
from .transfer import run_parallel

# How many files one question to the database is about.
_DATABASE_BATCH = 1000
# After so many files in a row for which the bucket can't be used the run pauses, and in the end gives up.
_OUTAGE = 25
_BUCKET_ANSWERED = frozenset({Step.UPLOADED, Step.ALREADY_STORED, Step.CONFLICT})


@dataclass(frozen=True)
class Plan:
    """What one run is to do.

    ``recent_after_ns``: files modified later are too recent, in nanoseconds since 1970.
    ``in_use_after_ms``: media accessed later stays local, in milliseconds since 1970; None: no such rule.
    ``upload``: False when another program has uploaded already, so that what is missing has failed.
    ``pauses``: how long to wait, in seconds, each time that the bucket seems to be gone; then the run gives up.
    """

    policy: Policy
    recent_after_ns: int
    in_use_after_ms: int | None = None
    upload: bool = True
    workers: int = 16
    dry_run: bool = False
    pauses: tuple[float, ...] = (5, 10, 20, 40, 80)


def check_sides(media: MediaStore, store: ObjectStore, database: MediaDatabase, prefix: str) -> None:
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
    next(iter(store.list(prefix)), None)


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
    unavailable, pauses = 0, iter(plan.pauses)
    failed_before = len(summary.errors)

    def stopped() -> bool:
        return stop.is_set() or len(summary.errors) > failed_before

    def migrate_one(item: tuple[LocalFile, MediaRow | None]) -> Outcome:
        file, row = item
        return migrate_file(plan, media, store, prefix + file.path, file, row)

    work = _with_rows(plan, media, database, summary, stop)
    for outcome in run_parallel(migrate_one, work, workers=plan.workers, stopped=stopped):
        summary.add(outcome)
        report(outcome)
        if outcome.steps & _BUCKET_ANSWERED:
            unavailable, pauses = 0, iter(plan.pauses)
        unavailable += outcome.unavailable
        if outcome.unavailable and unavailable % _OUTAGE == 0 and not stopped():
            pause = next(pauses, None)
            if pause is None:
                summary.errors.append(
                    f"Gave up after {unavailable} files for which the bucket could not be used: {outcome.reason}"
                )
            else:
                stop.wait(pause)
    summary.requests = store.requests


def migrate_file(
    plan: Plan, media: MediaStore, store: ObjectStore, key: str, file: LocalFile, row: MediaRow | None
) -> Outcome:
    """Carry out the decision on one file. A failure is an outcome; nothing is raised."""
    try:
        steps, reason = _migrate_file(plan, media, store, key, file, row)
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
    plan: Plan, media: MediaStore, store: ObjectStore, key: str, file: LocalFile, row: MediaRow | None
) -> tuple[set[Step], str]:
    if file.modified_ns > plan.recent_after_ns:
        return {Step.KEPT}, "too recent"
    if not _is_text(file.path):
        # Neither Synapse nor a bucket can have such a name.
        return {Step.KEPT}, "its name is not UTF-8"
    with media.open(file) as source:
        content = read_content(source)
    known = _known(row, content)
    in_use = _in_use(plan, row)
    stored = _stored(store, key, content)
    decision = decide(recent=False, in_use=in_use, known=known, stored=stored, policy=plan.policy)
    steps = {Step.ALREADY_STORED} if stored is Stored.SAME else set()

    if decision.action is Action.UPLOAD:
        if not plan.upload:
            return ({Step.KEPT} if in_use else {Step.FAILED}), "It is not in the bucket after s3_media_upload ran."
        stored = Stored.SAME if plan.dry_run else _upload(media, store, file, key, content)
        steps = {Step.UPLOADED}
        decision = decide(recent=False, in_use=in_use, known=known, stored=stored, policy=plan.policy)

    if decision.action is Action.DELETE:
        if not plan.dry_run:
            media.remove(file)
        return steps | {Step.DELETED}, decision.reason
    if decision.action is Action.CONFLICT:
        return {Step.CONFLICT}, f"Conflict, nothing was changed: {decision.reason}."
    if decision.action is Action.UPLOAD:
        return {Step.FAILED}, "It is not in the bucket, although its upload was accepted."
    return steps | {Step.KEPT}, decision.reason


def _is_text(path: str) -> bool:
    """Whether all bytes of the name on the disk were UTF-8: what is not came in as lone surrogates."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


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


def _stored(store: ObjectStore, key: str, content: Content) -> Stored:
    """Compare the object with the local content; by reading it where its ETag does not prove that they are the same."""
    remote = store.head(key)
    if remote is None:
        return Stored.NOTHING
    if remote.size != content.size:
        return Stored.OTHER
    if remote.etag in content.etags:
        return Stored.SAME
    with store.open(key) as body:
        return Stored.SAME if read_content(body) == content else Stored.OTHER


def _upload(media: MediaStore, store: ObjectStore, file: LocalFile, key: str, content: Content) -> Stored:
    try:
        with media.open(file) as source:
            uploaded = store.put(key, source, content.size, content.md5)
    except ObjectExists:
        # Either somebody was faster, or the answer to our own upload was lost: the content tells.
        return _stored(store, key, content)
    if uploaded.size == content.size and uploaded.etag in content.etags:
        return Stored.SAME
    return _stored(store, key, content)


def _with_rows(
    plan: Plan, media: MediaStore, database: MediaDatabase, summary: Summary, stop: Event
) -> Iterator[tuple[LocalFile, MediaRow | None]]:
    """Every local file with its row, asking the database for many at once.

    When the database or a directory can't be read any more, the run ends with what it has.
    """
    files = media.scan()
    try:
        while not stop.is_set() and (batch := list(islice(files, _DATABASE_BATCH))):
            parsed = {file.path: parse_media_path(file.path) for file in batch}
            old_enough = (file.path for file in batch if file.modified_ns <= plan.recent_after_ns)
            rows = database.media_rows(_recognised(parsed, old_enough))
            for file in batch:
                path = parsed[file.path]
                yield file, rows.get(path) if path else None
    except MediaError as error:
        summary.errors.append(str(error))


def _recognised(parsed: Mapping[str, MediaPath | None], wanted: Iterable[str]) -> list[MediaPath]:
    return [path for name in wanted if (path := parsed[name]) is not None]
