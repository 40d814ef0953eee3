# SPDX-License-Identifier: GPL-3.0-or-later
"""The subcommand ``purge-orphans``: delete what the database no longer knows, in batches, each asked for once more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from threading import Event
from typing import Any, NamedTuple, Protocol

from ..rules.errors import AccessError, ConfigurationError, MediaError, UnavailableError
from ..rules.media_path import parse_media_path
from ..rules.orphan import Kind, Tally
from ..rules.share import percent
from ..stores.database import KnownFile, MediaDatabase
from ..stores.journal import Journal
from ..stores.media_store import FileChangedError, LocalFile, MediaStore, PassedOver
from ..stores.object_store import ObjectStore, RemoteObject
from .merge import Bucket
from .orphans import Finder, Orphan, Orphans, Sides
from .summary import Outcome, Step, Summary

# What one request deletes.
BATCH = 1000
# So many of the first objects are looked through for one whose key has letters.
_LOOKED_THROUGH = 1000
# Batches under way: the database is asked about the next one while the server works on these.
_AT_ONCE = 4


class PurgeStep(Step):
    """What became of an object, or of a local file."""

    ORPHAN = "orphans", "Orphans in the bucket"
    DELETED = "deleted", "Deleted there"
    TOO_RECENT = "too_recent", "Too recent"
    FOREIGN = "foreign", "No media of Synapse's"
    FAILED = "failed", "Failed", "", True
    LOCAL_ORPHAN = "local_orphans", "Orphans on the disk"
    LOCAL_DELETED = "local_deleted", "Deleted there"
    LOCAL_FAILED = "local_failed", "Failed there", "", True


def new_summary(*, delete: bool) -> Summary:
    """A summary without any orphan yet. To list is a run that changes nothing."""
    return Summary("purge-orphans", PurgeStep, "What failed is named above and still there.", dry_run=not delete)


class PurgeDatabase(MediaDatabase, Protocol):
    """What is asked of the database."""

    def known_files(self, passed_over: Callable[[str], None]) -> Iterator[KnownFile]:
        """Every file that the database knows, ascending by path; ``passed_over`` is told the other rows' paths."""

    def is_standby(self) -> bool:
        """Whether it is a copy, which may not know yet what Synapse has written last."""


@dataclass(frozen=True)
class PurgePlan:
    """What one run is to do; times in seconds since 1970.

    ``object_recent_after``, ``file_recent_after``: what was stored later stays. ``server_name``: this homeserver's.
    ``is_only_bucket``: whether Synapse reads from no other, where media that is not here may be.
    """

    object_recent_after: float
    file_recent_after: float
    maximum_share: Fraction
    server_name: str
    is_only_bucket: bool = True


class Found(NamedTuple):
    """What can be read of an orphan, or of what is beside them: a key or a path."""

    kind: Kind
    what: str
    name: str
    size: int

    def as_json(self) -> Mapping[str, Any]:
        return {"action": "listed", "kind": self.kind.value, self.what: self.name, "bytes": self.size}


def check_database(database: PurgeDatabase) -> None:
    """Refuse a database that can't tell what Synapse no longer knows; it is asked again before each batch."""
    if database.is_standby():
        raise ConfigurationError(
            "Could not look for orphans: this database is a standby, which may not know yet what Synapse has written"
            " last. Name the primary in 'database' of Synapse's configuration."
        )
    if not database.has_media():
        raise ConfigurationError(
            "Could not look for orphans: the database knows no media at all, so that all of it would be one. See that"
            " 'database' in Synapse's configuration names the one that Synapse uses, and that it was restored in full."
        )


def check_names(prefix: str, media: MediaStore, store: ObjectStore) -> None:
    """Refuse a disk or a bucket whose listing may give media another name than the database has.

    Where names that differ in case alone are one (SMB, a data set of ZFS for it), "aB/cd/..." is listed below "Ab", if
    that was there first: what the database knows would be taken for an orphan. Raises a `MediaError`.
    """
    if media.folds_case():
        raise ConfigurationError(_folds_case(f"the file system of the media store {str(media.path)!r}"))
    below = (found.key[len(prefix) :] for found in islice(store.list(prefix), _LOOKED_THROUGH))
    path = next((each for each in below if each != each.swapcase()), None)
    if path is not None and store.head(prefix + path.swapcase()) is not None:
        raise ConfigurationError(_folds_case("the server of the bucket"))


def _folds_case(what: str) -> str:
    return (
        f"Could not look for orphans: {what} takes names that differ in upper and lower case alone for one. So media"
        " may be listed under another name than the database has, and would be taken for an orphan. Keep it where such"
        " names are told apart."
    )


def find_orphans(
    plan: PurgePlan,
    prefix: str,
    media: MediaStore,
    store: ObjectStore,
    database: PurgeDatabase,
    orphans: Orphans,
    summary: Summary,
    named: Callable[[Found], None],
) -> Tally:
    """Add all orphans and count them in ``summary``; ``named`` gets each, and each foreign object.

    Raises a `MediaError` when a side can't be seen in full: what is missing from it is no orphan, nor is the rest.
    """
    check_database(database)

    def failed(error: MediaError) -> None:
        summary.errors.append(str(error))

    def passed_over(what: PassedOver) -> None:
        summary.pass_over(what.path, what.reason, is_problem=False)

    def told(kind: Kind, what: RemoteObject | LocalFile) -> None:
        is_object = isinstance(what, RemoteObject)
        if step := _STEPS.get((kind, is_object)):
            summary.counts[step].add(what.size)
        name = what.key if isinstance(what, RemoteObject) else what.path
        if kind is Kind.ORPHAN:
            place = "in the bucket" if is_object else "on the local disk"
            summary.add(Outcome(name, what.size, frozenset(), f"unknown to the database, {place}", is_named=True))
        if kind is not Kind.TOO_RECENT:
            named(Found(kind, "key" if is_object else "path", name, what.size))

    finder = Finder(
        object_recent_after=plan.object_recent_after,
        file_recent_after=plan.file_recent_after,
        server_name=plan.server_name,
        told=told,
    )
    known = database.known_files(finder.pass_over)
    sides = Sides(media.scan(failed, passed_over), known, Bucket(prefix, _counted(store.list(prefix), summary)))
    tally = finder.find(sides, orphans)
    summary.requests = store.requests
    share = Fraction(tally.unknown_objects, tally.objects or 1)
    summary.details["share"] = round(float(share), 6)
    summary.facts.append(
        f"Of {tally.objects:,} objects of media {tally.unknown_objects:,} are unknown to the database"
        f" ({percent(share)}), the too recent ones included."
    )
    if recent := summary.counts[PurgeStep.TOO_RECENT].files:
        summary.facts.append(
            f"{recent:,} of these are too recent: Synapse has deleted them soon after they came, or another homeserver"
            " stores below the same prefix."
        )
    return tally if plan.is_only_bucket else tally._replace(missing=0)


_STEPS = {
    (Kind.ORPHAN, True): PurgeStep.ORPHAN,
    (Kind.TOO_RECENT, True): PurgeStep.TOO_RECENT,
    (Kind.FOREIGN, True): PurgeStep.FOREIGN,
    (Kind.ORPHAN, False): PurgeStep.LOCAL_ORPHAN,
}


def _counted(objects: Iterable[RemoteObject], summary: Summary) -> Iterator[RemoteObject]:
    for found in objects:
        summary.listed += 1
        yield found


class _Result(NamedTuple):
    """What became of a batch. ``unknown``: objects that may be gone or not, since nobody answered; they are told once.

    ``ends``: what makes it useless to go on, in words.
    """

    outcomes: Sequence[Outcome]
    unknown: Sequence[RemoteObject] = ()
    ends: str = ""


def delete_orphans(
    orphans: Orphans,
    media: MediaStore,
    store: ObjectStore,
    database: PurgeDatabase,
    journal: Journal,
    summary: Summary,
    *,
    stop: Event,
    report: Callable[[Outcome], None],
) -> None:
    """Delete them, batch by batch, unless the database knows them by now, and count what became of each.

    ``stop`` ends the run between batches; ``report`` gets every outcome in the caller's thread. Raises nothing.
    """
    threads = ThreadPoolExecutor(_AT_ONCE)
    under_way: dict[Future[_Result], int] = {}
    reached = known_by_now = 0
    is_over = False

    def collect() -> None:
        nonlocal is_over
        done, _unused = wait(under_way, return_when=FIRST_COMPLETED)
        for future in done:
            del under_way[future]
            result = future.result()
            for outcome in result.outcomes:
                summary.add(outcome)
                report(outcome)
            for found in result.unknown:
                summary.counts[PurgeStep.FAILED].add(found.size)
            if result.ends:
                is_over = True
                summary.errors.append(result.ends)

    try:
        for batch in orphans.batches(BATCH):
            while len(under_way) >= _AT_ONCE:
                collect()
            if is_over or stop.is_set():
                break
            # In this order: what the database knows at the last moment stays, and what is deleted is on record.
            check_database(database)
            certain = _still_unknown(batch, database)
            known_by_now += len(batch) - len(certain)
            journal.write(_record(orphan) for orphan in certain)
            reached += len(batch)
            under_way[threads.submit(_delete, certain, media, store)] = len(certain)
        while under_way:
            collect()
    except MediaError as error:
        summary.errors.append(str(error))
        while under_way:
            collect()
    finally:
        # Left where the caller is taken from what it waits for: their answers are not known.
        summary.abandoned = sum(under_way.values())
        threads.shutdown(wait=not under_way, cancel_futures=True)
        summary.requests = store.requests
        if known_by_now:
            summary.facts.append(f"{known_by_now:,} were left, because the database knows them by now.")
    if summary.errors and not stop.is_set():
        summary.not_reached = sum(1 for _turn in orphans) - reached


def _still_unknown(batch: Sequence[Orphan], database: MediaDatabase) -> list[Orphan]:
    paths = {orphan.path: media for orphan in batch if (media := parse_media_path(orphan.path))}
    rows = database.media_rows(paths.values())
    return [orphan for orphan in batch if orphan.path in paths and paths[orphan.path] not in rows]


def _record(orphan: Orphan) -> Mapping[str, Any]:
    record: dict[str, Any] = {"action": "delete", "path": orphan.path}
    if orphan.found is not None:
        record |= {"key": orphan.found.key, "bytes": orphan.found.size, "etag": orphan.found.etag}
        record["modified"] = orphan.found.modified
    if orphan.file is not None:
        record |= {"local_bytes": orphan.file.size, "local_modified": orphan.file.modified_ns / 1e9}
    return record


def _delete(orphans: Sequence[Orphan], media: MediaStore, store: ObjectStore) -> _Result:
    objects = {orphan.found.key: orphan.found for orphan in orphans if orphan.found is not None}
    of_files = [_of_file(orphan.file, media) for orphan in orphans if orphan.file is not None]
    try:
        refused = store.delete_many(list(objects)) if objects else {}
    except MediaError as error:
        ends = f"{error} Of {len(objects):,} objects some may be deleted all the same: the next run looks again."
        return _Result(of_files, tuple(objects.values()), ends)
    outcomes = [*of_files, *(_of_object(found, refused.get(key)) for key, found in objects.items())]
    concerns_all = [error for error in refused.values() if isinstance(error, (AccessError, UnavailableError))]
    gives_up = bool(objects) and len(concerns_all) == len(objects)
    return _Result(outcomes, ends=f"Gave up, since nothing could be deleted. {concerns_all[0]}" if gives_up else "")


def _of_object(found: RemoteObject, refused: MediaError | None) -> Outcome:
    if refused is None:
        return Outcome(found.key, found.size, frozenset({PurgeStep.DELETED}), "deleted")
    return Outcome(found.key, found.size, frozenset({PurgeStep.FAILED}), str(refused))


def _of_file(file: LocalFile, media: MediaStore) -> Outcome:
    try:
        media.remove(file)
    except FileChangedError:
        return Outcome(file.path, file.size, frozenset(), "changed or gone since it was seen; left", is_named=True)
    except MediaError as error:
        return Outcome(file.path, file.size, frozenset({PurgeStep.LOCAL_FAILED}), str(error))
    return Outcome(file.path, file.size, frozenset({PurgeStep.LOCAL_DELETED}), "deleted")
