# SPDX-License-Identifier: GPL-3.0-or-later
"""On SQLite; the same statements run on PostgreSQL in the Molecule scenarios."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import UnavailableError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import (
    MediaPath,
    Root,
    Thumbnail,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.database import (
    MediaRow,
    SynapseDatabase,
    connect,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.synapse_config import DatabaseSettings
from ansible_collections.matrixops.synapse_s3.tests.synapse_schema import SCHEMA

ROWS = """
INSERT INTO local_media_repository VALUES ('local1', 11, 100, NULL, 1000, 'abc'),
    ('local2', NULL, 200, NULL, NULL, NULL),
    ('preview', 5, 1, 'https://example.org', 1, NULL);
INSERT INTO local_media_repository_thumbnails VALUES ('local1', 32, 33, 'image/png', 'crop', 12),
    ('orphan', 32, 32, 'image/png', 'crop', 13);
INSERT INTO remote_media_cache VALUES ('a.example', 'm1', 21, 300, 'fs1', 3000, 'def'),
    ('b.example', 'm2', 22, 400, 'fs2', NULL, NULL);
INSERT INTO remote_media_cache_thumbnails VALUES ('a.example', 'm1', 96, 97, 'image/jpeg', 'crop', 23, 'fs1'),
    ('a.example', 'm1', 96, 97, 'image/jpeg', 'scale', 24, 'fs1');
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
    return MediaPath(root, origin, "fs1", thumbnail)


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
    MediaPath(Root.LOCAL_THUMBNAILS, None, "local1", Thumbnail(32, 34, "image/png", "crop")),
    remote(None, origin="b.example"),
    remote(Thumbnail(96, 97, "image/png", "crop")),
]


def test_all_rows_at_once(database: SynapseDatabase) -> None:
    wanted = [path for path, _ in TEST_ROWS] + TEST_UNKNOWN

    assert database.media_rows(wanted) == dict(TEST_ROWS)


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
