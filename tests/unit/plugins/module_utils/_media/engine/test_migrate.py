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
from typing import BinaryIO

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.migrate import (
    Plan,
    check_sides,
    migrate,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.summary import Outcome, Step, Summary
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.content import (
    Content,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.decision import Policy
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import UnavailableError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import (
    MediaPath,
    Root,
    parse_media_path,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.shard import Shard
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.database import MediaRow
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import MediaStore
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    ObjectExists,
    ObjectFailure,
    Readable,
    RemoteObject,
    StoreUnavailable,
)
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import Body, FailingStore, MemoryStore

PREFIX = "homeserver/"
NOW_NS = 1_800_000_000 * 10**9
HOUR_NS = 3600 * 10**9
ORIGINAL = "local_content/aa/bb/cc"
THUMBNAIL = "local_thumbnails/aa/bb/cc/96-96-image-png-crop"
REMOTE = "remote_content/[2001:db8::1]:8448/aa/bb/cc"
PLAN = Plan(Policy(), recent_after_ns=NOW_NS - HOUR_NS, workers=3, retries=())


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
        if self.store.head(PREFIX + path) is None:
            return None
        with self.store.open(PREFIX + path) as body:
            return body.read(10**9)

    def local(self) -> dict[str, bytes]:
        return {
            file.path: (self.media.path / file.path).read_bytes()
            for file in self.media.scan(lambda error: pytest.fail(str(error)))
        }

    def migrate(self, plan: Plan = PLAN, stop: Event | None = None) -> Summary:
        summary = Summary(dry_run=plan.dry_run)
        self.outcomes = []
        migrate(
            plan,
            PREFIX,
            self.media,
            self.store,
            self.database,
            summary,
            stop=stop or Event(),
            report=self.outcomes.append,
        )
        return summary


@pytest.fixture
def homeserver(tmp_path: Path) -> Homeserver:
    return Homeserver(tmp_path)


def files(summary: Summary) -> dict[str, int]:
    """The counts that are not 0."""
    return {step.value: count.files for step, count in summary.counts.items() if count.files}


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

    assert files(homeserver.migrate(replace(PLAN, dry_run=True))) == {"uploaded": 1, "already_stored": 1, "deleted": 2}
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
    assert reasons(homeserver) == {ORIGINAL: f"Conflict, nothing was changed: {reason}."}
    assert (homeserver.local(), homeserver.stored(ORIGINAL)) == (local, stored)


@pytest.mark.parametrize("content", [b"", b"other", b"ORIGINAL", b"longer than the original"])
def test_object_of_other_content_under_the_key(homeserver: Homeserver, content: bytes) -> None:
    homeserver.add(ORIGINAL, b"original")
    homeserver.put(ORIGINAL, content)

    conflicts(homeserver, "the bucket holds other content under this key")


@pytest.mark.parametrize("stored", [True, False])
def test_truncated_local_file(homeserver: Homeserver, stored: bool) -> None:
    homeserver.save(ORIGINAL, b"orig")
    homeserver.know(ORIGINAL, b"original", sha256=False)
    if stored:
        homeserver.put(ORIGINAL, b"original")

    conflicts(homeserver, "the local file's length or sha256 is not the database's")


def test_local_file_of_other_bytes(homeserver: Homeserver) -> None:
    homeserver.save(ORIGINAL, b"0riginal")
    homeserver.know(ORIGINAL, b"original")

    conflicts(homeserver, "the local file's length or sha256 is not the database's")


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
            yield Body(b"", self.kept_sha256)
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

    conflicts(homeserver, "the bucket holds other content under this key")


def test_a_file_is_tried_again_before_it_has_failed(homeserver: Homeserver) -> None:
    """A server that restarts is away for some seconds."""
    homeserver.add(ORIGINAL, b"original")
    homeserver.store = FailingStore(MemoryStore(), "ok 503 cut")  # type: ignore[assignment]

    assert files(homeserver.migrate(replace(PLAN, retries=(0.01, 0.01)))) == {"uploaded": 1, "deleted": 1}


def test_the_bucket_is_listed_where_that_is_cheaper(homeserver: Homeserver) -> None:
    for number in range(500):
        homeserver.add(f"local_content/aa/bb/{number:03}", b"x")
        homeserver.put(f"local_content/aa/bb/{number:03}", b"x")

    summary = homeserver.migrate()

    assert files(summary) == {"already_stored": 500, "deleted": 500}
    assert (summary.listed, summary.asked, summary.requests) == (500, 0, 1)


def test_each_file_is_asked_for_where_the_bucket_holds_much_more(homeserver: Homeserver) -> None:
    for number in range(0, 30_000, 100):
        homeserver.add(f"local_content/aa/bb/{number:05}", b"x")
    for number in range(30_000):
        homeserver.put(f"local_content/aa/bb/{number:05}", b"x")

    summary = homeserver.migrate()

    assert files(summary) == {"already_stored": 300, "deleted": 300}
    assert summary.listed <= 1100
    assert summary.asked + summary.listed // 1000 + 2 >= summary.requests
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

    summary = homeserver.migrate(replace(PLAN, pauses=(0.01, 0.01)))

    assert summary.errors == [
        "Gave up after 75 files for which the bucket could not be used: The bucket does not answer."
    ]
    assert 75 <= summary.counts[Step.FAILED].files < 100
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
        " none of Synapse's directories (local_content, remote_content, ...). Is the disk mounted, and is this"
        " Synapse's"
        " media_store_path?"
    )


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


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (13, "Could not use the local file: Permission denied. Give it and its directory to Synapse's user."),
        (5, "Could not use the local file: Input/output error. Check its disk."),
    ],
)
def test_local_file_that_cannot_be_read(
    homeserver: Homeserver, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    homeserver.add(ORIGINAL, b"content")

    def failing(*_arguments: object) -> object:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(homeserver.media, "read", failing)

    summary = homeserver.migrate()

    assert summary.problems == [{"path": ORIGINAL, "reason": reason}]
    assert summary.exit_status == 1
    assert homeserver.local() == {ORIGINAL: b"content"}
