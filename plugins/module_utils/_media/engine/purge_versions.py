# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bucket keeps of deleted orphans: counted, or deleted for good.

A deleted object is no longer in a listing, and so neither is what an earlier run has deleted. To delete for good goes
by the delete markers: all below the prefix, of whatever the database does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from threading import Event
from typing import Any

from ..rules.errors import ConfigurationError, MediaError
from ..rules.media_path import MediaPath, parse_media_path
from ..rules.orphan import Kind, kind_of
from ..stores.journal import Journal
from ..stores.object_versions import ObjectVersion, VersionStore
from .orphans import Orphans
from .purge_orphans import BATCH, PurgeDatabase, PurgePlan, PurgeStep, check_database
from .summary import Count, Outcome, Summary, format_bytes

# So many versions of other keys are passed over before the listing is begun anew at the next key that is wanted.
_PASSED = 1000

Group = Sequence[ObjectVersion]


def look_at_versions(
    plan: PurgePlan,
    prefix: str,
    versions: VersionStore,
    orphans: Orphans,
    database: PurgeDatabase,
    journal: Journal,
    summary: Summary,
    *,
    delete: bool,
    stop: Event,
    report: Callable[[Outcome], None],
) -> None:
    """Tell what stays of the orphans that were deleted, or delete that too. Raises nothing.

    Where the server can't be asked for versions, that is said once.
    """
    try:
        if not versions.are_kept():
            return
    except MediaError as error:
        # What was asked for and can't be done is no success; a server without versions has none to delete.
        is_failure = delete and not isinstance(error, ConfigurationError)
        told = summary.errors if is_failure else summary.facts
        told.append(f"Whether old versions stay in the bucket can't be told. {error}")
        return
    keys = (orphan.found.key for orphan in orphans if orphan.found is not None)
    try:
        if delete:
            _Erasure(plan, prefix, versions, database, journal, summary, report).run(keys, stop)
        else:
            _count(versions, prefix, keys, summary)
    except MediaError as error:
        summary.errors.append(str(error))


def _count(versions: VersionStore, prefix: str, keys: Iterator[str], summary: Summary) -> None:
    left = Count()
    for group in _of_keys(versions, prefix, keys):
        if _is_deleted(group):
            for each in group:
                if not each.is_delete_marker:
                    left.add(each.size)
    summary.details["old_versions"] = left.as_json()
    if not left.files:
        return
    try:
        expiry = versions.expiry(prefix)
        ends = (
            f": {expiry}."
            if expiry
            else ", and no lifecycle rule of the bucket (NoncurrentVersionExpiration) ends them."
        )
    except MediaError as error:
        ends = f". What ends them can't be told. {error}"
    summary.facts.append(
        f"The bucket keeps {left.files:,} old versions of what was deleted ({format_bytes(left.bytes)}){ends}"
        " With --delete --delete-versions they go for good."
    )


def _of_keys(versions: VersionStore, prefix: str, keys: Iterator[str]) -> Iterator[Group]:
    """The versions of each of these ascending keys that has any."""
    wanted = next(keys, None)
    while wanted is not None:
        passed = 0
        # A string before the key, and after nearly all that come before it.
        for key, group in groupby(versions.list(prefix, wanted[:-1]), lambda each: each.key):
            while wanted is not None and wanted < key:
                wanted = next(keys, None)
            if wanted is None:
                return
            found = tuple(group)
            if key == wanted:
                passed = 0
                yield found
            else:
                passed += len(found)
            if passed > _PASSED and wanted[:-1] > key:
                break
        else:
            return


def _latest(group: Group) -> ObjectVersion:
    return next(each for each in group if each.is_latest)


def _is_deleted(group: Group) -> bool:
    return any(each.is_latest and each.is_delete_marker for each in group)


class _Erasure:
    """Deletes for good what is deleted already."""

    def __init__(
        self,
        plan: PurgePlan,
        prefix: str,
        versions: VersionStore,
        database: PurgeDatabase,
        journal: Journal,
        summary: Summary,
        report: Callable[[Outcome], None],
    ) -> None:
        self._plan = plan
        self._prefix = prefix
        self._versions = versions
        self._database = database
        self._journal = journal
        self._summary = summary
        self._report = report
        self._deleted = Count()

    def run(self, keys: Iterator[str], stop: Event) -> None:
        """Go through all versions below the prefix; ``keys`` are those that this run has deleted, ascending."""
        batch: list[tuple[MediaPath, Group]] = []
        try:
            for media, group in self._candidates(keys):
                if stop.is_set():
                    return
                batch.append((media, group))
                if sum(len(each) for _unused, each in batch) >= BATCH:
                    self._erase(batch)
                    batch = []
            self._erase(batch)
        finally:
            self._summary.details["deleted_versions"] = self._deleted.as_json()
            if self._deleted.files:
                self._summary.facts.append(
                    f"Deleted for good: {self._deleted.files:,} old versions and delete markers"
                    f" ({format_bytes(self._deleted.bytes)}), those of what was deleted before this run included."
                )

    def _candidates(self, keys: Iterator[str]) -> Iterator[tuple[MediaPath, Group]]:
        own = next(keys, None)
        for key, versions in groupby(self._versions.list(self._prefix), lambda each: each.key):
            group = tuple(versions)
            while own is not None and own < key:
                own = next(keys, None)
            path = key[len(self._prefix) :]
            media = parse_media_path(path)
            if media is None or not _is_deleted(group):
                continue
            marked = _latest(group).modified
            recent_after = float("inf") if own == key else self._plan.object_recent_after
            if kind_of(path, marked, is_known=False, recent_after=recent_after) is Kind.ORPHAN:
                yield media, group

    def _erase(self, batch: Sequence[tuple[MediaPath, Group]]) -> None:
        if not batch:
            return
        check_database(self._database)
        rows = self._database.media_rows([media for media, _unused in batch])
        groups = [group for media, group in batch if media not in rows]
        self._journal.write(_record(each) for group in groups for each in group)
        refused = self._delete([each for group in groups for each in group if not each.is_delete_marker])
        # Last: without its marker an old version that is still there would be an object again.
        self._delete([each for group in groups for each in group if each.is_delete_marker and each.key not in refused])

    def _delete(self, versions: Sequence[ObjectVersion]) -> set[str]:
        """Delete them, and tell of which keys some could not be."""
        refused = set()
        for start in range(0, len(versions), BATCH):
            some = versions[start : start + BATCH]
            failed = self._versions.delete(some)
            for each in some:
                error = failed.get(each)
                if error is None:
                    self._deleted.add(each.size)
                    continue
                refused.add(each.key)
                reason = f"its version {each.version_id} is still there. {error}"
                outcome = Outcome(each.key, each.size, frozenset({PurgeStep.FAILED}), reason)
                self._summary.add(outcome)
                self._report(outcome)
        return refused


def _record(version: ObjectVersion) -> dict[str, Any]:
    kind = "delete marker" if version.is_delete_marker else "version"
    return {"action": "delete", "key": version.key, kind.replace(" ", "_"): version.version_id, "bytes": version.size}
