# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine on a real directory, stores in memory and a table for a database."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.places import Place
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.restore import (
    RestorePlan,
    RestoreStep,
    Told,
    new_summary,
    restore,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.restore_apart import check_apart
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.restore_survey import Survey, survey
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.run import Endurance
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.space import check_space
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.summary import Outcome, Summary
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import ConfigurationError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.free_space import parse_minimum_free
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.selection import Selection
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores import arrivals as arrivals_module
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.arrivals import (
    Arrivals,
    Disk,
    DiskFullError,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.database import KnownFile, MediaRow
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import MediaStore
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    ObjectStore,
    ObjectUnreadable,
    Readable,
    RemoteObject,
)
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import Body, FailingStore, MemoryStore

PREFIX = "hs/"
NOW_NS = 1_800_000_000 * 10**9
HOUR_NS = 3600 * 10**9
STORED = 1_700_000_000.5
ORIGINAL = "local_content/aa/bb/cc"
THUMBNAIL = "local_thumbnails/aa/bb/cc/96-96-image-png-crop"
REMOTE = "remote_content/a.example/aa/bb/cc"
LEGACY = "remote_thumbnail/a.example/aa/bb/cc/96-96-image-png"
NAMED = f"{LEGACY}-crop"


class Homeserver:
    """The sides, and a way to fill them."""

    def __init__(self, path: Path) -> None:
        self.media = MediaStore(path)
        self.stores = [MemoryStore(), MemoryStore()]
        self.in_front: list[ObjectStore] = []
        self.rows: dict[str, MediaRow] = {}
        self.outcomes: list[Outcome] = []
        self.told = Told()
        self.survey: Survey | None = None

    def know(self, path: str, content: bytes | None, *, sha256: bool = True, accessed_ms: int | None = None) -> None:
        """Give a file a row; without content it is not finished."""
        lengths = frozenset() if content is None else frozenset({len(content)})
        digest = hashlib.sha256(content).hexdigest() if sha256 and content is not None else None
        self.rows[path] = MediaRow(lengths, digest, accessed_ms)

    def put(self, path: str, content: bytes, *, place: int = 0) -> None:
        self.stores[place].objects[PREFIX + path] = content
        self.stores[place].modified[PREFIX + path] = STORED

    def save(self, path: str, content: bytes, *, modified_ns: int = NOW_NS - 2 * HOUR_NS) -> None:
        target = self.media.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        os.utime(target, ns=(modified_ns, modified_ns))

    def add(self, path: str, content: bytes) -> None:
        """Only in the bucket."""
        self.know(path, content)
        self.put(path, content)

    def restore(
        self,
        selection: Selection | None = None,
        *,
        repair: bool = False,
        dry_run: bool = False,
        minimum_free: str = "0",
        stop: Event | None = None,
    ) -> Summary:
        stop = stop or Event()
        summary = new_summary(dry_run=dry_run)
        plan = RestorePlan(
            NOW_NS,
            parse_minimum_free(minimum_free),
            repair=repair,
            dry_run=dry_run,
            workers=3,
            endurance=Endurance(pauses=(), grace=5),
        )
        stores = self.in_front or self.stores
        places = [Place(f"bucket {number}", store, PREFIX) for number, store in enumerate(stores)]
        known = [KnownFile(path, row, path.endswith("-png")) for path, row in sorted(self.rows.items())]
        with closing(Arrivals(self.media)) as arrivals:
            self.survey = survey(
                known,
                self.media.scan(lambda error: pytest.fail(str(error))),
                places,
                selection or Selection(),
                lambda root: arrivals.disk_of(f"{root.value}/file"),
                repair=repair,
                stopped=stop.is_set,
            )
            with closing(self.survey.spool):
                summary.errors += self.survey.errors
                summary.counts[RestoreStep.NOT_SELECTED] = self.survey.not_selected
                summary.counts[RestoreStep.ALREADY_LOCAL] = self.survey.already_local
                check_space(self.survey.coming, plan.minimum_free)
                self.told = restore(
                    plan, self.survey, self.media, arrivals, summary, stop=stop, report=self.outcomes.append
                )
        return summary

    def local(self) -> dict[str, bytes]:
        found = (path for path in self.media.path.rglob("*") if path.is_file())
        return {path.relative_to(self.media.path).as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def homeserver(tmp_path: Path) -> Homeserver:
    path = tmp_path / "media"
    path.mkdir()
    return Homeserver(path)


def counts(summary: Summary) -> dict[str, int]:
    return {step.key: count.files for step, count in summary.counts.items() if count.files}


def test_what_is_only_stored_comes_back(homeserver: Homeserver) -> None:
    content = {ORIGINAL: b"original", THUMBNAIL: b"", REMOTE: b"x" * 300_000, NAMED: b"named"}
    for path, data in content.items():
        homeserver.add(path, data)
    homeserver.put("local_content/zz/zz/unknown", b"unknown to the database")
    homeserver.put("url_cache/2020-01-01/abc", b"a preview")

    summary = homeserver.restore()

    assert homeserver.local() == content
    assert (summary.exit_status, counts(summary)) == (0, {"restored": 4})
    assert summary.counts[RestoreStep.RESTORED].bytes == sum(map(len, content.values()))
    assert (homeserver.media.path / ORIGINAL).stat().st_mtime_ns == int(STORED) * 10**9


def test_once_more_reads_nothing(homeserver: Homeserver) -> None:
    homeserver.add(ORIGINAL, b"original")
    homeserver.restore()
    before = homeserver.stores[0].requests

    summary = homeserver.restore()

    assert counts(summary) == {"already_local": 1}
    assert homeserver.stores[0].requests == before + 1
    assert homeserver.survey is not None
    assert homeserver.survey.count == 0


def test_dry_run_writes_nothing(homeserver: Homeserver) -> None:
    homeserver.add(ORIGINAL, b"original")

    summary = homeserver.restore(dry_run=True)

    assert list(homeserver.media.path.iterdir()) == []
    assert (summary.exit_status, counts(summary)) == (0, {"restored": 1})
    assert "  Would restore" in summary.as_text()


def test_the_next_provider_has_what_the_first_has_not(homeserver: Homeserver) -> None:
    homeserver.know(ORIGINAL, b"original")
    homeserver.put(ORIGINAL, b"original", place=1)
    homeserver.know(REMOTE, b"remote")
    homeserver.put(REMOTE, b"cut")
    homeserver.put(REMOTE, b"remote", place=1)
    homeserver.know(THUMBNAIL, b"thumbnail")
    homeserver.put(THUMBNAIL, b"THUMBNAIL")
    homeserver.put(THUMBNAIL, b"thumbnail", place=1)

    summary = homeserver.restore()

    assert homeserver.local() == {ORIGINAL: b"original", REMOTE: b"remote", THUMBNAIL: b"thumbnail"}
    assert (summary.exit_status, counts(summary)) == (0, {"restored": 3})


def test_missing_and_unfinished(homeserver: Homeserver) -> None:
    homeserver.know(ORIGINAL, b"original")
    homeserver.know(THUMBNAIL, b"thumbnail")
    homeserver.know(REMOTE, None)

    summary = homeserver.restore()

    assert (summary.exit_status, counts(summary)) == (1, {"missing": 2})
    assert summary.problems == [
        {"path": ORIGINAL, "reason": "It is neither on the local disk nor in a bucket."},
        {
            "path": THUMBNAIL,
            "reason": "The thumbnail is neither on the local disk nor in a bucket. Synapse makes it anew from its"
            " original, if that is there and dynamic_thumbnails is on.",
        },
    ]
    assert homeserver.survey is not None
    assert homeserver.survey.unfinished == 1


@pytest.mark.parametrize("path", [LEGACY, NAMED])
def test_an_old_thumbnail_has_one_of_two_names(homeserver: Homeserver, path: str) -> None:
    for name in (LEGACY, NAMED):
        homeserver.know(name, b"thumbnail", sha256=False)
    homeserver.put(path, b"thumbnail")

    summary = homeserver.restore()

    assert (summary.exit_status, homeserver.local()) == (0, {path: b"thumbnail"})


def test_selection(homeserver: Homeserver) -> None:
    for path in (ORIGINAL, THUMBNAIL, REMOTE):
        homeserver.add(path, b"content")

    summary = homeserver.restore(Selection(local=True))

    assert set(homeserver.local()) == {ORIGINAL, THUMBNAIL}
    assert counts(summary) == {"restored": 2, "not_selected": 1}


def test_a_different_local_file_is_a_conflict(homeserver: Homeserver) -> None:
    for path, sha256 in ((ORIGINAL, True), (REMOTE, False)):
        homeserver.know(path, b"original", sha256=sha256)
        homeserver.put(path, b"original")
        homeserver.save(path, b"ORIGINAL")
    homeserver.add(THUMBNAIL, b"thumbnail")
    homeserver.save(THUMBNAIL, b"thumb")
    before = homeserver.local()

    summary = homeserver.restore()

    assert homeserver.local() == before
    assert (summary.exit_status, counts(summary)) == (1, {"conflicts": 3})
    wrong = (
        "Conflict, nothing was changed: the local file's length or sha256 is not the database's. The object under its"
        " key may be: --repair puts it in the place of the local file, which is kept aside."
    )
    other = (
        "Conflict, nothing was changed: the bucket holds other content under its key. The database"
        " does not tell which is right."
    )
    all_eight = " The local file has 8 bytes, the object 8, the database gives 8."
    assert {each["path"]: each["reason"] for each in summary.problems} == {
        ORIGINAL: wrong + all_eight,
        THUMBNAIL: wrong + " The local file has 5 bytes, the object 9, the database gives 9.",
        REMOTE: other + all_eight,
    }


def test_what_synapse_has_fetched_itself_is_already_local(homeserver: Homeserver) -> None:
    """With a time of its own; where the database has no sha256, the ETag proves it."""
    for path, sha256 in ((ORIGINAL, True), (REMOTE, False)):
        homeserver.know(path, b"original", sha256=sha256)
        homeserver.put(path, b"original")
        homeserver.save(path, b"original")

    summary = homeserver.restore()

    assert (summary.exit_status, counts(summary)) == (0, {"already_local": 2})


def test_an_object_that_is_not_the_databases_is_not_restored(homeserver: Homeserver) -> None:
    homeserver.know(ORIGINAL, b"original")
    homeserver.put(ORIGINAL, b"")
    homeserver.know(REMOTE, b"remote")
    homeserver.put(REMOTE, b"REMOTE")

    summary = homeserver.restore()

    assert homeserver.local() == {}
    assert (summary.exit_status, counts(summary)) == (1, {"conflicts": 2})
    assert {each["path"]: each["reason"] for each in summary.problems} == {
        ORIGINAL: "Conflict, nothing was changed: the object has not the length or the sha256 that the database gives."
        " The object 0, the database gives 8.",
        REMOTE: "Conflict, nothing was changed: the object's content is not what the database gives (length or"
        " sha256).",
    }


@pytest.mark.parametrize("content", [b"orig", b"ORIGINAL"], ids=["by its length", "by its sha256"])
def test_repair(homeserver: Homeserver, content: bytes) -> None:
    homeserver.add(ORIGINAL, b"original")
    # With the time that restore gives, so that only a repair looks into it.
    homeserver.save(ORIGINAL, content, modified_ns=int(STORED) * 10**9)

    summary = homeserver.restore(repair=True)

    assert (summary.exit_status, counts(summary)) == (0, {"restored": 1})
    assert homeserver.local() == {ORIGINAL: b"original", f".restore-damaged/{ORIGINAL}": content}
    assert homeserver.told.repaired.files == 1


@pytest.mark.parametrize("repair", [True, False])
def test_a_damaged_local_file_is_told_whatever_the_bucket_has(homeserver: Homeserver, repair: bool) -> None:
    """Of the database's length, so that only reading it tells; a repair reads what no bucket has, too."""
    for path in (ORIGINAL, REMOTE):
        homeserver.know(path, b"original")
        homeserver.save(path, b"ORIGINAL")
    homeserver.put(REMOTE, b"orig")

    summary = homeserver.restore(repair=repair)

    alone = (
        "Conflict, nothing was changed: the local file's length or sha256 is not the database's, and there is no object"
        " under its key. The local file has 8 bytes, the database gives 8."
    )
    both = (
        "Conflict, nothing was changed: neither the local file nor its object has the length and the sha256 that the"
        " database gives. The local file has 8 bytes, the object 4, the database gives 8."
    )
    assert {each["path"]: each["reason"] for each in summary.problems} == (
        {ORIGINAL: alone, REMOTE: both} if repair else {REMOTE: both}
    )
    assert summary.exit_status == 1
    assert homeserver.local() == {ORIGINAL: b"ORIGINAL", REMOTE: b"ORIGINAL"}


@pytest.mark.parametrize(
    ("sha256", "told"),
    [
        (True, "the local file has the length and the sha256 that the database gives, the object has not"),
        (
            False,
            "the local file has the length that the database gives, the object has not. Whether its content is right"
            " nothing tells: the database has no sha256 of it",
        ),
    ],
)
def test_a_truncated_object_beside_a_local_file(homeserver: Homeserver, sha256: bool, told: str) -> None:
    homeserver.know(ORIGINAL, b"original", sha256=sha256)
    homeserver.save(ORIGINAL, b"original")
    homeserver.put(ORIGINAL, b"orig")

    summary = homeserver.restore()

    lengths = "The local file has 8 bytes, the object 4, the database gives 8."
    assert [each["reason"] for each in summary.problems] == [f"Conflict, nothing was changed: {told}. {lengths}"]


def test_repair_leaves_what_may_still_be_written(homeserver: Homeserver) -> None:
    homeserver.add(ORIGINAL, b"original")
    homeserver.save(ORIGINAL, b"orig", modified_ns=NOW_NS - HOUR_NS // 2)

    summary = homeserver.restore(repair=True)

    assert homeserver.local() == {ORIGINAL: b"orig"}
    assert [each["reason"] for each in summary.problems] == [
        "Conflict, nothing was changed: the local file's length or sha256 is not the database's. It was modified within"
        " the last hour, so it may still be written: run this again later. The local file has 4 bytes, the object 8,"
        " the database gives 8."
    ]


class Opaque(MemoryStore):
    """Its ETags are no hashes, as with SSE-C; ``sha256`` is what it keeps of the object."""

    def __init__(self, sha256: str | None = None) -> None:
        super().__init__()
        self.sha256 = sha256

    def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
        for found in super().list(prefix, after, page_size):
            yield RemoteObject(found.key, found.size, "0" * 32, modified=found.modified)

    @contextmanager
    def open(self, key: str) -> Iterator[Readable]:
        yield Body(self.objects[key], self.sha256)


def test_without_any_hash_the_length_decides_and_that_is_told(homeserver: Homeserver) -> None:
    homeserver.stores[0] = Opaque()
    homeserver.know(ORIGINAL, b"original", sha256=False)
    homeserver.put(ORIGINAL, b"original")

    summary = homeserver.restore()

    assert (summary.exit_status, homeserver.local()) == (0, {ORIGINAL: b"original"})
    assert (homeserver.told.unproven.files, homeserver.told.unproven.bytes) == (1, 8)


def test_without_any_hash_nothing_is_repaired(homeserver: Homeserver) -> None:
    homeserver.stores[0] = Opaque()
    homeserver.know(ORIGINAL, b"original", sha256=False)
    homeserver.put(ORIGINAL, b"original")
    homeserver.save(ORIGINAL, b"orig")

    summary = homeserver.restore(repair=True)

    assert homeserver.local() == {ORIGINAL: b"orig"}
    assert [each["reason"] for each in summary.problems] == [
        "Conflict, nothing was changed: the local file is damaged, and neither a hash nor the ETag proves the object."
    ]


def test_changed_on_the_way(homeserver: Homeserver) -> None:
    homeserver.stores[0] = Opaque(hashlib.sha256(b"original").hexdigest())
    homeserver.know(ORIGINAL, b"ORIGINAL", sha256=False)
    homeserver.put(ORIGINAL, b"ORIGINAL")

    summary = homeserver.restore()

    assert homeserver.local() == {}
    assert counts(summary) == {"failed": 1}
    assert [each["reason"] for each in summary.problems] == [
        "Could not use object 'hs/local_content/aa/bb/cc': what came is not what the bucket has listed, or keeps a"
        " hash of. It was replaced meanwhile, or changed on the way: run this again. Where that does not help, it is"
        " damaged."
    ]


def test_what_is_not_its_own_etag_is_not_restored(homeserver: Homeserver) -> None:
    """No thumbnail has a sha256 in the database, nor has what is older than that column."""

    class Damaged(MemoryStore):
        @contextmanager
        def open(self, key: str) -> Iterator[Readable]:
            with super().open(key) as body:
                yield Body(b"X" + self.objects[key][1:], md5=body.md5)

    homeserver.stores[0] = Damaged()
    homeserver.know(THUMBNAIL, b"thumbnail", sha256=False)
    homeserver.put(THUMBNAIL, b"thumbnail")

    summary = homeserver.restore()

    assert (homeserver.local(), counts(summary), summary.exit_status) == ({}, {"failed": 1}, 1)


class Closed(MemoryStore):
    @contextmanager
    def open(self, key: str) -> Iterator[Readable]:
        if key in self.objects:
            raise ObjectUnreadable(f"Could not read object {key!r}: the server said that it is archived.")
        yield Body(b"")


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_the_server_said_is_told(homeserver: Homeserver, dry_run: bool) -> None:
    """A dry run opens what is of an archive class: the listing does not tell whether it can be read at once."""
    homeserver.stores[0] = Closed()
    homeserver.add(ORIGINAL, b"original")
    homeserver.stores[0].storage_classes[PREFIX + ORIGINAL] = "GLACIER"

    summary = homeserver.restore(dry_run=dry_run)

    assert (summary.exit_status, counts(summary)) == (1, {"failed": 1})
    assert [each["reason"] for each in summary.problems] == [
        "Could not read object 'hs/local_content/aa/bb/cc': the server said that it is archived."
    ]


def test_a_dry_run_counts_what_one_bucket_of_several_gives(homeserver: Homeserver) -> None:
    homeserver.stores[0] = Closed()
    homeserver.add(ORIGINAL, b"original")
    homeserver.stores[0].storage_classes[PREFIX + ORIGINAL] = "GLACIER"
    homeserver.put(ORIGINAL, b"original", place=1)

    summary = homeserver.restore(dry_run=True)

    assert (summary.exit_status, counts(summary), homeserver.local()) == (0, {"restored": 1}, {})


def test_a_link_is_no_file_of_other_content(homeserver: Homeserver, tmp_path: Path) -> None:
    """As where somebody has moved a file to another disk."""
    homeserver.add(ORIGINAL, b"original")
    place, moved = homeserver.media.path / ORIGINAL, tmp_path / "moved"
    place.parent.mkdir(parents=True)
    moved.write_bytes(b"original")
    place.symlink_to(moved)

    summary = homeserver.restore()

    assert (place.is_symlink(), counts(summary)) == (True, {"conflicts": 1})
    assert [each["reason"] for each in summary.problems] == [
        "Conflict, nothing was changed: what has its name on the local disk is no file, but a symbolic link or a"
        " directory. Put a file in its place, or remove it, and run this again."
    ]


@pytest.mark.parametrize("word", ["503", "403", "cut"])
def test_what_is_cut_leaves_nothing(homeserver: Homeserver, word: str) -> None:
    homeserver.add(ORIGINAL, b"original")
    homeserver.in_front = [FailingStore(homeserver.stores[0], f"ok {word}")]

    summary = homeserver.restore()

    assert homeserver.local() == {}
    assert (summary.exit_status, counts(summary)) == (1, {"failed": 1})


def test_a_bucket_that_can_not_be_listed(homeserver: Homeserver) -> None:
    """What the other one has comes back; what is in neither is not called missing."""
    homeserver.add(ORIGINAL, b"original")
    homeserver.know(REMOTE, b"remote")
    homeserver.put(REMOTE, b"remote", place=1)
    homeserver.in_front = [homeserver.stores[0], FailingStore(homeserver.stores[1], "503")]

    summary = homeserver.restore()

    assert homeserver.local() == {ORIGINAL: b"original"}
    assert (summary.exit_status, counts(summary)) == (1, {"restored": 1, "failed": 1})
    assert summary.errors == ["Could not reach the store: the server failed (HTTP 503). Try again later."]
    assert [each["reason"] for each in summary.problems] == [
        "It is not on the local disk, and not in the buckets that could be listed. One could not be, as told above."
    ]


def test_somebody_was_faster(homeserver: Homeserver) -> None:
    """Synapse fetches what it is asked for, while it is on its way here."""

    class Racing(MemoryStore):
        @contextmanager
        def open(self, key: str) -> Iterator[Readable]:
            with super().open(key) as body:
                path = key.removeprefix(PREFIX)
                homeserver.save(path, b"original" if path == ORIGINAL else b"half")
                yield body

    homeserver.stores[0] = Racing()
    for path in (ORIGINAL, REMOTE):
        homeserver.add(path, b"original")

    summary = homeserver.restore()

    assert homeserver.local() == {ORIGINAL: b"original", REMOTE: b"half"}
    assert counts(summary) == {"already_local": 1, "conflicts": 1}
    assert [each["reason"] for each in summary.problems] == [
        "Conflict, nothing was changed: a local file of other content appeared while this was fetched. Synapse may"
        " still be writing it: run this again later."
    ]


def disk_with(monkeypatch: pytest.MonkeyPatch, *free: int, total: int = 10_000_000) -> None:
    """A disk that has so much free when it is asked again and again."""
    answers = iter(free)
    last = free[-1]
    monkeypatch.setattr(arrivals_module.Disk, "usage", lambda _disk: (total, next(answers, last)))


def test_refuses_what_the_disk_has_no_room_for(homeserver: Homeserver, monkeypatch: pytest.MonkeyPatch) -> None:
    disk_with(monkeypatch, 1_000_000)
    for number in range(10):
        homeserver.add(f"local_content/aa/bb/{number}", b"x" * 60_000)

    with pytest.raises(DiskFullError) as refusal:
        homeserver.restore(minimum_free="5%")

    assert str(refusal.value) == (
        "Could not begin: 10 files of 614.4 kB would leave 385.6 kB free of 10.0 MB on the disk of"
        f" {str(homeserver.media.path)!r}, and 500.0 kB (--minimum-free 5%) are to stay free. Make room there, select"
        " less (--local, --origin, --media, --accessed-within), or give a smaller --minimum-free."
    )
    assert homeserver.local() == {}
    assert counts(homeserver.restore(minimum_free="300K")) == {"restored": 10}


def test_stops_when_others_fill_the_disk(homeserver: Homeserver, monkeypatch: pytest.MonkeyPatch) -> None:
    disk_with(monkeypatch, 9_000_000, 9_000_000, 9_000_000, 400_000)
    for number in range(100):
        homeserver.add(f"local_content/aa/bb/{number}", b"x" * 60_000)

    summary = homeserver.restore(minimum_free="5%")

    assert counts(summary) == {"restored": 2}
    assert (summary.exit_status, summary.not_reached, summary.problems) == (1, 98, [])
    assert summary.errors == [
        f"Could not go on: the disk of {str(homeserver.media.path)!r} has 400.0 kB free of 10.0 MB, and 500.0 kB"
        " (--minimum-free 5%) are to stay free. Others have taken some since this began. Make room there, and run this"
        " again: what was restored stays."
    ]


def test_what_is_under_way_counts(homeserver: Homeserver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three at a time fit one by one, and not together."""
    disk_with(monkeypatch, 9_000_000, 100_000)
    both_open = Event()

    class Slow(MemoryStore):
        @contextmanager
        def open(self, key: str) -> Iterator[Readable]:
            with super().open(key) as body:
                both_open.wait(0.2)
                yield body

    homeserver.stores[0] = Slow()
    for number in range(2):
        homeserver.add(f"local_content/aa/bb/{number}", b"x" * 60_000)

    summary = homeserver.restore()

    assert counts(summary) == {"restored": 1}
    assert summary.exit_status == 1


def test_stop(homeserver: Homeserver) -> None:
    stop = Event()
    stop.set()
    homeserver.add(ORIGINAL, b"original")

    summary = homeserver.restore(stop=stop)

    assert (homeserver.local(), counts(summary)) == ({}, {})


@pytest.mark.parametrize("roots", [[], ["local_content"]])
def test_the_media_store_is_the_bucket(tmp_path: Path, roots: list[str]) -> None:
    for root in roots:
        (tmp_path / root).mkdir()

    class Mounted(MemoryStore):
        """A bucket whose objects are the files of the media store, some seconds later."""

        def head(self, key: str) -> RemoteObject | None:
            path = tmp_path / key.removeprefix(PREFIX)
            return RemoteObject(key, 1, "") if waited and path.exists() else None

    waited: list[float] = []
    mounted, other = Place("the mounted one", Mounted(), PREFIX), Place("the other one", MemoryStore(), PREFIX)
    with closing(Arrivals(MediaStore(tmp_path))) as arrivals:
        check_apart(arrivals, [other], waited.append, lambda _device: True)
        assert waited == [2, 8]
        check_apart(arrivals, [mounted], waited.append, lambda _device: False)
        with pytest.raises(ConfigurationError) as failure:
            check_apart(arrivals, [other, mounted], waited.append, lambda _device: True)

    assert str(failure.value) == (
        f"Could not restore: the media store is the bucket itself: what was written to {str(tmp_path)!r} became an"
        " object of the mounted one. Unmount the bucket there, and give Synapse a media_store_path on a disk of this"
        " host."
    )
    assert [path.name for path in tmp_path.iterdir()] == roots


def test_usage_of_a_disk(tmp_path: Path) -> None:
    total, free = Disk(0, str(tmp_path)).usage()

    assert total >= free > 0
