# SPDX-License-Identifier: GPL-3.0-or-later
"""The subcommand ``restore``: bring back what is only in the bucket, proven, and never over what is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import NamedTuple

from ..rules.content import Content, Reader, read_content
from ..rules.decision import Stored
from ..rules.errors import MediaError
from ..rules.free_space import MinimumFree
from ..rules.restoration import Action, Arrived, Case, Compared, Decision, Here, decide, judge
from ..stores.arrivals import Arrival, Arrivals, DiskFullError
from ..stores.media_store import FileChangedError, LocalFile, MediaStore
from ..stores.object_store import ObjectFailure, ObjectMissing, RemoteObject
from ..stores.s3_description import must_be_opened
from . import proof
from .pace import PaceKeeper, Together
from .places import Place
from .restore_survey import Found, Item, Survey, here
from .run import Endurance, is_unavailable, run
from .space import Space
from .summary import Count, Outcome, Step, Summary

# As migrate's minimum age: until then somebody may still write the file.
_RECENT_NS = 3600 * 10**9


class RestoreStep(Step):
    """What became of a file."""

    RESTORED = "restored", "Restored", "Would restore"
    ALREADY_LOCAL = "already_local", "Already local"
    MISSING = "missing", "Missing", "", True
    CONFLICT = "conflicts", "Conflicts", "", True
    FAILED = "failed", "Failed", "", True
    NOT_SELECTED = "not_selected", "Not selected"


def new_summary(*, dry_run: bool = False) -> Summary:
    """A summary without any file yet."""
    problems_are = "What failed, conflicts or is missing is named above; nothing of it was changed on the local disk."
    return Summary("restore", RestoreStep, problems_are, dry_run=dry_run)


@dataclass(frozen=True)
class RestorePlan:
    """What one run is to do.

    ``now_ns``: when it began, in nanoseconds since 1970. ``workers``: files under way at once; None: found by trying.
    ``pass_on`` is called before so many bytes are taken in, and may wait: a limit to the bandwidth.
    """

    now_ns: int
    minimum_free: MinimumFree
    repair: bool = False
    dry_run: bool = False
    workers: int | None = None
    pass_on: Callable[[int], None] = lambda _size: None
    endurance: Endurance = field(default_factory=Endurance)


@dataclass
class Told:
    """What the run has found out beside the counts. ``unproven``: files of which only the length is known."""

    repaired: Count = field(default_factory=Count)
    unproven: Count = field(default_factory=Count)
    _lock: Lock = field(default_factory=Lock)

    def add(self, count: Count, size: int) -> None:
        with self._lock:
            count.add(size)


def restore(
    plan: RestorePlan,
    survey: Survey,
    media: MediaStore,
    arrivals: Arrivals,
    summary: Summary,
    *,
    stop: Event,
    report: Callable[[Outcome], None],
) -> Told:
    """Bring back what ``survey`` has found, and add each file to ``summary``.

    ``stop`` ends the run between files; ``report`` gets every outcome in the caller's thread.
    """
    told = Told()
    run_of = _Run(plan, survey.places, media, arrivals, Space(plan.minimum_free), told)
    asked = Together([place.store for place in survey.places])
    pace = PaceKeeper(asked, plan.workers, time.monotonic)
    before = _counted(summary)
    run(run_of.work, survey.items(), summary, workers=pace.workers, stop=stop, report=report, endurance=plan.endurance)
    try:
        arrivals.sync()
    except MediaError as error:
        summary.errors.append(str(error))
    if summary.errors and not stop.is_set():
        summary.not_reached = max(0, survey.count - (_counted(summary) - before))
    summary.requests = asked.requests
    return told


def _counted(summary: Summary) -> int:
    return sum(count.files for count in summary.counts.values())


class _Run(NamedTuple):
    """What the work on each file needs."""

    plan: RestorePlan
    places: Sequence[Place]
    media: MediaStore
    arrivals: Arrivals
    space: Space
    told: Told

    def work(self, item: Item) -> Outcome:
        """Carry out the decision on one file. A failure is an outcome; nothing is raised."""
        try:
            return self._outcome(item)
        except DiskFullError as error:
            # It is neither restored nor failed: it was not reached, as all that follow.
            return Outcome(item.path, 0, frozenset(), "the run had to end", ends_run=error)
        except FileChangedError:
            return _ended(item, RestoreStep.CONFLICT, "The local file changed while it was looked at. Run this again.")
        except MediaError as error:
            return _ended(item, RestoreStep.FAILED, str(error), unavailable=is_unavailable(error))

    def _outcome(self, item: Item) -> Outcome:
        case = item.case._replace(repair=self.plan.repair)
        if item.file is not None:
            case = case._replace(is_recent=item.file.modified_ns > self.plan.now_ns - _RECENT_NS)
        if case.compared is Compared.SAME and self.plan.repair:
            # What restore has put there was right then; a repair reads it.
            case = case._replace(compared=Compared.NOT_YET)
        decision = decide(case)
        if decision.action is Action.COMPARE and item.file is not None:
            decision = decide(self._compared(case, item, item.file))
        return self._carry_out(decision, item)

    def _carry_out(self, decision: Decision, item: Item) -> Outcome:
        reason = decision.reason.value
        if decision.action is Action.LEAVE:
            return _ended(item, RestoreStep.ALREADY_LOCAL, reason)
        if decision.action is Action.MISSING:
            return _ended(item, RestoreStep.MISSING, reason)
        if decision.action is Action.FAIL:
            return _ended(item, RestoreStep.FAILED, reason)
        if decision.action is Action.CONFLICT:
            return _ended(item, RestoreStep.CONFLICT, f"Conflict, nothing was changed: {reason}.{_lengths(item)}")
        if self.plan.dry_run:
            self._try_to_open(item)
            return _ended(item, RestoreStep.RESTORED, reason)
        return self._from_places(item, replaces=item.file if decision.action is Action.REPAIR else None)

    def _try_to_open(self, item: Item) -> None:
        """Raise ObjectFailure where no object can be read at once: of an archive class only opening tells."""
        failures = list[str]()
        for found in item.fitting:
            key = self._key(item, found)
            if not must_be_opened(_remote(key, found)):
                return
            try:
                with self.places[found.place].store.open(key) as body:
                    body.read(1)
            except ObjectFailure as error:
                failures.append(str(error))
            else:
                return
        raise ObjectFailure(" ".join(failures))

    def _compared(self, case: Case, item: Item, file: LocalFile) -> Case:
        """Read the local file: the database proves it, or the object does."""
        with self.media.open(file) as source:
            content = read_content(source)
        case = case._replace(here=here(item.row, file, content.sha256))
        if case.here is Here.WRONG or (case.here is Here.RIGHT and item.row.sha256 is not None):
            return case._replace(compared=Compared.SAME)
        found = item.fitting[0]
        store, key = self.places[found.place].store, self._key(item, found)
        compared = proof.compare(store, _remote(key, found), content, listed=True)
        if compared.stored is Stored.UNREADABLE:
            raise ObjectFailure(compared.said)
        same = compared.stored is not Stored.OTHER
        return case._replace(compared=Compared.SAME if same else Compared.OTHER)

    def _from_places(self, item: Item, replaces: LocalFile | None) -> Outcome:
        """From the first provider whose object can be read and is proven, in Synapse's order."""
        wrong, failures = list[str](), list[str]()
        for found in item.fitting:
            outcome = self._try(item, found, replaces, wrong, failures)
            if outcome is not None:
                return outcome
        if failures:
            return _ended(item, RestoreStep.FAILED, " ".join(failures), answered=True)
        return _ended(item, RestoreStep.CONFLICT, f"Conflict, nothing was changed: {wrong[0]}.", answered=True)

    def _try(
        self, item: Item, found: Found, replaces: LocalFile | None, wrong: list[str], failures: list[str]
    ) -> Outcome | None:
        try:
            outcome = self._fetch(item, found, replaces)
        except ObjectMissing:
            key = self._key(item, found)
            failures.append(f"Object {key!r} has gone since the bucket was listed. Run this again.")
        except ObjectFailure as error:
            failures.append(str(error))
        else:
            if isinstance(outcome, Outcome):
                return outcome
            wrong.append(outcome)
        return None

    def _fetch(self, item: Item, found: Found, replaces: LocalFile | None) -> Outcome | str:
        """Bring one object to the disk; or say why it is not what the database gives."""
        store, key, row = self.places[found.place].store, self._key(item, found), item.row
        with self.arrivals.new(item.path) as arrival, self.space.reserved(arrival.disk, found.size) as wrote:
            with store.open(key) as body:
                content = read_content(_Incoming(body, found.size, arrival, self.plan.pass_on, wrote))
                kept_sha256, kept_md5 = body.sha256, body.md5
            arrived = judge(
                content,
                size=found.size,
                etag=found.etag,
                kept_sha256=kept_sha256,
                kept_md5=kept_md5,
                lengths=row.lengths,
                sha256=row.sha256,
            )
            if arrived is Arrived.NOT_THE_DATABASES:
                return "the object's content is not what the database gives (length or sha256)"
            if arrived is Arrived.ALTERED:
                raise ObjectFailure(
                    f"Could not use object {key!r}: what came is not what the bucket has listed, or keeps a hash of. It"
                    " was replaced meanwhile, or changed on the way: run this again. Where that does not help, it is"
                    " damaged."
                )
            if arrived is Arrived.OF_THE_LENGTH and replaces is not None:
                return "the local file is damaged, and neither a hash nor the ETag proves the object"
            return self._settle(item, found, arrival, content, arrived, replaces)

    def _settle(
        self,
        item: Item,
        found: Found,
        arrival: Arrival,
        content: Content,
        arrived: Arrived,
        replaces: LocalFile | None,
    ) -> Outcome:
        modified_ns = found.modified_ns(self.plan.now_ns)
        if replaces is not None:
            if not arrival.replace(replaces, modified_ns):
                raise FileChangedError(item.path)
            self.told.add(self.told.repaired, content.size)
        else:
            try:
                arrival.take_name(modified_ns)
            except FileExistsError:
                return self._was_there(item, content)
        if arrived is Arrived.OF_THE_LENGTH:
            self.told.add(self.told.unproven, content.size)
        return _ended(item, RestoreStep.RESTORED, "restored", answered=True)

    def _was_there(self, item: Item, content: Content) -> Outcome:
        """Somebody was faster: Synapse fetches what it is asked for."""
        if self.media.sha256(item.path) == content.sha256:
            return _ended(item, RestoreStep.ALREADY_LOCAL, "on the local disk by now", answered=True)
        reason = (
            "Conflict, nothing was changed: a local file of other content appeared while this was fetched. Synapse may"
            " still be writing it: run this again later."
            if self.media.find(item.path)
            else "Conflict, nothing was changed: what has its name on the local disk is no file, but a symbolic link"
            " or a directory. Put a file in its place, or remove it, and run this again."
        )
        return _ended(item, RestoreStep.CONFLICT, reason, answered=True)

    def _key(self, item: Item, found: Found) -> str:
        return self.places[found.place].prefix + item.path


class _Incoming:
    """An object that is written to the disk as it is read."""

    def __init__(
        self,
        body: Reader,
        size: int,
        arrival: Arrival,
        pass_on: Callable[[int], None],
        wrote: Callable[[int], None],
    ) -> None:
        self._body = body
        self._left = size
        self._arrival = arrival
        self._pass_on = pass_on
        self._wrote = wrote

    def read(self, size: int, /) -> bytes:
        data = self._body.read(size)
        if len(data) > self._left:
            raise ObjectFailure(
                "Could not use the object: it is longer than the bucket has listed. It was replaced meanwhile: run"
                " this again."
            )
        if data:
            self._pass_on(len(data))
            self._arrival.write(data)
            self._wrote(len(data))
            self._left -= len(data)
        return data


def _remote(key: str, found: Found) -> RemoteObject:
    return RemoteObject(key, found.size, found.etag, found.storage_class)


def _ended(item: Item, step: RestoreStep, reason: str, *, answered: bool = False, unavailable: bool = False) -> Outcome:
    return Outcome(item.path, item.size, frozenset({step}), reason, answered=answered, unavailable=unavailable)


def _lengths(item: Item) -> str:
    """What an operator sees the conflict by."""
    parts = []
    if item.file is not None:
        parts.append(f"the local file has {item.file.size:,} bytes")
    if item.objects:
        parts.append(f"the object {item.objects[0].size:,}")
    if item.row.lengths:
        parts.append(f"the database gives {', '.join(f'{length:,}' for length in sorted(item.row.lengths))}")
    text = ", ".join(parts)
    return f" {text[:1].upper()}{text[1:]}." if text else ""
