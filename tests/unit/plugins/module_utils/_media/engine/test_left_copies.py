# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs that were killed have kept, in the layout of a state directory that several homeservers may share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.left_copies import see_to_copies
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.migrate import new_summary
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.summary import Summary
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import AccessError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import (
    MediaPath,
    parse_media_path,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.shard import ALL, Shard
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores import aside
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.database import MediaRow
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.disk_errors import LocalFileError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import MediaStore

PATH = "local_content/aa/bb/cc"
OLD = "aside-1-of-1"


class Database:
    """Knows files by their paths."""

    def __init__(self, rows: Mapping[str, MediaRow]) -> None:
        self.rows = rows

    def media_rows(self, paths: Iterable[MediaPath]) -> Mapping[MediaPath, MediaRow]:
        rows = {parse_media_path(path): row for path, row in self.rows.items()}
        return {path: rows[path] for path in paths if path in rows}

    def has_media(self) -> bool:
        return bool(self.rows)


class World:
    """A media store whose file has gone, and a state directory with a copy of it."""

    def __init__(self, directory: Path) -> None:
        self.media = MediaStore(self.new_media_store(directory / "media"))
        self.state = directory / "state"
        self.known: dict[str, MediaRow] = {}
        self.told: list[str] = []

    @staticmethod
    def new_media_store(path: Path) -> Path:
        (path / "local_content").mkdir(parents=True)
        return path

    def know(self, content: bytes) -> None:
        self.known[PATH] = MediaRow(frozenset({len(content)}), hashlib.sha256(content).hexdigest(), None)

    def keep(self, directory: str, content: bytes = b"kept", media_store: Path | None = None) -> Path:
        """As `Aside` leaves it; without a media store as older versions did."""
        place = self.state / directory / "one"
        place.mkdir(parents=True)
        (place / "content").write_bytes(content)
        about = {"path": PATH, "size": len(content), "modified_ns": 1, "mode": 0o640, "uid": 0, "gid": 0}
        (place / "about.json").write_text(
            json.dumps(about | ({"media_store": str(media_store)} if media_store else {}))
        )
        return place

    def own(self, shard: Shard = ALL) -> str:
        return aside.directory_of(aside.Parent(self.state), self.media, shard).name

    def see_to(self, shard: Shard = ALL, *, only_looks: bool = False) -> Summary:
        summary = new_summary()
        directories = aside.directories_in(aside.Parent(self.state))
        database = Database(self.known)
        see_to_copies(directories, self.media, database, summary, self.told.append, shard=shard, only_looks=only_looks)
        return summary

    @property
    def content(self) -> bytes | None:
        path = self.media.path / PATH
        return path.read_bytes() if path.exists() else None

    @content.setter
    def content(self, content: bytes) -> None:
        (self.media.path / PATH).parent.mkdir(parents=True)
        (self.media.path / PATH).write_bytes(content)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("shard", [ALL, Shard(1, 2), Shard(1, 3)], ids=str)
@pytest.mark.parametrize("kept_by", [ALL, Shard(1, 2), Shard(2, 2)], ids=str)
def test_what_any_shard_has_kept_is_put_back(world: World, shard: Shard, kept_by: Shard) -> None:
    world.keep(world.own(kept_by), media_store=world.media.path)

    summary = world.see_to(shard)

    assert (world.content, world.told) == (
        b"kept",
        [f"Put back '{PATH}': an earlier run was killed while it removed it."],
    )
    assert (summary.exit_status, summary.facts, list(world.state.iterdir())) == (0, [], [])


def test_a_shard_that_is_under_way_is_left_alone(world: World) -> None:
    place = world.keep(world.own(Shard(2, 2)), media_store=world.media.path)

    with world.media.lock_file(".shard-2-of-2.lock"):
        world.see_to(Shard(1, 2))

    assert (world.content, place.exists(), world.told) == (None, True, [])


def test_a_dry_run_says_what_would_be_put_back(world: World) -> None:
    place = world.keep(world.own(), media_store=world.media.path)

    summary = world.see_to(only_looks=True)

    assert (world.content, place.exists()) == (None, True)
    assert summary.facts == [
        f"A run that was killed has kept a copy of {PATH!r}, in {str(place)!r}: the next migrate or restore puts it"
        " back."
    ]


def test_a_dry_run_of_a_share_writes_no_lock_file(world: World) -> None:
    """Without that it can't tell a copy that is left from one of a run under way."""
    world.keep(world.own(Shard(2, 2)), media_store=world.media.path)

    assert world.see_to(Shard(1, 2), only_looks=True).facts == []


def test_the_copy_of_another_media_store_is_left_to_its_own_runs(world: World, tmp_path: Path) -> None:
    """Two homeservers with one state directory: neither gets, nor throws away, what is the other's."""
    other = MediaStore(world.new_media_store(tmp_path / "other"))
    name = aside.directory_of(aside.Parent(world.state), other, ALL).name
    place = world.keep(name, media_store=other.path)
    world.know(b"kept")

    summary = world.see_to()

    assert (world.content, place.exists(), world.told, summary.facts) == (None, True, [], [])


def test_a_media_store_that_has_moved(world: World, tmp_path: Path) -> None:
    """Its copies are told by the database."""
    world.keep("aside-0123456789abcdef-1-of-1", media_store=tmp_path / "formerly")
    world.know(b"kept")

    world.see_to()

    assert (world.content, list(world.state.iterdir())) == (b"kept", [])


def test_what_may_just_be_written_for_another_media_store_stays(world: World) -> None:
    place = world.state / "aside-0123456789abcdef-1-of-1" / "one"
    place.mkdir(parents=True)
    (place / "content").write_bytes(b"half")

    assert world.see_to().exit_status == 0

    assert (place / "content").exists()


def test_what_an_older_version_has_kept_is_told_by_the_database(world: World) -> None:
    world.keep(OLD)
    world.know(b"kept")

    world.see_to()

    assert (world.content, list(world.state.iterdir())) == (b"kept", [])


@pytest.mark.parametrize("known", [None, b"else"])
def test_what_an_older_version_has_kept_and_the_database_does_not_give(world: World, known: bytes | None) -> None:
    place = world.keep(OLD)
    if known:
        world.know(known)

    summary = world.see_to()

    assert (world.content, place.exists()) == (None, True)
    assert (summary.exit_status, summary.facts) == (
        0,
        [
            f"A run that was killed has kept a copy of {PATH!r}, in {str(place)!r}. It was left there: this"
            " homeserver's database gives no file of that path and content. It is another homeserver's, or of media"
            " that Synapse has deleted."
        ],
    )


@pytest.mark.parametrize("old", [True, False])
def test_a_copy_is_thrown_away_only_for_the_same_content(world: World, old: bool) -> None:
    """By its path alone A's went as soon as B had a file of that name."""
    name = OLD if old else world.own()
    world.keep(name)
    world.content = b"kept"
    world.see_to()
    assert list(world.state.iterdir()) == []
    world.know(b"KEPT")
    place = world.keep(name, b"KEPT")

    summary = world.see_to()

    reason = (
        "A run that was killed has kept a copy of it, and there is something else in its place by now. See which is"
        f" right, and remove the copy, in {str(place)!r}."
    )
    assert (world.content, (place / "content").read_bytes()) == (b"kept", b"KEPT")
    assert (summary.exit_status, summary.problems) == (1, [{"path": PATH, "reason": reason}])
    assert world.told == [f"{PATH}: {reason}"]


def test_a_copy_that_waits_for_a_person_outlasts_the_removal_of_the_file_beside_it(world: World) -> None:
    world.content = b"kept"
    (file,) = world.media.scan(lambda error: pytest.fail(str(error)))
    place = world.keep(world.own(), b"KEPT")
    named = place.rename(place.with_name(hashlib.sha256(PATH.encode()).hexdigest()[:32]))

    with aside.Aside(named.parent).copy(world.media, file) as copy:
        assert copy.content.read() == b"kept"

    assert [each.sha256() for each in aside.left_in(named.parent)] == [hashlib.sha256(b"KEPT").hexdigest()]


@pytest.mark.parametrize("name", [OLD, "aside-2-of-3"])
@pytest.mark.parametrize("left", ["about.json", "content"])
def test_copy_that_was_being_thrown_away_when_the_run_was_killed(world: World, name: str, left: str) -> None:
    """Nothing needs it, and no later run may stop at it."""
    place = world.keep(name)
    (place / ("content" if left == "about.json" else "about.json")).unlink()

    assert world.see_to().exit_status == 0

    assert (world.content, world.told, list(world.state.iterdir())) == (None, [], [])


@pytest.mark.parametrize(
    ("unreadable", "place", "of"), [("content", "one/content", repr(PATH)), ("about.json", "one", "a file")]
)
def test_copy_that_cannot_be_read_is_kept(world: World, unreadable: str, place: str, of: str) -> None:
    """It may be the last there is: only one that was never complete is thrown away."""
    path = world.keep(world.own()) / unreadable
    path.unlink()
    path.mkdir()

    with pytest.raises(LocalFileError) as caught:
        world.see_to()

    assert str(caught.value) == (
        f"Could not read '{world.state / world.own() / place}', the copy of {of}, which an earlier run was killed while"
        " it removed: Is a directory. Make it readable to Synapse's user, and run this again."
    )
    assert path.is_dir()


def test_copy_that_cannot_be_put_back_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    place = world.keep(world.own())

    def fail(*_arguments: object) -> bool:
        raise LocalFileError("Could not put back the local file: No space left on device. Free some.")

    monkeypatch.setattr(world.media, "put_back", fail)
    with pytest.raises(LocalFileError) as caught:
        world.see_to()

    assert str(caught.value) == (
        f"Could not put back {PATH!r}, which an earlier run was killed while it removed: Could not put back the local"
        f" file: No space left on device. Free some. Its content is in '{place}/content': keep that until the file is"
        " back."
    )
    assert (place / "content").read_bytes() == b"kept"


def test_a_directory_that_can_not_be_listed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """That nothing was kept is not known then."""
    world.keep(OLD)

    def refuse(_path: object) -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.listdir", refuse)
    with pytest.raises(AccessError) as caught:
        aside.directories_in(aside.Parent(world.state))

    assert str(caught.value) == (
        f"Could not see in {str(world.state)!r} whether a run that was killed has kept a copy of a file: permission"
        " denied. Run this as root or as Synapse's user."
    )


def test_directories_for_temporary_files_have_others_beside_them(world: World) -> None:
    """Also those that an older version has named in another way, and nobody else's."""
    stamp = aside.stamp(world.media)
    for name in (f"p-0-aside-{stamp}-1-of-1", f"p-0-{stamp}-aside-1-of-2", "p-1-aside-1-of-1", "other"):
        (world.state / name).mkdir(parents=True)
    (world.state / "p-0-aside-1-of-1").symlink_to(world.state / "other")

    found = aside.directories_in(aside.Parent(world.state, "p-0-"))

    assert {(each.of, each.shard) for each in found} == {(stamp, Shard(1, 2)), (stamp, ALL)}
