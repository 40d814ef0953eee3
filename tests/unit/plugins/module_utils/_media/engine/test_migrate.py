# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine on a real directory, a store in memory and a table for a database."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.migrate import (
    MigrateStep as Step,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.migrate import (
    MigrationPlan,
    migrate,
    new_summary,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.places import Place
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.removal import NoRemoval, Remover
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.run import Endurance
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.sides import (
    check_knows_media,
    check_sides,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.summary import Outcome, Summary
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.content import (
    Content,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.decision import Policy
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import (
    AccessError,
    ConfigurationError,
    UnavailableError,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import (
    MediaPath,
    Root,
    parse_media_path,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.shard import Shard
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.aside import Aside
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.database import MediaRow
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.disk_errors import LocalFileError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.dry_run import DryRunStore
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import (
    FileChangedError,
    LocalFile,
    MediaStore,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    ObjectExists,
    ObjectFailure,
    ObjectStore,
    ObjectUnreadable,
    Readable,
    RemoteObject,
    StoreUnavailable,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.retrying import RetryingStore
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import Body, FailingStore, MemoryStore

PREFIX = "homeserver/"
NOW_NS = 1_800_000_000 * 10**9
HOUR_NS = 3600 * 10**9
ORIGINAL = "local_content/aa/bb/cc"
THUMBNAIL = "local_thumbnails/aa/bb/cc/96-96-image-png-crop"
REMOTE = "remote_content/[2001:db8::1]:8448/aa/bb/cc"
PLAN = MigrationPlan(Policy(), NOW_NS, recent_after_ns=NOW_NS - HOUR_NS, workers=3)


class Table:
    """A database that knows what it is told; it may fail after some answers."""

    def __init__(self) -> None:
        self.rows: dict[MediaPath, MediaRow] = {}
        self.answers_left = 1000

    def media_rows(self, paths: Iterable[MediaPath]) -> Mapping[MediaPath, MediaRow]:
        if not self.answers_left:
            raise UnavailableError("The database is gone.")
        self.answers_left -= 1
        return {path: self.rows[path] for path in paths if path in self.rows}

    def has_media(self) -> bool:
        return bool(self.rows)


class Homeserver:
    """The three sides, and a way to fill them."""

    def __init__(self, path: Path) -> None:
        self.media = MediaStore(path)
        self.store = MemoryStore()
        self.earlier: list[Place] = []
        self.database = Table()
        self.outcomes: list[Outcome] = []

    def save(self, path: str, content: bytes, *, modified_ns: int = NOW_NS - 2 * HOUR_NS) -> None:
        """Put a file on the local disk."""
        target = self.media.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        os.utime(target, ns=(modified_ns, modified_ns))

    def know(self, path: str, content: bytes, *, accessed_ms: int | None = None, sha256: bool = True) -> None:
        """Give a file a row in the database."""
        media = parse_media_path(path)
        assert media is not None
        digest = hashlib.sha256(content).hexdigest() if sha256 else None
        self.database.rows[media] = MediaRow(frozenset({len(content)}), digest, accessed_ms)

    def add(self, path: str, content: bytes) -> None:
        """Synapse's usual case: a file that the database knows."""
        self.save(path, content)
        self.know(path, content)

    def put(self, path: str, content: bytes) -> None:
        """Put an object into the bucket."""
        self.store.objects[PREFIX + path] = content

    def stored(self, path: str) -> bytes | None:
        return self.store.objects.get(PREFIX + path)

    def local(self) -> dict[str, bytes]:
        return {
            file.path: (self.media.path / file.path).read_bytes()
            for file in self.media.scan(lambda error: pytest.fail(str(error)))
        }

    def migrate(
        self,
        plan: MigrationPlan = PLAN,
        stop: Event | None = None,
        *,
        dry_run: bool = False,
        waits: tuple[float, ...] = (),
    ) -> Summary:
        summary = new_summary(dry_run=dry_run)
        stop = stop or Event()
        store: ObjectStore = RetryingStore(self.store, waits, stop.wait)
        self.outcomes = []
        migrate(
            plan,
            PREFIX,
            self.media,
            DryRunStore(store) if dry_run else store,
            self.database,
            NoRemoval() if dry_run else Remover(self.media, store, Aside(self.media.path / ".aside")),
            summary,
            stop=stop,
            report=self.outcomes.append,
            earlier=self.earlier,
        )
        return summary


@pytest.fixture
def homeserver(tmp_path: Path) -> Homeserver:
    return Homeserver(tmp_path)


def files(summary: Summary) -> dict[str, int]:
    """The counts that are not 0."""
    return {step.key: count.files for step, count in summary.counts.items() if count.files}


def reasons(homeserver: Homeserver) -> dict[str, str]:
    return {outcome.path: outcome.reason for outcome in homeserver.outcomes}


def test_uploads_proves_and_deletes(homeserver: Homeserver) -> None:
    contents = {
        ORIGINAL: b"original",
        THUMBNAIL: b"thumb",
        REMOTE: b"",
        "remote_content/a.org/aa/bb/dd": os.urandom(9 * 2**20),
    }
    for path, content in contents.items():
        homeserver.add(path, content)

    summary = homeserver.migrate()

    assert files(summary) == {"uploaded": 4, "deleted": 4}
    assert summary.counts[Step.UPLOADED].bytes == sum(map(len, contents.values()))
    assert {path: homeserver.stored(path) for path in contents} == contents
    assert homeserver.local() == {}
    assert sorted(path.name for path in homeserver.media.path.rglob("*")) == [
        "local_content",
        "local_thumbnails",
        "remote_content",
    ]
    assert summary.exit_status == 0


def test_second_run_does_nothing(homeserver: Homeserver) -> None:
    homeserver.add(ORIGINAL, b"original")
    homeserver.migrate()

    assert files(homeserver.migrate()) == {}


def test_already_stored_is_deleted(homeserver: Homeserver) -> None:
    homeserver.add(ORIGINAL, b"original")
    homeserver.put(ORIGINAL, b"original")

    assert files(homeserver.migrate()) == {"already_stored": 1, "deleted": 1}
    assert homeserver.local() == {}


def test_keep_local(homeserver: Homeserver) -> None:
    homeserver.add(ORIGINAL, b"original")

    assert files(homeserver.migrate(replace(PLAN, policy=Policy(delete_local=False)))) == {"uploaded": 1, "kept": 1}
    assert homeserver.local() == {ORIGINAL: b"original"}
    assert homeserver.stored(ORIGINAL) == b"original"


def test_dry_run_changes_nothing(homeserver: Homeserver) -> None:
    homeserver.add(ORIGINAL, b"original")
    homeserver.add(THUMBNAIL, b"thumb")
    homeserver.put(THUMBNAIL, b"thumb")

    assert files(homeserver.migrate(dry_run=True)) == {"uploaded": 1, "already_stored": 1, "deleted": 2}
    assert homeserver.local() == {ORIGINAL: b"original", THUMBNAIL: b"thumb"}
    assert homeserver.stored(ORIGINAL) is None


def test_recent_file_waits(homeserver: Homeserver) -> None:
    homeserver.save(ORIGINAL, b"original", modified_ns=NOW_NS)
    homeserver.know(ORIGINAL, b"original")

    assert files(homeserver.migrate()) == {"kept": 1}
    assert reasons(homeserver) == {ORIGINAL: "too recent"}
    assert homeserver.store.requests == 0


def test_media_in_use_is_uploaded_and_kept(homeserver: Homeserver) -> None:
    homeserver.save(ORIGINAL, b"original")
    homeserver.know(ORIGINAL, b"original", accessed_ms=1001)
    homeserver.save(REMOTE, b"old")
    homeserver.know(REMOTE, b"old", accessed_ms=1000)

    assert files(homeserver.migrate(replace(PLAN, in_use_after_ms=1000))) == {"uploaded": 2, "kept": 1, "deleted": 1}
    assert homeserver.local() == {ORIGINAL: b"original"}


def test_unknown_file_stays_where_it_is(homeserver: Homeserver) -> None:
    homeserver.save(ORIGINAL, b"unknown")

    assert files(homeserver.migrate()) == {"kept": 1}
    assert homeserver.stored(ORIGINAL) is None


def test_unknown_file_that_is_stored_is_deleted(homeserver: Homeserver) -> None:
    homeserver.save(ORIGINAL, b"unknown")
    homeserver.put(ORIGINAL, b"unknown")

    assert files(homeserver.migrate()) == {"already_stored": 1, "deleted": 1}


def test_unfinished_upload_to_synapse_is_kept(homeserver: Homeserver) -> None:
    homeserver.save(ORIGINAL, b"half")
    homeserver.database.rows[MediaPath(Root.LOCAL_CONTENT, None, "aabbcc", None)] = MediaRow(frozenset(), None, None)

    assert files(homeserver.migrate()) == {"kept": 1}
    assert reasons(homeserver) == {ORIGINAL: "its upload to Synapse is not finished"}


def test_what_stays_anyway_is_not_read_night_after_night(
    homeserver: Homeserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    homeserver.save(ORIGINAL, b"unknown")
    monkeypatch.setattr(homeserver.media, "read", pytest.fail)
    monkeypatch.setattr(homeserver.media, "open", pytest.fail)

    assert files(homeserver.migrate()) == {"kept": 1}


def conflicts(homeserver: Homeserver, reason: str) -> None:
    local, stored = homeserver.local(), homeserver.stored(ORIGINAL)

    summary = homeserver.migrate()

    assert files(summary) == {"conflicts": 1}
    assert summary.exit_status == 1
    assert reasons(homeserver) == {ORIGINAL: f"Conflict, nothing was changed: {reason}"}
    assert (homeserver.local(), homeserver.stored(ORIGINAL)) == (local, stored)


OTHER = "the bucket holds other content under this key."
DAMAGED = "the local file's length or sha256 is not the database's."


@pytest.mark.parametrize(
    ("content", "sizes"),
    [
        (b"", " The local file has 8 bytes, the object 0."),
        (b"other", " The local file has 8 bytes, the object 5."),
        (b"ORIGINAL", ""),
        (b"longer than the original", " The local file has 8 bytes, the object 24."),
    ],
)
def test_object_of_other_content_under_the_key(homeserver: Homeserver, content: bytes, sizes: str) -> None:
    homeserver.add(ORIGINAL, b"original")
    homeserver.put(ORIGINAL, content)

    conflicts(homeserver, f"{OTHER} The local file is what the database gives, the object is not.{sizes}")


def test_object_of_other_content_in_a_schema_without_hashes(homeserver: Homeserver) -> None:
    homeserver.save(ORIGINAL, b"original")
    homeserver.know(ORIGINAL, b"original", sha256=False)
    homeserver.put(ORIGINAL, b"ORIGINAL")

    conflicts(
        homeserver,
        f"{OTHER} Both have the length that the database gives, and it has no sha256 to tell which is right.",
    )


def test_object_of_other_content_that_the_database_does_not_know(homeserver: Homeserver) -> None:
    homeserver.save(ORIGINAL, b"original")
    homeserver.put(ORIGINAL, b"ORIGINAL")

    conflicts(homeserver, f"{OTHER} The database does not tell which is right.")


@pytest.mark.parametrize(
    ("stored", "side"),
    [
        (None, "The bucket holds nothing under its key."),
        (b"orig", "The bucket holds the same content."),
        (
            b"original",
            "The object under its key is what the database gives. The local file has 4 bytes, the object 8.",
        ),
        (
            b"or",
            "The object under its key is not what the database gives either. The local file has 4 bytes, the object 2.",
        ),
    ],
)
def test_truncated_local_file(homeserver: Homeserver, stored: bytes | None, side: str) -> None:
    homeserver.save(ORIGINAL, b"orig")
    homeserver.know(ORIGINAL, b"original", sha256=False)
    if stored is not None:
        homeserver.put(ORIGINAL, stored)

    conflicts(homeserver, f"{DAMAGED} {side}")


def test_local_file_of_other_bytes(homeserver: Homeserver) -> None:
    homeserver.save(ORIGINAL, b"0riginal")
    homeserver.know(ORIGINAL, b"original")

    conflicts(homeserver, f"{DAMAGED} The bucket holds nothing under its key.")


def test_object_of_the_right_bytes(homeserver: Homeserver) -> None:
    homeserver.save(ORIGINAL, b"0riginal")
    homeserver.know(ORIGINAL, b"original")
    homeserver.put(ORIGINAL, b"original")

    conflicts(homeserver, f"{DAMAGED} The object under its key is what the database gives.")


class ChangedStore(MemoryStore):
    """A store whose answers a test changes; with no change it is a MemoryStore."""

    change_head: Callable[[RemoteObject | None], RemoteObject | None] = staticmethod(lambda found: found)
    change_put: Callable[[RemoteObject], RemoteObject] = staticmethod(lambda stored: stored)
    put_error: Exception | None = None
    stores_before_error = False
    open_error: Exception | None = None
    kept_sha256: str | None = None
    was_read = False

    def head(self, key: str) -> RemoteObject | None:
        return self.change_head(super().head(key))

    def put(self, key: str, source: BinaryIO, content: Content) -> RemoteObject:
        if self.put_error is not None:
            if self.stores_before_error:
                super().put(key, source, content)
            raise self.put_error
        return self.change_put(super().put(key, source, content))

    @contextmanager
    def open(self, key: str) -> Iterator[Readable]:
        if self.open_error is not None:
            raise self.open_error
        if self.kept_sha256 is not None:
            # One byte is read to see that it is there.
            yield Body(self.objects[key][:1], self.kept_sha256)
            return
        self.was_read = True
        with super().open(key) as body:
            yield body


@pytest.fixture
def changed(homeserver: Homeserver) -> ChangedStore:
    store = ChangedStore()
    homeserver.store = store
    return store


def test_etag_that_is_no_hash_is_proven_by_reading(homeserver: Homeserver, changed: ChangedStore) -> None:
    homeserver.add(ORIGINAL, b"original")
    homeserver.add(THUMBNAIL, b"thumb")
    homeserver.put(THUMBNAIL, b"thumb")
    changed.change_head = lambda found: found and replace(found, etag="encrypted")
    changed.change_put = lambda stored: replace(stored, etag="encrypted")

    assert files(homeserver.migrate()) == {"uploaded": 1, "already_stored": 1, "deleted": 2}


def test_an_upload_whose_etag_is_no_hash_costs_one_request_more(homeserver: Homeserver, changed: ChangedStore) -> None:
    homeserver.add(ORIGINAL, b"original")
    before = homeserver.migrate().requests
    homeserver.add(THUMBNAIL, b"thumb")
    changed.change_head = lambda found: found and replace(found, etag="encrypted")
    changed.change_put = lambda stored: replace(stored, etag="encrypted")

    assert files(summary := homeserver.migrate()) == {"uploaded": 1, "deleted": 1}
    assert summary.requests - before == before + 1


@pytest.mark.parametrize("content", [b"ORIGINAL", b"longer than that", None])
def test_an_upload_that_is_not_there_as_it_was_sent(
    homeserver: Homeserver, changed: ChangedStore, content: bytes | None
) -> None:
    homeserver.add(ORIGINAL, b"original")

    def change(stored: RemoteObject) -> RemoteObject:
        changed.objects.clear()
        if content is not None:
            changed.objects[stored.key] = content
        return replace(stored, etag="encrypted")

    changed.change_put = change
    changed.change_head = lambda found: found and replace(found, etag="encrypted")

    assert set(files(homeserver.migrate())) <= {"conflicts", "failed"}
    assert homeserver.local() == {ORIGINAL: b"original"}


def test_a_checksum_that_the_store_keeps_is_proof_without_reading(
    homeserver: Homeserver, changed: ChangedStore
) -> None:
    homeserver.add(ORIGINAL, b"original")
    homeserver.put(ORIGINAL, b"original")
    changed.change_head = lambda found: found and replace(found, etag="encrypted")
    changed.kept_sha256 = hashlib.sha256(b"original").hexdigest()

    assert files(homeserver.migrate()) == {"already_stored": 1, "deleted": 1}
    assert changed.was_read is False


def test_a_checksum_of_other_content_is_a_conflict(homeserver: Homeserver, changed: ChangedStore) -> None:
    homeserver.add(ORIGINAL, b"original")
    homeserver.put(ORIGINAL, b"ORIGINAL")
    changed.change_head = lambda found: found and replace(found, etag="encrypted")
    changed.kept_sha256 = hashlib.sha256(b"ORIGINAL").hexdigest()

    conflicts(homeserver, f"{OTHER} The local file is what the database gives, the object is not.")


def test_a_file_is_tried_again_before_it_has_failed(homeserver: Homeserver) -> None:
    """A server that restarts is away for some seconds."""
    homeserver.add(ORIGINAL, b"original")
    homeserver.store = FailingStore(MemoryStore(), "ok 503 cut")  # type: ignore[assignment]

    assert files(homeserver.migrate(waits=(0.01, 0.01))) == {"uploaded": 1, "deleted": 1}


def test_the_bucket_is_listed_where_that_is_cheaper(homeserver: Homeserver) -> None:
    for number in range(500):
        homeserver.add(f"local_content/aa/bb/{number:03}", b"x")
        homeserver.put(f"local_content/aa/bb/{number:03}", b"x")

    summary = homeserver.migrate()

    assert files(summary) == {"already_stored": 500, "deleted": 500}
    # Each is looked at once more with the configured key, and the first removal by four requests.
    assert (summary.listed, summary.asked, summary.requests) == (500, 0, 1 + 500 + 4)


def test_each_file_is_asked_for_where_the_bucket_holds_much_more(homeserver: Homeserver) -> None:
    for number in range(0, 30_000, 100):
        homeserver.add(f"local_content/aa/bb/{number:05}", b"x")
    for number in range(30_000):
        homeserver.put(f"local_content/aa/bb/{number:05}", b"x")

    summary = homeserver.migrate()

    assert files(summary) == {"already_stored": 300, "deleted": 300}
    assert summary.listed <= 1100
    assert 300 + summary.listed // 1000 + 2 + 4 >= summary.requests
    assert summary.asked >= 280


def test_shards_are_disjoint_and_complete(homeserver: Homeserver) -> None:
    contents = {f"local_content/aa/bb/{number:03}": b"x" for number in range(200)}
    for path, content in contents.items():
        homeserver.add(path, content)
    seen: list[set[str]] = []
    for number in (1, 2, 3):
        homeserver.migrate(replace(PLAN, shard=Shard(number, 3), policy=Policy(delete_local=False)))
        seen.append({outcome.path for outcome in homeserver.outcomes})

    assert all(seen)
    assert sorted(path for shard in seen for path in shard) == sorted(contents)


def test_no_proof_no_delete(homeserver: Homeserver, changed: ChangedStore) -> None:
    homeserver.add(ORIGINAL, b"original")
    changed.change_head = lambda found: found and replace(found, etag="")
    changed.change_put = lambda stored: replace(stored, etag="")
    changed.open_error = ObjectFailure("Could not read the object.")

    assert files(homeserver.migrate()) == {"failed": 1}
    assert homeserver.local() == {ORIGINAL: b"original"}


def test_object_vanishes_after_the_upload(homeserver: Homeserver, changed: ChangedStore) -> None:
    homeserver.add(ORIGINAL, b"original")
    changed.change_head = lambda _found: None
    changed.change_put = lambda stored: replace(stored, etag="")

    summary = homeserver.migrate()

    assert files(summary) == {"failed": 1}
    assert reasons(homeserver) == {ORIGINAL: "It is not in the bucket, although its upload was accepted."}
    assert homeserver.local() == {ORIGINAL: b"original"}


def test_every_upload_fails(homeserver: Homeserver, changed: ChangedStore) -> None:
    contents = {f"local_content/aa/bb/{number}": b"original" for number in range(10)}
    for path, content in contents.items():
        homeserver.add(path, content)
    changed.put_error = ObjectFailure("Could not store it.")

    summary = homeserver.migrate()

    assert files(summary) == {"failed": 10}
    assert summary.exit_status == 1
    assert homeserver.local() == contents


def test_answer_to_our_own_upload_is_lost(homeserver: Homeserver, changed: ChangedStore) -> None:
    """The retried request then meets the object of the first one: not somebody else's."""
    homeserver.add(ORIGINAL, b"original")
    changed.put_error = ObjectExists("It is there already.")
    changed.stores_before_error = True

    assert files(homeserver.migrate()) == {"uploaded": 1, "deleted": 1}


def test_bucket_goes_away(homeserver: Homeserver, changed: ChangedStore) -> None:
    contents = {f"local_content/aa/bb/{number:03}": b"original" for number in range(200)}
    for path, content in contents.items():
        homeserver.add(path, content)
    changed.put_error = StoreUnavailable("The bucket does not answer.")

    summary = homeserver.migrate(replace(PLAN, endurance=Endurance(pauses=(0.01, 0.01))))

    assert summary.errors == ["Gave up, since no file could be worked on any more. The bucket does not answer."]
    failed = summary.counts[Step.FAILED].files
    assert 75 <= failed < 100
    assert summary.not_reached == 200 - failed
    # One message for all of them.
    assert homeserver.outcomes == []
    assert summary.exit_status == 1
    assert homeserver.local() == contents


def test_credentials_that_are_refused_midway(homeserver: Homeserver, changed: ChangedStore) -> None:
    """A session token that has expired: once said, not once for each of a million files."""
    contents = {f"local_content/aa/bb/{number:03}": b"original" for number in range(300)}
    for path, content in contents.items():
        homeserver.add(path, content)
    changed.put_error = AccessError("The session token has expired.")

    summary = homeserver.migrate(replace(PLAN, endurance=Endurance(pauses=(0.01,))))

    assert summary.errors == ["Gave up, since no file could be worked on any more. The session token has expired."]
    assert homeserver.outcomes == []
    assert summary.counts[Step.FAILED].files + summary.not_reached == 300
    assert summary.exit_status == 1
    assert homeserver.local() == contents


def test_bucket_comes_back(homeserver: Homeserver, changed: ChangedStore) -> None:
    for number in range(200):
        homeserver.add(f"local_content/aa/bb/{number:03}", b"original")
    changed.put_error = StoreUnavailable("The bucket does not answer.")

    class Pause(Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout == 5
            changed.put_error = None
            return False

    summary = homeserver.migrate(stop=Pause())

    assert summary.errors == []
    assert 25 <= summary.counts[Step.FAILED].files < 50
    assert summary.counts[Step.UPLOADED].files == 200 - summary.counts[Step.FAILED].files


def test_database_goes_away(homeserver: Homeserver) -> None:
    contents = {f"local_content/aa/bb/{number:04}": b"x" for number in range(1500)}
    for path, content in contents.items():
        homeserver.add(path, content)
    homeserver.database.answers_left = 1

    summary = homeserver.migrate()

    assert summary.errors == ["The database is gone."]
    assert summary.exit_status == 1
    assert files(summary) == {"uploaded": 500, "deleted": 500}
    assert len(homeserver.local()) == 1000


def test_stop_between_files(homeserver: Homeserver) -> None:
    contents = {f"local_content/aa/bb/{number:03}": b"original" for number in range(100)}
    for path, content in contents.items():
        homeserver.add(path, content)
    stop = Event()
    stop.set()

    assert files(homeserver.migrate(stop=stop)) == {}
    assert homeserver.local() == contents


def test_after_s3_media_upload_what_is_missing_has_failed(homeserver: Homeserver) -> None:
    homeserver.add(ORIGINAL, b"original")
    homeserver.add(THUMBNAIL, b"thumb")
    homeserver.put(THUMBNAIL, b"thumb")
    homeserver.save(REMOTE, b"in use")
    homeserver.know(REMOTE, b"in use", accessed_ms=1001)

    summary = homeserver.migrate(replace(PLAN, upload=False, in_use_after_ms=1000))

    assert files(summary) == {"already_stored": 1, "deleted": 1, "failed": 1, "kept": 1}
    assert summary.problems == [{"path": ORIGINAL, "reason": "It is not in the bucket after s3_media_upload ran."}]
    assert homeserver.local() == {ORIGINAL: b"original", REMOTE: b"in use"}


def test_sides_are_there(homeserver: Homeserver) -> None:
    homeserver.add(ORIGINAL, b"original")

    check_sides(homeserver.media, homeserver.store, homeserver.database, PREFIX)


def test_new_homeserver_without_media(homeserver: Homeserver) -> None:
    check_sides(homeserver.media, homeserver.store, homeserver.database, PREFIX)


def test_unmounted_media_store(homeserver: Homeserver) -> None:
    homeserver.know(ORIGINAL, b"original")

    with pytest.raises(UnavailableError) as caught:
        check_sides(homeserver.media, homeserver.store, homeserver.database, PREFIX)

    assert str(caught.value) == (
        f"Could not use the media store {str(homeserver.media.path)!r}: the database knows media, but the directory has"
        " none of Synapse's directories (local_content, remote_content, ...). Mount its disk, or correct"
        " media_store_path. Onto a new, empty disk 'restore --new-disk' brings back what is in the bucket."
    )
    check_sides(homeserver.media, homeserver.store, homeserver.database, PREFIX, new_disk=True)


def test_database_that_knows_no_media_at_all(homeserver: Homeserver) -> None:
    homeserver.save("local_content/README", b"no file of Synapse's")
    check_knows_media(homeserver.media, homeserver.database)
    homeserver.save(ORIGINAL, b"original")

    with pytest.raises(ConfigurationError) as caught:
        check_knows_media(homeserver.media, homeserver.database)

    assert str(caught.value) == (
        "Could not migrate anything: the database knows no media at all, but the media store"
        f" {str(homeserver.media.path)!r} has files of media. Check that 'database' in Synapse's configuration is"
        " Synapse's own, and that it was restored in full."
    )
    homeserver.know(THUMBNAIL, b"thumb")
    check_knows_media(homeserver.media, homeserver.database)


def test_linked_media_directory(homeserver: Homeserver, tmp_path: Path) -> None:
    (tmp_path / "local_content").symlink_to("/elsewhere")

    with pytest.raises(UnavailableError) as caught:
        check_sides(homeserver.media, homeserver.store, homeserver.database, PREFIX)

    assert str(caught.value) == (
        f"Could not use the media store {str(homeserver.media.path)!r}: local_content is a symbolic link, which is"
        " never"
        " followed. Mount the other disk there instead (a bind mount will do)."
    )


def test_name_that_is_not_utf8_stays(homeserver: Homeserver) -> None:
    """A bucket can't have such a key, and boto3 fails on it; the other files are not held up."""
    path = os.fsdecode(b"local_content/aa/bb/caf\xe9")
    homeserver.save(path, b"content")
    homeserver.add(ORIGINAL, b"other content")

    summary = homeserver.migrate()

    assert summary.counts[Step.DELETED].files == 1
    assert summary.exit_status == 0
    assert (homeserver.media.path / path).read_bytes() == b"content"


def test_local_file_that_cannot_be_read(homeserver: Homeserver, monkeypatch: pytest.MonkeyPatch) -> None:
    homeserver.add(ORIGINAL, b"content")
    reason = "Could not read the local file: Input/output error. Check its disk."

    def failing(*_arguments: object) -> object:
        raise LocalFileError(reason)

    monkeypatch.setattr(homeserver.media, "read", failing)

    summary = homeserver.migrate()

    assert summary.problems == [{"path": ORIGINAL, "reason": reason}]
    assert summary.exit_status == 1
    assert homeserver.local() == {ORIGINAL: b"content"}


def changing(homeserver: Homeserver, monkeypatch: pytest.MonkeyPatch, *paths: str, is_gone: bool = False) -> None:
    """Let these files change while they are read."""
    read = homeserver.media.read

    def changed(file: LocalFile) -> bytes:
        if file.path in paths:
            raise FileChangedError(file.path, "its modification time is another", is_gone=is_gone)
        return read(file)

    monkeypatch.setattr(homeserver.media, "read", changed)


def test_all_that_is_old_enough_changes_each_night(homeserver: Homeserver, monkeypatch: pytest.MonkeyPatch) -> None:
    homeserver.add(ORIGINAL, b"original")
    homeserver.add(THUMBNAIL, b"thumb")
    homeserver.save(REMOTE, b"young", modified_ns=NOW_NS)
    changing(homeserver, monkeypatch, ORIGINAL, THUMBNAIL)

    summary = homeserver.migrate()

    reason = "it changed while it was looked at: its modification time is another"
    assert {notice["path"]: notice["reason"] for notice in summary.notices} == {ORIGINAL: reason, THUMBNAIL: reason}
    assert summary.errors == [
        "Could not work on any file: all 2 that are old enough changed while they were looked at. The notices of --json"
        " say how. Stop what changes them, or mount the media store where times last."
    ]
    assert summary.exit_status == 1
    assert reasons(homeserver)[REMOTE] == "too recent"


def test_one_of_several_changes(homeserver: Homeserver, monkeypatch: pytest.MonkeyPatch) -> None:
    homeserver.add(ORIGINAL, b"original")
    homeserver.add(THUMBNAIL, b"thumb")
    changing(homeserver, monkeypatch, ORIGINAL)

    summary = homeserver.migrate()

    assert files(summary) == {"uploaded": 1, "deleted": 1, "kept": 1}
    assert (summary.exit_status, len(summary.notices)) == (0, 1)


def test_what_is_gone_by_now_is_no_failure(homeserver: Homeserver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Synapse deletes media, too."""
    homeserver.add(ORIGINAL, b"original")
    changing(homeserver, monkeypatch, ORIGINAL, is_gone=True)

    summary = homeserver.migrate()

    assert summary.as_json()["kept_by_reason"] == {"gone": {"files": 1, "bytes": 8}}
    assert (summary.exit_status, summary.notices) == (0, [])


def test_disk_that_has_become_read_only(homeserver: Homeserver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said once, not once for each of a million files."""
    for number in range(300):
        homeserver.add(f"local_content/aa/bb/{number:03}", b"x")

    def failing(*_arguments: object) -> object:
        raise LocalFileError("Could not remove the local file: Read-only file system.", concerns_all=True)

    monkeypatch.setattr(homeserver.media, "remove", failing)

    summary = homeserver.migrate(replace(PLAN, endurance=Endurance(pauses=())))

    assert summary.errors == [
        "Gave up, since no file could be worked on any more. Could not remove the local file: Read-only file system."
    ]
    assert homeserver.outcomes == []
    assert summary.counts[Step.FAILED].files + summary.not_reached == 300


def test_file_dated_in_the_future_is_named(homeserver: Homeserver) -> None:
    """It would stay for ever, and nobody would know."""
    homeserver.save(ORIGINAL, b"original", modified_ns=NOW_NS + HOUR_NS)
    homeserver.know(ORIGINAL, b"original")

    summary = homeserver.migrate()

    reason = (
        "its modification time is in the future, so it never gets old enough. Set the clock right, and touch the file"
    )
    assert files(summary) == {"kept": 1}
    assert summary.as_json()["kept_by_reason"] == {"in_the_future": {"files": 1, "bytes": 8}}
    assert summary.notices == [{"path": ORIGINAL, "reason": reason}]
    assert [outcome.is_told for outcome in homeserver.outcomes] == [True]
    assert summary.exit_status == 0


def test_object_in_an_archive_is_a_conflict(homeserver: Homeserver, changed: ChangedStore) -> None:
    """The ETag proves the content, yet Synapse would get InvalidObjectState."""
    homeserver.add(ORIGINAL, b"original")
    homeserver.put(ORIGINAL, b"original")
    changed.change_head = lambda found: found and replace(found, storage_class="GLACIER", archive_status="GLACIER")
    changed.open_error = ObjectUnreadable("It is in an archive.")

    conflicts(
        homeserver,
        "the bucket holds an object under this key that Synapse can't read at once. It is in an archive.",
    )


EXPIRES = 'expiry-date="Wed, 30 Dec 2026 00:00:00 GMT", rule-id="old backups"'
WILL_GO = (
    "Conflict, nothing was changed: a lifecycle rule of the bucket will delete what it holds under this key. Take that"
    f" rule from the bucket, or keep it from Synapse's prefix. The server says: {EXPIRES}."
)


@pytest.mark.parametrize("is_stored", [True, False])
@pytest.mark.parametrize("hides_hash", [True, False])
def test_object_that_a_rule_of_the_bucket_will_delete(
    homeserver: Homeserver, changed: ChangedStore, *, hides_hash: bool, is_stored: bool
) -> None:
    """The bucket of former backups: "All done", 0, and a month later all media was gone."""
    homeserver.add(ORIGINAL, b"original")
    homeserver.add(REMOTE, b"remote")
    if is_stored:
        homeserver.put(ORIGINAL, b"original")
    if hides_hash:
        changed.change_head = lambda found: found and replace(found, etag="no hash")
    homeserver.store.expiring = {"local_content": EXPIRES}

    summary = homeserver.migrate()

    assert summary.problems == [{"path": ORIGINAL, "reason": WILL_GO}]
    assert homeserver.local() == {ORIGINAL: b"original"}
    assert summary.exit_status == 1


def test_rule_of_the_bucket_that_will_delete_all(homeserver: Homeserver) -> None:
    """Nobody reads a million names: it is told once, and the rest is left."""
    for number in range(100):
        homeserver.add(f"local_content/aa/bb/{number}", b"original")
    homeserver.store.expiring = {"": EXPIRES}

    summary = homeserver.migrate(replace(PLAN, endurance=Endurance(pauses=(0, 0))))

    assert summary.errors == [f"Gave up, since no file could be worked on any more. {WILL_GO}"]
    assert len(homeserver.local()) == 100
    assert len(homeserver.outcomes) == 0
    assert summary.exit_status == 1


def test_what_is_said_of_an_upload_alone_is_looked_at(homeserver: Homeserver, changed: ChangedStore) -> None:
    """Ceph says of a new version when it would go if it were an old one."""
    homeserver.add(ORIGINAL, b"original")
    homeserver.store.expiring = {"": EXPIRES}
    changed.change_head = lambda found: found and replace(found, expires="")

    assert files(homeserver.migrate()) == {"uploaded": 1, "deleted": 1}


def test_object_of_an_archive_class_that_can_be_read(homeserver: Homeserver, changed: ChangedStore) -> None:
    """Some servers give objects of the class at once."""
    homeserver.add(ORIGINAL, b"original")
    homeserver.put(ORIGINAL, b"original")
    changed.change_head = lambda found: found and replace(found, storage_class="GLACIER", archive_status="GLACIER")

    assert files(homeserver.migrate()) == {"already_stored": 1, "deleted": 1}


def test_object_that_was_brought_back_from_an_archive_for_a_while(
    homeserver: Homeserver, changed: ChangedStore
) -> None:
    homeserver.add(ORIGINAL, b"original")
    homeserver.put(ORIGINAL, b"original")
    changed.change_head = lambda found: found and replace(found, storage_class="GLACIER")

    conflicts(
        homeserver,
        "the bucket holds an object under this key that Synapse can't read at once."
        " It was brought back from GLACIER for a while only.",
    )


# So many that the bucket is listed.
MANY = [f"local_content/aa/bb/{number:03}" for number in range(150)]
STAYS = [{"policy": Policy(delete_local=False)}, {"in_use_after_ms": 1000}]


@pytest.mark.parametrize("changes", STAYS)
@pytest.mark.parametrize("status", ["GLACIER", ""])
def test_object_that_is_listed_in_an_archive_is_a_conflict_where_local_files_stay(
    homeserver: Homeserver, changed: ChangedStore, changes: dict[str, Any], status: str
) -> None:
    """Each night "All done", and none of it could be read once it is needed."""
    for path in MANY:
        homeserver.save(path, b"x")
        homeserver.know(path, b"x", accessed_ms=1001)
        homeserver.put(path, b"x")
        homeserver.store.storage_classes[PREFIX + path] = "GLACIER"
    changed.change_head = lambda found: found and replace(found, archive_status=status)
    changed.open_error = ObjectUnreadable("It is in an archive.")

    summary = homeserver.migrate(replace(PLAN, **changes))

    assert (files(summary), summary.listed, summary.exit_status) == ({"conflicts": 150}, 150, 1)
    said = "It is in an archive." if status else "It was brought back from GLACIER for a while only."
    assert set(reasons(homeserver).values()) == {
        "Conflict, nothing was changed: the bucket holds an object under this key that Synapse can't read at once."
        f" {said}"
    }


@pytest.mark.parametrize("changes", STAYS)
@pytest.mark.parametrize(("storage_class", "requests"), [("GLACIER", 300), ("SOME_TIER", 300), ("STANDARD_IA", 0)])
def test_listed_object_that_can_be_read_costs_no_request_unless_its_class_may_be_an_archive(
    homeserver: Homeserver, changed: ChangedStore, changes: dict[str, Any], storage_class: str, requests: int
) -> None:
    for path in MANY:
        homeserver.save(path, b"x")
        homeserver.know(path, b"x", accessed_ms=1001)
        homeserver.put(path, b"x")
        homeserver.store.storage_classes[PREFIX + path] = storage_class
    if storage_class == "GLACIER":
        # Some servers give objects of the class at once.
        changed.change_head = lambda found: found and replace(found, archive_status="GLACIER")

    summary = homeserver.migrate(replace(PLAN, **changes))

    assert files(summary) == {"already_stored": 150, "kept": 150}
    assert summary.requests == 1 + requests


@pytest.mark.parametrize("delete_local", [True, False])
def test_brought_back_from_an_archive_for_a_while_and_an_etag_that_is_no_hash(
    homeserver: Homeserver, changed: ChangedStore, *, delete_local: bool
) -> None:
    homeserver.add(ORIGINAL, b"original")
    homeserver.put(ORIGINAL, b"original")
    changed.change_head = lambda found: found and replace(found, storage_class="GLACIER", etag="no hash")

    assert files(homeserver.migrate(replace(PLAN, policy=Policy(delete_local=delete_local)))) == {"conflicts": 1}
    assert reasons(homeserver) == {
        ORIGINAL: "Conflict, nothing was changed: the bucket holds an object under this key that Synapse can't read at"
        " once. It was brought back from GLACIER for a while only."
    }


def test_listed_object_of_another_encryption_is_a_conflict(homeserver: Homeserver, changed: ChangedStore) -> None:
    """A listing tells the ETag of what Synapse can't read."""
    for number in range(150):
        homeserver.add(f"local_content/aa/bb/{number:03}", b"x")
        homeserver.put(f"local_content/aa/bb/{number:03}", b"x")

    def refuse(_found: RemoteObject | None) -> RemoteObject | None:
        raise ObjectUnreadable("It was stored with another sse_customer_key.")

    changed.objects.update(homeserver.store.objects)
    changed.change_head = refuse

    summary = homeserver.migrate()

    assert files(summary) == {"conflicts": 150}
    assert len(homeserver.local()) == 150


IN_THE_WAY = (
    "Conflict, the local file was left: the bucket holds the same content, but Synapse asks another provider first,"
    " which holds something else under this key. Write the one that stores first below media_storage_providers. It is"
    " the old bucket."
)


def before(homeserver: Homeserver, store: MemoryStore) -> None:
    """A bucket that Synapse asks before the one that stores."""
    homeserver.earlier = [*homeserver.earlier, Place("the old bucket", store, "old/")]


@pytest.mark.parametrize(
    ("content", "details"),
    [(b"other", " The local file has 8 bytes, the object 5."), (b"ORIGINAL", "")],
)
def test_other_content_where_synapse_looks_first(homeserver: Homeserver, content: bytes, details: str) -> None:
    homeserver.add(ORIGINAL, b"original")
    before(homeserver, MemoryStore({f"old/{ORIGINAL}": content}))

    first, second = homeserver.migrate(), homeserver.migrate(dry_run=True)

    assert files(first) == {"uploaded": 1, "conflicts": 1}
    assert files(second) == {"already_stored": 1, "conflicts": 1}
    assert reasons(homeserver) == {ORIGINAL: IN_THE_WAY + details}
    assert homeserver.local() == {ORIGINAL: b"original"}
    assert homeserver.stored(ORIGINAL) == b"original"
    # Synapse serves the local file.
    assert files(homeserver.migrate(replace(PLAN, policy=Policy(delete_local=False)))) == {
        "already_stored": 1,
        "kept": 1,
    }


def test_object_in_an_archive_where_synapse_looks_first(homeserver: Homeserver) -> None:
    homeserver.add(ORIGINAL, b"original")
    old = MemoryStore({f"old/{ORIGINAL}": b"original"})
    old.archived[f"old/{ORIGINAL}"] = old.storage_classes[f"old/{ORIGINAL}"] = "GLACIER"
    before(homeserver, MemoryStore())
    before(homeserver, old)

    assert files(homeserver.migrate()) == {"uploaded": 1, "conflicts": 1}
    assert reasons(homeserver) == {
        ORIGINAL: f"{IN_THE_WAY} Could not read object 'old/{ORIGINAL}': it is in an archive and can't be read at once."
        " Restore it from the archive, and keep media out of archive storage classes."
    }


def test_nothing_or_the_same_where_synapse_looks_first(homeserver: Homeserver) -> None:
    """It costs a request for each file that goes."""
    homeserver.add(ORIGINAL, b"original")
    homeserver.add(THUMBNAIL, b"thumb")
    old = MemoryStore({f"old/{THUMBNAIL}": b"thumb"})
    before(homeserver, old)

    assert files(homeserver.migrate()) == {"uploaded": 2, "deleted": 2}
    assert old.requests == 2


def test_what_synapse_asks_first_does_not_answer(homeserver: Homeserver) -> None:
    homeserver.add(ORIGINAL, b"original")
    old = ChangedStore()

    def fail(_found: RemoteObject | None) -> RemoteObject | None:
        raise StoreUnavailable("The old bucket is gone.")

    old.change_head = fail
    before(homeserver, old)

    assert files(homeserver.migrate()) == {"failed": 1}
    assert reasons(homeserver) == {ORIGINAL: "The old bucket is gone."}
    assert homeserver.local() == {ORIGINAL: b"original"}


def test_key_that_is_taken_by_nothing(homeserver: Homeserver, changed: ChangedStore) -> None:
    """A delete marker in a bucket of versitygw: PUT says 412, HEAD says 404, every night."""
    homeserver.add(ORIGINAL, b"original")
    changed.put_error = ObjectExists("It is there already.")

    summary = homeserver.migrate()

    assert files(summary) == {"failed": 1}
    assert reasons(homeserver) == {
        ORIGINAL: "The server says that its key is taken, and shows no object there. In a bucket with versions a delete"
        " marker can do that: remove the marker, or all versions of the key."
    }


def test_empty_directories_from_before_are_removed(homeserver: Homeserver) -> None:
    """Upstream's script leaves hundreds of thousands of them."""
    homeserver.save(ORIGINAL, b"original", modified_ns=NOW_NS)
    for path in ("local_content/zz/yy", "local_content/zz/xx"):
        (homeserver.media.path / path).mkdir(parents=True)
        old = NOW_NS - 2 * HOUR_NS
        os.utime(homeserver.media.path / path, ns=(old, old))
    (homeserver.media.path / "local_content/aa/cc").mkdir()
    os.utime(homeserver.media.path / "local_content/aa/cc", ns=(NOW_NS, NOW_NS))

    dry = homeserver.migrate(dry_run=True)
    summary = homeserver.migrate()

    assert (dry.empty_directories, summary.empty_directories) == (0, 2)
    # One that is young stays: Synapse may be about to write into it.
    assert sorted(path.name for path in (homeserver.media.path / "local_content").rglob("*")) == [
        "aa",
        "bb",
        "cc",
        "cc",
    ]


def test_link_below_the_roots_is_named_and_no_success(homeserver: Homeserver) -> None:
    (homeserver.media.path / "remote_content").mkdir()
    (homeserver.media.path / "remote_content/matrix.org").symlink_to("/disk2/x")

    summary = homeserver.migrate()

    assert summary.passed_over == 1
    assert reasons(homeserver) == {
        "remote_content/matrix.org": "Passed over: a symbolic link, which is never followed."
    }
    assert summary.exit_status == 1


def test_lost_and_found_is_passed_over_and_counted(homeserver: Homeserver) -> None:
    """On a disk that is mounted there, which our own message recommends, it made every night fail."""
    (homeserver.media.path / "remote_content/lost+found").mkdir(parents=True, mode=0)

    summary = homeserver.migrate()

    assert (summary.passed_over, summary.exit_status) == (1, 0)
    assert [notice["path"] for notice in summary.notices] == ["remote_content/lost+found"]
