# SPDX-License-Identifier: GPL-3.0-or-later
"""A Synapse without Synapse, and the real program run on it as a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import random
import sqlite3
import string
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.tests.integration.warm_program import (
    MODULE_UTILS,
    end_ignoring_signals,
    run_warm,
)
from ansible_collections.matrixops.synapse_s3.tests.postgresql_server import PostgresqlServer
from ansible_collections.matrixops.synapse_s3.tests.s3_server import S3Server
from ansible_collections.matrixops.synapse_s3.tests.synapse_schema import SCHEMA

PREFIX = "hs/"
NONE = {"files": 0, "bytes": 0}
TWO_HOURS = 7200
NAME = "own.example"
THUMBNAIL_SIZES = ((32, 32, "crop"), (96, 96, "crop"), (320, 240, "scale"))


@dataclass(frozen=True)
class Places:
    """The content of all files in the media store and of all objects in the bucket, by path below the media store."""

    local: dict[str, bytes]
    stored: dict[str, bytes]


class Homeserver:
    """A Synapse without Synapse: its media store, its database, its configuration and its bucket.

    ``upload``, ``fetch`` and ``thumbnails`` add media as Synapse does, two hours old, and return the content by path
    below the media store.
    """

    def __init__(self, directory: Path, server: S3Server, postgresql: PostgresqlServer | None = None) -> None:
        """On SQLite, or on an empty database of a PostgreSQL server."""
        self.server = server
        self.postgresql = postgresql
        self.media = directory / "media"
        self.media.mkdir()
        self.database = directory / "homeserver.db"
        self.state = directory / "state"
        self.state.mkdir()
        self.configuration = directory / "homeserver.yaml"
        self.bucket = server.new_bucket()
        self.ca_bundle: Path | None = None
        self.numbers = random.Random(0)  # noqa: S311 (test data, the same in every run)
        for statement in SCHEMA.split(";")[:-1]:
            self.execute(statement)
        self.configure()

    def configure(self, bucket: BucketSettings | None = None, **changes: Any) -> None:
        """Write Synapse's configuration: for this bucket, with ``changes`` of its top-level keys."""
        bucket = bucket or self.bucket
        settings = {
            "bucket": bucket.bucket,
            "prefix": PREFIX,
            "region_name": bucket.region_name,
            "endpoint_url": bucket.endpoint_url,
            "access_key_id": bucket.access_key_id,
            "secret_access_key": bucket.secret_access_key,
        }
        provider = {"module": "s3_storage_provider.S3StorageProviderBackend", "config": settings}
        configuration = {
            "server_name": NAME,
            "media_store_path": str(self.media),
            "media_storage_providers": [provider],
            "database": self.database_section(self.postgresql),
            **changes,
        }
        self.configuration.write_text(yaml.safe_dump(configuration), encoding="utf-8")

    def database_section(self, postgresql: PostgresqlServer | None) -> dict[str, Any]:
        """As in Synapse's configuration below ``database``."""
        if postgresql is None:
            return {"name": "sqlite3", "args": {"database": str(self.database)}}
        return {"name": "psycopg2", "args": dict(postgresql.arguments)}

    def configure_endpoint(self, url: str) -> None:
        """Write Synapse's configuration for the same bucket behind another address."""
        self.configure(replace(self.bucket, endpoint_url=url))

    def upload(self, sizes: Sequence[int]) -> dict[str, bytes]:
        """Media of these sizes that this homeserver's users uploaded."""
        rows, added = [], {}
        for size in sizes:
            media_id, content = self._new_id(), self.numbers.randbytes(size)
            added[f"local_content/{_split(media_id)}"] = content
            rows.append((media_id, size, 1, None, None, hashlib.sha256(content).hexdigest()))
        self.insert("local_media_repository", rows)
        self.write(added)
        return added

    def fetch(self, origin: str, sizes: Sequence[int]) -> dict[str, bytes]:
        """Media of these sizes that came from the homeserver ``origin``."""
        rows, added = [], {}
        for size in sizes:
            file_id, content = self._new_id(), self.numbers.randbytes(size)
            added[f"remote_content/{origin}/{_split(file_id)}"] = content
            # The media ID is the other homeserver's; it is in no path.
            rows.append((origin, f"of-{file_id}", size, 1, file_id, None, hashlib.sha256(content).hexdigest()))
        self.insert("remote_media_cache", rows)
        self.write(added)
        return added

    def thumbnails(self, path: str) -> dict[str, bytes]:
        """The thumbnails that Synapse makes of the image at ``path``."""
        root, _unused, below = path.partition("/")
        *origin, first, second, rest = below.split("/")
        file_id = first + second + rest
        rows: list[tuple[object, ...]] = []
        added = {}
        for width, height, method in THUMBNAIL_SIZES:
            content = self.numbers.randbytes(width * 10)
            added[f"{_THUMBNAILS[root]}/{below}/{width}-{height}-image-png-{method}"] = content
            thumbnail = (width, height, "image/png", method, len(content))
            rows.append((*origin, f"of-{file_id}", *thumbnail, file_id) if origin else (file_id, *thumbnail))
        self.insert("remote_media_cache_thumbnails" if origin else "local_media_repository_thumbnails", rows)
        self.write(added)
        return added

    def insert(self, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        places = ", ".join(["?" if self.postgresql is None else "%s"] * len(rows[0]))
        with self._cursor() as cursor:
            cursor.executemany(f"INSERT INTO {table} VALUES ({places})", rows)  # noqa: S608 (names of our own)

    def forget(self, media_id: str) -> None:
        """Delete media from the database, as Synapse's admin API does; what is in the bucket stays."""
        self.execute(f"DELETE FROM local_media_repository WHERE media_id = '{media_id}'")  # noqa: S608 (an ID of our own)

    def execute(self, statement: str) -> None:
        with self._cursor() as cursor:
            cursor.execute(statement)

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        connect = self.postgresql.connect if self.postgresql else partial(sqlite3.connect, self.database)
        with closing(connect()) as connection:
            yield connection.cursor()
            connection.commit()

    def write(self, content: Mapping[str, bytes], *, age: float = TWO_HOURS) -> None:
        """Put files into the media store, as old as ``age`` in seconds."""
        for path, data in content.items():
            target = self.media / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            then = time.time() - age
            os.utime(target, (then, then))

    def store(self, content: Mapping[str, bytes]) -> None:
        """Put objects into the bucket, as Synapse's storage provider does it."""
        client = self.server.client()
        for path, data in content.items():
            client.put_object(Bucket=self.bucket.bucket, Key=PREFIX + path, Body=data)

    def store_in_parts(self, content: Mapping[str, bytes], part_size: int, **arguments: str) -> None:
        """Put objects into the bucket in parts that are not the provider's, so that their ETags are others."""
        client = self.server.client()
        for path, data in content.items():
            where = {"Bucket": self.bucket.bucket, "Key": PREFIX + path}
            upload = client.create_multipart_upload(**where, **arguments)["UploadId"]
            parts: list[dict[str, Any]] = []
            for start in range(0, len(data), part_size):
                number, piece = len(parts) + 1, data[start : start + part_size]
                answer = client.upload_part(**where, UploadId=upload, PartNumber=number, Body=piece, **arguments)
                given = {name: value for name, value in answer.items() if name == "ETag" or name.startswith("Checksum")}
                parts.append({"PartNumber": number, **given})
            client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})

    def local(self) -> dict[str, bytes]:
        files = (path for path in self.media.rglob("*") if path.is_file())
        return {path.relative_to(self.media).as_posix(): path.read_bytes() for path in files}

    def directories(self) -> list[str]:
        """What is left of the media store's directories."""
        found = (path for path in self.media.rglob("*") if path.is_dir())
        return sorted(path.relative_to(self.media).as_posix() for path in found)

    def count_local(self) -> int:
        """Also while a run deletes files."""
        return sum(len(files) for _path, _directories, files in os.walk(self.media))

    def stored(self) -> dict[str, bytes]:
        client = self.server.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket.bucket)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {
            key.removeprefix(PREFIX): client.get_object(Bucket=self.bucket.bucket, Key=key)["Body"].read()
            for key in keys
        }

    def places(self) -> Places:
        return Places(self.local(), self.stored())

    def unfinished_uploads(self, *paths: str) -> list[str]:
        """The paths below whose keys an upload in parts was begun and neither completed nor aborted."""
        client = self.server.client()
        # MinIO tells them only when it is asked for the whole key.
        return [
            path
            for path in paths
            if client.list_multipart_uploads(Bucket=self.bucket.bucket, Prefix=PREFIX + path).get("Uploads")
        ]

    def start(self, *arguments: str, path: Path | None = None) -> subprocess.Popen[str]:
        """``path`` is a directory that Python looks into as well."""
        return subprocess.Popen(
            [sys.executable, "-m", "_media", *self._arguments(arguments)],
            env=self._environment(path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=end_ignoring_signals,  # noqa: PLW1509 (nothing here has locks to share)
        )

    def run(self, *arguments: str, path: Path | None = None) -> tuple[int, str, str]:
        """The exit status, standard output and standard error."""
        if path is None:
            return run_warm(self._arguments(arguments), self._environment(), timeout=120)
        process = self.start(*arguments, path=path)
        stdout, stderr = process.communicate(timeout=120)
        return process.returncode, stdout, stderr

    def _arguments(self, arguments: Sequence[str]) -> list[str]:
        return ["--config", str(self.configuration), *arguments]

    def _environment(self, path: Path | None = None) -> dict[str, str]:
        unwanted = ("AWS_", "PYTHON")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
        if self.ca_bundle:
            environment["AWS_CA_BUNDLE"] = str(self.ca_bundle)
        paths = [str(MODULE_UTILS), *([str(path)] if path else [])]
        return {**environment, "PYTHONPATH": os.pathsep.join(paths), "PYTHONPYCACHEPREFIX": sys.pycache_prefix or ""}

    def migrate(self, *arguments: str, path: Path | None = None) -> Mapping[str, Any]:
        status, stdout, stderr = self.run("migrate", "--json", *arguments, path=path)
        assert stdout, stderr
        result: Mapping[str, Any] = json.loads(stdout.splitlines()[-1])
        assert result["exit_code"] == status, stderr
        return result

    def _new_id(self) -> str:
        return "".join(self.numbers.choices(string.ascii_letters, k=24))


_THUMBNAILS = {"local_content": "local_thumbnails", "remote_content": "remote_thumbnail"}


def count(content: Mapping[str, bytes]) -> dict[str, int]:
    """Files and bytes, as the program's JSON has them."""
    return {"files": len(content), "bytes": sum(map(len, content.values()))}


def assert_nothing_lost(content: Mapping[str, bytes], result: Mapping[str, Any], left: Places) -> None:
    """The promise, for a run that met nothing but this content in the bucket before, if anything."""
    assert left.local.items() <= content.items()
    assert left.stored.items() <= content.items()
    assert {**left.local, **left.stored} == content
    assert result["deleted"] == count({path: data for path, data in content.items() if path not in left.local})
    # No failure looks like success, and from 2 on nothing was touched.
    assert (result["exit_code"] == 0) == (left.local == {})
    assert result["exit_code"] < 2 or (result["uploaded"], result["deleted"]) == (NONE, NONE)


@pytest.fixture
def homeserver(tmp_path: Path, minio_http: S3Server) -> Homeserver:
    return Homeserver(tmp_path, minio_http)


def _split(file_id: str) -> str:
    return f"{file_id[:2]}/{file_id[2:4]}/{file_id[4:]}"
