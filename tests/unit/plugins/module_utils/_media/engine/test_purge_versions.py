# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.orphans import Orphan, new_orphans
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.purge_orphans import (
    PurgePlan,
    new_summary,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.purge_versions import look_at_versions
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.summary import Summary
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import (
    ConfigurationError,
    MediaError,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.journal import open_journal
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    ObjectFailure,
    RemoteObject,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_versions import ObjectVersion
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3_versions import expiry_of
from ansible_collections.matrixops.synapse_s3.tests.unit.purge_homeserver import (
    AGE,
    NOW,
    OLD,
    PREFIX,
    YOUNG,
    Homeserver,
)

KNOWN = "local_content/aa/bb/known"


class Versions:
    """A VersionStore in memory: for each key its versions, the latest last; None is a delete marker."""

    def __init__(self, objects: Mapping[str, Sequence[int | None]], modified: float = OLD) -> None:
        self.found = [
            ObjectVersion(key, str(number), size or 0, modified, number == len(sizes) - 1, size is None)
            for key, sizes in sorted(objects.items())
            for number, size in enumerate(sizes)
        ]
        self.listed = 0
        self.failure: MediaError | None = None
        self.locked: set[str] = set()
        self.ends: str | MediaError = ""

    def are_kept(self) -> bool:
        if self.failure is not None:
            raise self.failure
        return True

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectVersion]:
        for each in list(self.found):
            if each.key.startswith(prefix) and each.key > after:
                self.listed += 1
                yield each

    def delete(self, versions: Sequence[ObjectVersion]) -> Mapping[ObjectVersion, MediaError]:
        refused = {each: ObjectFailure("It is locked.") for each in versions if each.key in self.locked}
        self.found = [each for each in self.found if each not in versions or each in refused]
        return refused

    def expiry(self, prefix: str) -> str:
        assert prefix == PREFIX
        if isinstance(self.ends, MediaError):
            raise self.ends
        return self.ends


@pytest.fixture
def homeserver(tmp_path: Path) -> Homeserver:
    made = Homeserver(tmp_path)
    made.upload(KNOWN)
    return made


def look(homeserver: Homeserver, versions: Versions, *purged: str, delete: bool = False) -> Summary:
    summary = new_summary(delete=True)
    plan = PurgePlan(NOW - AGE, NOW - AGE, Fraction(1), "own.example")
    with new_orphans() as orphans, open_journal(homeserver.journal) as journal:
        for path in sorted(purged):
            orphans.add(Orphan(path, RemoteObject(PREFIX + path, 1, ""), None))
        look_at_versions(
            plan,
            PREFIX,
            versions,
            orphans,
            homeserver,
            journal,
            summary,
            delete=delete,
            stop=Event(),
            report=lambda _outcome: None,
        )
    return summary


def paths(number: int, letter: str = "c") -> list[str]:
    return [f"local_content/{letter}{letter}/dd/{each:05}" for each in range(number)]


def test_only_what_was_purged_is_counted(homeserver: Homeserver) -> None:
    gone, other, kept = paths(3)
    versions = Versions(
        {PREFIX + gone: [5, 7, None], PREFIX + other: [11, None], PREFIX + kept: [13, 17], f"other/{gone}": [1, None]}
    )

    summary = look(homeserver, versions, gone, kept)

    assert summary.details == {"old_versions": {"files": 2, "bytes": 12}}
    assert summary.exit_status == 0


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ("", ", and no lifecycle rule of the bucket (NoncurrentVersionExpiration) ends them."),
        ("the lifecycle rule 'r' ends them after 30 days", ": the lifecycle rule 'r' ends them after 30 days."),
        (MediaError("It is not allowed."), ". What ends them can't be told. It is not allowed."),
    ],
)
def test_what_ends_them_is_told(homeserver: Homeserver, ends: str | MediaError, told: str) -> None:
    (gone,) = paths(1)
    versions = Versions({PREFIX + gone: [5, None]})
    versions.ends = ends

    summary = look(homeserver, versions, gone)

    assert summary.facts == [
        f"The bucket keeps 1 old versions of what was deleted (5 B){told}"
        " With --delete --delete-versions they go for good."
    ]


@pytest.mark.parametrize("number", [0, 999, 1001, 2500])
def test_what_lies_between_is_not_listed(homeserver: Homeserver, number: int) -> None:
    """Of a large bucket few versions are of interest; the next one may be near, or far."""
    between = paths(number)
    first, last = "local_content/aa/dd/0", "remote_content/example.org/aa/bb/cc"
    near = between[1500] if number > 1500 else first
    versions = Versions({PREFIX + path: [1, None] for path in {*between, first, near, last}})

    summary = look(homeserver, versions, first, near, last)

    expected = len({first, near, last})
    assert summary.details == {"old_versions": {"files": expected, "bytes": expected}}
    assert versions.listed < 4 * number + 10


def test_many_keys_that_differ_at_their_ends_only(homeserver: Homeserver) -> None:
    """The place to begin anew at is before all of them: it began there for ever."""
    many = [f"local_content/cc/dd/0{chr(33 + each // 90)}{chr(35 + each % 90)}" for each in range(1500)]
    last = "local_content/cc/dd/1"
    versions = Versions({PREFIX + path: [1, None] for path in {*many, last}})

    assert look(homeserver, versions, last).details == {"old_versions": {"files": 1, "bytes": 1}}


def test_all_that_is_deleted_and_unknown_goes_for_good(homeserver: Homeserver) -> None:
    own, earlier, there = paths(3)
    versions = Versions(
        {
            PREFIX + own: [5, 7, None],
            PREFIX + earlier: [11, None],
            PREFIX + there: [13, 17],
            PREFIX + KNOWN: [19, None],
            f"{PREFIX}backup.tar": [23, None],
            f"other/{own}": [29, None],
        }
    )

    summary = look(homeserver, versions, own, delete=True)

    assert {each.key for each in versions.found} == {
        PREFIX + there,
        PREFIX + KNOWN,
        f"{PREFIX}backup.tar",
        f"other/{own}",
    }
    assert summary.details == {"deleted_versions": {"files": 5, "bytes": 23}}
    assert summary.facts[-1] == (
        "Deleted for good: 5 old versions and delete markers (23 B), those of what was deleted before this run"
        " included."
    )
    assert len(homeserver.journal.read_text().splitlines()) == 5


def test_what_somebody_has_deleted_lately_stays(homeserver: Homeserver) -> None:
    own, other = paths(2)
    versions = Versions({PREFIX + own: [5, None], PREFIX + other: [7, None]}, YOUNG)

    look(homeserver, versions, own, delete=True)

    assert {each.key for each in versions.found} == {PREFIX + other}


def test_marker_stays_where_a_version_does(homeserver: Homeserver) -> None:
    locked, free = paths(2)
    versions = Versions({PREFIX + locked: [5, None], PREFIX + free: [7, None]})
    versions.locked = {PREFIX + locked}

    summary = look(homeserver, versions, locked, free, delete=True)

    assert [each.is_delete_marker for each in versions.found] == [False, True]
    assert summary.problems == [{"path": PREFIX + locked, "reason": "its version 0 is still there. It is locked."}]
    assert summary.exit_status == 1


def test_database_that_is_emptied_meanwhile(homeserver: Homeserver) -> None:
    (own,) = paths(1)
    versions = Versions({PREFIX + own: [5, None]})
    homeserver.rows.clear()

    summary = look(homeserver, versions, own, delete=True)

    assert (len(versions.found), summary.exit_status) == (2, 1)


@pytest.mark.parametrize(
    ("failure", "delete", "exit_status"),
    [
        (ConfigurationError("It has no versions."), True, 0),
        (ObjectFailure("Who knows."), False, 0),
        (ObjectFailure("Who knows."), True, 1),
    ],
)
def test_server_that_tells_nothing_of_versions(
    homeserver: Homeserver, failure: MediaError, delete: bool, exit_status: int
) -> None:
    versions = Versions({})
    versions.failure = failure

    summary = look(homeserver, versions, delete=delete)

    assert summary.exit_status == exit_status
    expected = [f"Whether old versions stay in the bucket can't be told. {failure}"]
    assert (summary.errors or summary.facts) == expected


DAYS = {"NoncurrentVersionExpiration": {"NoncurrentDays": 30}}
ENDS = "the lifecycle rule 'r' ends them after 30 days"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"Filter": {"Prefix": ""}}, ENDS),
        ({"Filter": {}}, ENDS),
        ({"Prefix": "hs/"}, ENDS),
        ({"Filter": {"Prefix": "h"}}, ENDS),
        ({"Filter": {"Prefix": "hs/local_content"}}, ""),
        ({"Filter": {"Prefix": "", "ObjectSizeGreaterThan": 5}}, ""),
        ({"Filter": {"And": {"Prefix": "", "Tags": []}}}, ""),
        ({"Filter": {"Prefix": ""}, "Status": "Disabled"}, ""),
        ({"Filter": {"Prefix": ""}, "NoncurrentVersionExpiration": {}}, ""),
        # It keeps the newest ones for ever, of media that was deleted all.
        ({"NoncurrentVersionExpiration": {"NoncurrentDays": 30, "NewerNoncurrentVersions": 5}}, ""),
    ],
)
def test_rule_that_ends_old_versions(rule: dict[str, Any], expected: str) -> None:
    assert expiry_of([{"ID": "other"}, {"ID": "r", "Status": "Enabled", **DAYS, **rule}], PREFIX) == expected
