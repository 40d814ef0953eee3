# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back on a database whose texts sort by bytes, and on one whose texts sort as in English.

The sides are joined in the order in which S3 lists keys. A database that told its files in another order would make
them look missing, or orphaned.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from itertools import cycle, product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.cli import main
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import (
    MediaPath,
    Root,
    Thumbnail,
    format_media_path,
)
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import NONE, PREFIX, Homeserver, count
from ansible_collections.matrixops.synapse_s3.tests.minio_server import MinioServer
from ansible_collections.matrixops.synapse_s3.tests.postgresql_server import PostgresqlServer

COLLATIONS = {"C": {}, "en-US": {"LOCALE_PROVIDER": "icu", "ICU_LOCALE": "en-US"}}
IDS = ["".join(parts) for parts in product(("Ba", "a.", "a-", "b_"), ("AA", "aA"), ("Z", "a", "a.0"))]
ORIGINS = ("Z.example", "a-b.example", "a.example", "a.example:8448", "a_b.example", "b0.example")
THUMBNAIL = Thumbnail(32, 32, "image/png", "crop")


class Media(NamedTuple):
    """Where which files are, by path below the media store; the database does not know the ``orphans``."""

    local: Mapping[str, bytes]
    stored: Mapping[str, bytes]
    both: Mapping[str, bytes]
    missing: Mapping[str, bytes]
    orphans: Mapping[str, bytes]


@pytest.fixture(params=COLLATIONS)
def collation(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def homeserver(tmp_path: Path, minio_http: MinioServer, postgresql: PostgresqlServer, collation: str) -> Homeserver:
    return Homeserver(tmp_path, minio_http, postgresql.new_database(**COLLATIONS[collation]))


@pytest.fixture
def media(homeserver: Homeserver) -> Media:
    """Files next to each other, in either order, are in different places."""
    own = [MediaPath(Root.LOCAL_CONTENT, None, file_id, None) for file_id in IDS]
    fetched = [MediaPath(Root.REMOTE_CONTENT, *pair, None) for pair in zip(cycle(ORIGINS), IDS)]
    thumbnails = [
        *(each._replace(root=Root.LOCAL_THUMBNAILS, thumbnail=THUMBNAIL) for each in own),
        *(each._replace(root=Root.REMOTE_THUMBNAIL, thumbnail=THUMBNAIL) for each in fetched),
    ]
    places: tuple[dict[str, bytes], ...] = ({}, {}, {}, {}, {})
    rows: dict[Root, list[tuple[object, ...]]] = {root: [] for root in Root}
    for file, place in zip(sorted([*own, *fetched, *thumbnails], key=format_media_path), cycle(places)):
        path = format_media_path(file)
        place[path] = path.encode()
        if place is not places[-1]:
            rows[file.root].append(row_of(file, place[path]))
    for root, table in TABLES.items():
        homeserver.insert(table, rows[root])
    found = Media(*places)
    homeserver.write({**found.local, **found.both, **found.orphans})
    homeserver.store({**found.stored, **found.both, **found.orphans})
    return found


TABLES = {
    Root.LOCAL_CONTENT: "local_media_repository",
    Root.LOCAL_THUMBNAILS: "local_media_repository_thumbnails",
    Root.REMOTE_CONTENT: "remote_media_cache",
    Root.REMOTE_THUMBNAIL: "remote_media_cache_thumbnails",
}


def row_of(file: MediaPath, content: bytes) -> tuple[object, ...]:
    """Of the table of its root, in `SCHEMA`."""
    of_file, size = f"of-{file.file_id}", len(content)
    if file.thumbnail is None:
        sha256 = hashlib.sha256(content).hexdigest()
        own = (file.file_id, size, 1, None, None, sha256)
        return (file.origin, of_file, size, 1, file.file_id, None, sha256) if file.root.is_remote else own
    if file.root.is_remote:
        return (file.origin, of_file, *file.thumbnail, size, file.file_id)
    return (file.file_id, *file.thumbnail, size)


def run(homeserver: Homeserver, command: str, *arguments: str) -> Mapping[str, Any]:
    """In this process: what is told apart here does not need one each."""
    state = () if command == "verify" else ("--state-directory", str(homeserver.state))
    stdout, stderr = io.StringIO(), io.StringIO()
    status = main(["--config", str(homeserver.configuration), command, "--json", *state, *arguments], stdout, stderr)
    result: Mapping[str, Any] = json.loads(stdout.getvalue().splitlines()[-1])
    assert result["exit_code"] == status, stderr.getvalue()
    return result


def paths(told: list[Mapping[str, str]]) -> list[str]:
    return sorted(each["path"] for each in told)


@pytest.mark.usefixtures("media")
def test_database_sorts_as_its_name_says(homeserver: Homeserver, collation: str) -> None:
    assert homeserver.postgresql is not None
    for column, table in (("media_id", "local_media_repository"), ("media_origin", "remote_media_cache")):
        rows = homeserver.postgresql.execute(f"SELECT DISTINCT {column} FROM {table} ORDER BY {column}")  # noqa: S608
        assert (rows == sorted(rows)) is (collation == "C")


def test_verify(homeserver: Homeserver, media: Media) -> None:
    result = run(homeserver, "verify")

    expected = {
        "local_only": media.local,
        "stored_only": media.stored,
        "both": media.both,
        "missing": media.missing,
        "unknown_objects": media.orphans,
        "unknown_files": media.orphans,
    }
    assert {name: result[name] for name in expected} == {name: count(files) for name, files in expected.items()}
    assert paths(result["problems"]) == sorted(media.missing)
    assert (result["exit_code"], result["errors"]) == (1, [])


def test_purge_orphans(homeserver: Homeserver, media: Media) -> None:
    before = homeserver.places()

    listed = run(homeserver, "purge-orphans", "--minimum-age", "0s", "--maximum-share", "50%")
    untouched = homeserver.places()
    deleted = run(homeserver, "purge-orphans", "--minimum-age", "0s", "--maximum-share", "50%", "--delete")

    assert (untouched, listed["deleted"], listed["local_deleted"]) == (before, NONE, NONE)
    assert paths(listed["notices"]) == sorted([*media.orphans, *(PREFIX + path for path in media.orphans)])
    assert (deleted["deleted"], deleted["local_deleted"]) == (count(media.orphans), count(media.orphans))
    assert homeserver.local() == {**media.local, **media.both}
    assert homeserver.stored() == {**media.stored, **media.both}
    assert (listed["exit_code"], deleted["exit_code"]) == (0, 0)


def test_restore(homeserver: Homeserver, media: Media) -> None:
    result = run(homeserver, "restore", "--minimum-free", "0")

    assert (result["restored"], result["already_local"]) == (
        count(media.stored),
        count({**media.local, **media.both}),
    )
    assert homeserver.local() == {**media.local, **media.stored, **media.both, **media.orphans}
    assert paths(result["problems"]) == sorted(media.missing)
    assert result["exit_code"] == 1


def test_copy_bucket(homeserver: Homeserver, media: Media) -> None:
    (source,) = yaml.safe_load(homeserver.configuration.read_text())["media_storage_providers"]
    target = {**source, "store_local": True, "config": {**source["config"], "prefix": "new/"}}
    homeserver.configure(media_storage_providers=[target, source])
    before = homeserver.stored()

    first = run(homeserver, "copy-bucket")
    second = run(homeserver, "copy-bucket")

    known = {**media.stored, **media.both}
    assert (first["copied"], second["copied"], second["already_there"]) == (count(known), NONE, count(known))
    for result in (first, second):
        assert paths(result["problems"]) == sorted(media.missing)
        assert (result["missing"], result["local_only"]) == (count(media.missing), count(media.local))
        assert (result["unknown_objects"], result["exit_code"]) == (count(media.orphans), 1)
    assert homeserver.stored() == {**before, **{f"new/{path}": data for path, data in known.items()}}
