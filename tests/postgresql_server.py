# SPDX-License-Identifier: GPL-3.0-or-later
"""A real PostgreSQL of its own for a test run, and real PgBouncers before it: Debian's, each in an own directory."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.matrixops.synapse_s3.tests.minio_server import free_port

POOL_SIZE = 6
PASSWORD = "synapse-secret"
_START_TIMEOUT = 30
# Neither server runs as root; this user is made by Debian's package.
_USER = "postgres"


@dataclass(frozen=True)
class PostgresqlServer:
    """A running server, or a pooler before it. The user ``synapse`` owns all of its databases."""

    port: int
    directory: Path
    database: str = "postgres"

    def start(self) -> None:
        """Start it, as the user that it may run as, and wait until it answers."""
        options = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "fsync": "off"}
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        log = self.directory / "postgresql.log"
        _run(_programs() / "pg_ctl", "start", "-w", "-D", self.directory / "data", "-l", log, "-o", shlex.join(words))

    def stop(self) -> None:
        """Stop it as a restart does: whoever is connected is cut off."""
        _run(_programs() / "pg_ctl", "stop", "-m", "fast", "-D", self.directory / "data")

    def follow(self) -> None:
        """Be a standby from the next start on, which waits for another server."""
        (self.directory / "data" / "standby.signal").touch()

    @property
    def arguments(self) -> Mapping[str, Any]:
        """As in Synapse's configuration below ``database.args``."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "synapse",
            "password": PASSWORD,
            "dbname": self.database,
        }

    def connect(self, **arguments: Any) -> Any:
        """A plain psycopg2 connection, to look without the code under test."""
        return psycopg2.connect(**{**self.arguments, **arguments})

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Carry out a statement by itself, and return its rows, if any."""
        with closing(self.connect()) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []

    def new_database(self, **options: str) -> PostgresqlServer:
        """Make an empty database of a name of its own, as Synapse wants it."""
        name = f"test_{secrets.token_hex(8)}"
        chosen = {"ENCODING": "UTF8", "LC_COLLATE": "C", "LC_CTYPE": "C", **options}
        self.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 {' '.join(f'{key} {value!r}' for key, value in chosen.items())}"
        )
        return replace(self, database=name)


@contextmanager
def run_postgresql() -> Iterator[PostgresqlServer]:
    """Run a server until the block ends."""
    with _directory() as directory:
        (directory / "password").write_text(PASSWORD)
        _run(
            _programs() / "initdb", "--pgdata", directory / "data", "--username=synapse", "--auth=scram-sha-256",
            "--pwfile", directory / "password", "--encoding=UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip
        server = PostgresqlServer(free_port(), directory)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def run_pgbouncer(server: PostgresqlServer, mode: str, **settings: object) -> Iterator[PostgresqlServer]:
    """Run a pooler before one database until the block ends: ``mode`` is "transaction" or "session"."""
    with _directory() as directory:
        port = free_port()
        chosen: dict[str, object] = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "plain",
            "auth_file": directory / "users",
            "pool_mode": mode,
            "default_pool_size": POOL_SIZE,
            **settings,
        }
        (directory / "users").write_text(f'"synapse" "{PASSWORD}"\n')
        configuration = directory / "pgbouncer.ini"
        lines = [f"{name} = {value}" for name, value in chosen.items()]
        place = f"host=127.0.0.1 port={server.port}"
        configuration.write_text("\n".join(["[databases]", f"* = {place}", "[pgbouncer]", *lines, ""]))
        log = directory / "pgbouncer.log"
        with log.open("wb") as output:
            command = [_program("pgbouncer"), str(configuration)]
            process = subprocess.Popen(command, user=_user(), stdout=output, stderr=output, cwd="/")
        pooler = PostgresqlServer(port, directory, server.database)
        try:
            _wait_until_ready(pooler, process, log)
            yield pooler
        finally:
            # Nothing of it is kept, and whoever runs the tests may have other signals ignored.
            process.kill()
            process.wait()


def _wait_until_ready(server: PostgresqlServer, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_TIMEOUT
    while (failure := _failure(server)) is not None:
        if time.monotonic() > end or process.poll() is not None:
            raise RuntimeError(f"PgBouncer did not get ready: {failure}\n{log.read_text()}")
        time.sleep(0.05)


def _failure(server: PostgresqlServer) -> Exception | None:
    try:
        server.execute("SELECT 1")
    except psycopg2.OperationalError as error:
        return error
    return None


@contextmanager
def _directory() -> Iterator[Path]:
    # Not pytest's, which only the user that runs the tests may enter.
    with tempfile.TemporaryDirectory(prefix="synapse-s3-") as name:
        if os.geteuid() == 0:
            shutil.chown(name, _USER)
        yield Path(name)


def _user() -> str | None:
    return _USER if os.geteuid() == 0 else None


def _run(*command: object) -> None:
    subprocess.run([str(word) for word in command], user=_user(), check=True, stdout=subprocess.DEVNULL, cwd="/")


def _programs() -> Path:
    """The directory of the newest PostgreSQL server. A missing one is an error."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise FileNotFoundError("PostgreSQL is missing: run scripts/setup")
    return found[-1].parent


def _program(name: str) -> str:
    # Debian has it in /usr/sbin, which is not in every user's PATH.
    program = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if program is None:
        raise FileNotFoundError(f"{name} is missing: run scripts/setup")
    return program


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    with run_postgresql() as server:
        yield server
