# SPDX-License-Identifier: GPL-3.0-or-later
"""The subcommand ``copy-bucket``: what the database knows, from one bucket into another, proven."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex
from threading import Event

from ..rules.content import Content, content_of
from ..rules.copying import Action
from ..rules.decision import Known, Stored, known_as
from ..rules.errors import ConfigurationError, MediaError
from ..stores.object_store import ObjectExists, ObjectStore, ObjectUnreadable, RemoteObject
from ..stores.s3_description import archived_as, must_be_opened
from ..stores.spool import NoRoomError, OverlongError, Room, Spool, StoppedError
from . import proof
from .copy_inventory import CONFLICT, CopyInventory, CopySides, CopyStep, Item
from .pace import PaceKeeper, Together
from .places import Drawn, Place
from .proof import Proof
from .run import Endurance, is_unavailable, run
from .summary import Outcome, Summary, format_bytes

_OTHER_CONTENT = f"{CONFLICT}the target holds other content under this key."


def new_summary(*, dry_run: bool = False) -> Summary:
    """A summary without any file yet."""
    problems_are = "What is missing, conflicts or failed is named above, and nothing of it was changed."
    return Summary("copy-bucket", CopyStep, problems_are, reasons_of=CopyStep.COPIED, dry_run=dry_run)


@dataclass(frozen=True)
class CopyPlan:
    """What one run is to do. ``workers``: files under way at once; None: found by trying."""

    dry_run: bool = False
    workers: int | None = None
    endurance: Endurance = field(default_factory=Endurance)


def copy_bucket(
    plan: CopyPlan, sides: CopySides, summary: Summary, *, stop: Event, report: Callable[[Outcome], None]
) -> None:
    """Copy what is to be copied, and add each file to ``summary``. That both buckets are there is seen before.

    ``stop`` ends the run between files; ``report`` gets every outcome in the caller's thread.
    """
    settled = 0

    def settle(outcome: Outcome) -> None:
        nonlocal settled
        settled += 1
        summary.add(outcome)
        report(outcome)

    spool = Spool(stop.is_set)
    both = Together([sides.source.store, sides.target.store])
    pace = PaceKeeper(both, plan.workers, time.monotonic)
    there = Drawn[Item](random.Random())  # noqa: S311 (which objects are looked at is no secret)
    inventory = CopyInventory(
        sides,
        dry_run=plan.dry_run,
        settled=settle,
        there=lambda item: there.offer(item, False),
        failed=lambda error: summary.errors.append(str(error)),
        passed_over=lambda path, reason: summary.pass_over(path, reason, is_problem=False),
        stopped=stop.is_set,
    )
    run(
        lambda item: copy_file(sides, spool, item),
        inventory.items(),
        summary,
        workers=pace.workers,
        stop=stop,
        report=report,
        endurance=plan.endurance,
    )
    if spool.refusal:
        # Once: all files that are as large have the same cause.
        summary.errors.append(spool.refusal)
    if not stop.is_set() and not summary.errors:
        _look_at_some(sides, spool, there.chosen, summary, stop, report)
    if inventory.may_be_one_place and not stop.is_set():
        _tell_apart(plan, sides, summary)
    if summary.errors and not stop.is_set():
        worked = sum(count.files for count in summary.counts.values()) - settled
        summary.not_reached = inventory.not_reached(worked)
    summary.requests, summary.listed = both.requests, inventory.listed
    _tell_left(inventory, summary)


def _look_at_some(
    sides: CopySides,
    spool: Spool,
    items: Iterable[Item],
    summary: Summary,
    stop: Event,
    report: Callable[[Outcome], None],
) -> None:
    """Look at some objects that the target's listing shows: it does not tell that a rule of the bucket deletes them.

    The run that copied them has called that a conflict, and no later one is to call it a success.
    """
    for item in items:
        if stop.is_set():
            return
        outcome = copy_file(sides, spool, item)
        if CopyStep.ALREADY_THERE in outcome.steps:
            continue
        if outcome.unavailable:
            summary.errors.append(outcome.reason)
            return
        summary.counts[CopyStep.ALREADY_THERE].take(item.size)
        summary.add(outcome)
        report(outcome)


def _tell_apart(plan: CopyPlan, sides: CopySides, summary: Summary) -> None:
    """End the run where source and target are one bucket by two names, as Garage's aliases and Amazon's access points.

    Else all would be there already, and whoever then gives up the old bucket loses it.
    """
    if plan.dry_run:
        summary.facts.append(
            "What both buckets hold was stored at the same times, so they may be one place by two names. A run without"
            " --dry-run finds that out."
        )
        return
    try:
        summary.facts += filter(None, [check_two_places(sides.source, sides.target)])
    except MediaError as error:
        summary.end(error)


def check_two_places(source: Place, target: Place) -> str:
    """Refuse a source and a target that are one place by two names: each object would be a copy of itself.

    Of addresses, and of a bucket's names, only the servers know whether they lead to the same one. Stores a small
    object for a moment; the answer is what to tell of one that could not be removed again. Raises a `MediaError`.
    """
    name = f".is-it-the-source-{token_hex(8)}"
    data = name.encode()
    try:
        # Taken: the answer to our own upload was lost.
        with suppress(ObjectExists):
            target.store.put(target.prefix + name, io.BytesIO(data), content_of(data))
        is_one = source.store.head(source.prefix + name) is not None
    except ObjectUnreadable:
        # With another encryption key, but there.
        is_one = True
    finally:
        left = _removed(target.store, target.prefix + name)
    if is_one:
        raise ConfigurationError(
            f"Could not copy: source and target are one place by two names, {source.name} and {target.name}. What was"
            f" stored through the one was found through the other. Give the new provider a bucket or a prefix of its"
            f" own. {left}".rstrip()
        )
    return left


def _removed(store: ObjectStore, key: str) -> str:
    try:
        store.delete(key)
    except MediaError as error:
        return f"Object {key!r}, which this run has made, is still there: remove it. {error}"
    return ""


def _tell_left(inventory: CopyInventory, summary: Summary) -> None:
    left = inventory.left
    counts = {
        "local_only": (left.local_only, "on the local disk, not in the source: migrate uploads them"),
        "other_bucket": (left.other_bucket, "in another bucket that Synapse reads: copy them from there"),
        "unknown_objects": (left.unknown_objects, "in the source, unknown to the database: they stay there"),
        "foreign_objects": (left.foreign_objects, "in the source, no media of Synapse's: they stay there"),
    }
    for name, (count, words) in counts.items():
        summary.details[name] = count.as_json()
        if count.files:
            summary.facts.append(f"Not copied: {count.files:,} files ({format_bytes(count.bytes)}) {words}.")
    summary.details["unfinished"] = left.unfinished


def copy_file(sides: CopySides, spool: Spool, item: Item) -> Outcome:
    """Do what is to be done with one file. A failure is an outcome; nothing is raised."""

    def failed(reason: str, *, unavailable: bool = False) -> Outcome:
        return _outcome(item, CopyStep.FAILED, reason, answered=False, unavailable=unavailable)

    try:
        if item.action is Action.COMPARE:
            return _compare(sides, item)
        if (listed := item.source) is None or item.action is Action.ALREADY_THERE:
            return _already_there(sides, item)
        return spool.use(listed.size, lambda room: _copy(sides, item, listed, room))
    except StoppedError:
        return Outcome(item.path, item.size, frozenset(), "the run was stopped")
    except NoRoomError:
        return failed("It was not copied: there is no room for it in a temporary file.")
    except OverlongError:
        return failed("It was not copied: it is longer than the source's listing says. It may have been replaced.")
    except MediaError as error:
        return failed(str(error), unavailable=is_unavailable(error))


def _outcome(
    item: Item, step: CopyStep, reason: str, *, why: str = "", answered: bool = True, unavailable: bool = False
) -> Outcome:
    return Outcome(item.path, item.size, frozenset({step}), reason, why=why, answered=answered, unavailable=unavailable)


def _compare(sides: CopySides, item: Item) -> Outcome:
    """Both buckets hold an object of the same length, and their ETags do not tell whether it is the same."""
    expected = item.row.sha256 or proof.hash_of(sides.source.store, sides.source.prefix + item.path)
    try:
        found = proof.hash_of(sides.target.store, sides.target.prefix + item.path)
    except ObjectUnreadable as error:
        return _outcome(item, CopyStep.CONFLICT, f"{_UNREADABLE} {error}")
    if found != expected:
        return _outcome(item, CopyStep.CONFLICT, _OTHER_CONTENT)
    return _already_there(sides, item)


_EXPIRING = f"{CONFLICT}a lifecycle rule of the target's bucket will delete the object under this key."
_UNREADABLE = f"{CONFLICT}the target holds an object under this key that Synapse can't read at once."


def _already_there(sides: CopySides, item: Item) -> Outcome:
    """The target holds the same content: can Synapse read it at once?"""
    store, key = sides.target.store, sides.target.prefix + item.path
    try:
        found = store.head(key)
        if found is None:
            return _outcome(item, CopyStep.FAILED, "It was in the target, and is not any more. Copy it again.")
        if found.expires:
            return _outcome(item, CopyStep.CONFLICT, f"{_EXPIRING} The server says: {found.expires}.")
        if archived_as(found.storage_class) and not found.archive_status:
            said = f"It was brought back from {found.storage_class} for a while only."
            return _outcome(item, CopyStep.CONFLICT, f"{_UNREADABLE} {said}")
        if must_be_opened(found):
            with store.open(key) as body:
                body.read(1)
    except ObjectUnreadable as error:
        return _outcome(item, CopyStep.CONFLICT, f"{_UNREADABLE} {error}")
    return _outcome(item, CopyStep.ALREADY_THERE, "the target holds it")


def _copy(sides: CopySides, item: Item, listed: RemoteObject, room: Room) -> Outcome:
    with sides.source.store.open(sides.source.prefix + item.path) as body:
        source, content = room.fill(body)
        kept_sha256, kept_md5 = body.sha256, body.md5
    if problem := _problem(item, listed, content, kept_sha256, kept_md5):
        return _outcome(item, CopyStep.FAILED, f"It was not copied: {problem}", answered=False)
    store, key = sides.target.store, sides.target.prefix + item.path
    try:
        stored = store.put(key, source, content)
    except ObjectExists:
        # Either somebody was faster, or the answer to our own upload was lost: the content tells.
        found = proof.look(store, key, content)
    else:
        is_proven = content.is_proven_by(stored.etag) and not stored.expires
        found = Proof(Stored.SAME, stored.size) if is_proven else proof.look(store, key, content)
    if found.stored is Stored.SAME:
        is_kept = bool(content.is_as_kept(kept_sha256, kept_md5))
        is_checked = is_kept or content.is_proven_by(listed.etag) or content.sha256 == item.row.sha256
        return _outcome(item, CopyStep.COPIED, "copied", why="proven" if is_checked else "by_length_alone")
    if found.stored is Stored.UNREADABLE:
        return _outcome(item, CopyStep.CONFLICT, f"{_UNREADABLE} {found.said}")
    if found.stored is Stored.EXPIRING:
        return _outcome(item, CopyStep.CONFLICT, f"{_EXPIRING} {found.said}")
    if found.stored is Stored.OTHER:
        return _outcome(item, CopyStep.CONFLICT, _OTHER_CONTENT)
    return _outcome(item, CopyStep.FAILED, "It is not in the target, although its upload was accepted or refused.")


def _problem(item: Item, listed: RemoteObject, content: Content, kept_sha256: str | None, kept_md5: str | None) -> str:
    """Why what was read is not what is to be copied; '' when it is."""
    if content.size != listed.size:
        return (
            f"what was read has {content.size:,} bytes, the source's listing says {listed.size:,}. It may have been"
            " replaced."
        )
    if kept_sha256 is not None and kept_sha256 != content.sha256:
        return "what was read is not what the source's own SHA-256 of it says."
    if known_as(item.row.lengths, item.row.sha256, content.size, content.sha256) is Known.DAMAGED:
        return "the object in the source has another sha256 than the database gives."
    is_known = item.row.sha256 is not None or content.is_proven_by(listed.etag)
    if not is_known and content.is_as_kept(kept_sha256, kept_md5) is False:
        return (
            "what was read is not what the source's own ETag, an MD5, says. It was changed on the way: run this again."
            " Where that does not help, it is damaged."
        )
    return ""
