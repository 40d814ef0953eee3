# SPDX-License-Identifier: GPL-3.0-or-later
"""Synapse's database, read-only: what it says of the files that are on the local disk."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

from ..rules.errors import UnavailableError
from ..rules.media_path import MediaPath, Root, Thumbnail
from .synapse_config import DatabaseSettings


class MediaRow(NamedTuple):
    """What the database holds of one file.

    ``lengths`` in bytes: one, or none while the media is not complete, or several where an old
    thumbnail's name does not tell which of them it is. ``sha256`` in hexadecimal digits; None for
    thumbnails and in older schemas. ``accessed_ms``: milliseconds since 1970; None if never known.
    """

    lengths: frozenset[int]
    sha256: str | None
    accessed_ms: int | None


class MediaDatabase(Protocol):
    """What the engine asks of the database."""

    def media_rows(self, paths: Iterable[MediaPath]) -> Mapping[MediaPath, MediaRow]:
        """The rows of these files; a file that the database does not know is missing from the answer."""

    def has_media(self) -> bool:
        """Whether the database knows any media that Synapse has kept on the local disk."""


# Texts -> what stands between the brackets of SQL's IN, and its values.
Many = Callable[[Sequence[str]], tuple[str, Sequence[Any]]]

# One statement per directory; {sha256}, {ids} and {origins} are filled in below, never with values. Synapse has an
# index on the IDs of local media and on the origins of remote media, but none on filesystem_id: a question about many
# files goes over the rows of their origins once.
_STATEMENTS = {
    Root.LOCAL_CONTENT: """
        SELECT NULL, media_id, NULL, NULL, NULL, NULL, media_length, {sha256}, COALESCE(last_access_ts, created_ts)
        FROM local_media_repository WHERE url_cache IS NULL AND media_id IN ({ids})
    """,
    Root.REMOTE_CONTENT: """
        SELECT media_origin, filesystem_id, NULL, NULL, NULL, NULL, media_length, {sha256},
            COALESCE(last_access_ts, created_ts)
        FROM remote_media_cache WHERE media_origin IN ({origins}) AND filesystem_id IN ({ids})
    """,
    Root.LOCAL_THUMBNAILS: """
        SELECT NULL, media_id, thumbnail_width, thumbnail_height, thumbnail_type,
            thumbnail_method, thumbnail_length, NULL, COALESCE(last_access_ts, created_ts)
        FROM local_media_repository_thumbnails LEFT JOIN local_media_repository USING (media_id)
        WHERE media_id IN ({ids})
    """,
    Root.REMOTE_THUMBNAIL: """
        SELECT thumbnail.media_origin, thumbnail.filesystem_id, thumbnail_width, thumbnail_height, thumbnail_type,
            thumbnail_method, thumbnail_length, NULL, COALESCE(last_access_ts, created_ts)
        FROM remote_media_cache_thumbnails AS thumbnail LEFT JOIN remote_media_cache AS media
            ON media.media_origin = thumbnail.media_origin AND media.media_id = thumbnail.media_id
        WHERE thumbnail.media_origin IN ({origins}) AND thumbnail.filesystem_id IN ({ids})
    """,
}


class SynapseDatabase:
    """A read-only connection to Synapse's database; not for use by several threads at once."""

    def __init__(self, connection: Any, many: Many, failure: type[Exception]) -> None:
        self._connection = connection
        self._many = many
        self._failure = failure
        # Older schemas have no sha256 (it came with Synapse 1.128, schema delta 91).
        _, columns = self._execute("SELECT * FROM local_media_repository LIMIT 0")
        self._sha256 = "sha256" if "sha256" in columns else "NULL"

    def has_media(self) -> bool:
        """Whether the database knows any media that Synapse has kept on the local disk."""
        statements = (
            "SELECT 1 FROM local_media_repository WHERE url_cache IS NULL AND media_length IS NOT NULL LIMIT 1",
            "SELECT 1 FROM remote_media_cache LIMIT 1",
        )
        return any(self._execute(statement)[0] for statement in statements)

    def media_rows(self, paths: Iterable[MediaPath]) -> Mapping[MediaPath, MediaRow]:
        """The rows of these files, with one statement per directory."""
        wanted: dict[Root, list[MediaPath]] = defaultdict(list)
        for path in paths:
            wanted[path.root].append(path)
        found: dict[MediaPath, MediaRow] = {}
        for root, members in wanted.items():
            ids, id_values = self._many(sorted({path.file_id for path in members}))
            origins, origin_values = self._many(sorted({path.origin for path in members if path.origin}))
            statement = _STATEMENTS[root].format(sha256=self._sha256, ids=ids, origins=origins)
            values = [*(origin_values if root.is_remote else ()), *id_values]
            rows = _by_path(root, self._execute(statement, values)[0])
            found.update({path: rows[path] for path in members if path in rows})
        return found

    def _execute(self, statement: str, values: Sequence[Any] = ()) -> tuple[list[tuple[Any, ...]], list[str]]:
        """The rows, and the names of the columns."""
        try:
            with closing(self._connection.cursor()) as cursor:
                cursor.execute(statement, values)
                return list(cursor.fetchall()), [column[0] for column in cursor.description]
        except self._failure as error:
            raise _unavailable(error) from error


@contextmanager
def connect(settings: DatabaseSettings) -> Iterator[SynapseDatabase]:
    """Open Synapse's database read-only."""
    opened = _connect_sqlite(settings) if settings.engine == "sqlite3" else _connect_postgresql(settings)
    connection, many, failure = opened
    with closing(connection):
        yield SynapseDatabase(connection, many, failure)


def _connect_postgresql(settings: DatabaseSettings) -> tuple[Any, Many, type[Exception]]:
    # Only the library of the engine in use need be installed.
    try:
        import psycopg2
    except ImportError as error:
        raise UnavailableError(
            f"Could not read Synapse's database: psycopg2 is not installed for {sys.executable!r}. Run this with the"
            " Python that runs Synapse."
        ) from error

    arguments = {"application_name": "matrix-synapse-s3-storage-provider", **settings.arguments}
    try:
        connection = psycopg2.connect(**arguments)
        connection.set_session(readonly=True, autocommit=True)
    except psycopg2.Error as error:
        raise _unavailable(error) from error
    return connection, _as_array, psycopg2.Error


def _connect_sqlite(settings: DatabaseSettings) -> tuple[Any, Many, type[Exception]]:
    import sqlite3

    path = str(settings.arguments.get("database", ""))
    try:
        return sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True), _as_list, sqlite3.Error
    except sqlite3.Error as error:
        raise UnavailableError(
            f"Could not open Synapse's database {path!r}: {error}. Check 'database' in Synapse's configuration."
        ) from error


def _as_array(texts: Sequence[str]) -> tuple[str, Sequence[Any]]:
    # A set to join with: PostgreSQL before 14 would compare every row with every item of a list.
    return "SELECT unnest(%s::text[])", [list(texts)]


def _as_list(texts: Sequence[str]) -> tuple[str, Sequence[Any]]:
    return ", ".join("?" * len(texts)), texts


def _unavailable(error: Exception) -> UnavailableError:
    # PostgreSQL's own advice follows on further lines.
    cause = str(error).strip().partition("\n")[0].rstrip(".")
    return UnavailableError(
        f"Could not read Synapse's database: {cause}. Check that it runs, and 'database' in Synapse's configuration."
    )


def _by_path(root: Root, rows: Iterable[tuple[Any, ...]]) -> Mapping[MediaPath, MediaRow]:
    found: dict[MediaPath, MediaRow] = {}
    for origin, file_id, width, height, media_type, method, length, sha256, accessed_ms in rows:
        thumbnails: list[Thumbnail | None] = [None] if width is None else [Thumbnail(width, height, media_type, method)]
        if root is Root.REMOTE_THUMBNAIL:
            # Old names lack the method, so the file may be any of the thumbnails of that size and type.
            thumbnails.append(Thumbnail(width, height, media_type, None))
        for thumbnail in thumbnails:
            path = MediaPath(root, origin, file_id, thumbnail)
            earlier = found[path].lengths if path in found else frozenset()
            lengths = earlier | ({length} if length is not None else set())
            found[path] = MediaRow(lengths, sha256, accessed_ms)
    return found
