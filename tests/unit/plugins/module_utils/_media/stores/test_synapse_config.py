# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import (
    AccessError,
    ConfigurationError,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores import synapse_config

PROVIDER = {"module": "s3_storage_provider.S3StorageProviderBackend", "config": {"bucket": "media", "prefix": "hs/"}}


def write(path: Path, content: Mapping[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(dict(content)), encoding="utf-8")
    return path


def test_merged_as_synapse_merges(tmp_path: Path) -> None:
    main = write(tmp_path / "homeserver.yaml", {"server_name": "a", "database": {"name": "sqlite3"}, "x": {"y": 1}})
    directory = tmp_path / "conf.d"
    directory.mkdir()
    write(directory / "20-later.yaml", {"server_name": "c"})
    write(directory / "10-earlier.yaml", {"server_name": "b", "x": {"z": 2}})
    write(directory / "30-other.yml", {"server_name": "ignored"})
    (directory / "40-empty.yaml").write_text("# nothing\n")
    (directory / "50.yaml").mkdir()

    assert synapse_config.config_files([main, directory]) == [
        main,
        directory / "10-earlier.yaml",
        directory / "20-later.yaml",
        directory / "40-empty.yaml",
    ]
    assert synapse_config.read_config([main, directory]) == {
        "server_name": "c",
        "database": {"name": "sqlite3"},
        "x": {"z": 2},
    }


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "homeserver.yaml"

    with pytest.raises(ConfigurationError) as caught:
        synapse_config.read_config([path])

    assert str(caught.value) == (
        f"Could not read Synapse's configuration {str(path)!r}: there is no such file."
        " Give the path that Synapse is started with."
    )


def test_invalid_yaml_is_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "homeserver.yaml"
    path.write_text("server_name: a\npassword: 'hunter2\n")

    with pytest.raises(ConfigurationError) as caught:
        synapse_config.read_config([path])

    assert str(caught.value) == (
        f"Could not read Synapse's configuration {str(path)!r}: it is not valid YAML near line 3. Correct the file."
    )


@pytest.mark.parametrize("content", [b"name: caf\xe9\n", b"since: 2001-99-99\n", b"[" * 3000])
def test_what_is_no_yaml_either(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "homeserver.yaml"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError) as caught:
        synapse_config.read_config([path])

    assert str(caught.value) == (
        f"Could not read Synapse's configuration {str(path)!r}: it is not valid YAML. Correct the file."
    )


def test_path_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "homeserver.yaml").touch()
    path = tmp_path / "homeserver.yaml" / "conf.d"

    with pytest.raises(ConfigurationError) as caught:
        synapse_config.read_config([path])

    assert str(caught.value) == (
        f"Could not read Synapse's configuration {str(path)!r}: Not a directory."
        " Give the path that Synapse is started with."
    )


@pytest.mark.parametrize("function", ["is_dir", "iterdir"])
def test_directory_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    """Whether it lies behind a closed directory, or is closed itself; as root, permissions stop no test."""

    def failing(path: Path, **_options: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, function, failing)

    with pytest.raises(AccessError) as caught:
        synapse_config.read_config([tmp_path])

    assert str(caught.value) == (
        f"Could not read Synapse's configuration {str(tmp_path)!r}: permission denied."
        " Run this as root or as Synapse's user."
    )


def test_media_store_path() -> None:
    assert synapse_config.media_store_path({"media_store_path": "/srv/media"}) == Path("/srv/media")


def test_relative_media_store_path() -> None:
    with pytest.raises(ConfigurationError) as caught:
        synapse_config.media_store_path({})

    assert str(caught.value) == (
        "Could not find the media store: media_store_path is 'media_store', which depends on the directory"
        " that Synapse is started in. Give an absolute path in Synapse's configuration."
    )


def test_s3_provider() -> None:
    other = {"module": "file_system", "config": {"directory": "/backup"}}

    bucket = synapse_config.s3_provider({"media_storage_providers": [other, PROVIDER]})

    assert (bucket.bucket, bucket.prefix) == ("media", "hs/")


@pytest.mark.parametrize(("entries", "number"), [([], 0), (None, 0), (5, 0), (PROVIDER, 0), ([PROVIDER, PROVIDER], 2)])
def test_no_single_s3_provider(entries: object, number: int) -> None:
    with pytest.raises(ConfigurationError) as caught:
        synapse_config.s3_provider({"media_storage_providers": entries})

    assert str(caught.value) == (
        f"Could not find the bucket: Synapse's configuration has {number} entries with module"
        " 's3_storage_provider.S3StorageProviderBackend' below media_storage_providers. Exactly one is needed."
    )


def test_provider_whose_settings_are_no_mapping() -> None:
    with pytest.raises(ConfigurationError) as caught:
        synapse_config.s3_provider({"media_storage_providers": [{**PROVIDER, "config": ["bucket: media"]}]})

    assert str(caught.value) == (
        "Could not use the bucket: 'config' of s3_storage_provider.S3StorageProviderBackend in Synapse's configuration"
        " is not a mapping. Write its settings below it, one a line, as 'name: value'."
    )


PSYCOPG2 = {"name": "psycopg2", "args": {"user": "synapse", "password": "hunter2", "cp_min": 5, "cp_max": 10}}
TEST_DATABASES: list[tuple[Mapping[str, Any], str, Mapping[Any, Any]]] = [
    ({"database": PSYCOPG2}, "psycopg2", {"user": "synapse", "password": "hunter2"}),
    (
        {
            "databases": {
                "state": {"name": "psycopg2", "data_stores": ["state"], "args": {"user": "x"}},
                "master": {**PSYCOPG2, "data_stores": ["main"]},
            }
        },
        "psycopg2",
        {"user": "synapse", "password": "hunter2"},
    ),
    (
        {"databases": {"master": {**PSYCOPG2, "data_stores": None}}},
        "psycopg2",
        {"user": "synapse", "password": "hunter2"},
    ),
    ({"database": {"name": "psycopg2", "args": {1: 2}}}, "psycopg2", {1: 2}),
    ({"database_path": "/srv/homeserver.db"}, "sqlite3", {"database": "/srv/homeserver.db"}),
]


@pytest.mark.parametrize(("config", "engine", "arguments"), TEST_DATABASES)
def test_database_settings(config: Mapping[str, Any], engine: str, arguments: Mapping[Any, Any]) -> None:
    settings = synapse_config.database_settings(config)

    assert (settings.engine, settings.arguments) == (engine, arguments)
    assert "hunter2" not in repr(settings)


NO_MAPPING = (
    "Could not use Synapse's database: {} in Synapse's configuration is not a mapping."
    " Write its settings below it, one a line, as 'name: value'."
)
TEST_NO_DATABASES: list[tuple[Mapping[str, Any], str]] = [
    (
        {},
        "Could not find Synapse's database: its configuration has no 'database' section."
        " Name every configuration file that Synapse is started with.",
    ),
    (
        {"database": {"name": "mysql"}},
        "Could not use Synapse's database: its engine is 'mysql'. Synapse knows 'psycopg2' and 'sqlite3'.",
    ),
    ({"database": "postgres://synapse"}, NO_MAPPING.format("'database'")),
    ({"databases": [PSYCOPG2]}, NO_MAPPING.format("'databases'")),
    ({"databases": {"master": "psycopg2"}}, NO_MAPPING.format("'master'")),
    ({"database": {"name": "sqlite3", "args": ["homeserver.db"]}}, NO_MAPPING.format("'args'")),
]


@pytest.mark.parametrize(("config", "message"), TEST_NO_DATABASES)
def test_no_database_settings(config: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        synapse_config.database_settings(config)

    assert str(caught.value) == message


def test_private_yaml(tmp_path: Path) -> None:
    path = tmp_path / "database.yaml"
    path.write_text("old")
    path.chmod(0o644)

    synapse_config.write_private_yaml(path, {"postgres": {"password": "hunter2"}})

    assert yaml.safe_load(path.read_text()) == {"postgres": {"password": "hunter2"}}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
