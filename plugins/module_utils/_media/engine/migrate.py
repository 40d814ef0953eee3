# SPDX-License-Identifier: GPL-3.0-or-later
"""The subcommand ``migrate``: upload what is only local, prove it, delete the local file."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import NamedTuple

from ..rules.content import Content, content_of, read_content
from ..rules.decision import (
    REASONS,
    Action,
    Case,
    Decision,
    Earlier,
    Known,
    Local,
    Policy,
    Reason,
    Stored,
    Uploaded,
    decide,
    known_as,
)
from ..rules.errors import MediaError
from ..rules.shard import ALL, Shard
from ..stores.database import MediaDatabase, MediaRow
from ..stores.media_store import FileChangedError, LocalFile, MediaStore, PassedOver
from ..stores.object_store import MULTIPART_THRESHOLD, ObjectExists, ObjectStore, ObjectUnreadable, RemoteObject
from . import proof
from .inventory import Item, inventory
from .lookup import Lookup, NotLooked
from .pace import PaceKeeper
from .places import Place
from .proof import Proof
from .removal import Removal, RunMustEndError
from .run import Endurance, is_unavailable, run
from .summary import Outcome, Step, Summary

# A file up to this size, in bytes, is held in memory from its hash to its upload; a larger one is read twice.
_HELD = 128 * 1024
# Clocks of a file server and of this host differ by that much at the most.
_CLOCKS_DIFFER_NS = 600 * 10**9


class MigrateStep(Step):
    """What became of a file."""

    UPLOADED = "uploaded", "Uploaded", "Would upload"
    ALREADY_STORED = "already_stored", "Already in the bucket"
    DELETED = "deleted", "Deleted locally", "Would delete locally"
    KEPT = "kept", "Kept locally"
    CONFLICT = "conflicts", "Conflicts", "", True
    FAILED = "failed", "Failed", "", True


# May be kept for more than a night or two: what an operator may want to look at.
_NAMED = frozenset({Reason.IN_THE_FUTURE, Reason.CHANGED, Reason.UNKNOWN, Reason.UNFINISHED})
# Of these nothing was to be done.
_NOT_SETTLED = (Reason.TOO_RECENT, Reason.IN_THE_FUTURE, Reason.GONE)


def new_summary(*, dry_run: bool = False) -> Summary:
    """A summary without any file yet."""
    problems_are = "What failed or conflicts is named above and still on the local disk."
    return Summary("migrate", MigrateStep, problems_are, reasons_of=MigrateStep.KEPT, dry_run=dry_run)


@dataclass(frozen=True)
class MigrationPlan:
    """What one run is to do.

    ``now_ns``: when it began, in nanoseconds since 1970. ``recent_after_ns``: files modified later are too recent.
    ``in_use_after_ms``: media accessed later stays local, in milliseconds since 1970; None: no such rule.
    ``upload``: False when another program has uploaded already, so that what is missing has failed.
    ``workers``: files under way at once; None: found by trying.
    """

    policy: Policy
    now_ns: int
    recent_after_ns: int
    in_use_after_ms: int | None = None
    upload: bool = True
    workers: int | None = None
    shard: Shard = ALL
    endurance: Endurance = field(default_factory=Endurance)

    def local(self, file: LocalFile) -> Local:
        """How a file looks that was seen now."""
        if file.modified_ns > self.now_ns + _CLOCKS_DIFFER_NS:
            return Local.FUTURE
        return Local.RECENT if file.modified_ns > self.recent_after_ns else Local.SETTLED


def migrate(
    plan: MigrationPlan,
    prefix: str,
    media: MediaStore,
    store: ObjectStore,
    database: MediaDatabase,
    removal: Removal,
    summary: Summary,
    *,
    stop: Event,
    report: Callable[[Outcome], None],
    earlier: Sequence[Place] = (),
) -> None:
    """Migrate every file of the media store and add it to ``summary``. `check_sides` comes first.

    ``earlier``: the buckets that Synapse asks before ``store``; they are looked at before a file is removed.
    ``stop`` ends the run between files; ``report`` gets every outcome in the caller's thread.
    """
    before = _told(summary)
    given, leaves_directories = 0, False

    def failed(error: MediaError) -> None:
        summary.errors.append(str(error))

    def passed_over(what: PassedOver) -> None:
        summary.pass_over(what.path, what.reason, is_problem=what.is_problem)
        if what.is_problem:
            report(Outcome(what.path, 0, frozenset(), f"Passed over: {what.reason}.", is_told=True))

    def empty(directory: str) -> None:
        nonlocal leaves_directories
        if leaves_directories:
            return
        try:
            summary.empty_directories += removal.remove_empty(directory, plan.recent_after_ns)
        except MediaError as error:
            # Once: all others have the same cause.
            leaves_directories = True
            failed(error)

    def files() -> Iterator[LocalFile]:
        nonlocal given
        for file in media.scan(failed, passed_over, empty):
            if plan.shard.has(file.path):
                given += 1
                yield file

    def work(item: Item) -> Outcome:
        return migrate_file(sides, prefix + item.file.path, item)

    sides = _Sides(plan, media, store, removal, earlier)
    lookup = Lookup(store, prefix)
    rest = files()
    items = inventory(rest, database, lookup, prefix, local=plan.local, stopped=stop.is_set)
    pace = PaceKeeper(store, plan.workers, time.monotonic)
    run(work, items, summary, workers=pace.workers, stop=stop, report=report, endurance=plan.endurance)
    leaves_directories = True
    if summary.errors and not stop.is_set():
        # Nobody is told a million names: so many files are left for the next run.
        for _turn in rest:
            pass
        summary.not_reached = given - (_told(summary) - before)
    elif changed := _all_changed(summary):
        summary.errors.append(
            f"Could not work on any file: all {changed:,} that are old enough changed while they were looked at. The"
            " notices of --json say how. Stop what changes them, or mount the media store where times last."
        )
    summary.requests = store.requests + sum(place.store.requests for place in earlier)
    summary.listed, summary.asked = lookup.listed, lookup.asked


def _all_changed(summary: Summary) -> int:
    """How many files changed while they were looked at, if nothing else became of any that was settled; else 0."""
    kept = {reason: summary.by_reason[reason.value].files for reason in Reason if reason.value in summary.by_reason}
    changed = kept.get(Reason.CHANGED, 0)
    settled = _told(summary) - sum(kept.get(reason, 0) for reason in _NOT_SETTLED)
    return changed if changed == settled else 0


def _told(summary: Summary) -> int:
    ends = (MigrateStep.DELETED, MigrateStep.KEPT, MigrateStep.CONFLICT, MigrateStep.FAILED)
    return sum(summary.counts[step].files for step in ends)


class _Sides(NamedTuple):
    """What the work on each file needs."""

    plan: MigrationPlan
    media: MediaStore
    store: ObjectStore
    removal: Removal
    earlier: Sequence[Place]


def migrate_file(sides: _Sides, key: str, item: Item) -> Outcome:
    """Carry out the decision on one file. A failure is an outcome; nothing is raised."""
    file, plan = item.file, sides.plan

    def failed(reason: str, *, unavailable: bool = False) -> Outcome:
        return Outcome(file.path, file.size, frozenset({MigrateStep.FAILED}), reason, unavailable=unavailable)

    if item.local is not Local.SETTLED:
        return _kept(file, decide(Case(item.local), plan.policy).reason)
    try:
        return _Migration(sides, key, item).outcome()
    except FileChangedError as error:
        if error.is_gone:
            return _kept(file, decide(Case(Local.GONE), plan.policy).reason)
        return _kept(file, decide(Case(Local.CHANGED), plan.policy).reason, how=error.how)
    except RunMustEndError as error:
        return Outcome(
            file.path,
            file.size,
            frozenset({MigrateStep.KEPT}),
            "the run had to end",
            why="run_ended",
            ends_run=error.error,
        )
    except MediaError as error:
        return failed(str(error), unavailable=is_unavailable(error))


def _kept(file: LocalFile, reason: Reason, *steps: Step, answered: bool = False, how: str = "") -> Outcome:
    return Outcome(
        file.path,
        file.size,
        frozenset({*steps, MigrateStep.KEPT}),
        f"{REASONS[reason]}: {how}" if how else REASONS[reason],
        why=reason.value,
        is_named=reason in _NAMED,
        is_told=reason is Reason.IN_THE_FUTURE,
        answered=answered,
    )


class _Migration:
    """The way of one file, from what is known of it to its outcome."""

    def __init__(self, sides: _Sides, key: str, item: Item) -> None:
        self._plan, self._media, self._store, self._removal, self._earlier = sides
        self._key = key
        self._file = item.file
        self._row = item.row
        self._seen = item.seen
        self._in_the_way = ""
        self._held: bytes | None = None
        self._content: Content | None = None
        self._proof = proof.NOTHING
        self._answered = False

    def outcome(self) -> Outcome:
        """Decide, and carry it out; raises what the stores raise."""
        case = self._first_case()
        steps: set[Step] = set()
        decision = decide(case, self._plan.policy)
        while decision.action in (Action.UPLOAD, Action.CONFIRM, Action.ASK_EARLIER):
            if decision.action is Action.ASK_EARLIER:
                case = case._replace(earlier=self._ask_earlier())
            elif decision.action is Action.UPLOAD:
                self._proof, uploaded = self._upload(self._read())
                case = case._replace(uploaded=uploaded)
                steps = {MigrateStep.UPLOADED}
            else:
                self._proof = proof.look(self._store, self._key, self._read())
                self._answered = True
            case = self._with_proof(case)
            decision = decide(case, self._plan.policy)
        if not steps and case.stored in (Stored.SAME, Stored.LISTED):
            steps = {MigrateStep.ALREADY_STORED}
            if self._file.size >= MULTIPART_THRESHOLD:
                # A killed run's, which nobody would meet again. Synapse's own ended before the file was old enough.
                self._store.abort_unfinished(self._key)
        return self._carry_out(decision, steps)

    def _carry_out(self, decision: Decision, steps: set[Step]) -> Outcome:
        file, reason = self._file, decision.reason
        if decision.action is Action.KEEP:
            return _kept(file, reason, *steps, answered=self._answered)
        text = REASONS[reason]
        if decision.action is Action.DELETE:
            self._removal.remove(file, self._key, self._read())
            steps.add(MigrateStep.DELETED)
        elif decision.action is Action.CONFLICT:
            # What is in the way is not in the bucket: an upload was right, and counts.
            is_in_the_way = reason is Reason.IN_THE_WAY
            steps = {MigrateStep.CONFLICT, *(steps if is_in_the_way else ())}
            left = "the local file was left" if is_in_the_way else "nothing was changed"
            text = f"Conflict, {left}: {text}.{self._details()}"
        else:
            steps = {MigrateStep.FAILED}
        # Mostly all objects have that: then the run gives up, and nobody is told a million names.
        concerns_all = reason is Reason.EXPIRES
        return Outcome(
            file.path,
            file.size,
            frozenset(steps),
            text,
            why=reason.value,
            answered=self._answered and not concerns_all,
            unavailable=concerns_all,
        )

    def _details(self) -> str:
        return self._in_the_way or self._details_of(self._proof)

    def _details_of(self, found: Proof) -> str:
        if found.said:
            return f" {found.said}"
        if found.stored is Stored.OTHER and found.size != self._file.size:
            return f" The local file has {self._file.size:,} bytes, the object {found.size:,}."
        return ""

    def _ask_earlier(self) -> Earlier:
        for place in self._earlier:
            found = proof.look(place.store, place.prefix + self._file.path, self._read())
            if found.stored is Stored.SAME:
                break
            # What a rule of that bucket deletes is passed over from then on.
            if found.stored not in (Stored.NOTHING, Stored.EXPIRING):
                self._in_the_way = f" It is {place.name}.{self._details_of(found)}"
                return Earlier.IN_THE_WAY
        return Earlier.WELL

    def _first_case(self) -> Case:
        row = self._row
        case = Case(
            Local.SETTLED,
            in_use=_in_use(self._plan, row),
            known=Known.UNKNOWN if row is None else Known.UNFINISHED,
            uploaded=Uploaded.NOT_TRIED if self._plan.upload else Uploaded.BY_SCRIPT,
            earlier=Earlier.NOT_ASKED if self._earlier else Earlier.WELL,
        )
        try:
            found = self._find()
        except ObjectUnreadable as error:
            self._proof = Proof(Stored.UNREADABLE, said=str(error))
            return case._replace(stored=Stored.UNREADABLE)
        if found is None and (row is None or not row.lengths):
            # Whatever is in it, it stays: no need to read it, night after night.
            return case
        content = self._read()
        if row is not None:
            case = case._replace(known=known_as(row.lengths, row.sha256, content.size, content.sha256))
        if found is not None:
            self._proof = proof.compare(self._store, found, content, listed=not self._answered)
        return self._with_proof(case)

    def _find(self) -> RemoteObject | None:
        if isinstance(self._seen, NotLooked):
            found = self._store.head(self._key)
            self._answered = True
            return found
        return self._seen

    def _with_proof(self, case: Case) -> Case:
        object_known = self._object_known() if self._proof.stored is Stored.OTHER else Known.UNKNOWN
        return case._replace(stored=self._proof.stored, object_known=object_known)

    def _object_known(self) -> Known:
        """What the database says of an object that is not the local file: which of the two to keep is for a person."""
        row = self._row
        if row is None:
            return Known.UNKNOWN
        sha256 = self._proof.sha256
        if sha256 is None and row.sha256 is not None and self._proof.size in row.lengths:
            sha256 = proof.hash_of(self._store, self._key)
        return known_as(row.lengths, row.sha256, self._proof.size, sha256)

    def _read(self) -> Content:
        """The content of the file, whose bytes are held if it is small enough."""
        if self._content is None:
            if self._file.size <= _HELD:
                self._held = self._media.read(self._file)
                self._content = content_of(self._held)
            else:
                with self._media.open(self._file) as source:
                    self._content = read_content(source)
        return self._content

    def _upload(self, content: Content) -> tuple[Proof, Uploaded]:
        try:
            if self._held is not None:
                stored = self._store.put(self._key, io.BytesIO(self._held), content)
            else:
                with self._media.open(self._file) as source:
                    stored = self._store.put(self._key, source, content)
        except ObjectExists:
            # Either somebody was faster, or the answer to our own upload was lost: the content tells.
            uploaded = Uploaded.TAKEN
        else:
            uploaded = Uploaded.ACCEPTED
            if content.is_proven_by(stored.etag) and not stored.expires:
                self._answered = True
                return Proof(Stored.SAME, stored.size), uploaded
            # An ETag that was not told may still be a hash.
            if stored.etag and not stored.expires:
                found = proof.read_back(self._store, self._key, content)
                self._answered = True
                return found, uploaded
        found = proof.look(self._store, self._key, content)
        self._answered = True
        return found, uploaded


def _in_use(plan: MigrationPlan, row: MediaRow | None) -> bool:
    if plan.in_use_after_ms is None or row is None or row.accessed_ms is None:
        return False
    return row.accessed_ms > plan.in_use_after_ms
