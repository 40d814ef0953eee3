# SPDX-License-Identifier: GPL-3.0-or-later
"""Synapse's database, read-only: what it says of the files that are on the local disk, and which there should be."""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol, TypeVar
from urllib.parse import quote

from ..rules.errors import UnavailableError
from ..rules.media_path import MediaPath, Root, Thumbnail, format_media_path, parse_media_path
from .synapse_config import DatabaseSettings
from .temporary import not_kept


class MediaRow(NamedTuple):
    """What the database holds of one file.

    ``lengths`` in bytes: one, or none while the media is not complete, or several where an old
    thumbnail's name does not tell which of them it is. ``sha256`` in hexadecimal digits; None for
    thumbnails and in older schemas. ``accessed_ms``: milliseconds since 1970; None if never known.
    """

    lengths: frozenset[int]
    sha256: str | None
    accessed_ms: int | None


class KnownFile(NamedTuple):
    """A file that the database knows. ``path`` is relative to the media store, with ``/``.

    ``legacy``: the path that an old remote thumbnail may have, without the method. It may be there or not.
    """

    path: str
    row: MediaRow
    legacy: bool


def _ignore(_path: str) -> None:
    """Whoever does not ask is not told."""


class MediaDatabase(Protocol):
    """What is asked of the database about files that are there."""

    def media_rows(self, paths: Iterable[MediaPath]) -> Mapping[MediaPath, MediaRow]:
        """The rows of these files; a file that the database does not know is missing from the answer."""

    def has_media(self) -> bool:
        """Whether the database knows any media that Synapse has kept on the local disk."""


# Texts -> what stands between the brackets of SQL's IN, and its values.
Many = Callable[[Sequence[str]], tuple[str, Sequence[Any]]]
# What the statements below select: origin, file ID, width, height, type, method, length, sha256, accessed_ms.
_Columns = Sequence[Any]
_Answer = TypeVar("_Answer")

# So many rows are taken at once.
_BATCH = 2000
# So many media are asked for by name at once: what the oldest SQLite takes.
_NAMED = 900
_OWN_MEDIA = "FROM local_media_repository WHERE url_cache IS NULL"
_REMOTE_MEDIA = "FROM remote_media_cache WHERE media_origin IN"
# Seconds. Whoever alters a table, or writes to SQLite, may make us wait; but not for ever, and not in silence.
_WAIT = 30
# Seconds, for a single statement.
_LIMIT = 600


# What the server's own list of connections calls us. Given when connecting it would stay on a pooled connection.
_NAME = "matrix-synapse-s3-storage-provider"
# How to connect to PostgreSQL, as far as Synapse's configuration does not say. A connection stays unused while files
# are on their way: a firewall shall not forget it, and one that is dead shall show. The server is told none of these.
_CONNECTION: Mapping[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 1000 * _WAIT,
}


@dataclass(frozen=True)
class _Statement:
    """How the files of one directory are asked for: some of them, or all. {sha256} is filled in later, values never.

    Synapse has an index on the IDs of local media and on the origins of remote media, but none on filesystem_id: a
    question about many files goes over the rows of their origins once.
    """

    select: str
    file_id: str
    origin: str | None
    # A thumbnail's path goes on after the ID's.
    end: str = ""

    def of_some(self, ids: str, origins: str) -> str:
        origin = f"{self.origin} IN ({origins}) AND " if self.origin else ""
        return f"{self.select} AND {origin}{self.file_id} IN ({ids})"

    def of_all(self, collation: str) -> str:
        """Sorted by path; thumbnails only by the path of the directory that holds all of one media."""
        parts = [f"substr({self.file_id}, 1, 2)", f"substr({self.file_id}, 3, 2)", f"substr({self.file_id}, 5)"]
        path = " || '/' || ".join([self.origin, *parts] if self.origin else parts)
        return f"{self.select} ORDER BY ({path} || '{self.end}') {collation}"


_STATEMENTS = {
    Root.LOCAL_CONTENT: _Statement(
        """
        SELECT NULL, media_id, NULL, NULL, NULL, NULL, media_length, {sha256}, COALESCE(last_access_ts, created_ts)
        FROM local_media_repository WHERE url_cache IS NULL
        """,
        "media_id",
        None,
    ),
    Root.LOCAL_THUMBNAILS: _Statement(
        """
        SELECT NULL, thumbnail.media_id, thumbnail_width, thumbnail_height, thumbnail_type,
            thumbnail_method, thumbnail_length, NULL, COALESCE(last_access_ts, created_ts)
        FROM local_media_repository_thumbnails AS thumbnail LEFT JOIN local_media_repository AS media
            ON media.media_id = thumbnail.media_id
        WHERE url_cache IS NULL
        """,
        "thumbnail.media_id",
        None,
        "/",
    ),
    Root.REMOTE_CONTENT: _Statement(
        """
        SELECT media_origin, filesystem_id, NULL, NULL, NULL, NULL, media_length, {sha256},
            COALESCE(last_access_ts, created_ts)
        FROM remote_media_cache WHERE 1 = 1
        """,
        "filesystem_id",
        "media_origin",
    ),
    Root.REMOTE_THUMBNAIL: _Statement(
        """
        SELECT thumbnail.media_origin, thumbnail.filesystem_id, thumbnail_width, thumbnail_height, thumbnail_type,
            thumbnail_method, thumbnail_length, NULL, COALESCE(last_access_ts, created_ts)
        FROM remote_media_cache_thumbnails AS thumbnail LEFT JOIN remote_media_cache AS media
            ON media.media_origin = thumbnail.media_origin AND media.media_id = thumbnail.media_id
        WHERE 1 = 1
        """,
        "thumbnail.filesystem_id",
        "thumbnail.media_origin",
        "/",
    ),
}


class _Library(Protocol):
    """What differs between the two databases that Synapse knows, and their libraries."""

    failure: type[Exception]
    # What makes ORDER BY go by bytes.
    collation: str
    # A question whose answer is whether the server only follows another; None where that can't be.
    standby: str | None

    def connect(self) -> Any:
        """A new connection that can only read, and that begins a transaction with its first statement."""

    def many(self, texts: Sequence[str]) -> tuple[str, Sequence[Any]]:
        """What stands between the brackets of SQL's IN, and its values."""

    def begin(self, connection: Any) -> None:
        """What each transaction begins with."""

    def stream(self, connection: Any, statement: str) -> Any:
        """A cursor that takes the rows of this statement from the database as they are fetched."""

    def may_pass(self, error: Exception) -> bool:
        """Whether the same question may be answered on a new connection."""

    def unavailable(self, error: Exception) -> UnavailableError:
        """The failure in plain words."""


class SynapseDatabase:
    """Synapse's database, which is only read; not for use by several threads at once.

    Each question is a read-only transaction of its own, ended with its answer, and leaves nothing behind on the
    server: behind a pooler as PgBouncer the same connection is Synapse's a moment later. A connection that has broken
    off since the last question, as when PostgreSQL was restarted, is made anew, once a question; after an error the
    next question tries again.
    """

    def __init__(self, library: _Library) -> None:
        self._library = library
        self._connection: Any = None
        # Older schemas have no sha256 (it came with Synapse 1.128, schema delta 91).
        columns = self._ask(_columns_of_local_media)
        self._sha256 = "sha256" if "sha256" in columns else "NULL"

    def is_standby(self) -> bool:
        """Whether this is a copy of Synapse's database, which may not know yet what Synapse has written last."""
        return self._library.standby is not None and bool(self._rows(self._library.standby)[0][0])

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(self._library.failure):
                connection.close()

    def has_media(self) -> bool:
        """Whether the database knows any media that Synapse has kept on the local disk."""
        statements = (
            "SELECT 1 FROM local_media_repository WHERE url_cache IS NULL AND media_length IS NOT NULL LIMIT 1",
            "SELECT 1 FROM remote_media_cache LIMIT 1",
        )
        return any(self._rows(statement) for statement in statements)

    def media_rows(self, paths: Iterable[MediaPath]) -> Mapping[MediaPath, MediaRow]:
        """The rows of these files, with one statement per directory."""
        wanted: dict[Root, list[MediaPath]] = defaultdict(list)
        for path in paths:
            wanted[path.root].append(path)
        found: dict[MediaPath, MediaRow] = {}
        for root, members in wanted.items():
            ids, id_values = self._library.many(sorted({path.file_id for path in members}))
            origins, origin_values = self._library.many(sorted({path.origin for path in members if path.origin}))
            statement = _STATEMENTS[root].of_some(ids, origins).format(sha256=self._sha256)
            values = [*(origin_values if root.is_remote else ()), *id_values]
            rows = _by_path(root, self._rows(statement, values))
            found.update({path: rows[path] for path in members if path in rows})
        return found

    def file_ids(self, media: Iterable[tuple[str | None, str]]) -> Mapping[tuple[str | None, str], str]:
        """The IDs by which files are named, of media given by origin (None: this homeserver's own) and media ID.

        What the database does not know, and URL previews, are missing from the answer.
        """
        by_origin: dict[str | None, set[str]] = defaultdict(set)
        for origin, media_id in media:
            by_origin[origin].add(media_id)
        found: dict[tuple[str | None, str], str] = {}
        for origin, ids in by_origin.items():
            ordered = sorted(ids)
            for start in range(0, len(ordered), _NAMED):
                some, values = self._library.many(ordered[start : start + _NAMED])
                if origin is None:
                    statement = f"SELECT media_id, media_id {_OWN_MEDIA} AND media_id IN ({some})"
                else:
                    of, origins = self._library.many([origin])
                    values = [*origins, *values]
                    statement = f"SELECT media_id, filesystem_id {_REMOTE_MEDIA} ({of}) AND media_id IN ({some})"
                found.update({(origin, media_id): file_id for media_id, file_id in self._rows(statement, values)})
        return found

    def known_files(self, passed_over: Callable[[str], None] = _ignore) -> Iterator[KnownFile]:
        """Every original and thumbnail that the database knows, each path once, ascending as S3 lists keys.

        Media that are not complete come with no length; those of URL previews do not come. ``passed_over`` is told, as
        the files come, the path of each row that Synapse can't have written a file for.

        All is read before this returns, into a temporary file with some 200 bytes a row, so that no more than some
        thousand rows are in memory, and nothing is asked while the files come: the database may have changed by then.

        :raises UnavailableError: the database can't be read, or the temporary file can't be written.
        """
        spool = _new_spool()
        try:
            for root in sorted(Root, key=lambda root: f"{root.value}/"):
                statement = _STATEMENTS[root].of_all(self._library.collation).format(sha256=self._sha256)
                self._copy(root, statement, spool)
        except BaseException:
            with suppress(OSError):
                spool.close()
            raise
        return _known_files(spool, passed_over)

    def _copy(self, root: Root, statement: str, spool: IO[bytes]) -> None:
        """Append the answer to the file, a line for each batch of rows."""
        start = spool.tell()

        def copy(connection: Any) -> None:
            # A second try takes the place of the first.
            with _spool_failure_in_words():
                spool.seek(start)
                spool.truncate()
            with closing(self._library.stream(connection, statement)) as cursor:
                while rows := cursor.fetchmany(_BATCH):
                    _write(spool, root, rows)

        self._ask(copy)

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[_Columns]:
        def rows(connection: Any) -> list[_Columns]:
            with closing(connection.cursor()) as cursor:
                cursor.execute(statement, values)
                return list(cursor.fetchall())

        return self._ask(rows)

    def _ask(self, question: Callable[[Any], _Answer]) -> _Answer:
        """Put a question that only reads, so that it may be put again."""
        try:
            return self._ask_once(question)
        except self._library.failure as error:
            if not self._library.may_pass(error):
                raise self._library.unavailable(error) from error
        try:
            return self._ask_once(question)
        except self._library.failure as error:
            raise self._library.unavailable(error) from error

    def _ask_once(self, question: Callable[[Any], _Answer]) -> _Answer:
        if self._connection is None:
            self._connection = self._library.connect()
        connection = self._connection
        try:
            self._library.begin(connection)
            answer = question(connection)
            connection.commit()
        except BaseException:
            # Ended by its name, as a pooler would else close its own connection too; the next question has a new one.
            with suppress(self._library.failure):
                connection.rollback()
            self.close()
            raise
        return answer


def _columns_of_local_media(connection: Any) -> list[str]:
    with closing(connection.cursor()) as cursor:
        cursor.execute("SELECT * FROM local_media_repository LIMIT 0")
        return [column[0] for column in cursor.description]


@contextmanager
def connect(settings: DatabaseSettings) -> Iterator[SynapseDatabase]:
    """Open Synapse's database read-only."""
    library = _Sqlite(settings) if settings.engine == "sqlite3" else _Postgresql(settings)
    with closing(SynapseDatabase(library)) as database:
        yield database


class _Postgresql:
    """PostgreSQL, also behind a pooler that gives each transaction to another of its connections.

    So nothing is set that outlives a transaction: it begins as BEGIN READ ONLY, and what is set in it is LOCAL.
    """

    collation = 'COLLATE "C"'
    standby: str | None = "SELECT pg_is_in_recovery()"

    def __init__(self, settings: DatabaseSettings) -> None:
        # Only the library of the engine in use need be installed.
        try:
            import psycopg2
        except ImportError as error:
            raise UnavailableError(
                f"Could not read Synapse's database: psycopg2 is not installed for {sys.executable!r}. Run this with"
                " the Python that runs Synapse."
            ) from error
        self._psycopg2 = psycopg2
        self._arguments = settings.arguments
        self.failure: type[Exception] = psycopg2.Error

    def connect(self) -> Any:
        connection = self._psycopg2.connect(**{**_CONNECTION, **self._arguments})
        # Without autocommit this sends nothing: each transaction begins as READ ONLY. With autocommit it would set
        # default_transaction_read_only, and whoever has the pooled connection next could not write.
        connection.set_session(readonly=True)
        return connection

    def many(self, texts: Sequence[str]) -> tuple[str, Sequence[Any]]:
        # A set to join with: PostgreSQL before 14 would compare every row with every item of a list.
        return "SELECT unnest(%s::text[])", [list(texts)]

    def begin(self, connection: Any) -> None:
        with closing(connection.cursor()) as cursor:
            # As Synapse, which has a limit of its own whatever is set for its user: one pass may take minutes.
            cursor.execute(
                f"SET LOCAL lock_timeout TO '{_WAIT}s'; SET LOCAL statement_timeout TO '{_LIMIT}s';"
                f" SET LOCAL application_name TO '{_NAME}'"
            )

    def stream(self, connection: Any, statement: str) -> Any:
        # With a name it is a cursor of the server's, for as long as the transaction.
        cursor = connection.cursor(name="known_files")
        cursor.execute(statement)
        return cursor

    def may_pass(self, error: Exception) -> bool:
        # A connection that broke off is one of these or, rarely, a bare DatabaseError. The others are about the
        # statement, and would come again.
        lost = (self._psycopg2.OperationalError, self._psycopg2.InterfaceError)
        return isinstance(error, lost) or error.__class__ is self._psycopg2.DatabaseError

    def unavailable(self, error: Exception) -> UnavailableError:
        return _unavailable(error)


class _Sqlite:
    """SQLite. While a question is answered, Synapse can't end a transaction that writes; it waits for 5 seconds."""

    collation = ""
    standby: str | None = None

    def __init__(self, settings: DatabaseSettings) -> None:
        import sqlite3

        self._sqlite3 = sqlite3
        self._path = str(settings.arguments.get("database", ""))
        # Of the file that the first connection opened, by device and inode.
        self._opened: tuple[int, int] | None = None
        self.failure: type[Exception] = sqlite3.Error

    def connect(self) -> Any:
        # Before it is opened: what takes its place meanwhile is then seen by the first question.
        self._opened = self._opened or _file_at(self._path)
        try:
            return self._sqlite3.connect(f"file:{quote(self._path)}?mode=ro", uri=True, timeout=_WAIT)
        except self._sqlite3.Error as error:
            raise UnavailableError(
                f"Could not open Synapse's database {self._path!r}: {error}. Check 'database' in Synapse's"
                " configuration."
            ) from error

    def many(self, texts: Sequence[str]) -> tuple[str, Sequence[Any]]:
        return ", ".join("?" * len(texts)), texts

    def begin(self, connection: Any) -> None:  # noqa: ARG002 (the protocol's)
        """A statement that only reads is a transaction by itself.

        A file that was moved away, or replaced, answers for as long as it is open: with what Synapse knew once.
        """
        if _file_at(self._path) != self._opened:
            raise UnavailableError(
                f"Could not rely on Synapse's database {self._path!r} any more: since this run began, that file was"
                " replaced or moved away. See that it is the one that Synapse uses, and run this again."
            )

    def stream(self, connection: Any, statement: str) -> Any:
        # Into a table of our own first, which is no part of Synapse's file: Synapse waits only while that is filled.
        connection.execute("DROP TABLE IF EXISTS temp.known_files")
        connection.execute(f"CREATE TEMPORARY TABLE known_files AS {statement}")
        return connection.execute("SELECT * FROM temp.known_files ORDER BY rowid")

    def may_pass(self, _error: Exception) -> bool:
        return False

    def unavailable(self, error: Exception) -> UnavailableError:
        # Nothing is written but what it sorts.
        return _no_spool(str(error)) if "disk is full" in str(error) else _unavailable(error)


def _file_at(path: str) -> tuple[int, int] | None:
    """Which file it is, by device and inode; None: there is none."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _unavailable(error: Exception) -> UnavailableError:
    # PostgreSQL's own advice follows on further lines.
    cause = str(error).strip().partition("\n")[0].rstrip(".")
    return UnavailableError(
        f"Could not read Synapse's database: {cause}. Check that it runs, and 'database' in Synapse's configuration."
    )


def _new_spool() -> IO[bytes]:
    with _spool_failure_in_words():
        return tempfile.TemporaryFile()


def _write(spool: IO[bytes], root: Root, rows: Sequence[_Columns]) -> None:
    # SQLite lets a column of text hold bytes: told as Python writes them, which is in no path of Synapse's.
    line = json.dumps([root.value, rows], separators=(",", ":"), default=repr)
    with _spool_failure_in_words():
        spool.write(line.encode() + b"\n")
        spool.flush()


@contextmanager
def _spool_failure_in_words() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _no_spool(error.strerror or str(error)) from error


def _no_spool(cause: str) -> UnavailableError:
    return UnavailableError(not_kept("the answer of Synapse's database", cause))


def _known_files(spool: IO[bytes], passed_over: Callable[[str], None]) -> Iterator[KnownFile]:
    with closing(spool):
        last = ""
        for (root, *_unused), rows in groupby(_spooled(spool), lambda item: (item[0], item[1][0], item[1][1])):
            for known in _of_one_media(root, (row for _unused, row in rows), passed_over):
                # All is ASCII, where the order of the characters is that of the bytes.
                if known.path <= last:
                    raise RuntimeError(f"the database's files do not ascend: {known.path!r} after {last!r}")
                last = known.path
                yield known


def _spooled(spool: IO[bytes]) -> Iterator[tuple[Root, _Columns]]:
    roots = {root.value: root for root in Root}
    with _spool_failure_in_words():
        spool.seek(0)
    while True:
        with _spool_failure_in_words():
            line = spool.readline()
        if not line:
            return
        name, rows = json.loads(line)
        root = roots[name]
        for origin, file_id, width, height, media_type, *others in rows:
            # Synapse's tables would take NULL.
            yield root, (origin, file_id or "", width, height, media_type or "", *others)


def _of_one_media(root: Root, rows: Iterable[_Columns], passed_over: Callable[[str], None]) -> Iterator[KnownFile]:
    found = []
    for media, row in _by_path(root, rows).items():
        path = format_media_path(media)
        legacy = media.thumbnail is not None and media.thumbnail.method is None
        if parse_media_path(path) == media:
            found.append(KnownFile(path, row, legacy))
        elif not legacy:
            passed_over(path)
    return iter(sorted(found))


def _by_path(root: Root, rows: Iterable[_Columns]) -> Mapping[MediaPath, MediaRow]:
    found: dict[MediaPath, MediaRow] = {}
    for origin, file_id, width, height, media_type, method, length, sha256, accessed_ms in rows:
        thumbnails: list[Thumbnail | None] = [None] if width is None else [Thumbnail(width, height, media_type, method)]
        if root is Root.REMOTE_THUMBNAIL:
            # Old names lack the method, so the file may be any of the thumbnails of that size and type.
            thumbnails.append(Thumbnail(width, height, media_type, None))
        row = MediaRow(frozenset() if length is None else frozenset({length}), sha256, accessed_ms)
        for thumbnail in thumbnails:
            path = MediaPath(root, origin, file_id, thumbnail)
            found[path] = _merged(found[path], row) if path in found else row
    return found


def _merged(row: MediaRow, other: MediaRow) -> MediaRow:
    """What two rows of the same path say together."""
    accessed = [time for time in (row.accessed_ms, other.accessed_ms) if time is not None]
    return MediaRow(
        row.lengths | other.lengths, row.sha256 if row.sha256 == other.sha256 else None, max(accessed, default=None)
    )
