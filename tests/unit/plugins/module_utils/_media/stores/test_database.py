# SPDX-License-Identifier: GPL-3.0-or-later
"""On SQLite; the same on PostgreSQL, also behind PgBouncer: tests/integration/test_postgresql.py."""

from __future__ import annotations

import errno
import io
import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import UnavailableError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import (
    MediaPath,
    Root,
    Thumbnail,
    format_media_path,
    parse_media_path,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores import database as module
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.database import (
    KnownFile,
    MediaRow,
    SynapseDatabase,
    connect,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.synapse_config import DatabaseSettings
from ansible_collections.matrixops.synapse_s3.tests.synapse_schema import SCHEMA
from hypothesis import given, settings
from hypothesis import strategies as st

ROWS = """
INSERT INTO local_media_repository VALUES ('local1', 11, 100, NULL, 1000, 'abc'),
    ('local2', NULL, 200, NULL, NULL, NULL),
    ('preview', 5, 1, 'https://example.org', 1, NULL);
INSERT INTO local_media_repository_thumbnails VALUES ('local1', 32, 33, 'image/png', 'crop', 12),
    ('preview', 32, 33, 'image/png', 'crop', 12),
    ('orphan', 32, 32, 'image/png', 'crop', 13);
INSERT INTO remote_media_cache VALUES ('a.example', 'm1', 21, 300, 'stored1', 3000, 'def'),
    ('b.example', 'm2', 22, 400, 'stored2', NULL, NULL);
INSERT INTO remote_media_cache_thumbnails VALUES ('a.example', 'm1', 96, 97, 'image/jpeg', 'crop', 23, 'stored1'),
    ('a.example', 'm1', 96, 97, 'image/jpeg', 'scale', 24, 'stored1');
"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SynapseDatabase]:
    path = tmp_path / "home server?.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA + ROWS)
    connection.close()
    with connect(DatabaseSettings("sqlite3", {"database": str(path)})) as database:
        yield database


def remote(thumbnail: Thumbnail | None, origin: str = "a.example") -> MediaPath:
    root = Root.REMOTE_CONTENT if thumbnail is None else Root.REMOTE_THUMBNAIL
    return MediaPath(root, origin, "stored1", thumbnail)


TEST_ROWS: list[tuple[MediaPath, MediaRow]] = [
    (MediaPath(Root.LOCAL_CONTENT, None, "local1", None), MediaRow(frozenset({11}), "abc", 1000)),
    (MediaPath(Root.LOCAL_CONTENT, None, "local2", None), MediaRow(frozenset(), None, 200)),
    (
        MediaPath(Root.LOCAL_THUMBNAILS, None, "local1", Thumbnail(32, 33, "image/png", "crop")),
        MediaRow(frozenset({12}), None, 1000),
    ),
    (
        MediaPath(Root.LOCAL_THUMBNAILS, None, "orphan", Thumbnail(32, 32, "image/png", "crop")),
        MediaRow(frozenset({13}), None, None),
    ),
    (remote(None), MediaRow(frozenset({21}), "def", 3000)),
    (remote(Thumbnail(96, 97, "image/jpeg", "crop")), MediaRow(frozenset({23}), None, 3000)),
    (remote(Thumbnail(96, 97, "image/jpeg", None)), MediaRow(frozenset({23, 24}), None, 3000)),
]
TEST_UNKNOWN = [
    MediaPath(Root.LOCAL_CONTENT, None, "other", None),
    MediaPath(Root.LOCAL_CONTENT, None, "preview", None),
    MediaPath(Root.LOCAL_THUMBNAILS, None, "preview", Thumbnail(32, 33, "image/png", "crop")),
    MediaPath(Root.LOCAL_THUMBNAILS, None, "local1", Thumbnail(32, 34, "image/png", "crop")),
    remote(None, origin="b.example"),
    remote(Thumbnail(96, 97, "image/png", "crop")),
]


def test_all_rows_at_once(database: SynapseDatabase) -> None:
    wanted = [path for path, _unused in TEST_ROWS] + TEST_UNKNOWN

    assert database.media_rows(wanted) == dict(TEST_ROWS)


def test_file_ids_of_media(database: SynapseDatabase) -> None:
    """A remote media's files have a name of their own; URL previews are no media of ours."""
    wanted = [(None, "local1"), (None, "m1"), (None, "preview"), ("a.example", "m1"), ("b.example", "m2")]
    unknown = [("a.example", "m2"), ("a.example", "local1"), ("", "m1"), ("a.example", "x' OR '1'='1")]
    many = [(None, f"other{number}") for number in range(2000)]

    assert database.file_ids([*wanted, *unknown, *many]) == {
        (None, "local1"): "local1",
        ("a.example", "m1"): "stored1",
        ("b.example", "m2"): "stored2",
    }
    assert database.file_ids([]) == {}


def test_has_media(database: SynapseDatabase) -> None:
    assert database.has_media()


def test_has_no_media(tmp_path: Path) -> None:
    path = tmp_path / "homeserver.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA)
    connection.close()

    with connect(DatabaseSettings("sqlite3", {"database": str(path)})) as database:
        assert not database.has_media()


def test_schema_without_sha256(tmp_path: Path) -> None:
    path = tmp_path / "homeserver.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA + ROWS)
        connection.execute("ALTER TABLE local_media_repository DROP COLUMN sha256")
        connection.execute("ALTER TABLE remote_media_cache DROP COLUMN sha256")
    connection.close()
    wanted = [MediaPath(Root.LOCAL_CONTENT, None, "local1", None), remote(None)]

    with connect(DatabaseSettings("sqlite3", {"database": str(path)})) as database:
        rows = database.media_rows(wanted)

    assert [rows[path].sha256 for path in wanted] == [None, None]


def test_missing_sqlite_file(tmp_path: Path) -> None:
    path = str(tmp_path / "homeserver.db")

    with pytest.raises(UnavailableError) as caught, connect(DatabaseSettings("sqlite3", {"database": path})):
        pass

    assert str(caught.value) == (
        f"Could not open Synapse's database {path!r}: unable to open database file."
        " Check 'database' in Synapse's configuration."
    )


@pytest.mark.parametrize(("is_replaced", "questions"), [(True, 2), (False, 1)])
def test_sqlite_file_that_is_another_meanwhile(tmp_path: Path, is_replaced: bool, questions: int) -> None:
    """What is open still answers: with what the file knew that was moved away."""
    path, other = tmp_path / "homeserver.db", tmp_path / "other.db"
    for each in (path, other):
        with closing(sqlite3.connect(each)) as connection:
            connection.executescript(SCHEMA + ROWS)
    with connect(DatabaseSettings("sqlite3", {"database": str(path)})) as database:
        assert database.has_media()
        path.rename(tmp_path / "old.db")
        if is_replaced:
            other.rename(path)

        # A new connection would be to the other file.
        for _turn in range(questions):
            with pytest.raises(UnavailableError) as caught:
                database.has_media()

            assert str(caught.value) == (
                f"Could not rely on Synapse's database {str(path)!r} any more: since this run began, that file was"
                " replaced or moved away. See that it is the one that Synapse uses, and run this again."
            )


def test_not_synapses_database(tmp_path: Path) -> None:
    path = tmp_path / "homeserver.db"
    sqlite3.connect(path).close()

    with pytest.raises(UnavailableError) as caught, connect(DatabaseSettings("sqlite3", {"database": str(path)})):
        pass

    assert str(caught.value) == (
        "Could not read Synapse's database: no such table: local_media_repository."
        " Check that it runs, and 'database' in Synapse's configuration."
    )


def test_postgresql_that_does_not_answer() -> None:
    settings = DatabaseSettings("psycopg2", {"host": "127.0.0.1", "port": 1, "user": "synapse", "password": "hunter2"})

    with pytest.raises(UnavailableError) as caught, connect(settings):
        pass

    assert str(caught.value) == (
        'Could not read Synapse\'s database: connection to server at "127.0.0.1", port 1 failed: Connection refused.'
        " Check that it runs, and 'database' in Synapse's configuration."
    )


def test_psycopg2_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)

    with pytest.raises(UnavailableError) as caught, connect(DatabaseSettings("psycopg2", {})):
        pass

    assert str(caught.value) == (
        f"Could not read Synapse's database: psycopg2 is not installed for {sys.executable!r}."
        " Run this with the Python that runs Synapse."
    )


@contextmanager
def open_database(path: Path, statements: str) -> Iterator[SynapseDatabase]:
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA + statements)
    connection.close()
    with connect(DatabaseSettings("sqlite3", {"database": str(path)})) as database:
        yield database


def test_known_files(database: SynapseDatabase) -> None:
    known = list(database.known_files())

    rows = [
        *TEST_ROWS,
        (MediaPath(Root.REMOTE_CONTENT, "b.example", "stored2", None), MediaRow(frozenset({22}), None, 400)),
        (remote(Thumbnail(96, 97, "image/jpeg", "scale")), MediaRow(frozenset({24}), None, 3000)),
    ]
    assert known == sorted(
        KnownFile(format_media_path(path), row, path.thumbnail is not None and path.thumbnail.method is None)
        for path, row in rows
    )
    assert [file.path for file in known if file.legacy] == ["remote_thumbnail/a.example/st/or/ed1/96-97-image-jpeg"]


def test_known_files_passes_over_what_synapse_cannot_have_written(tmp_path: Path) -> None:
    statements = """
    INSERT INTO local_media_repository VALUES ('good1', 1, 1, NULL, 1, NULL), ('shor', 1, 1, NULL, 1, NULL),
        (NULL, 1, 1, NULL, 1, NULL), (CAST('bytes' AS BLOB), 1, 1, NULL, 1, NULL), ('a/../b', 1, 1, NULL, 1, NULL),
        ('schlüssel', 1, 1, NULL, 1, NULL);
    INSERT INTO local_media_repository_thumbnails VALUES ('good1', 1, 2, NULL, 'crop', 1),
        ('good1', 1, 2, 'image/svg+xml', 'crop', 1), ('good1', 1, 2, 'image/png', 'fit', 1);
    INSERT INTO remote_media_cache VALUES (NULL, 'm', 1, 1, 'good2', 1, NULL), ('..', 'm', 1, 1, 'good2', 1, NULL);
    """
    passed_over: list[str] = []

    with open_database(tmp_path / "homeserver.db", statements) as database:
        known = list(database.known_files(passed_over.append))

    assert [file.path for file in known] == ["local_content/go/od/1"]
    assert sorted(passed_over) == [
        "local_content///",
        "local_content/a//..//b",
        "local_content/b'/by/tes'",
        "local_content/sc/hl/üssel",
        "local_content/sh/or/",
        "local_thumbnails/go/od/1/1-2--crop",
        "local_thumbnails/go/od/1/1-2-image-png-fit",
        "local_thumbnails/go/od/1/1-2-image-svg+xml-crop",
        "remote_content/../go/od/2",
        "remote_content/go/od/2",
    ]


def test_rows_of_the_same_path_are_one(tmp_path: Path) -> None:
    statements = """
    INSERT INTO remote_media_cache VALUES ('a.example', 'm1', 21, 300, 'stored', NULL, 'abc'),
        ('a.example', 'm2', 22, 400, 'stored', 500, 'def'), ('a.example', 'm3', NULL, NULL, 'stored', NULL, NULL);
    """
    path = MediaPath(Root.REMOTE_CONTENT, "a.example", "stored", None)
    # Either may be right, so that no content can be told from it.
    row = MediaRow(frozenset({21, 22}), None, 500)

    with open_database(tmp_path / "homeserver.db", statements) as database:
        assert list(database.known_files()) == [KnownFile(format_media_path(path), row, False)]
        assert database.media_rows([path]) == {path: row}


# They share beginnings: "-" and "." come before the "/" of a path, digits and letters after it.
IDS = st.builds(str.__add__, st.sampled_from(["aaaa", "aa-."]), st.text("-.0a", max_size=3))
ORIGINS = st.sampled_from(["a", "a.b", "a-b", "a.b:8448", "a.b-c", "[::1]", "[::1]:8448", "a0", "A.b"])
SIZES = st.sampled_from([1, 9, 10, 96])
TYPES = st.sampled_from(["image/png", "image/jpeg", "image/p", "image/png-a"])
METHODS = st.sampled_from(["crop", "scale"])


# Each example is a database of its own on the disk.
@settings(max_examples=100)
@given(
    st.sets(IDS, max_size=15),
    st.sets(st.tuples(IDS, SIZES, SIZES, TYPES, METHODS), max_size=15),
    st.sets(st.tuples(ORIGINS, IDS), max_size=15),
    st.sets(st.tuples(ORIGINS, IDS, SIZES, SIZES, TYPES, METHODS), max_size=15),
)
def test_known_files_come_in_the_order_of_the_bucket(
    local: set[str],
    thumbnails: set[tuple[str, int, int, str, str]],
    remote: set[tuple[str, str]],
    remote_thumbnails: set[tuple[str, str, int, int, str, str]],
) -> None:
    media = {MediaPath(Root.LOCAL_CONTENT, None, media_id, None) for media_id in local}
    for name, width, height, media_type, method in thumbnails:
        thumbnail = Thumbnail(width, height, media_type, method)
        media.add(MediaPath(Root.LOCAL_THUMBNAILS, None, name, thumbnail))
    media |= {MediaPath(Root.REMOTE_CONTENT, origin, name, None) for origin, name in remote}
    for origin, name, width, height, media_type, method in remote_thumbnails:
        for known_method in (method, None):
            thumbnail = Thumbnail(width, height, media_type, known_method)
            media.add(MediaPath(Root.REMOTE_THUMBNAIL, origin, name, thumbnail))
    expected = sorted(
        (format_media_path(path) for path in media if parse_media_path(format_media_path(path)) == path),
        key=str.encode,
    )
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "homeserver.db")
        with sqlite3.connect(path) as connection:
            connection.executescript(SCHEMA)
            connection.executemany(
                "INSERT INTO local_media_repository VALUES (?, 1, 1, NULL, 1, NULL)", [(name,) for name in local]
            )
            connection.executemany(
                "INSERT INTO local_media_repository_thumbnails VALUES (?, ?, ?, ?, ?, 1)", list(thumbnails)
            )
            connection.executemany("INSERT INTO remote_media_cache VALUES (?, 'm', 1, 1, ?, 1, NULL)", list(remote))
            connection.executemany(
                "INSERT INTO remote_media_cache_thumbnails VALUES (?1, 'm', ?3, ?4, ?5, ?6, 1, ?2)",
                list(remote_thumbnails),
            )
        connection.close()
        with connect(DatabaseSettings("sqlite3", {"database": str(path)})) as database:
            assert [file.path for file in database.known_files()] == expected


def test_full_disk_below_tmpdir(database: SynapseDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk(io.BytesIO):
        def write(self, _data: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", FullDisk)
    monkeypatch.setattr(tempfile, "tempdir", "/small")

    with pytest.raises(UnavailableError) as caught:
        database.known_files()

    assert str(caught.value) == (
        "Could not keep the answer of Synapse's database in a temporary file in '/small': No space left on device."
        " Make room there, or name another directory in the environment variable TMPDIR."
    )


def test_no_lock_is_held_while_the_files_come(tmp_path: Path) -> None:
    path = tmp_path / "homeserver.db"
    rows = "INSERT INTO local_media_repository VALUES ('first1', 1, 1, NULL, 1, NULL), ('other1', 1, 1, NULL, 1, NULL);"

    with open_database(path, rows) as database:
        known = database.known_files()
        first = next(known)
        with closing(sqlite3.connect(path, timeout=0)) as writer:
            writer.execute("BEGIN EXCLUSIVE")
            writer.execute("DELETE FROM local_media_repository")
            writer.commit()

        assert [file.path for file in (first, *known)] == ["local_content/fi/rs/t1", "local_content/ot/he/r1"]


def test_synapse_can_write_while_the_rows_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "homeserver.db"
    write = module._write

    def write_as_synapse(*arguments: Any) -> None:
        with closing(sqlite3.connect(path, timeout=0)) as synapse:
            synapse.execute("BEGIN EXCLUSIVE")
            synapse.execute("INSERT INTO local_media_repository VALUES ('later1', 1, 1, NULL, 1, NULL)")
            synapse.commit()
        write(*arguments)

    monkeypatch.setattr(module, "_BATCH", 1)
    monkeypatch.setattr(module, "_write", write_as_synapse)
    rows = "INSERT INTO local_media_repository VALUES ('first1', 1, 1, NULL, 1, NULL), ('other1', 1, 1, NULL, 1, NULL);"

    with open_database(path, rows) as database:
        known = [file.path for file in database.known_files()]

        assert known == ["local_content/fi/rs/t1", "local_content/ot/he/r1"]
        # Not what an earlier pass has kept.
        assert len(list(database.known_files())) == 3


def test_sqlite_is_no_standby(database: SynapseDatabase) -> None:
    assert not database.is_standby()


def test_no_room_to_sort_in(database: SynapseDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/small")
    database._connection = sqlite3.connect(":memory:")
    database._connection.execute("PRAGMA temp_store = memory")
    database._connection.execute("PRAGMA temp.max_page_count = 1")

    with pytest.raises(UnavailableError) as caught:
        database._rows("CREATE TEMPORARY TABLE many AS SELECT zeroblob(99999)")

    assert str(caught.value) == (
        "Could not keep the answer of Synapse's database in a temporary file in '/small': database or disk is full."
        " Make room there, or name another directory in the environment variable TMPDIR."
    )
