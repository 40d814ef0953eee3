# SPDX-License-Identifier: GPL-3.0-or-later
"""The subcommand ``status``: what is where, what is at risk, and what Synapse can't serve."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeVar

from ..rules.errors import ALL_DONE, SOME_FAILED, ConfigurationError, MediaError
from ..rules.media_path import parse_media_path
from ..stores.media_store import LocalFile, PassedOver
from ..stores.object_store import ObjectFailure, ObjectStore, RemoteObject
from ..stores.s3_description import archived_as
from .merge import Bucket, Joined, join
from .places import Drawn, LegacyNames, Place, Sides, is_media
from .proof import why_unreadable
from .summary import Count, format_bytes

Value = TypeVar("Value")

_NAMED_IN_JSON = 1000
# So many files that were met in neither place are looked for once more.
_LOOKED_AGAIN = 200
_NO_MEDIA = (
    "Could not tell what Synapse can serve: the database knows no media at all, but there are files of media. Check"
    " that 'database' in Synapse's configuration is Synapse's own, and that it was restored in full."
)


@dataclass
class Status:
    """Counts of files; what could not be looked at makes those that depend on it unknown.

    ``at_risk``: the local disk has the only good copy. ``unserved``: originals that the database knows, and that are
    in neither place; ``unserved_thumbnails`` likewise. ``damaged``: files that are somewhere, and nowhere whole: in the
    database's length, and not in an archive. ``repairable``: files that a bucket has whole, and the local disk has not.
    ``unreadable``: of the objects that were looked at by chance, those that seem whole by the listing, are so nowhere
    else, and can't be read, or not for long.
    """

    local: Count = field(default_factory=Count)
    stored: Count = field(default_factory=Count)
    both: Count = field(default_factory=Count)
    at_risk: Count = field(default_factory=Count)
    at_risk_by_reason: dict[str, Count] = field(default_factory=dict)
    stored_only: Count = field(default_factory=Count)
    stored_elsewhere: Count = field(default_factory=Count)
    unserved: Count = field(default_factory=Count)
    unserved_thumbnails: Count = field(default_factory=Count)
    wrong_length: Count = field(default_factory=Count)
    damaged: Count = field(default_factory=Count)
    repairable: Count = field(default_factory=Count)
    unreadable: Count = field(default_factory=Count)
    unfinished: int = 0
    unknown_objects: Count = field(default_factory=Count)
    unknown_files: Count = field(default_factory=Count)
    archived: Count = field(default_factory=Count)
    foreign_objects: Count = field(default_factory=Count)
    passed_over: int = 0
    rows_skipped: int = 0
    sampled: int = 0
    problems: list[Mapping[str, str]] = field(default_factory=list)
    notices: list[Mapping[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    runs: Mapping[str, Any] = field(default_factory=dict)
    run_lines: list[str] = field(default_factory=list)
    not_told: set[str] = field(default_factory=set)
    candidates: list[tuple[str, int, bool]] = field(default_factory=list)
    is_misconfigured: bool = False

    def leave_out(self, error: MediaError) -> None:
        """Note that another provider's bucket could not be looked at."""
        _fail(self, error, _OF_OTHERS)

    def name_problem(self, path: str, reason: str) -> None:
        """Name what an operator has to look at."""
        if len(self.problems) < _NAMED_IN_JSON:
            self.problems.append({"path": path, "reason": reason})

    def skip_row(self, path: str) -> None:
        """Count a row of the database that Synapse can have no file for."""
        self.rows_skipped += 1
        if len(self.notices) < _NAMED_IN_JSON:
            self.notices.append({"path": path, "reason": "a row of the database that stands for no file of Synapse's"})

    @property
    def exit_status(self) -> int:
        """0 when all could be looked at and Synapse can read it; else 1, or 78 for a configuration that can't work."""
        if self.is_misconfigured:
            return ConfigurationError.exit_status
        return SOME_FAILED if self.errors or self.problems else ALL_DONE

    def as_json(self) -> Mapping[str, Any]:
        """The object that ``--json`` prints; null where it can't be told."""
        counts = {
            name: None if name in self.not_told else getattr(self, name).as_json()
            for name in (*_LABELS, "both", "foreign_objects")
        }
        by_reason = {reason: count.as_json() for reason, count in sorted(self.at_risk_by_reason.items())}
        return {
            "command": "status",
            **counts,
            "at_risk_by_reason": None if "at_risk" in self.not_told else by_reason,
            "unfinished": self.unfinished,
            "passed_over": self.passed_over,
            "rows_skipped": self.rows_skipped,
            "sampled": self.sampled,
            **self.runs,
            "other_providers": self.others,
            "facts": self.facts,
            "problems": self.problems,
            "notices": self.notices,
            "errors": self.errors,
            "exit_code": self.exit_status,
        }

    def as_text(self) -> str:
        """The same for a person."""
        rows = []
        for name, label in _LABELS.items():
            count = getattr(self, name)
            if name in self.not_told:
                rows.append(f"  {label:<46} can't be told")
            elif name in _ALWAYS or count.files:
                rows.append(f"  {label:<46}{count.files:>12,} files {format_bytes(count.bytes):>12}")
            if name == "at_risk" and name not in self.not_told:
                rows += [
                    f"    {_AT_RISK[reason]:<44}{count.files:>12,} files {format_bytes(count.bytes):>12}"
                    for reason, count in sorted(self.at_risk_by_reason.items())
                ]
        if self.passed_over:
            rows.append(f"  {'Passed over, as the JSON tells by name':<46}{self.passed_over:>12,}")
        if self.rows_skipped:
            rows.append(f"  {'Rows of the database that stand for no file':<46}{self.rows_skipped:>12,}")
        if self.unserved.files or self.unserved_thumbnails.files or self.damaged.files or self.repairable.files:
            rows.append("  Which files are missing or damaged: verify names them")
        rows += [f"  Also read by Synapse: {other}" for other in self.others]
        rows += [f"  {fact}" for fact in self.facts]
        rows += self.run_lines
        return "\n".join(rows)


_LABELS = {
    "local": "On the local disk",
    "stored": "In the bucket",
    "at_risk": "Only on the local disk",
    "stored_only": "Only in the bucket",
    "stored_elsewhere": "Only in another bucket that Synapse reads",
    "unserved": "Known to the database, but in neither place",
    "unserved_thumbnails": "Thumbnails of these, and other lost ones",
    "wrong_length": "In the bucket, not of the database's length",
    "damaged": "Damaged wherever it is, by length or archive",
    "repairable": "Damaged on the local disk, whole in a bucket",
    "unreadable": "Looked at by chance, and not to be read",
    "unknown_objects": "In the bucket, unknown to the database",
    "unknown_files": "On the local disk, unknown to the database",
    "archived": "In the bucket, in an archive class",
}
_ALWAYS = frozenset({"local", "stored", "at_risk", "unserved"})
_AT_RISK = {
    "not_stored": "not in the bucket",
    "other_size": "the bucket holds another length",
    "archived": "in the bucket in an archive class",
}
_OF_THE_BUCKET = frozenset(
    {
        "stored",
        "both",
        "at_risk",
        "stored_only",
        "unserved",
        "unserved_thumbnails",
        "wrong_length",
        "damaged",
        "repairable",
        "unreadable",
        "unknown_objects",
        "archived",
        "stored_elsewhere",
        "foreign_objects",
    }
)
_OF_OTHERS = frozenset({"unserved", "unserved_thumbnails", "stored_elsewhere", "damaged", "repairable", "unreadable"})
_OF_THE_DATABASE = _OF_OTHERS | {"stored_only", "unknown_objects", "unknown_files"}
_OF_THE_DISK = _OF_OTHERS | {"local", "both", "at_risk", "stored_only", "unknown_files"}
_OF_ABSENCE = _OF_OTHERS | {"stored_only"}


class _Sampled(NamedTuple):
    """An object that may be looked at. ``is_only_copy``: by the listings nothing else is whole."""

    found: RemoteObject
    is_only_copy: bool


def status(sides: Sides, numbers: random.Random) -> Status:
    """Compare the sides by one listing of each and one pass over the database. Raises nothing for a side's failure."""
    result = Status()
    sample = Drawn[_Sampled](numbers)
    files = _side(result, _OF_THE_DISK, lambda: sides.files(*_disk_callbacks(result)))
    known = _side(result, _OF_THE_DATABASE, lambda: sides.known(result.skip_row))
    buckets = [
        Bucket(
            place.prefix,
            _side(result, _OF_OTHERS if number else _OF_THE_BUCKET, partial(place.store.list, place.prefix)),
        )
        for number, place in enumerate(sides.places)
    ]
    legacy = LegacyNames()
    knows_any = False
    for joined in join(files, known, buckets):
        knows_any = knows_any or joined.known is not None
        remote = joined.objects[0] if joined.objects else None
        if not is_media(joined):
            if remote is not None:
                result.foreign_objects.add(remote.size)
            continue
        _count(result, joined, may_be_absent=legacy.stand_for(joined))
        if remote is not None:
            sample.offer(_Sampled(remote, _is_only_copy(joined)), bool(archived_as(remote.storage_class)))
    if not knows_any and not result.errors and (result.unknown_objects.files or result.unknown_files.files):
        _fail(result, MediaError(_NO_MEDIA), _OF_ABSENCE)
    if sides.places:
        _look_again(result, sides.places[0])
        _look_at_sample(result, sides.places[0].store, sample)
    result.others = [place.name for place in sides.places[1:]]
    return result


def _count(result: Status, joined: Joined, *, may_be_absent: bool) -> None:
    file, row = joined.file, joined.known
    remote, *elsewhere = joined.objects or (None,)
    if file is not None:
        result.local.add(file.size)
        if row is None:
            result.unknown_files.add(file.size)
    if remote is not None:
        result.stored.add(remote.size)
        if row is None:
            result.unknown_objects.add(remote.size)
        if archived_as(remote.storage_class):
            result.archived.add(remote.size)
    if file is not None and remote is not None:
        result.both.add(file.size)
    if row is not None and remote is not None and row.row.lengths and remote.size not in row.row.lengths:
        result.wrong_length.add(remote.size)
        reason = f"the object has {remote.size:,} bytes, which is not the length that the database gives"
        result.name_problem(remote.key, reason)
    if row is not None and row.row.lengths:
        _count_damage(result, row.row.lengths, joined)
    if file is not None and (reason := _at_risk(file, remote, elsewhere)):
        result.at_risk.add(file.size)
        result.at_risk_by_reason.setdefault(reason, Count()).add(file.size)
    if row is None or file is not None:
        return
    if remote is not None:
        result.stored_only.add(remote.size)
    elif found := next((each for each in elsewhere if each is not None), None):
        result.stored_elsewhere.add(found.size)
    elif not row.row.lengths:
        result.unfinished += 1
    elif not may_be_absent:
        media = parse_media_path(joined.path)
        is_thumbnail = media is not None and media.thumbnail is not None
        size = min(row.row.lengths)
        (result.unserved_thumbnails if is_thumbnail else result.unserved).add(size)
        if len(result.candidates) <= _LOOKED_AGAIN:
            result.candidates.append((joined.path, size, is_thumbnail))


def _count_damage(result: Status, lengths: frozenset[int], joined: Joined) -> None:
    is_local, is_whole_here = joined.file is not None, joined.file is not None and joined.file.size in lengths
    stored = [found for found in joined.objects if found is not None]
    is_whole_there = any(found.size in lengths and not archived_as(found.storage_class) for found in stored)
    if is_local and not is_whole_here and is_whole_there:
        result.repairable.add(min(lengths))
    elif (is_local or stored) and not is_whole_here and not is_whole_there:
        result.damaged.add(min(lengths))


def _is_only_copy(joined: Joined) -> bool:
    """Whether the first bucket has the file whole, as far as a listing tells, and neither the disk nor another has."""
    lengths = joined.known.row.lengths if joined.known is not None else frozenset[int]()
    is_local = joined.file is not None and joined.file.size in lengths
    first, *others = (
        found is not None and found.size in lengths and not archived_as(found.storage_class) for found in joined.objects
    )
    return first and not is_local and not any(others)


def _at_risk(file: LocalFile, remote: RemoteObject | None, elsewhere: Sequence[RemoteObject | None]) -> str:
    if any(found is not None and found.size == file.size for found in elsewhere):
        return ""
    if remote is None:
        return "not_stored"
    if remote.size != file.size:
        return "other_size"
    return "archived" if archived_as(remote.storage_class) else ""


def _disk_callbacks(result: Status) -> tuple[Callable[[MediaError], None], Callable[[PassedOver], None]]:
    def failed(error: MediaError) -> None:
        # All else is counted.
        _fail(result, error, _OF_ABSENCE)

    def passed_over(what: PassedOver) -> None:
        result.passed_over += 1
        named = result.problems if what.is_problem else result.notices
        if len(named) < _NAMED_IN_JSON:
            named.append({"path": what.path, "reason": what.reason})

    return failed, passed_over


def _side(result: Status, counts: frozenset[str], begin: Callable[[], Iterable[Value]]) -> Iterator[Value]:
    """What a side gives until it fails."""
    try:
        yield from begin()
    except MediaError as error:
        _fail(result, error, counts)


def _fail(result: Status, error: MediaError, counts: frozenset[str]) -> None:
    result.not_told |= counts
    result.errors.append(str(error))
    result.is_misconfigured |= isinstance(error, ConfigurationError)


def _look_again(result: Status, place: Place) -> None:
    """Media that moved from one side to the other while they were listed was met in neither."""
    if len(result.candidates) > _LOOKED_AGAIN:
        return
    for path, size, is_thumbnail in result.candidates:
        try:
            found = place.store.head(place.prefix + path)
        except ObjectFailure:
            continue
        except MediaError as error:
            _fail(result, error, _OF_OTHERS)
            return
        if found is not None:
            (result.unserved_thumbnails if is_thumbnail else result.unserved).take(size)
            result.stored_only.add(found.size)
            result.stored.add(found.size)


def _look_at_sample(result: Status, store: ObjectStore, sample: Drawn[_Sampled]) -> None:
    for found, is_only_copy in sample.chosen:
        try:
            why = why_unreadable(store, found.key)
        except MediaError as error:
            _fail(result, error, frozenset({"unreadable"}))
            return
        result.sampled += 1
        if why:
            result.name_problem(found.key, why)
            if is_only_copy:
                result.unreadable.add(found.size)
