# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.places import Place, Sides
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.status import Status, status
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.summary import Count
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import (
    ConfigurationError,
    MediaError,
    UnavailableError,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.database import KnownFile, MediaRow
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import MediaStore
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    ObjectStore,
    ObjectUnreadable,
    RemoteObject,
)
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import MemoryStore

LOCAL, STORED, BOTH, NEITHER = (f"local_content/aa/bb/{name}" for name in ("local", "stored", "xboth", "neither"))
THUMBNAIL = "remote_thumbnail/example.org/aa/bb/cc/32-32-image-png"


class Homeserver:
    """The three sides, and how ``status`` sees them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.stores = [MemoryStore()]
        self.rows: dict[str, KnownFile] = {}
        self.failure: MediaError | None = None

    def save(self, path: str, content: bytes = b"1234") -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(content)

    def store(self, path: str, content: bytes = b"1234", number: int = 0) -> None:
        self.stores[number].objects[f"hs/{path}"] = content

    def know(self, path: str, size: int | None = 4, *, legacy: bool = False) -> None:
        lengths = frozenset() if size is None else frozenset({size})
        self.rows[path] = KnownFile(path, MediaRow(lengths, None, None), legacy)

    def known(self, skipped: Callable[[str], None]) -> Iterable[KnownFile]:
        skipped("local_content/NULL")
        if self.failure is not None:
            raise self.failure
        return [self.rows[path] for path in sorted(self.rows, key=str.encode)]

    def status(self, first: ObjectStore | None = None) -> Status:
        stores: list[ObjectStore] = [first or self.stores[0], *self.stores[1:]]
        places = [Place(f"bucket {number}", store, "hs/") for number, store in enumerate(stores)]
        return status(Sides(MediaStore(self.root).scan, self.known, places), random.Random(0))  # noqa: S311 (a sample)


@pytest.fixture
def homeserver(tmp_path: Path) -> Homeserver:
    return Homeserver(tmp_path)


def told(result: Status) -> dict[str, Any]:
    """What is not 0."""
    counts = {name: value for name, value in vars(result).items() if isinstance(value, Count) and value.files}
    return {name: (count.files, count.bytes) for name, count in counts.items()}


def test_what_is_where(homeserver: Homeserver) -> None:
    homeserver.save(LOCAL)
    homeserver.save(BOTH)
    homeserver.store(BOTH)
    homeserver.store(STORED)
    homeserver.stores[0].objects |= {"hs/backup.tar": b"55555", f"other/{BOTH}": b"666666"}
    for path in (LOCAL, STORED, BOTH, NEITHER):
        homeserver.know(path)

    result = homeserver.status()

    assert told(result) == {
        "local": (2, 8),
        "stored": (2, 8),
        "both": (1, 4),
        "at_risk": (1, 4),
        "stored_only": (1, 4),
        "unserved": (1, 4),
        "foreign_objects": (1, 5),
    }
    assert result.at_risk_by_reason == {"not_stored": Count(1, 4)}
    assert (result.rows_skipped, [notice["path"] for notice in result.notices]) == (1, ["local_content/NULL"])
    assert result.exit_status == 0


def test_object_of_another_size_keeps_the_file_at_risk(homeserver: Homeserver) -> None:
    """``status`` counted it as safe, and ``migrate`` called it a conflict."""
    homeserver.save(BOTH)
    homeserver.store(BOTH, b"")
    homeserver.know(BOTH)

    assert homeserver.status().at_risk_by_reason == {"other_size": Count(1, 4)}


def test_object_that_a_rule_of_the_bucket_will_delete(homeserver: Homeserver) -> None:
    homeserver.store(STORED)
    homeserver.know(STORED)
    homeserver.stores[0].expiring = {"": 'expiry-date="Wed, 30 Dec 2026 00:00:00 GMT", rule-id="old backups"'}

    result = homeserver.status()

    reason = (
        "A lifecycle rule of the bucket will delete it. The server says: "
        'expiry-date="Wed, 30 Dec 2026 00:00:00 GMT", rule-id="old backups".'
    )
    assert (result.problems, result.exit_status) == ([{"path": f"hs/{STORED}", "reason": reason}], 1)
    assert told(result) == {"stored": (1, 4), "stored_only": (1, 4), "unreadable": (1, 4)}


@pytest.mark.parametrize("elsewhere", ["on the disk", "in another bucket", "nowhere, and unknown", "damaged"])
def test_unreadable_object_that_nobody_needs_is_named_and_not_counted(homeserver: Homeserver, elsewhere: str) -> None:
    homeserver.stores.append(MemoryStore())
    homeserver.store(STORED, b"123" if elsewhere == "damaged" else b"1234")
    homeserver.stores[0].expiring = {"": "soon"}
    if elsewhere == "on the disk":
        homeserver.save(STORED)
    if elsewhere == "in another bucket":
        homeserver.store(STORED, number=1)
    homeserver.know(LOCAL if "unknown" in elsewhere else STORED)

    result = homeserver.status()

    assert result.problems[-1]["path"] == f"hs/{STORED}"
    assert result.unreadable == Count()


def test_database_that_knows_no_media_tells_nothing_of_it(homeserver: Homeserver) -> None:
    """One that was not restored yet: nothing was only in the bucket, by that, and the provider could be taken away."""
    homeserver.store(STORED)

    result = homeserver.status()

    assert result.errors == [
        "Could not tell what Synapse can serve: the database knows no media at all, but there are files of media."
        " Check that 'database' in Synapse's configuration is Synapse's own, and that it was restored in full."
    ]
    assert (result.exit_status, result.as_json()["stored_only"], result.as_json()["unserved"]) == (1, None, None)
    assert result.unknown_objects == Count(1, 4)


def test_what_the_database_does_not_know(homeserver: Homeserver) -> None:
    """Media that Synapse's admin API has deleted stays in the bucket."""
    homeserver.store(STORED)
    homeserver.save(LOCAL)
    homeserver.save(BOTH)
    homeserver.know(BOTH)

    result = homeserver.status()

    assert (result.unknown_objects, result.unknown_files) == (Count(1, 4), Count(1, 4))
    assert result.exit_status == 0


def test_what_synapse_never_finished_is_not_unserved(homeserver: Homeserver) -> None:
    homeserver.know(NEITHER, None)

    result = homeserver.status()

    assert (result.unserved, result.unfinished) == (Count(), 1)


def test_thumbnail_under_its_old_name(homeserver: Homeserver) -> None:
    for name in (THUMBNAIL, f"{THUMBNAIL}-crop", f"{THUMBNAIL}-scale"):
        homeserver.know(name, legacy=name == THUMBNAIL)
    homeserver.know("remote_thumbnail/example.org/aa/bb/dd/32-32-image-png-crop")
    homeserver.store(THUMBNAIL)

    result = homeserver.status()

    assert (result.unserved, result.unserved_thumbnails, result.stored_only) == (Count(), Count(1, 4), Count(1, 4))
    assert result.unknown_objects == Count()


def test_what_is_nowhere_whole(homeserver: Homeserver) -> None:
    """It must not pass for served where somebody asks whether another place can go."""
    homeserver.stores.append(MemoryStore())
    empty, torn, archived, elsewhere, unfinished = (f"local_content/aa/bb/{name}" for name in "12345")
    for path in (empty, torn, archived, elsewhere):
        homeserver.know(path)
    homeserver.know(unfinished, None)
    homeserver.store(empty, b"")
    homeserver.store(torn, b"12")
    homeserver.save(torn, b"1")
    homeserver.store(archived)
    homeserver.stores[0].storage_classes["hs/" + archived] = "GLACIER"
    homeserver.store(elsewhere, b"")
    homeserver.store(elsewhere, number=1)
    homeserver.store(unfinished, b"")

    result = homeserver.status()

    assert (result.damaged, result.repairable, result.unserved) == (Count(3, 12), Count(), Count())
    homeserver.store(archived, number=1)
    assert homeserver.status().damaged == Count(2, 8)


def test_what_is_whole_in_a_bucket_alone(homeserver: Homeserver) -> None:
    homeserver.stores.append(MemoryStore())
    homeserver.know(BOTH)
    homeserver.know(LOCAL)
    homeserver.save(BOTH, b"1")
    homeserver.save(LOCAL, b"")
    homeserver.store(BOTH)
    homeserver.store(LOCAL, b"1")
    homeserver.store(LOCAL, number=1)

    result = homeserver.status()

    assert (result.damaged, result.repairable) == (Count(), Count(2, 8))


def test_what_another_provider_holds_is_served(homeserver: Homeserver) -> None:
    homeserver.stores.append(MemoryStore())
    homeserver.know(NEITHER)
    homeserver.store(NEITHER, number=1)

    result = homeserver.status()

    assert (result.unserved, result.stored_elsewhere) == (Count(), Count(1, 4))
    assert result.others == ["bucket 1"]


class Listed(MemoryStore):
    """Objects of an archive class, which Synapse can't read."""

    def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
        return (replace(found, storage_class="GLACIER") for found in super().list(prefix, after, page_size))

    def head(self, key: str) -> RemoteObject | None:
        raise ObjectUnreadable(f"Could not look up object {key!r}: it is in an archive.")


def test_archived_objects_are_told_apart(homeserver: Homeserver) -> None:
    homeserver.save(BOTH)
    homeserver.know(BOTH)

    result = homeserver.status(Listed({f"hs/{BOTH}": b"1234"}))

    assert (result.archived, result.at_risk_by_reason) == (Count(1, 4), {"archived": Count(1, 4)})
    assert result.problems == [
        {"path": f"hs/{BOTH}", "reason": f"Could not look up object 'hs/{BOTH}': it is in an archive."}
    ]
    assert result.exit_status == 1


class Broken(MemoryStore):
    """Ends in the middle of a listing."""

    def __init__(self, objects: dict[str, bytes], error: MediaError) -> None:
        super().__init__(objects)
        self.error = error

    def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
        yield from super().list(prefix, after, page_size)
        raise self.error


@pytest.mark.parametrize(
    ("error", "exit_status"),
    [(UnavailableError("The bucket is gone."), 1), (ConfigurationError("It is no list of S3's."), 78)],
)
def test_bucket_that_can_not_be_listed_to_its_end(homeserver: Homeserver, error: MediaError, exit_status: int) -> None:
    """What it has told is no answer; the local disk is counted all the same."""
    homeserver.save(LOCAL)
    homeserver.know(LOCAL)

    result = homeserver.status(Broken({f"hs/{STORED}": b"1234"}, error))

    assert result.local == Count(1, 4)
    as_json = result.as_json()
    assert [as_json[name] for name in ("stored", "at_risk", "unserved", "at_risk_by_reason")] == [None] * 4
    assert (result.errors, result.exit_status) == ([str(error)], exit_status)
    assert result.as_text().splitlines()[:3] == [
        "  On the local disk                                        1 files          4 B",
        "  In the bucket                                  can't be told",
        "  Only on the local disk                         can't be told",
    ]


@pytest.mark.parametrize(("path", "size", "is_named"), [(NEITHER, 4, True), (LOCAL, 5, True), (LOCAL, 4, False)])
def test_verify_is_named_where_something_is_not_well(
    homeserver: Homeserver, path: str, size: int, is_named: bool
) -> None:
    homeserver.save(LOCAL)
    homeserver.know(LOCAL, size if path == LOCAL else 4)
    if path == NEITHER:
        homeserver.know(NEITHER)

    assert ("  Which files are missing or damaged: verify names them" in homeserver.status().as_text()) is is_named


def test_database_that_does_not_answer(homeserver: Homeserver) -> None:
    homeserver.save(LOCAL)
    homeserver.failure = UnavailableError("The database is gone.")

    result = homeserver.status()

    assert (result.local, result.at_risk) == (Count(1, 4), Count(1, 4))
    assert result.as_json()["unserved"] is None
    assert (result.errors, result.exit_status) == (["The database is gone."], 1)


def test_one_unreadable_directory(homeserver: Homeserver) -> None:
    """It ended with nothing; now all else is told."""
    homeserver.save(LOCAL)
    homeserver.know(LOCAL)
    scan = MediaStore(homeserver.root).scan

    def failing(failed: Callable[[MediaError], None], passed_over: Callable[[Any], None]) -> Iterator[Any]:
        failed(UnavailableError("Could not read a directory."))
        yield from scan(failed, passed_over)

    place = Place("", homeserver.stores[0], "hs/")

    result = status(Sides(failing, homeserver.known, [place]), random.Random(0))  # noqa: S311 (a sample)

    assert result.stored == Count()
    assert (result.local, result.at_risk) == (Count(1, 4), Count(1, 4))
    assert (result.as_json()["unserved"], result.exit_status) == (None, 1)
    assert result.errors == ["Could not read a directory."]


def test_link_below_a_media_directory_is_named(homeserver: Homeserver) -> None:
    (homeserver.root / "remote_content").mkdir()
    (homeserver.root / "remote_content/example.org").symlink_to("/elsewhere")

    result = homeserver.status()

    assert [problem["path"] for problem in result.problems] == ["remote_content/example.org"]
    assert (result.passed_over, result.exit_status) == (1, 1)
