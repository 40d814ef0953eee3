# SPDX-License-Identifier: GPL-3.0-or-later
"""Two stores in memory, a real media store, and rows: what is copied, what is named, what is left."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import BinaryIO

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.copy_bucket import (
    CopyPlan,
    check_two_places,
    copy_bucket,
    new_summary,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.copy_inventory import (
    CopySides,
    CopyStep,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.pace import Together
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.places import Place
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.run import Endurance
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.summary import Outcome, Summary
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.content import Content
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import ConfigurationError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import (
    MediaPath,
    parse_media_path,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores import spool
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.database import KnownFile, MediaRow
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.in_front import StoreInFront
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import MediaStore
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    ObjectStore,
    ObjectUnreadable,
    PermissionDenied,
    Readable,
    RemoteObject,
    StoreUnavailable,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.retrying import RetryingStore
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import Body, FailingStore, MemoryStore

PATH = "local_content/aa/bb/cc"
OTHER = "local_content/aa/bb/dd"
THUMBNAIL = "remote_thumbnail/example.org/aa/bb/cc/32-32-image-png"
MIB = 2**20


class Homeserver:
    """The sides of a copy: from ``old`` below hs/ to ``new`` below new/; ``third`` is a bucket that Synapse reads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.old, self.new, self.third = MemoryStore(), MemoryStore(), MemoryStore()
        self.rows: dict[str, KnownFile] = {}
        self.deleted: set[str] = set()
        self.etags_prove = True
        self.target_below = ""
        self.told: list[Outcome] = []

    def know(self, path: str, size: int | None, content: bytes | None = None, *, legacy: bool = False) -> None:
        lengths = frozenset() if size is None else frozenset({size})
        sha256 = None if content is None else hashlib.sha256(content).hexdigest()
        self.rows[path] = KnownFile(path, MediaRow(lengths, sha256, None), legacy)

    def store(self, path: str, content: bytes) -> None:
        """In the old bucket, and known."""
        self.old.objects[f"hs/{path}"] = content
        self.know(path, len(content))

    def save(self, path: str, content: bytes) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(content)

    def known_files(self, passed_over: Callable[[str], None]) -> Iterator[KnownFile]:
        passed_over("local_content/NULL")
        return iter([self.rows[path] for path in sorted(self.rows, key=str.encode)])

    def media_rows(self, paths: Iterable[MediaPath]) -> Mapping[MediaPath, MediaRow]:
        rows = {parse_media_path(path): known.row for path, known in self.rows.items() if path not in self.deleted}
        return {path: rows[path] for path in paths if path in rows}

    def copy(
        self,
        source: ObjectStore | None = None,
        target: ObjectStore | None = None,
        plan: CopyPlan | None = None,
        third: ObjectStore | None = None,
    ) -> Summary:
        plan = plan or CopyPlan(workers=4, endurance=Endurance(pauses=()))
        summary = new_summary(dry_run=plan.dry_run)
        sides = CopySides(
            MediaStore(self.root),
            self,
            Place("the old one", source or self.old, "hs/"),
            Place("the new one", target or self.new, "new/"),
            [Place("the third", third or self.third, "hs/")],
            etags_prove=self.etags_prove,
            target_below=self.target_below,
        )
        self.told = []
        copy_bucket(plan, sides, summary, stop=Event(), report=self.told.append)
        return summary


@pytest.fixture
def homeserver(tmp_path: Path) -> Homeserver:
    return Homeserver(tmp_path)


def told(summary: Summary) -> dict[str, int]:
    """What is not 0."""
    return {step.key: count.files for step, count in summary.counts.items() if count.files}


def reasons(summary: Summary) -> dict[str, str]:
    return {problem["path"]: problem["reason"] for problem in summary.problems}


def test_what_is_only_in_the_source_is_copied(homeserver: Homeserver) -> None:
    content = {PATH: b"", OTHER: b"x" * (spool.HELD + 1), "local_content/aa/bb/ee": b"y" * (9 * MIB)}
    for path, data in content.items():
        homeserver.store(path, data)

    summary = homeserver.copy()

    assert (told(summary), summary.exit_status) == ({"copied": 3}, 0)
    assert homeserver.new.objects == {f"new/{path}": data for path, data in content.items()}
    assert summary.by_reason.keys() == {"proven"}
    assert summary.requests == homeserver.old.requests + homeserver.new.requests
    assert [outcome.path for outcome in sorted(homeserver.told, key=lambda outcome: outcome.path)] == sorted(content)


def test_second_run_needs_listings_and_a_look_at_some(homeserver: Homeserver) -> None:
    for number in range(40):
        homeserver.store(f"{PATH}{number}", b"1234")
    homeserver.copy()
    before = homeserver.old.requests, homeserver.new.requests

    summary = homeserver.copy()

    assert told(summary) == {"already_there": 40}
    assert (homeserver.old.requests, homeserver.new.requests) == (before[0] + 1, before[1] + 1 + 25)


def test_dry_run_reads_and_writes_nothing(homeserver: Homeserver) -> None:
    homeserver.store(PATH, b"1234")

    summary = homeserver.copy(plan=CopyPlan(dry_run=True))

    assert (told(summary), homeserver.new.objects) == ({"copied": 1}, {})
    assert (homeserver.old.requests, homeserver.new.requests) == (1, 1)


def test_what_the_database_does_not_know_is_left_behind(homeserver: Homeserver) -> None:
    homeserver.store(PATH, b"1234")
    homeserver.old.objects |= {f"hs/{OTHER}": b"12", "hs/backup.tar": b"1", "elsewhere/file": b"1"}

    summary = homeserver.copy()

    assert homeserver.new.objects.keys() == {f"new/{PATH}"}
    assert (summary.details["unknown_objects"], summary.details["foreign_objects"]) == (
        {"files": 1, "bytes": 2},
        {"files": 1, "bytes": 1},
    )
    assert summary.facts == [
        "Not copied: 1 files (2 B) in the source, unknown to the database: they stay there.",
        "Not copied: 1 files (1 B) in the source, no media of Synapse's: they stay there.",
    ]
    assert summary.exit_status == 0


def test_target_below_the_source_is_not_foreign(homeserver: Homeserver) -> None:
    homeserver.store(PATH, b"1234")
    homeserver.new = homeserver.old
    homeserver.target_below = "new/"
    summary = new_summary()
    sides = CopySides(
        MediaStore(homeserver.root),
        homeserver,
        Place("old", homeserver.old, "hs/"),
        Place("new", homeserver.old, "hs/new/"),
        target_below="new/",
    )
    for _turn in range(2):
        copy_bucket(CopyPlan(), sides, summary, stop=Event(), report=lambda _outcome: None)

    assert told(summary) == {"copied": 1, "already_there": 1}
    assert homeserver.old.objects.keys() == {f"hs/{PATH}", f"hs/new/{PATH}"}
    assert summary.facts == []


def test_what_is_in_neither_bucket(homeserver: Homeserver) -> None:
    """Media that is not migrated yet is on the local disk, and is no failure."""
    names = [f"local_content/aa/bb/{name}" for name in ("local", "short", "third", "nowhere", "deleted", "unfinished")]
    local, short, third, nowhere, deleted, unfinished = names
    for path in names:
        homeserver.know(path, None if path == unfinished else 4)
    homeserver.save(local, b"1234")
    homeserver.save(short, b"1")
    homeserver.third.objects[f"hs/{third}"] = b"1234"
    homeserver.deleted.add(deleted)

    summary = homeserver.copy()

    assert (told(summary), summary.exit_status) == ({"missing": 2}, 1)
    reason = (
        "It is in neither bucket, and in its full length neither on the local disk nor in another bucket that Synapse"
        " reads."
    )
    assert reasons(summary) == {nowhere: reason, short: reason}
    one = {"files": 1, "bytes": 4}
    assert summary.details == {
        "local_only": one,
        "other_bucket": one,
        "unknown_objects": {"files": 0, "bytes": 0},
        "foreign_objects": {"files": 0, "bytes": 0},
        "unfinished": 1,
    }
    assert summary.facts == [
        "Not copied: 1 files (4 B) on the local disk, not in the source: migrate uploads them.",
        "Not copied: 1 files (4 B) in another bucket that Synapse reads: copy them from there.",
    ]


def test_new_media_goes_to_the_target_by_itself(homeserver: Homeserver) -> None:
    homeserver.know(PATH, 4)
    homeserver.new.objects[f"new/{PATH}"] = b"1234"

    assert told(homeserver.copy()) == {"already_there": 1}


def test_thumbnail_under_its_old_name(homeserver: Homeserver) -> None:
    for name in (THUMBNAIL, f"{THUMBNAIL}-crop", f"{THUMBNAIL}-scale"):
        homeserver.know(name, 4, legacy=name == THUMBNAIL)
    homeserver.old.objects[f"hs/{THUMBNAIL}"] = b"1234"

    summary = homeserver.copy()

    assert (told(summary), summary.exit_status) == ({"copied": 1}, 0)
    assert homeserver.new.objects == {f"new/{THUMBNAIL}": b"1234"}


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (
            b"12",
            "the target holds an object of 2 bytes, which is not the length that the database gives.",
        ),
        (b"4321", "the target holds other content under this key."),
    ],
)
def test_other_content_in_the_target_is_never_overwritten(homeserver: Homeserver, target: bytes, reason: str) -> None:
    homeserver.store(PATH, b"1234")
    homeserver.new.objects[f"new/{PATH}"] = target

    summary = homeserver.copy()

    assert (told(summary), summary.exit_status) == ({"conflicts": 1}, 1)
    assert reasons(summary) == {PATH: f"Conflict, nothing was changed: {reason}"}
    assert homeserver.new.objects == {f"new/{PATH}": target}


def test_two_lengths_that_may_both_be_right(homeserver: Homeserver) -> None:
    homeserver.store(PATH, b"1234")
    homeserver.know(PATH, None)
    homeserver.new.objects[f"new/{PATH}"] = b"12"

    assert reasons(homeserver.copy()) == {
        PATH: "Conflict, nothing was changed: the target holds an object of 2 bytes, the source one of 4."
    }


def test_damaged_object_is_not_carried_on(homeserver: Homeserver) -> None:
    """It would take the place of a good copy, for an object is never overwritten."""
    homeserver.store(PATH, b"")
    homeserver.know(PATH, 4)
    homeserver.store(OTHER, b"1234")
    homeserver.know(OTHER, 4, b"other")

    summary = homeserver.copy()

    assert (told(summary), homeserver.new.objects) == ({"failed": 2}, {})
    assert reasons(summary) == {
        PATH: "It was not copied: the object in the source has 0 bytes, which is not the length that the database"
        " gives.",
        OTHER: "It was not copied: the object in the source has another sha256 than the database gives.",
    }


class Altering(StoreInFront):
    """What is read has another byte than what is stored."""

    @contextmanager
    def open(self, key: str) -> Iterator[Readable]:
        with super().open(key) as body:
            yield Body(b"X" + body.read(MIB)[1:], md5=body.md5)


def test_what_is_not_its_own_etag_is_not_carried_on(homeserver: Homeserver) -> None:
    """No thumbnail has a sha256 in the database, nor has what is older than that column."""
    homeserver.store(PATH, b"1234")

    summary = homeserver.copy(source=Altering(homeserver.old))

    assert (told(summary), homeserver.new.objects) == ({"failed": 1}, {})
    assert reasons(summary) == {
        PATH: "It was not copied: what was read is not what the source's own ETag, an MD5, says. It was changed on the"
        " way: run this again. Where that does not help, it is damaged."
    }


class OddEtags(StoreInFront):
    """A server whose ETags are no hashes, as with some encryptions."""

    @contextmanager
    def open(self, key: str) -> Iterator[Readable]:
        with super().open(key) as body:
            yield Body(body.read(MIB))

    def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
        return (replace(found, etag="0" * 32) for found in super().list(prefix, after, page_size))

    def head(self, key: str) -> RemoteObject | None:
        found = super().head(key)
        return found and replace(found, etag="0" * 32)

    def put(self, key: str, source: BinaryIO, content: Content) -> RemoteObject:
        return replace(super().put(key, source, content), etag="0" * 32)


@pytest.mark.parametrize("has_sha256", [True, False])
def test_where_etags_are_no_hashes_all_is_read(homeserver: Homeserver, has_sha256: bool) -> None:
    homeserver.etags_prove = False
    homeserver.store(PATH, b"1234")
    homeserver.store(OTHER, b"5678")
    for path, data in ((PATH, b"1234"), (OTHER, b"5678")):
        homeserver.know(path, 4, data if has_sha256 else None)
    source, target = OddEtags(homeserver.old), OddEtags(homeserver.new)

    first = homeserver.copy(source, target)
    homeserver.new.objects[f"new/{OTHER}"] = b"5679"
    second = homeserver.copy(source, target)

    assert told(first) == {"copied": 2}
    assert first.by_reason.keys() == {"proven" if has_sha256 else "by_length_alone"}
    assert told(second) == {"already_there": 1, "conflicts": 1}
    assert reasons(second) == {OTHER: "Conflict, nothing was changed: the target holds other content under this key."}


class Damaging(StoreInFront):
    """What is stored is not what was sent, and the server's ETag does not tell."""

    def put(self, key: str, source: BinaryIO, content: Content) -> RemoteObject:
        found = super().put(key, source, content)
        store = self._store
        assert isinstance(store, MemoryStore)
        store.objects[key] = b"X" * found.size
        return replace(found, etag="")


def test_what_the_target_took_is_looked_at(homeserver: Homeserver) -> None:
    homeserver.store(PATH, b"1234")

    assert told(homeserver.copy(target=Damaging(homeserver.new))) == {"conflicts": 1}


class Unreadable(StoreInFront):
    """Every object is of another key."""

    def head(self, key: str) -> RemoteObject | None:
        raise ObjectUnreadable(f"Could not look up {key!r}: another key.")


@pytest.mark.parametrize("same", [True, False])
def test_key_that_is_taken_between_the_listing_and_the_upload(homeserver: Homeserver, same: bool) -> None:
    homeserver.store(PATH, b"1234")
    homeserver.new.objects[f"new/{PATH}"] = b"1234" if same else b"4321"

    class Late(StoreInFront):
        def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
            return (found for found in super().list(prefix, after, page_size) if found.key == "")

    assert told(homeserver.copy(target=Late(homeserver.new))) == ({"copied": 1} if same else {"conflicts": 1})


def test_archived_object_in_the_target_is_a_conflict(homeserver: Homeserver) -> None:
    for path in (PATH, OTHER):
        homeserver.store(path, b"1234")
        homeserver.new.objects[f"new/{path}"] = b"1234"
        homeserver.new.storage_classes[f"new/{path}"] = "GLACIER"
    # One of them is brought back for some days.
    homeserver.new.archived[f"new/{PATH}"] = "GLACIER"

    summary = homeserver.copy()

    assert reasons(summary)[OTHER] == (
        "Conflict, nothing was changed: the target holds an object under this key that Synapse can't read at once. It"
        " was brought back from GLACIER for a while only."
    )
    assert "in an archive" in reasons(summary)[PATH]
    assert summary.exit_status == 1


def test_object_that_a_rule_of_the_targets_bucket_will_delete_is_a_conflict(homeserver: Homeserver) -> None:
    """The second run called it a success: the listings were the same."""
    homeserver.store(PATH, b"1234")
    homeserver.new.expiring = {PATH: 'expiry-date="Wed, 30 Dec 2026 00:00:00 GMT", rule-id="old backups"'}

    for _turn in range(2):
        summary = homeserver.copy()
        assert (told(summary), summary.exit_status) == ({"conflicts": 1}, 1)
        assert reasons(summary) == {
            PATH: "Conflict, nothing was changed: a lifecycle rule of the target's bucket will delete the object under"
            ' this key. The server says: expiry-date="Wed, 30 Dec 2026 00:00:00 GMT", rule-id="old backups".'
        }


def test_object_of_another_key_in_the_target_is_a_conflict(homeserver: Homeserver) -> None:
    homeserver.store(PATH, b"1234")
    homeserver.new.objects[f"new/{PATH}"] = b"1234"
    homeserver.new.storage_classes[f"new/{PATH}"] = "SOMETHING"

    assert reasons(homeserver.copy(target=Unreadable(homeserver.new))) == {
        PATH: "Conflict, nothing was changed: the target holds an object under this key that Synapse can't read at"
        f" once. Could not look up 'new/{PATH}': another key."
    }


def test_archived_object_in_the_source_has_failed(homeserver: Homeserver) -> None:
    homeserver.store(PATH, b"1234")
    homeserver.store(OTHER, b"1234")
    homeserver.old.archived[f"hs/{PATH}"] = "GLACIER"

    summary = homeserver.copy()

    assert told(summary) == {"copied": 1, "failed": 1}
    assert reasons(summary) == {
        PATH: f"Could not read object 'hs/{PATH}': it is in an archive and can't be read at once. Restore it from the"
        " archive, and keep media out of archive storage classes."
    }


@pytest.mark.parametrize("script", ["cut", "ok cut", "ok lost", "ok 503", "ok 403", "ok deny"])
@pytest.mark.parametrize("side", ["source", "target"])
def test_failure_of_either_side_is_told_and_the_next_run_goes_on(
    homeserver: Homeserver, side: str, script: str
) -> None:
    for path in (PATH, OTHER):
        homeserver.store(path, b"1234")
    source = FailingStore(homeserver.old, script) if side == "source" else None
    target = FailingStore(homeserver.new, script) if side == "target" else None

    first = homeserver.copy(source, target, CopyPlan(workers=1, endurance=Endurance(pauses=())))
    second = homeserver.copy()

    assert (first.exit_status == 0) == (told(first) == {"copied": 2})
    assert (sum(told(second).values()), second.exit_status) == (2, 0)
    assert homeserver.new.objects == {f"new/{path}": b"1234" for path in (PATH, OTHER)}


def test_outage_of_the_target_is_told_once(homeserver: Homeserver) -> None:
    for number in range(200):
        homeserver.store(f"local_content/aa/bb/{number:03}", b"1234")

    summary = homeserver.copy(target=FailingStore(homeserver.new, "ok " + "403 " * 1000))

    assert len(summary.errors) == 1
    assert summary.errors[0].startswith("Gave up, since no file could be worked on any more. ")
    assert [outcome for outcome in homeserver.told if outcome.is_problem] == []
    assert told(summary)["failed"] + summary.not_reached == 200
    assert summary.exit_status == 1


def test_third_bucket_that_is_away_holds_up_nothing(homeserver: Homeserver) -> None:
    homeserver.store(PATH, b"1234")

    summary = homeserver.copy(third=FailingStore(homeserver.third, "503"))

    assert (told(summary), summary.exit_status) == ({"copied": 1}, 1)
    assert summary.errors == ["Could not reach the store: the server failed (HTTP 503). Try again later."]


def test_database_that_knows_nothing_is_no_success(homeserver: Homeserver) -> None:
    homeserver.old.objects[f"hs/{PATH}"] = b"1234"

    summary = homeserver.copy()

    assert summary.exit_status == 1
    assert summary.errors == [
        "Could not tell what to copy: Synapse's database knows no media at all, and the source holds some. Check"
        " 'database' in Synapse's configuration."
    ]


class Replacing(StoreInFront):
    """Each object is replaced between the listing and the reading."""

    def __init__(self, store: MemoryStore, content: bytes) -> None:
        super().__init__(store)
        self.memory, self.content = store, content

    def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
        for found in list(super().list(prefix, after, page_size)):
            self.memory.objects[found.key] = self.content
            yield found


@pytest.mark.parametrize(("size", "other"), [(4, 5), (4, 3), (2 * MIB, 2 * MIB + 1), (2 * MIB, 2 * MIB - 1)])
def test_object_that_is_replaced_meanwhile(homeserver: Homeserver, size: int, other: int) -> None:
    homeserver.store(PATH, b"x" * size)

    summary = homeserver.copy(Replacing(homeserver.old, b"x" * other))

    longer = "It was not copied: it is longer than the source's listing says. It may have been replaced."
    shorter = (
        f"It was not copied: what was read has {other:,} bytes, the source's listing says {size:,}. It may have been"
        " replaced."
    )
    assert reasons(summary) == {PATH: longer if other > size else shorter}
    assert homeserver.new.objects == {}


class Hidden(StoreInFront):
    """As with another encryption key."""

    def head(self, key: str) -> RemoteObject | None:
        if super().head(key) is None:
            return None
        raise ObjectUnreadable(f"Could not look up {key!r}: another key.")


@pytest.mark.parametrize("in_front", [StoreInFront, Hidden])
def test_one_place_by_two_names_is_refused(in_front: type[StoreInFront]) -> None:
    store = MemoryStore()

    with pytest.raises(ConfigurationError) as failure:
        check_two_places(Place("one", in_front(store), "hs/"), Place("the other", store, "hs/"))

    assert str(failure.value) == (
        "Could not copy: source and target are one place by two names, one and the other. What was stored through the"
        " one was found through the other. Give the new provider a bucket or a prefix of its own."
    )
    assert store.objects == {}


class OtherName(StoreInFront):
    """The old bucket by an alias, in which hs/ is new/."""

    def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
        assert (prefix, after) == ("new/", "")
        for found in super().list("hs/", page_size=page_size):
            yield replace(found, key=f"new/{found.key.removeprefix('hs/')}")

    def head(self, key: str) -> RemoteObject | None:
        return super().head(f"hs/{key.removeprefix('new/')}")

    def put(self, key: str, source: BinaryIO, content: Content) -> RemoteObject:
        return super().put(f"hs/{key.removeprefix('new/')}", source, content)

    def delete(self, key: str) -> None:
        super().delete(f"hs/{key.removeprefix('new/')}")


def test_one_bucket_by_two_names_has_not_all_of_it_already(homeserver: Homeserver) -> None:
    """All was called there already, and who then gave up the old bucket lost all of it."""
    homeserver.store(PATH, b"1234")

    summary = homeserver.copy(target=OtherName(homeserver.old))

    assert (summary.exit_status, summary.errors) == (
        78,
        [
            "Could not copy: source and target are one place by two names, the old one and the new one. What was stored"
            " through the one was found through the other. Give the new provider a bucket or a prefix of its own."
        ],
    )
    assert homeserver.old.objects == {f"hs/{PATH}": b"1234"}

    summary = homeserver.copy(target=OtherName(homeserver.old), plan=CopyPlan(dry_run=True, workers=1))

    assert summary.facts == [
        "What both buckets hold was stored at the same times, so they may be one place by two names. A run without"
        " --dry-run finds that out."
    ]


def test_copy_that_kept_the_times_is_another_place(homeserver: Homeserver) -> None:
    """As the replication of Amazon's buckets makes it."""
    homeserver.store(PATH, b"1234")
    homeserver.new.objects[f"new/{PATH}"] = b"1234"
    homeserver.new.modified[f"new/{PATH}"] = homeserver.old.modified[f"hs/{PATH}"] = 1

    summary = homeserver.copy()

    assert (summary.exit_status, summary.counts[CopyStep.ALREADY_THERE].files, summary.facts) == (0, 1, [])
    assert homeserver.new.objects == {f"new/{PATH}": b"1234"}


class Kept(StoreInFront):
    def delete(self, key: str) -> None:
        raise PermissionDenied(f"Could not delete {key!r}.")


def test_two_places_of_one_name_are_two() -> None:
    source, target = MemoryStore(), MemoryStore()

    assert check_two_places(Place("one", source, "hs/"), Place("the other", target, "hs/")) == ""
    assert (source.objects, target.objects) == ({}, {})
    left = check_two_places(Place("one", source, "hs/"), Place("the other", Kept(target), "hs/"))
    (key,) = target.objects
    assert left == f"Object {key!r}, which this run has made, is still there: remove it. Could not delete {key!r}."


def test_lost_answer_to_the_trial_of_two_places() -> None:
    """Nothing was copied, as if its key were taken, and the trial's object stayed in the target without a word."""
    source, target = MemoryStore(), MemoryStore()
    patient = RetryingStore(FailingStore(target, "lost"), (0,), lambda _seconds: False)

    assert check_two_places(Place("one", source, "hs/"), Place("the other", patient, "hs/")) == ""
    assert target.objects == {}

    with pytest.raises(StoreUnavailable):
        check_two_places(Place("one", source, "hs/"), Place("the other", FailingStore(target, "lost"), "hs/"))
    assert target.objects == {}


def test_both_stores_are_counted_together() -> None:
    one, other = MemoryStore(), MemoryStore()
    both = Together([one, other])
    one.head("x")
    other.head("x")

    assert (both.requests, both.slow_downs) == (2, 0)


def test_metrics_have_names_that_prometheus_takes() -> None:
    assert "\nsynapse_s3_copy_bucket_exit_status 0\n" in new_summary().as_metrics(1.0)
