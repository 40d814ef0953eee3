# SPDX-License-Identifier: GPL-3.0-or-later
"""A Synapse without Synapse: its media store, its database with the indexes of the real one, its configuration."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import yaml
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.tests.benchmark.tree import Media, TreeFile, content
from ansible_collections.matrixops.synapse_s3.tests.synapse_schema import SCHEMA

PREFIX = "hs/"
_CREATED_MS = 1_700_000_000_000
_CREATED_S = _CREATED_MS / 1000
_ROWS_AT_ONCE = 20_000

# As in Synapse's schema 72. There is none on filesystem_id.
_INDEXES = """
CREATE UNIQUE INDEX local_media ON local_media_repository (media_id);
CREATE UNIQUE INDEX local_thumbnails ON local_media_repository_thumbnails
    (media_id, thumbnail_width, thumbnail_height, thumbnail_type, thumbnail_method);
CREATE INDEX local_media_repository_thumbnails_media_id ON local_media_repository_thumbnails (media_id);
CREATE UNIQUE INDEX remote_media ON remote_media_cache (media_origin, media_id);
CREATE UNIQUE INDEX remote_thumbnails ON remote_media_cache_thumbnails
    (media_origin, media_id, thumbnail_width, thumbnail_height, thumbnail_type, thumbnail_method);
"""


@dataclass(frozen=True)
class Homeserver:
    """Where everything of one homeserver is. ``directory`` is the working directory of the tools."""

    directory: Path

    @property
    def media(self) -> Path:
        return self.directory / "media"

    @property
    def database(self) -> Path:
        return self.directory / "homeserver.db"

    @property
    def configuration(self) -> Path:
        return self.directory / "homeserver.yaml"

    @property
    def state(self) -> Path:
        """Where our program keeps what it writes down."""
        return self.directory / "state"

    def configure(self, *buckets: BucketSettings) -> None:
        """Write the configuration as Synapse has it, with a provider for each bucket; new media go to the first."""
        configuration = {
            "media_store_path": str(self.media),
            "media_storage_providers": [_provider(bucket, stores=not number) for number, bucket in enumerate(buckets)],
            "database": {"name": "sqlite3", "args": {"database": str(self.database)}},
        }
        self.configuration.write_text(yaml.safe_dump(configuration), encoding="utf-8")

    def write_database(self, media: Iterable[Media]) -> None:
        """Make the database anew, with the rows of these media."""
        self.database.unlink(missing_ok=True)
        connection = sqlite3.connect(self.database)
        connection.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {SCHEMA}")
        remaining = iter(media)
        while several := list(islice(remaining, _ROWS_AT_ONCE)):
            for table, rows in _rows(several).items():
                connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)  # noqa: S608
        connection.executescript(f"{_INDEXES} ANALYZE;")
        connection.commit()
        connection.close()

    def write_media(self, files: Iterable[TreeFile]) -> None:
        """Write the files, as old as the database says; the media store must be empty."""
        made: set[str] = set()
        for file in files:
            path = f"{self.media}/{file.path}"
            parent = path.rpartition("/")[0]
            if parent not in made:
                os.makedirs(parent, exist_ok=True)  # noqa: PTH103 (as fast as can be, for a million)
                made.add(parent)
            with open(path, "xb", buffering=0) as output:
                output.write(content(file))
            os.utime(path, (_CREATED_S, _CREATED_S))

    def link_media(self, paths: Iterable[str]) -> None:
        """Have a file of one byte at each path, all of them one file: a million of them at no cost in bytes."""
        source = self.directory / "one-byte"
        source.write_bytes(b"x")
        os.utime(source, (_CREATED_S, _CREATED_S))
        for path in paths:
            target = f"{self.media}/{path}"
            os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120 (a million times)
            os.link(source, target)

    def clear(self) -> None:
        """Remove whatever a run left in the media store, and the store."""
        if self.media.exists():
            shutil.rmtree(self.media)

    def local_files(self) -> Iterator[str]:
        """The paths below the media store of all files that are there; it may be gone altogether."""
        for directory, _unused, names in os.walk(self.media):
            below = os.path.relpath(directory, self.media)
            yield from (f"{below}/{name}" for name in names)


def _provider(bucket: BucketSettings, *, stores: bool) -> Mapping[str, object]:
    settings = {
        "bucket": bucket.bucket,
        "prefix": PREFIX,
        "region_name": bucket.region_name,
        "endpoint_url": bucket.endpoint_url,
        "access_key_id": bucket.access_key_id,
        "secret_access_key": bucket.secret_access_key,
    }
    return {
        "module": "s3_storage_provider.S3StorageProviderBackend",
        "store_local": stores,
        "store_remote": stores,
        "config": settings,
    }


def _rows(media: list[Media]) -> dict[str, list[tuple[object, ...]]]:
    """The rows by table; a table without any is left out."""
    rows: dict[str, list[tuple[object, ...]]] = {}
    for each in media:
        size, sha256 = each.original.size, hashlib.sha256(content(each.original)).hexdigest()
        if each.origin is None:
            local = (each.media_id, size, _CREATED_MS, None, _CREATED_MS, sha256)
            rows.setdefault("local_media_repository", []).append(local)
        else:
            remote = (each.origin, each.media_id, size, _CREATED_MS, each.file_id, _CREATED_MS, sha256)
            rows.setdefault("remote_media_cache", []).append(remote)
        for thumbnail in each.thumbnails:
            what = (thumbnail.width, thumbnail.height, "image/jpeg", thumbnail.method, thumbnail.file.size)
            if each.origin is None:
                rows.setdefault("local_media_repository_thumbnails", []).append((each.media_id, *what))
            else:
                row = (each.origin, each.media_id, *what, each.file_id)
                rows.setdefault("remote_media_cache_thumbnails", []).append(row)
    return rows
