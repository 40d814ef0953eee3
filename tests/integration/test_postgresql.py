# SPDX-License-Identifier: GPL-3.0-or-later
"""Synapse's database on a real PostgreSQL, by itself and behind a real PgBouncer."""

from __future__ import annotations

import random
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import UnavailableError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import parse_media_path
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores import database as database_module
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.database import (
    SynapseDatabase,
    connect,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.synapse_config import DatabaseSettings
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import NONE, Homeserver, count
from ansible_collections.matrixops.synapse_s3.tests.minio_server import MinioServer
from ansible_collections.matrixops.synapse_s3.tests.postgresql_server import (
    POOL_SIZE,
    PostgresqlServer,
    run_pgbouncer,
    run_postgresql,
)
from ansible_collections.matrixops.synapse_s3.tests.synapse_schema import SCHEMA

MEDIA = 3000


def settings(server: PostgresqlServer, **arguments: Any) -> DatabaseSettings:
    return DatabaseSettings("psycopg2", {**server.arguments, **arguments})


def media_rows() -> dict[str, list[tuple[object, ...]]]:
    """Rows for all four tables, with IDs and origins that sort differently in a language than by bytes."""
    numbers = random.Random(0)  # noqa: S311 (test data, the same in every run)

    def new_id() -> str:
        return "".join(numbers.choices("aAbB01-._", k=numbers.randrange(4, 9)))

    local = sorted({new_id() for _turn in range(MEDIA)})
    origins = ["a.example", "a-b.example", "A.example", "a.example:8448", "[::1]:8448", "[::1]", "ä.example"]
    remote = sorted({(numbers.choice(origins), new_id()) for _turn in range(MEDIA)})
    sizes = [(1, 9, "image/png", "crop"), (1, 9, "image/png", "scale"), (10, 9, "image/jpeg", "crop")]
    return {
        "local_media_repository": [(name, 1, 2, None, None, "abc") for name in local],
        "local_media_repository_thumbnails": [(name, *size, 3) for name in local for size in sizes],
        "remote_media_cache": [(origin, f"of-{name}", 4, 5, name, 6, None) for origin, name in remote],
        "remote_media_cache_thumbnails": [
            (origin, f"of-{name}", *size, 7, name) for origin, name in remote for size in sizes
        ],
    }


def fill(server: PostgresqlServer) -> None:
    with closing(server.connect()) as connection, connection as _transaction, connection.cursor() as cursor:
        cursor.execute(SCHEMA)
        for table, rows in media_rows().items():
            # In one statement, as executemany() would take a minute.
            places = ", ".join(["%s"] * len(rows[0]))
            values = b", ".join(cursor.mogrify(f"({places})", row) for row in rows)
            cursor.execute(f"INSERT INTO {table} VALUES ".encode() + values)  # noqa: S608 (names of our own)


@pytest.fixture(scope="module")
def filled(postgresql: PostgresqlServer) -> PostgresqlServer:
    """A database whose texts sort as in English, not by bytes."""
    server = postgresql.new_database(LOCALE_PROVIDER="icu", ICU_LOCALE="en")
    fill(server)
    return server


@pytest.fixture
def database(filled: PostgresqlServer) -> Iterator[SynapseDatabase]:
    with connect(settings(filled)) as database:
        yield database


def write_as_synapse(pooler: PostgresqlServer) -> list[str]:
    """Write on each of the pooled connections at the same time; return what each has as its default for writing."""
    with ExitStack() as held:
        cursors = []
        for _turn in range(POOL_SIZE):
            connection = held.enter_context(closing(pooler.connect()))
            cursors.append(held.enter_context(connection.cursor()))
            # From here on the pooled connection is this one's alone.
            cursors[-1].execute("SHOW default_transaction_read_only")
        answers = [cursor.fetchone()[0] for cursor in cursors]
        for cursor in cursors:
            cursor.execute("INSERT INTO writes VALUES (pg_backend_pid())")
            cursor.connection.commit()
    return answers


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_synapse_can_write_on_every_pooled_connection_afterwards(
    mode: str, tmp_path: Path, minio_http: MinioServer, postgresql: PostgresqlServer
) -> None:
    homeserver = Homeserver(tmp_path, minio_http, postgresql.new_database())
    assert homeserver.postgresql is not None
    homeserver.execute("CREATE TABLE writes (process INTEGER)")
    media = {**homeserver.upload([10, 20]), **homeserver.fetch("example.org", [30])}
    with run_pgbouncer(homeserver.postgresql, mode) as pooler:
        homeserver.configure(database=homeserver.database_section(pooler))
        # The pool is full before; which of its connections is ours is the pooler's choice.
        assert write_as_synapse(pooler) == ["off"] * POOL_SIZE

        dry_run = homeserver.migrate("--dry-run", "--minimum-age", "0s")
        after_dry_run = write_as_synapse(pooler)
        run = homeserver.migrate("--minimum-age", "0s")
        after_run = write_as_synapse(pooler)
        status, _unused, problems = homeserver.run("status")
        after_status = write_as_synapse(pooler)

    assert after_dry_run == after_run == after_status == ["off"] * POOL_SIZE
    # None was closed meanwhile, which would hide what was set on it.
    assert len(homeserver.postgresql.execute("SELECT DISTINCT process FROM writes")) == POOL_SIZE
    assert (dry_run["exit_code"], dry_run["uploaded"]) == (0, count(media))
    assert (run["exit_code"], run["deleted"], run["failed"]) == (0, count(media), NONE)
    assert status == 0, problems


def test_nothing_is_set_that_outlives_a_question(filled: PostgresqlServer) -> None:
    with run_pgbouncer(filled, "transaction", default_pool_size=1) as pooler:
        shown = "SELECT name, setting FROM pg_settings WHERE source IN ('session', 'client') ORDER BY name"
        before = pooler.execute(shown)

        with connect(settings(pooler)) as database:
            first = next(database.known_files())
            path = parse_media_path(first.path)
            assert path is not None
            assert database.media_rows([path]) == {path: first.row}
            assert database.has_media()
            after = pooler.execute(shown)
            left = pooler.execute(
                "SELECT (SELECT count(*) FROM pg_cursors), (SELECT count(*) FROM pg_prepared_statements),"
                " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), pg_my_temp_schema()::integer"
            )

    assert after == before
    assert left == [(0, 0, 0, 0)]


def test_no_transaction_stays_open_while_the_files_come(filled: PostgresqlServer, database: SynapseDatabase) -> None:
    known = database.known_files()
    next(known)

    process = database._connection.info.backend_pid
    columns = "pid, state, xact_start, backend_xmin"
    open_transactions = filled.execute(f"SELECT {columns} FROM pg_stat_activity")  # noqa: S608 (names of our own)

    assert (process, "idle", None, None) in open_transactions


def test_no_question_can_write(database: SynapseDatabase) -> None:
    with pytest.raises(UnavailableError) as caught:
        database._rows("DELETE FROM local_media_repository RETURNING 1")

    assert str(caught.value) == (
        "Could not read Synapse's database: cannot execute DELETE in a read-only transaction."
        " Check that it runs, and 'database' in Synapse's configuration."
    )
    assert database.has_media()


def test_known_files_are_those_of_sqlite(database: SynapseDatabase, tmp_path: Path) -> None:
    path = tmp_path / "homeserver.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA)
        for table, rows in media_rows().items():
            places = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)  # noqa: S608 (names of our own)
        connection.commit()
    passed_over: list[str] = []

    known = list(database.known_files(passed_over.append))

    with connect(DatabaseSettings("sqlite3", {"database": str(path)})) as other:
        expected_over: list[str] = []
        assert known == list(other.known_files(expected_over.append))
    assert sorted(passed_over) == sorted(expected_over)
    assert [file.path for file in known] == sorted((file.path for file in known), key=str.encode)
    assert len(known) > 5 * MEDIA
    assert passed_over
    # Both questions tell the same of each file.
    paths = [(file, parse_media_path(file.path)) for file in known[::97]]
    rows_by_path = database.media_rows([path for _unused, path in paths if path])
    assert [rows_by_path[path] for _unused, path in paths if path] == [file.row for file, _unused in paths]


def test_restart_of_postgresql_between_two_questions() -> None:
    with run_postgresql() as server, ExitStack() as held:
        fill(server)
        ways = [server, *(held.enter_context(run_pgbouncer(server, mode)) for mode in ("transaction", "session"))]
        databases = [held.enter_context(connect(settings(way))) for way in ways]
        server.stop()
        server.start()

        # The run goes on, and nothing of it is told.
        assert [database.has_media() for database in databases] == [True, True, True]

        server.stop()
        with pytest.raises(UnavailableError) as caught:
            databases[0].has_media()
        server.start()
        assert databases[0].has_media()

        # A copy that follows another server, which may lag behind it.
        assert not databases[0].is_standby()
        server.stop()
        server.follow()
        server.start()
        assert databases[0].is_standby()
        assert list(databases[0].known_files())

    assert str(caught.value) == (
        f'Could not read Synapse\'s database: connection to server at "127.0.0.1", port {server.port} failed:'
        " Connection refused. Check that it runs, and 'database' in Synapse's configuration."
    )


def test_connection_that_breaks_off_amid_the_pass(
    filled: PostgresqlServer, database: SynapseDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = list(database.known_files())
    write, written = database_module._write, []

    def write_and_break_off(spool: Any, root: Any, rows: Any) -> None:
        write(spool, root, rows)
        written.append(root)
        if len(written) == 3:
            filled.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'matrix-synapse-s3-storage-provider'"
            )

    monkeypatch.setattr(database_module, "_BATCH", 1000)
    monkeypatch.setattr(database_module, "_write", write_and_break_off)

    # No row is missing, and none comes twice.
    assert list(database.known_files()) == expected
    assert len(written) > 3


def test_table_that_is_being_altered(
    filled: PostgresqlServer, database: SynapseDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_WAIT", 1)
    with closing(filled.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE remote_media_cache IN ACCESS EXCLUSIVE MODE")

        with pytest.raises(UnavailableError) as caught:
            list(database.known_files())

    assert str(caught.value) == (
        "Could not read Synapse's database: canceling statement due to lock timeout."
        " Check that it runs, and 'database' in Synapse's configuration."
    )


def test_server_that_accepts_connections_and_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        arguments = {"host": "127.0.0.1", "port": port, "user": "synapse", "connect_timeout": 2}

        with pytest.raises(UnavailableError) as caught, connect(DatabaseSettings("psycopg2", arguments)):
            pass

    assert str(caught.value) == (
        f'Could not read Synapse\'s database: connection to server at "127.0.0.1", port {port} failed: timeout expired.'
        " Check that it runs, and 'database' in Synapse's configuration."
    )
