# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever happens to a homeserver's media, in whatever order, and wherever a command is killed: nothing is lost.

A history is a list of what users, Synapse and the administrator do, on a real directory, SQLite, and buckets whose
objects are files. Of two buckets one takes new media, and Synapse reads both. A command that is to be killed runs in a
process of its own, which ends before one of its effects.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from threading import Event

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine import copy_bucket, migrate, restore
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine import purge_orphans as purge
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.copy_inventory import CopySides
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.left_copies import see_to_copies
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.orphans import new_orphans
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.places import Place
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.removal import Remover
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.restore_survey import survey
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.decision import Policy
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import ConfigurationError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.free_space import MinimumFree
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.selection import Selection
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.shard import ALL
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.arrivals import Arrivals
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.aside import Aside, Directory, stamp
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.database import (
    SynapseDatabase,
    connect,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.journal import open_journal
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import MediaStore
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.synapse_config import DatabaseSettings
from ansible_collections.matrixops.synapse_s3.tests.soak import SOAK
from ansible_collections.matrixops.synapse_s3.tests.synapse_schema import SCHEMA
from ansible_collections.matrixops.synapse_s3.tests.unit.directory_store import DirectoryStore
from hypothesis import example, given, settings
from hypothesis import strategies as st

# In parts, so that all cores have some; in small ones, as Hypothesis remembers what it tried, and each kill forks that.
PARTS, HISTORIES = (50, 2000) if SOAK else (8, 50)
PREFIX = "hs/"
# What a process does to the disk or to a bucket, by the names of Python's audit events.
EFFECTS = frozenset({"os.remove", "os.rename", "os.link", "os.mkdir", "os.rmdir", "os.truncate"})
WRITES = os.O_WRONLY | os.O_RDWR


class World:
    """A homeserver's disk, database and buckets, and what its database knows: the content of each file by its path."""

    def __init__(self, directory: Path) -> None:
        self._database = directory / "homeserver.db"
        self.root = directory / "media"
        self.root.mkdir()
        self._directory = directory
        self._aside = directory / "aside"
        # The first is the one that takes new media.
        self._buckets = ["old", "new"]
        for name in self._buckets:
            (directory / name).mkdir()
        self.known: dict[str, bytes] = {}
        self.forgotten: set[str] = set()
        self._uploads = 0
        self._database.write_bytes(_empty_database())

    def _execute(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self._database)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(statement, values)
            connection.commit()

    def _stores(self) -> list[DirectoryStore]:
        return [DirectoryStore(self._directory / name) for name in self._buckets]

    # What users and Synapse do

    def upload(self, size: int) -> None:
        """A user's, of this homeserver."""
        media_id, content = self._new_id(), os.urandom(size)
        row = (media_id, size, 1, None, None, hashlib.sha256(content).hexdigest())
        self._execute("INSERT INTO local_media_repository VALUES (?, ?, ?, ?, ?, ?)", *row)
        self._save(f"local_content/aa/bb/{media_id[4:]}", content)

    def fetch(self, size: int) -> None:
        """From another homeserver, as before there were hashes."""
        file_id, content = self._new_id(), os.urandom(size)
        row = ("a.org", f"of-{file_id}", size, 1, file_id, None, None)
        self._execute("INSERT INTO remote_media_cache VALUES (?, ?, ?, ?, ?, ?, ?)", *row)
        self._save(f"remote_content/a.org/aa/bb/{file_id[4:]}", content)

    def _new_id(self) -> str:
        self._uploads += 1
        return f"aabb{self._uploads:06}"

    def serve(self, number: int) -> None:
        """What is only in the bucket comes back to the disk."""
        if path := self._chosen(number):
            target = self.root / path
            stored = [store.objects[PREFIX + path] for store in self._stores() if PREFIX + path in store.objects]
            if stored and not target.exists():
                self._save(path, stored[0])

    def forget(self, number: int) -> None:
        """Synapse deletes media: the file and the row, but never the object."""
        if path := self._chosen(number):
            file_id = "".join(path.split("/")[-3:])
            self._execute("DELETE FROM local_media_repository WHERE media_id = ?", file_id)
            self._execute("DELETE FROM remote_media_cache WHERE filesystem_id = ?", file_id)
            (self.root / path).unlink(missing_ok=True)
            del self.known[path]
            self.forgotten.add(path)

    def _chosen(self, number: int) -> str:
        return sorted(self.known)[number % len(self.known)] if self.known else ""

    def _save(self, path: str, content: bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        self.known[path] = content

    # What the administrator does

    def switch(self, _number: int) -> None:
        """New media go to the other bucket from now on, and Synapse reads from both."""
        self._buckets.reverse()

    def lose_disk(self, _number: int) -> None:
        """All of it that is in a bucket too."""
        held = {key for store in self._stores() for key in store.objects}
        for path in list(self.known):
            if PREFIX + path in held:
                (self.root / path).unlink(missing_ok=True)

    def migrate(self, number: int) -> None:
        media, store, now_ns = MediaStore(self.root), self._stores()[0], time.time_ns() + 10**9
        plan = migrate.MigrationPlan(Policy(delete_local=number % 2 == 0), now_ns, recent_after_ns=now_ns, workers=2)
        self._put_back()
        removal = Remover(media, store, Aside(self._aside), lambda _seconds: None)
        summary = migrate.new_summary()
        with self._connected() as database:
            migrate.migrate(plan, PREFIX, media, store, database, removal, summary, stop=Event(), report=_ignore)
        assert summary.exit_status == 0, summary.as_text()

    def restore(self, _number: int) -> None:
        media, places = MediaStore(self.root), [Place("", store, PREFIX) for store in self._stores()]
        plan = restore.RestorePlan(time.time_ns(), MinimumFree("0"), workers=2)
        summary = restore.new_summary()
        with closing(Arrivals(media)) as arrivals, self._connected() as database:
            arrivals.clear()
            known, files = database.known_files(_ignore), media.scan(_fail)
            found = survey(
                known,
                files,
                places,
                Selection(),
                lambda root: arrivals.disk_of(f"{root.value}/file"),
                repair=False,
                stopped=lambda: False,
            )
            with closing(found.spool):
                restore.restore(plan, found, media, arrivals, summary, stop=Event(), report=_ignore)
        assert summary.exit_status == 0, summary.as_text()
        assert [path for path in self.known if not (self.root / path).exists()] == []

    def purge_orphans(self, _number: int) -> None:
        media, store, later = MediaStore(self.root), self._stores()[0], time.time() + 1
        plan = purge.PurgePlan(later, later, Fraction(1), "own.example", is_only_bucket=False)
        summary = purge.new_summary(delete=True)
        with self._connected() as database, new_orphans() as orphans, open_journal(self._directory / "journal") as kept:
            try:
                purge.find_orphans(plan, PREFIX, media, store, database, orphans, summary, _ignore)
            except ConfigurationError:
                assert not self.known
                return
            purge.delete_orphans(orphans, media, store, database, kept, summary, stop=Event(), report=_ignore)
        assert summary.exit_status == 0, summary.as_text()
        assert {path for path in self.forgotten if PREFIX + path in store.objects} == set()
        assert {path for path in self.forgotten if (self.root / path).exists()} == set()

    def copy_bucket(self, _number: int) -> None:
        to, from_ = (Place(name, DirectoryStore(self._directory / name), PREFIX) for name in self._buckets)
        # A database that has forgotten everything is not believed.
        is_refused = not self.known and any(from_.store.list(PREFIX))
        summary = copy_bucket.new_summary()
        with self._connected() as database:
            sides = CopySides(MediaStore(self.root), database, from_, to)
            copy_bucket.copy_bucket(copy_bucket.CopyPlan(workers=2), sides, summary, stop=Event(), report=_ignore)
        assert summary.exit_status == (1 if is_refused else 0), summary.as_text()
        held = {key for store in self._stores() for key in store.objects if key.removeprefix(PREFIX) in self.known}
        assert held <= set(self._stores()[0].objects)

    @contextmanager
    def _connected(self) -> Iterator[SynapseDatabase]:
        with connect(DatabaseSettings("sqlite3", {"database": str(self._database)})) as database:
            yield database

    def _put_back(self) -> None:
        media, summary = MediaStore(self.root), migrate.new_summary()
        directory = Directory(self._aside, stamp(media), ALL)
        with self._connected() as database:
            see_to_copies([directory], media, database, summary, _ignore, shard=ALL, only_looks=False)
        assert not summary.problems

    def check(self) -> None:
        """Synapse can serve what it knows, byte for byte; an object of known media is never another's."""
        buckets = [store.objects for store in self._stores()]
        for path, content in self.known.items():
            stored, target = [objects.get(PREFIX + path) for objects in buckets], self.root / path
            assert set(stored) <= {None, content}, path
            if target.exists():
                assert target.read_bytes() == content, path
            elif content not in stored:
                # A run that was killed while it removed the file has a copy, which the next run puts back.
                self._put_back()
                assert target.read_bytes() == content, path


@cache
def _empty_database() -> bytes:
    with tempfile.NamedTemporaryFile() as file, closing(sqlite3.connect(file.name)) as connection:
        connection.executescript(SCHEMA)
        return Path(file.name).read_bytes()


def _ignore(_what: object) -> None:
    """Nobody is told."""


def _fail(error: Exception) -> None:
    raise error


def killed_before(effect: int, command: Callable[[], None]) -> None:
    """Run a command in a process of its own, which is gone before this effect of it."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    done = 0

    def end(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal done
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES
        if event in EFFECTS or writes:
            done += 1
            if done > effect:
                os._exit(1)

    try:
        sys.addaudithook(end)
        command()
    finally:
        os._exit(0)


BY_SYNAPSE = st.tuples(
    st.sampled_from(["upload", "upload", "upload", "fetch", "serve", "forget", "switch", "lose_disk"]),
    st.integers(0, 40),
)
BY_COMMAND = st.tuples(
    st.sampled_from(["migrate", "migrate", "restore", "purge_orphans", "copy_bucket"]),
    st.integers(0, 1),
    st.none() | st.integers(0, 30),
)


@pytest.mark.parametrize("_part", range(PARTS))
@settings(max_examples=HISTORIES)
@given(history=st.lists(BY_SYNAPSE | BY_COMMAND, max_size=12))
@example(history=[("upload", 0), ("migrate", 0, None), ("forget", 0), ("switch", 0), ("copy_bucket", 0, None)])
def test_no_history_loses_a_file(_part: int, history: list[tuple[str, int] | tuple[str, int, int | None]]) -> None:
    # In memory: there are thousands of them.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        world = World(Path(directory))
        for what, number, *rest in history:
            act = getattr(world, what)
            if rest and rest[0] is not None:
                killed_before(rest[0], partial(act, number))
            else:
                act(number)
            world.check()
