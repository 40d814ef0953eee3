# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.places import Place, Sides
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.run import Endurance
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.summary import Count, Outcome
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.verification import (
    Verification,
    VerifyStep,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.verification_plan import (
    VerificationPlan,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.verify import new_verification, verify
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import (
    MediaError,
    UnavailableError,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.sample import Sample
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.verdict import REASONS, Reason
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.database import KnownFile, MediaRow
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import MediaStore
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    ObjectStore,
    ObjectUnreadable,
    PermissionDenied,
    Readable,
    RemoteObject,
    StoreUnavailable,
)
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import Body, FailingStore, MemoryStore

ONE, TWO, THREE, FOUR = (f"local_content/aa/bb/{number}" for number in (1, 2, 3, 4))
OLD_NAME = "remote_thumbnail/example.org/aa/bb/cc/32-32-image-png"
PLAN = VerificationPlan(endurance=Endurance(pauses=()))


class Homeserver:
    """The sides, and how ``verify`` sees them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = MemoryStore()
        self.rows: dict[str, KnownFile] = {}
        self.told: list[Outcome] = []
        self.stop = Event()
        self.deleted: set[str] = set()
        self.failure: MediaError | None = None

    def have(self, path: str, *, local: bytes | None = None, stored: bytes | None = None) -> None:
        if local is not None:
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_bytes(local)
        if stored is not None:
            self.store.objects[f"hs/{path}"] = stored

    def know(self, path: str, size: int | None = 4, *, sha256: str | None = None, legacy: bool = False) -> None:
        lengths = frozenset() if size is None else frozenset({size})
        self.rows[path] = KnownFile(path, MediaRow(lengths, sha256, None), legacy)

    def known(self, _skipped: Callable[[str], None]) -> Iterable[KnownFile]:
        return [self.rows[path] for path in sorted(self.rows, key=str.encode)]

    def ask_again(self, paths: Sequence[str]) -> dict[str, MediaRow]:
        if self.failure is not None:
            raise self.failure
        return {path: self.rows[path].row for path in paths if path in self.rows and path not in self.deleted}

    def verify(
        self, store: ObjectStore | None = None, *others: ObjectStore, plan: VerificationPlan = PLAN
    ) -> Verification:
        media, result = MediaStore(self.root, writable=False), new_verification()
        places = [Place(f"bucket {number}", each, "hs/") for number, each in enumerate((store or self.store, *others))]
        sides = Sides(media.scan, self.known, places)
        numbers = random.Random(0)  # noqa: S311 (a sample)
        verify(plan, sides, media, result, numbers, ask_again=self.ask_again, stop=self.stop, report=self.told.append)
        return result


@pytest.fixture
def homeserver(tmp_path: Path) -> Homeserver:
    return Homeserver(tmp_path)


def counts(result: Verification) -> dict[str, int]:
    return {step.key: count.files for step, count in result.counts.items() if count.files}


def reasons(result: Verification) -> dict[str, Any]:
    return {problem["path"]: problem["reason"] for problem in result.problems}


def test_each_file_is_counted_once(homeserver: Homeserver) -> None:
    homeserver.have(ONE, local=b"1234")
    homeserver.have(TWO, stored=b"1234")
    homeserver.have(THREE, local=b"1234", stored=b"1234")
    for path in (ONE, TWO, THREE, FOUR):
        homeserver.know(path)
    homeserver.know("local_content/aa/bb/5", None)
    homeserver.have("local_content/aa/bb/6", local=b"1", stored=b"")

    result = homeserver.verify()

    assert counts(result) == {
        "local_only": 1,
        "stored_only": 1,
        "both": 1,
        "missing": 1,
        "unfinished": 1,
        "unknown_objects": 1,
        "unknown_files": 1,
    }
    assert (result.checked, result.empty_objects, result.exit_status) == (Count(4, 16), 1, 1)
    # One listing, the missing one, two that seem to be well, unfinished uploads.
    assert result.requests == 1 + 1 + 2 + 1
    assert [outcome.path for outcome in homeserver.told] == [FOUR]


class Moving(MemoryStore):
    """Right after its listing a file is uploaded, and deleted locally."""

    def __init__(self, root: Path, path: str) -> None:
        super().__init__()
        self.root, self.path = root, path

    def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
        found = list(super().list(prefix, after, page_size))
        self.objects[prefix + self.path] = (self.root / self.path).read_bytes()
        (self.root / self.path).unlink()
        yield from found


def test_what_migrate_moves_meanwhile_is_not_missing(homeserver: Homeserver) -> None:
    """Its object came after the listing, and its file went before the disk was read."""
    first = "local_content/aa/aa/0"
    for path in (first, ONE):
        homeserver.have(path, local=b"1234")
        homeserver.know(path)

    result = homeserver.verify(Moving(homeserver.root, ONE))

    assert (counts(result), result.exit_status) == ({"local_only": 1, "stored_only": 1}, 0)
    assert [outcome.path for outcome in homeserver.told] == [ONE]


def test_what_synapse_deletes_meanwhile_is_not_missing(homeserver: Homeserver) -> None:
    for path in (ONE, TWO):
        homeserver.know(path)
    homeserver.deleted = {TWO}

    result = homeserver.verify()

    assert (counts(result), set(reasons(result))) == ({"missing": 1}, {ONE})
    assert result.reasons == {VerifyStep.MISSING: {"local_original": Count(1, 4)}}
    assert [outcome.path for outcome in homeserver.told] == [ONE]


def test_damage_is_no_success_after_a_thousand_files_that_synapse_has_deleted(homeserver: Homeserver) -> None:
    """They were the thousand problems that are named, and none was left when they were taken back."""
    homeserver.deleted = {f"{ONE}{number:04}" for number in range(1000)}
    for path in homeserver.deleted:
        homeserver.know(path)
    homeserver.have(TWO, local=b"123")
    homeserver.know(TWO)

    result = homeserver.verify(plan=replace(PLAN, workers=1))

    assert counts(result) == {"damaged": 1}
    assert (result.exit_status, result.as_json()["exit_code"]) == (1, 1)
    assert "NOT ALL WELL" in result.as_text()


def test_a_link_is_no_success_after_a_thousand_files_that_synapse_has_deleted(homeserver: Homeserver) -> None:
    """They took the places of the names, and all was well without them: of the link no count tells."""
    homeserver.deleted = {f"{ONE}{number:04}" for number in range(1100)}
    for path in homeserver.deleted:
        homeserver.know(path)
    last = "local_content/zz/zz/last"
    homeserver.have(last, local=b"1234")
    homeserver.know(last)
    (homeserver.root / "remote_thumbnail").mkdir()
    (homeserver.root / "remote_thumbnail/example.org").symlink_to("/elsewhere")

    result = homeserver.verify(plan=replace(PLAN, workers=1))

    assert (counts(result), result.passed_over, result.exit_status) == ({"local_only": 1}, 1, 1)
    assert reasons(result) == {"remote_thumbnail/example.org": "a symbolic link, which is never followed"}
    assert "NOT ALL WELL" in result.as_text()


def test_what_is_lost_is_named_after_a_thousand_files_that_synapse_has_deleted(homeserver: Homeserver) -> None:
    """It was counted, and its name was nowhere in the JSON."""
    homeserver.deleted = {f"{ONE}{number:04}" for number in range(1100)}
    for path in (*homeserver.deleted, TWO):
        homeserver.know(path)

    result = homeserver.verify(plan=replace(PLAN, workers=1))

    assert (counts(result), set(reasons(result)), result.exit_status) == ({"missing": 1}, {TWO}, 1)


def test_more_problems_than_are_named(homeserver: Homeserver) -> None:
    for number in range(1001):
        homeserver.know(f"{ONE}{number:04}")

    result = homeserver.verify(plan=replace(PLAN, looked_again=10))

    assert (len(result.problems), result.problem_count, counts(result)) == (1000, 1001, {"missing": 1001})


def test_database_that_is_gone_when_it_is_asked_again(homeserver: Homeserver) -> None:
    homeserver.know(ONE)
    homeserver.failure = UnavailableError("The database is gone.")

    result = homeserver.verify()

    assert (result.as_json()["missing"], result.errors, result.exit_status) == (None, ["The database is gone."], 1)


DAMAGED_ORIGINALS: dict[str, dict[str, bytes]] = {
    "empty": {"stored": b""},
    "truncated": {"stored": b"12"},
    "truncated on the disk, which Synapse takes first": {"local": b"12", "stored": b"1234"},
    "empty on the disk": {"local": b"", "stored": b"1234"},
}


@pytest.mark.parametrize("name", DAMAGED_ORIGINALS)
def test_no_thumbnail_is_made_anew_of_a_damaged_original(homeserver: Homeserver, name: str) -> None:
    thumbnail = ONE.replace("content", "thumbnails") + "/32-32-image-png-crop"
    for path in (ONE, thumbnail):
        homeserver.know(path)
    plan = replace(PLAN, dynamic=True)
    homeserver.have(ONE, stored=b"1234")
    assert reasons(homeserver.verify(plan=plan)) == {thumbnail: f"{REASONS[Reason.THUMBNAIL_MADE_ANEW]}."}

    homeserver.have(ONE, **DAMAGED_ORIGINALS[name])
    homeserver.told.clear()
    result = homeserver.verify(plan=plan)

    assert counts(result) == {"damaged": 1, "missing": 1}
    assert list(result.reasons[VerifyStep.MISSING]) == [Reason.THUMBNAIL_WITHOUT_ORIGINAL.value]
    assert reasons(result)[thumbnail] == f"{REASONS[Reason.THUMBNAIL_WITHOUT_ORIGINAL]}."
    assert [outcome.reason for outcome in homeserver.told if outcome.path == thumbnail] == [reasons(result)[thumbnail]]


def test_no_thumbnail_is_made_anew_of_an_original_in_an_archive(homeserver: Homeserver) -> None:
    thumbnail = ONE.replace("content", "thumbnails") + "/32-32-image-png-crop"
    for path in (ONE, thumbnail):
        homeserver.know(path)
    homeserver.have(ONE, stored=b"1234")
    homeserver.store.storage_classes[f"hs/{ONE}"] = homeserver.store.archived[f"hs/{ONE}"] = "GLACIER"

    result = homeserver.verify(plan=replace(PLAN, dynamic=True))

    assert list(result.reasons[VerifyStep.MISSING]) == [Reason.THUMBNAIL_WITHOUT_ORIGINAL.value]


def test_old_thumbnails_without_a_method(homeserver: Homeserver) -> None:
    homeserver.know(OLD_NAME, legacy=True)
    homeserver.know(f"{OLD_NAME}-crop")
    homeserver.have(OLD_NAME, stored=b"1234")

    listed = homeserver.verify()
    drawn = homeserver.verify(plan=replace(PLAN, sample=Sample(number=5)))

    assert counts(listed) == counts(drawn) == {"stored_only": 1}


def test_one_good_side_and_one_damaged(homeserver: Homeserver) -> None:
    homeserver.have(ONE, local=b"1234", stored=b"12")
    homeserver.have(TWO, local=b"", stored=b"1234")
    homeserver.know(ONE)
    homeserver.know(TWO)

    result = homeserver.verify()

    assert counts(result) == {"damaged": 2}
    assert reasons(result) == {
        ONE: "the object has another length than the database gives (the object has 2 bytes; the database gives 4); the"
        " local file is right.",
        TWO: "the local file is empty (the local file has 0 bytes; the database gives 4); the object is right.",
    }


def test_archived(homeserver: Homeserver) -> None:
    homeserver.have(ONE, stored=b"1234")
    homeserver.have(TWO, stored=b"1234")
    homeserver.know(ONE)
    homeserver.know(TWO)
    for path in (ONE, TWO):
        homeserver.store.storage_classes[f"hs/{path}"] = "GLACIER"
        homeserver.store.archived[f"hs/{path}"] = "GLACIER"
    # Some servers give objects of the same class at once.
    readable = Opened(homeserver.store, f"hs/{TWO}")

    result = homeserver.verify(readable)

    assert (counts(result), list(result.reasons[VerifyStep.DAMAGED])) == (
        {"stored_only": 1, "damaged": 1},
        ["archived"],
    )
    assert reasons(result)[ONE] == (
        "the object is in an archive, from which Synapse can't read it at once; no right copy is left. Could not read"
        f" object 'hs/{ONE}': it is in an archive and can't be read at once. Restore it from the archive, and keep"
        " media out of archive storage classes."
    )


class Opened(FailingStore):
    """Gives one object at once, whatever its class."""

    def __init__(self, store: MemoryStore, key: str) -> None:
        super().__init__(store, "")
        self.memory, self.key = store, key

    def open(self, key: str) -> Any:
        if key == self.key:
            return MemoryStore(self.memory.objects).open(key)
        return super().open(key)


class OtherKey(FailingStore):
    """Some objects are encrypted with another key, which no listing tells."""

    def __init__(self, store: MemoryStore, *paths: str) -> None:
        super().__init__(store, "")
        self.keys = {f"hs/{path}" for path in paths}

    def head(self, key: str) -> RemoteObject | None:
        if key in self.keys:
            raise ObjectUnreadable("Could not look up the object: another key.")
        return super().head(key)


def test_another_key_is_met_by_chance(homeserver: Homeserver) -> None:
    homeserver.have(ONE, stored=b"1234")
    homeserver.have(TWO, stored=b"1234", local=b"1234")
    homeserver.know(ONE)
    homeserver.know(TWO)

    result = homeserver.verify(OtherKey(homeserver.store, ONE, TWO))

    assert (counts(result), result.checked) == ({"damaged": 2}, Count(2, 8))
    assert reasons(result)[TWO] == (
        "the object is not encrypted with the configured key, so that Synapse can't read it; the local file is right."
        " Could not look up the object: another key."
    )
    assert "Of 2 objects that were opened by chance 2 are not well: with --deep every object is opened." in str(
        result.facts
    )


@pytest.mark.parametrize("deep", [False, True])
def test_an_object_that_its_bucket_will_delete(homeserver: Homeserver, deep: bool) -> None:
    homeserver.have(ONE, stored=b"1234")
    homeserver.have(TWO, stored=b"1234", local=b"1234")
    homeserver.know(ONE)
    homeserver.know(TWO)
    homeserver.store.expiring = {"": 'rule-id="old"'}

    result = homeserver.verify(plan=replace(PLAN, deep=deep))

    assert counts(result) == {"damaged": 2}
    assert reasons(result) == {
        ONE: "a lifecycle rule of the bucket will delete the object; no other right copy is there. The server says:"
        ' rule-id="old".',
        TWO: "a lifecycle rule of the bucket will delete the object; the local file is right. The server says:"
        ' rule-id="old".',
    }


def test_with_deep_every_object_is_opened(homeserver: Homeserver) -> None:
    paths = [f"local_content/aa/bb/{number:03}" for number in range(100)]
    for path in paths:
        homeserver.have(path, stored=b"1234")
        homeserver.know(path)

    result = homeserver.verify(OtherKey(homeserver.store, *paths[::2]), plan=replace(PLAN, deep=True))

    assert counts(result) == {"stored_only": 50, "damaged": 50}
    assert set(reasons(result)) == set(paths[::2])


def test_another_provider_serves_it(homeserver: Homeserver) -> None:
    homeserver.know(ONE)
    homeserver.know(TWO)
    homeserver.have(TWO, stored=b"1234")
    other = MemoryStore({f"hs/{ONE}": b"1234", f"hs/{TWO}": b""})

    result = homeserver.verify(None, other)

    assert counts(result) == {"stored_only": 1, "damaged": 1}
    assert reasons(result) == {
        TWO: "the object is empty (the object of S3 provider 2 has 0 bytes; the database gives 4); the object of S3"
        " provider 1 is right."
    }


class Broken(MemoryStore):
    """Ends in the middle of a listing."""

    def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
        yield from list(super().list(prefix, after, page_size))[:1]
        raise UnavailableError("The bucket is gone.")


def test_listing_that_breaks_off(homeserver: Homeserver) -> None:
    """All that follows would pass for missing: it can't be told, and no name is given."""
    for path in (ONE, TWO, THREE):
        homeserver.have(path, stored=b"1234")
        homeserver.know(path)

    result = homeserver.verify(Broken(homeserver.store.objects))

    as_json = result.as_json()
    names = ("checked", "local_only", "stored_only", "both", "missing", "damaged", "unknown_objects", "skipped")
    assert [as_json[name] for name in names] == [None] * len(names)
    assert (result.errors, result.problems, result.exit_status) == (["The bucket is gone."], [], 1)
    assert result.as_text().splitlines()[0] == "  Checked                                      can't be told"
    assert 'result="missing"' not in result.as_metrics(0)
    assert "synapse_s3_verify_exit_status 1" in result.as_metrics(0)


def test_outage_while_files_are_looked_at(homeserver: Homeserver) -> None:
    for number in range(60):
        homeserver.know(f"local_content/aa/bb/{number:03}")

    result = homeserver.verify(FailingStore(homeserver.store, "ok " + "503 " * 1000))

    assert result.errors == [
        "Gave up, since no file could be worked on any more. Could not reach the store: the server failed (HTTP 503)."
        " Try again later."
    ]
    assert (result.as_json()["missing"], result.exit_status) == (None, 1)


def test_one_file_that_can_not_be_looked_at(homeserver: Homeserver) -> None:
    """It is in no other count."""
    homeserver.know(ONE)
    homeserver.know(TWO)

    result = homeserver.verify(FailingStore(homeserver.store, "ok deny ok"), plan=replace(PLAN, workers=1))

    assert counts(result) == {"failed": 1, "missing": 1}
    assert (result.checked.files, result.exit_status) == (1, 1)


@pytest.mark.parametrize("deep", [False, True])
def test_local_file_that_synapse_may_not_read(
    homeserver: Homeserver, monkeypatch: pytest.MonkeyPatch, deep: bool
) -> None:
    """It answers a download with an error, also where the bucket has the file: the disk comes first."""
    for path in (ONE, TWO):
        homeserver.have(path, local=b"1234", stored=b"1234")
        homeserver.know(path)
    # These tests are run as root, who may read everything.
    monkeypatch.setattr(os, "access", lambda path, _mode: not str(path).endswith(ONE))

    result = homeserver.verify(plan=replace(PLAN, deep=deep))

    assert (counts(result), result.exit_status) == ({"both": 1, "failed": 1}, 1)
    assert reasons(result) == {
        ONE: "Could not read the local file: permission denied. Give it and its directory to Synapse's user."
    }


@pytest.mark.parametrize("sample", [None, Sample(number=5), Sample(fraction=0.05)])
def test_database_that_knows_nothing_is_no_success(homeserver: Homeserver, sample: Sample | None) -> None:
    """A sample of it would be nothing, and all of that well."""
    homeserver.have(ONE, local=b"1234")
    homeserver.have(TWO, stored=b"1234")

    result = homeserver.verify(plan=replace(PLAN, sample=sample))

    assert (counts(result), result.exit_status) == ({"unknown_objects": 1, "unknown_files": 1}, 1)
    assert result.errors == [
        "Could not verify anything: the database knows no media at all, but there are files of media. Check that"
        " 'database' in Synapse's configuration is Synapse's own."
    ]


def test_sample_of_nothing_where_there_is_nothing(homeserver: Homeserver) -> None:
    assert homeserver.verify(plan=replace(PLAN, sample=Sample(number=5))).exit_status == 0


@pytest.mark.parametrize("origin", [None, "example.org"])
@pytest.mark.parametrize("fraction", [0.0001, 0.11])
def test_sample_of_few_media_is_one_of_them(homeserver: Homeserver, fraction: float, origin: str | None) -> None:
    """It was often none, and all of that was well."""
    path = "remote_content/example.org/aa/bb/{}" if origin else "local_content/aa/bb/{}"
    for number in range(2):
        homeserver.know(path.format(number))
    homeserver.know(path.format(2), None)
    plan = replace(PLAN, sample=Sample(fraction=fraction), origin=origin)

    # By no salt is it none.
    results = [homeserver.verify(plan=replace(plan, salt=bytes([salt]))) for salt in range(20)]

    assert {(result.media >= 1, counts(result)["missing"] >= 1, result.exit_status) for result in results} == {
        (True, True, 1)
    }
    assert {counts(result)["unfinished"] for result in results} == {1}


@pytest.mark.parametrize("sample", [Sample(number=5), Sample(fraction=0.01), Sample(fraction=0.5)])
def test_sample_of_what_synapse_has_not_finished(homeserver: Homeserver, sample: Sample) -> None:
    homeserver.know(ONE, None)

    result = homeserver.verify(plan=replace(PLAN, sample=sample))

    assert (counts(result), result.exit_status) == ({"unfinished": 1}, 1)
    assert result.errors == [
        "Could not look at a sample: the database knows no media that Synapse has finished. Run `verify` without"
        " --sample."
    ]


def test_only_so_many_are_looked_at_again(homeserver: Homeserver) -> None:
    for number in range(30):
        homeserver.know(f"local_content/aa/bb/{number:03}")

    result = homeserver.verify(plan=replace(PLAN, looked_again=10))

    assert (counts(result), len(homeserver.told), result.requests) == ({"missing": 30}, 30, 1 + 10 + 1)
    assert (
        "10 files that were not well by the listings were looked at once more; 20 further ones were not."
        in result.facts
    )


def test_content_that_no_hash_is_kept_of(homeserver: Homeserver) -> None:
    """Thumbnails have none in the database; what the bucket has of them is proven by their ETags."""
    homeserver.have(ONE, local=b"1234")
    homeserver.have(TWO, local=b"1234", stored=b"1234")
    homeserver.have(THREE, local=b"1234", stored=b"4321")
    for path in (ONE, TWO, THREE):
        homeserver.know(path)

    result = homeserver.verify(plan=replace(PLAN, deep=True))

    assert (counts(result), result.length_only) == ({"local_only": 1, "both": 1, "damaged": 1}, 1)
    assert list(result.reasons[VerifyStep.DAMAGED]) == ["different"]


def test_content_that_is_not_its_own_etag(homeserver: Homeserver) -> None:
    """As where a disk below the server has lost some bits; no thumbnail has a sha256 in the database."""

    class Damaged(MemoryStore):
        @contextmanager
        def open(self, key: str) -> Iterator[Readable]:
            with super().open(key) as body:
                yield Body(b"X" + self.objects[key][1:], md5=body.md5)

    store = Damaged({f"hs/{ONE}": b"1234", f"hs/{TWO}": b"1234"})
    homeserver.have(TWO, local=b"1234")
    homeserver.know(ONE)
    homeserver.know(TWO)

    result = homeserver.verify(store, plan=replace(PLAN, deep=True))

    assert (counts(result), result.length_only) == ({"damaged": 2}, 0)
    other = "the object has another content than the database or its checksum gives"
    assert reasons(result) == {
        ONE: f"{other}; no right copy is left.",
        TWO: f"{other}; the local file is right.",
    }


@pytest.mark.parametrize(
    ("error", "exit_status"),
    [(PermissionDenied("Not allowed."), 0), (StoreUnavailable("The bucket is gone."), 1)],
)
def test_unfinished_uploads_that_can_not_be_told(
    homeserver: Homeserver, error: MediaError, exit_status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unfinished(_prefix: str) -> int:
        raise error

    monkeypatch.setattr(homeserver.store, "unfinished_uploads", unfinished)

    result = homeserver.verify()

    assert (result.unfinished_uploads, result.exit_status) == (None, exit_status)


def test_unfinished_uploads(homeserver: Homeserver) -> None:
    homeserver.store.unfinished = [f"hs/{ONE}", f"hs/{ONE}", f"other/{ONE}"]
    assert homeserver.verify().unfinished_uploads == 2


def test_link_is_named_and_reported(homeserver: Homeserver) -> None:
    (homeserver.root / "remote_content").mkdir()
    (homeserver.root / "remote_content/example.org").symlink_to("/elsewhere")

    result = homeserver.verify()

    assert (result.passed_over, result.exit_status) == (1, 1)
    assert [(outcome.path, outcome.reason) for outcome in homeserver.told] == [
        ("remote_content/example.org", "a symbolic link, which is never followed.")
    ]


def assert_nothing_is_told(result: Verification) -> None:
    as_json = result.as_json()
    assert {name for name, value in as_json.items() if value == {"files": 0, "bytes": 0} or value == {}} == set()
    assert (as_json["missing"], as_json["failed"], as_json["skipped"], as_json["all_media"]) == (None,) * 4
    metrics = result.as_metrics(0)
    assert ("result=" in metrics, "passed_over" in metrics) == (False, False)


@pytest.mark.parametrize("ended", [{"interrupted_by": 15}, {"refused_with": 69}])
def test_what_was_not_looked_at_is_no_count(ended: dict[str, Any]) -> None:
    """'missing 0' passed for an answer."""
    result = replace(new_verification(), **ended)

    assert_nothing_is_told(result)
    assert len(result.as_text().splitlines()) == 1


@pytest.mark.parametrize("sample", [None, Sample(number=20_000)])
def test_outage_before_all_was_compared(homeserver: Homeserver, sample: Sample | None) -> None:
    """Of what comes after it, no side has told anything."""
    for number in range(3000):
        homeserver.know(f"local_content/aa/bb/{number:04}")
    homeserver.have("local_content/zz/zz/unknown", stored=b"1")

    result = homeserver.verify(FailingStore(homeserver.store, "ok " + "503 " * 5000), plan=replace(PLAN, sample=sample))

    assert result.errors[0].startswith("Gave up, since no file could be worked on any more. ")
    assert_nothing_is_told(result)


def test_interrupted_verify_for_a_person() -> None:
    result = replace(new_verification(), interrupted_by=15)

    assert result.as_text() == (
        "INTERRUPTED. Nothing was changed. No count can be told, since not all was looked at. (0 requests in 0.0 s)"
    )


@pytest.mark.parametrize("origin", [None, "example.org"])
def test_stop_ends_it(homeserver: Homeserver, origin: str | None) -> None:
    """Of what was not looked at, it says nothing."""
    homeserver.know("remote_content/example.org/aa/bb/1")
    homeserver.stop.set()

    result = homeserver.verify(plan=replace(PLAN, origin=origin))

    assert (result.checked, result.errors, result.as_json()["missing"]) == (Count(), [], None)
