# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any
from unittest.mock import patch

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine import purge_orphans
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.summary import Summary
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import (
    ConfigurationError,
    MediaError,
    UnavailableError,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import MediaPath
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.database import MediaRow
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import MediaStore
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    ObjectFailure,
    RemoteObject,
)
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import FailingStore, MemoryStore
from ansible_collections.matrixops.synapse_s3.tests.unit.purge_homeserver import PREFIX, YOUNG, Homeserver

KNOWN, GONE, FRESH = (f"local_content/aa/bb/{name}" for name in ("known", "gone", "fresh"))
DENIED = (
    "Could not use the object: the access key does not have the permission for it. "
    "Allow it in the policy of the access key or of the bucket."
)


@pytest.fixture
def homeserver(tmp_path: Path) -> Homeserver:
    made = Homeserver(tmp_path)
    made.upload(KNOWN)
    return made


def told(summary: Summary) -> Mapping[str, tuple[int, int]]:
    """What is not 0."""
    return {step.key: (count.files, count.bytes) for step, count in summary.counts.items() if count.files}


def paths(named: Iterable[Mapping[str, str]]) -> list[str]:
    return [each["path"] for each in named]


def test_both_sides_are_purged(homeserver: Homeserver) -> None:
    homeserver.store(GONE)
    homeserver.save("remote_content/example.org/aa/bb/cc")
    homeserver.store(FRESH, YOUNG)
    homeserver.save("local_content/aa/bb/fresh2", YOUNG)
    homeserver.store("url_cache/2024-01-01/abc")

    summary = homeserver.purge()

    assert told(summary) == {
        "orphans": (1, 4),
        "deleted": (1, 4),
        "too_recent": (1, 4),
        "foreign": (1, 4),
        "local_orphans": (1, 4),
        "local_deleted": (1, 4),
    }
    assert homeserver.stored == {KNOWN, FRESH, "url_cache/2024-01-01/abc"}
    assert homeserver.local == {KNOWN, "local_content/aa/bb/fresh2"}
    assert [path.name for path in (homeserver.root / "remote_content").iterdir()] == []
    assert (summary.exit_status, summary.requests) == (0, 2)
    assert summary.details == {"share": 0.666667}
    assert summary.facts == [
        "Of 3 objects of media 2 are unknown to the database (66.67%), the too recent ones included.",
        "1 of these are too recent: Synapse has deleted them soon after they came, or another homeserver stores below"
        " the same prefix.",
    ]


def test_each_is_on_record_before_it_goes(homeserver: Homeserver) -> None:
    homeserver.store(GONE)
    homeserver.save(GONE)

    class Looking(MemoryStore):
        def delete_many(self, keys: Sequence[str]) -> Mapping[str, MediaError]:
            seen.extend(json.loads(line) for line in homeserver.journal.read_text().splitlines())
            return super().delete_many(keys)

    seen: list[Any] = []
    store = Looking(homeserver.memory.objects)
    store.modified = homeserver.memory.modified
    homeserver.purge(store=store)

    (record,) = seen
    assert (record["action"], record["path"], record["key"], record["bytes"]) == ("delete", GONE, PREFIX + GONE, 4)
    assert (record["etag"], record["local_bytes"]) == ("81dc9bdb52d04dc20036dbd8313ed055", 4)


def test_disk_where_names_in_upper_and_lower_case_are_one(homeserver: Homeserver) -> None:
    """What Synapse stored as aB/..., listed as Ab/..., was unknown to the database, and was deleted."""
    homeserver.save(KNOWN)
    media = MediaStore(homeserver.root)
    purge_orphans.check_names(PREFIX, media, homeserver.memory)
    # On such a disk both names are there.
    (homeserver.root / "local_content/AA").symlink_to("aa")

    with pytest.raises(ConfigurationError, match=r"the file system of the media store .* takes names that differ in"):
        purge_orphans.check_names(PREFIX, media, homeserver.memory)


def test_server_where_names_in_upper_and_lower_case_are_one(homeserver: Homeserver) -> None:
    class Folding(MemoryStore):
        def head(self, key: str) -> RemoteObject | None:
            return next((found for found in self.list("") if found.key.lower() == key.lower()), None)

    media, objects = MediaStore(homeserver.root), {PREFIX + "1": b"", PREFIX + KNOWN: b"1234"}
    purge_orphans.check_names(PREFIX, media, MemoryStore(objects))

    with pytest.raises(ConfigurationError, match="the server of the bucket takes names that differ in"):
        purge_orphans.check_names(PREFIX, media, Folding(objects))


def test_to_list_changes_nothing(homeserver: Homeserver) -> None:
    homeserver.store(GONE)
    homeserver.save(FRESH)

    summary = homeserver.purge(delete=False)

    assert (homeserver.stored, homeserver.local) == ({KNOWN, GONE}, {KNOWN, FRESH})
    assert told(summary) == {"orphans": (1, 4), "local_orphans": (1, 4)}
    assert summary.notices == [
        {"path": FRESH, "reason": "unknown to the database, on the local disk"},
        {"path": PREFIX + GONE, "reason": "unknown to the database, in the bucket"},
    ]
    assert summary.exit_status == 0


def test_thumbnail_of_known_media_that_is_no_row(homeserver: Homeserver) -> None:
    thumbnail = "local_thumbnails/aa/bb/known/32-32-image-png-crop"
    homeserver.store(thumbnail)

    homeserver.purge()

    assert homeserver.stored == {KNOWN}


def test_path_of_a_row_that_can_not_be_read_back(homeserver: Homeserver) -> None:
    """Of two types of thumbnails: x-y/z and x/y-z have one path, and the database knows but one of them."""
    path = "local_thumbnails/aa/bb/known/32-32-x-y-z-crop"
    homeserver.store(path)
    homeserver.odd = [path, "local_content/NULL"]

    assert told(homeserver.purge()) == {}
    assert homeserver.stored == {KNOWN, path}


def test_what_the_database_knows_by_now_stays(homeserver: Homeserver) -> None:
    homeserver.store(GONE)
    ask = homeserver.media_rows

    def late(wanted: Iterable[MediaPath]) -> Mapping[MediaPath, MediaRow]:
        homeserver.rows.add(GONE)
        return ask(wanted)

    with patch.object(homeserver, "media_rows", late):
        summary = homeserver.purge()

    assert homeserver.stored == {KNOWN, GONE}
    assert told(summary) == {"orphans": (1, 4)}
    assert summary.facts[1:] == ["1 were left, because the database knows them by now."]
    assert summary.exit_status == 0


@pytest.mark.parametrize("standby", [True, False])
def test_database_that_can_not_tell(homeserver: Homeserver, standby: bool) -> None:
    homeserver.store(GONE)
    homeserver.standby = standby
    homeserver.rows = {KNOWN} if standby else set()

    summary = homeserver.purge()

    assert homeserver.stored == {KNOWN, GONE}
    assert (summary.exit_status, told(summary)) == (78, {})
    expected = {
        True: "Could not look for orphans: this database is a standby, which may not know yet what Synapse has written"
        " last. Name the primary in 'database' of Synapse's configuration.",
        False: "Could not look for orphans: the database knows no media at all, so that all of it would be one. See"
        " that 'database' in Synapse's configuration names the one that Synapse uses, and that it was restored in"
        " full.",
    }
    assert summary.errors == [expected[standby]]


def test_database_that_is_emptied_meanwhile(homeserver: Homeserver) -> None:
    """A restore that begins with an empty database."""
    homeserver.store(GONE)
    homeserver.store(FRESH)
    asked = homeserver.has_media
    answers = iter([True, True, False])

    with (
        patch.object(homeserver, "has_media", lambda: next(answers, False) and asked()),
        patch.object(purge_orphans, "BATCH", 1),
    ):
        summary = homeserver.purge()

    assert homeserver.stored == {KNOWN, GONE}
    assert (summary.exit_status, summary.not_reached) == (1, 1)


def test_too_large_a_share_changes_nothing(homeserver: Homeserver) -> None:
    homeserver.store(GONE)
    homeserver.store(FRESH, YOUNG)

    summary = homeserver.purge(share=Fraction(1, 2))

    assert homeserver.stored == {KNOWN, GONE, FRESH}
    assert (summary.exit_status, told(summary)) == (1, {"orphans": (1, 4), "too_recent": (1, 4)})


def test_media_that_was_fetched_from_this_homeserver(homeserver: Homeserver) -> None:
    """It can only be another's that uses the same bucket; as little as it may be."""
    homeserver.store("remote_content/example.org/aa/bb/cc")

    assert homeserver.purge(server_name="example.org").exit_status == 78
    assert homeserver.purge(server_name="example.com").exit_status == 0


def test_local_files_that_were_fetched_from_this_homeserver(homeserver: Homeserver) -> None:
    """Two homeservers have one media store: what is on the disk may be the only copy of the other one's media."""
    homeserver.save("local_content/aa/bb/theirs")
    homeserver.save("remote_content/example.org/aa/bb/cc")
    before = set(homeserver.local)

    assert homeserver.purge(server_name="example.org").exit_status == 78
    assert set(homeserver.local) == before


def test_database_of_another_homeserver(homeserver: Homeserver) -> None:
    homeserver.rows = {"local_content/xx/yy/zz"}

    summary = homeserver.purge()

    assert (homeserver.stored, homeserver.local) == ({KNOWN}, {KNOWN})
    assert summary.exit_status == 78


class Refusing(MemoryStore):
    """Refuses some of the keys."""

    def __init__(self, homeserver: Homeserver, refused: Mapping[str, MediaError]) -> None:
        super().__init__(homeserver.memory.objects)
        self.modified = homeserver.memory.modified
        self.refused = refused

    def delete_many(self, keys: Sequence[str]) -> Mapping[str, MediaError]:
        super().delete_many([key for key in keys if key not in self.refused])
        return {key: error for key, error in self.refused.items() if key in keys}


def test_object_that_is_locked_is_told_by_its_key(homeserver: Homeserver) -> None:
    homeserver.store(GONE)
    homeserver.store(FRESH)
    store = Refusing(homeserver, {PREFIX + GONE: ObjectFailure("Could not delete it: it is locked.")})

    summary = homeserver.purge(store=store)

    assert set(store.objects) == {PREFIX + KNOWN, PREFIX + GONE}
    assert told(summary) == {"orphans": (2, 8), "deleted": (1, 4), "failed": (1, 4)}
    assert summary.problems == [{"path": PREFIX + GONE, "reason": "Could not delete it: it is locked."}]
    assert (summary.exit_status, summary.errors) == (1, [])


def test_bucket_that_goes_away_is_told_once(homeserver: Homeserver) -> None:
    many = [f"local_content/cc/dd/{number:04}" for number in range(50)]
    for path in many:
        homeserver.store(path)

    with patch.object(purge_orphans, "BATCH", 5):
        summary = homeserver.purge(store=FailingStore(homeserver.memory, "ok" + " 503" * 20))

    assert homeserver.stored == {KNOWN, *many}
    assert (summary.exit_status, summary.problems) == (1, [])
    assert summary.counts[purge_orphans.PurgeStep.FAILED].files + summary.not_reached == 50
    assert summary.counts[purge_orphans.PurgeStep.FAILED].files <= 25
    assert summary.errors[0] == (
        "Could not reach the store: the server failed (HTTP 503). Try again later. Of 5 objects some may be deleted all"
        " the same: the next run looks again."
    )


def test_listing_that_breaks_off_deletes_nothing(homeserver: Homeserver) -> None:
    homeserver.store(GONE)

    summary = homeserver.purge(store=FailingStore(homeserver.memory, "cut"))

    assert (homeserver.stored, summary.exit_status) == ({KNOWN, GONE}, 69)


def test_stop_between_batches(homeserver: Homeserver) -> None:
    for number in range(20):
        homeserver.store(f"local_content/cc/dd/{number:04}")
    stop = Event()
    asked = homeserver.media_rows

    def once(wanted: Iterable[MediaPath]) -> Mapping[MediaPath, MediaRow]:
        stop.set()
        return asked(wanted)

    with patch.object(purge_orphans, "BATCH", 2), patch.object(homeserver, "media_rows", once):
        summary = homeserver.purge(stop=stop)

    assert len(homeserver.stored) == 19
    assert (summary.errors, summary.abandoned) == ([], 0)


def test_file_that_changed_since_it_was_seen(homeserver: Homeserver) -> None:
    homeserver.save(GONE)
    asked = homeserver.media_rows

    def write(wanted: Iterable[MediaPath]) -> Mapping[MediaPath, MediaRow]:
        (homeserver.root / GONE).write_bytes(b"new")
        return asked(wanted)

    with patch.object(homeserver, "media_rows", write):
        summary = homeserver.purge()

    assert homeserver.local == {KNOWN, GONE}
    assert told(summary) == {"local_orphans": (1, 4)}
    assert summary.notices[-1] == {"path": GONE, "reason": "changed or gone since it was seen; left"}
    assert summary.exit_status == 0


def test_journal_that_can_not_be_written(homeserver: Homeserver) -> None:
    homeserver.store(GONE)
    with patch(
        "ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.journal.Journal.write",
        side_effect=UnavailableError("Could not write the journal."),
    ):
        summary = homeserver.purge()

    assert homeserver.stored == {KNOWN, GONE}
    assert (summary.errors, summary.exit_status, summary.not_reached) == (["Could not write the journal."], 1, 1)
