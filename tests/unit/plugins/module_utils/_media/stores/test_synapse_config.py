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


def test_place_that_cannot_even_be_looked_at(tmp_path: Path) -> None:
    """As on an NFS server that has forgotten it: a traceback, told as a fault of the program."""
    path = tmp_path / ("x" * 300)

    with pytest.raises(ConfigurationError) as caught:
        synapse_config.read_config([path])

    assert str(caught.value) == (
        f"Could not read Synapse's configuration {str(path)!r}: File name too long. Give the path that Synapse is"
        " started with."
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


@pytest.mark.parametrize("entries", [[], None, 5, PROVIDER, [5], [{"module": "file_system"}]])
def test_no_s3_provider(entries: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        synapse_config.s3_provider({"media_storage_providers": entries})

    assert str(caught.value) == (
        "Could not find the bucket: Synapse's configuration has no entry with module"
        " 's3_storage_provider.S3StorageProviderBackend' below media_storage_providers."
        " Name every configuration file that Synapse is started with."
    )


def provider(bucket: str, **changes: object) -> Mapping[str, object]:
    return {**PROVIDER, "config": {"bucket": bucket}, **changes}


TEST_STORING: list[tuple[Mapping[str, object], bool]] = [
    ({}, False),
    ({"store_synchronous": True}, False),
    ({"store_local": False, "store_remote": False}, False),
    ({"store_local": True}, True),
    ({"store_remote": True}, True),
    # Synapse looks at no more than the truth of it.
    ({"store_local": "no"}, True),
    ({"store_local": None, "store_remote": 0}, False),
]


@pytest.mark.parametrize(("switches", "stores"), TEST_STORING)
def test_provider_that_stores(switches: Mapping[str, object], stores: bool) -> None:
    found = synapse_config.s3_providers({"media_storage_providers": [provider("media", **switches)]})

    assert [(one.settings.bucket, one.stores) for one in found] == [("media", stores)]


def test_server_that_is_moving_to_another_bucket() -> None:
    former, current = provider("former"), provider("current", store_local=True, store_remote=True)
    config = {"media_storage_providers": [former, {"module": "file_system"}, current, provider("x", store_local=True)]}

    found = synapse_config.s3_providers(config)

    assert [(one.settings.bucket, one.stores) for one in found] == [
        ("former", False),
        ("current", True),
        ("x", True),
    ]
    assert synapse_config.s3_provider(config).bucket == "current"


def test_one_provider_that_does_not_store_is_the_bucket() -> None:
    assert synapse_config.s3_provider({"media_storage_providers": [provider("media")]}).bucket == "media"


def test_several_providers_of_which_none_stores() -> None:
    with pytest.raises(ConfigurationError) as caught:
        synapse_config.s3_provider({"media_storage_providers": [provider("one"), provider("two")]})

    assert str(caught.value) == (
        "Could not find the bucket: Synapse's configuration has 2 entries with module"
        " 's3_storage_provider.S3StorageProviderBackend' below media_storage_providers, and none has store_local or"
        " store_remote. Write 'store_local: true' and 'store_remote: true' for the one that new media go to."
    )


def test_all_problems_of_all_providers_at_once() -> None:
    entries = [provider("former", config={"bucket": 5, "storage_class": 6}), provider("x", config=[]), provider("good")]
    entries.append(provider("x", config=["bucket: media"]))

    with pytest.raises(ConfigurationError) as caught:
        synapse_config.s3_providers({"media_storage_providers": entries})

    assert str(caught.value) == (
        "Could not use the S3 settings in Synapse's configuration, which has 4 S3 providers: 4 problems were found:\n"
        "- S3 provider 1: bucket: is not a text. Write a text, in quotes if need be.\n"
        "- S3 provider 1: storage_class: is not a text. Write a text, in quotes if need be.\n"
        "- S3 provider 2: bucket: is missing. Write it.\n"
        "- S3 provider 4: config: is not a mapping. Write settings, as 'name: value'."
    )


TEST_SERVING: list[tuple[Mapping[str, object], bool]] = [
    ({}, True),
    ({"enable_media_repo": True}, True),
    ({"enable_media_repo": False}, False),
    ({"enable_media_repo": False, "worker_app": "synapse.app.generic_worker"}, False),
    ({"enable_media_repo": False, "worker_app": "synapse.app.media_repository"}, True),
    # The worker's own file has come after homeserver.yaml.
    ({"enable_media_repo": True, "worker_app": "synapse.app.generic_worker"}, True),
    # Nothing but false is false to Synapse.
    ({"enable_media_repo": None}, True),
    ({"enable_media_repo": 0}, True),
    ({"enable_media_repo": "false"}, True),
]


@pytest.mark.parametrize(("config", "serves"), TEST_SERVING)
def test_process_that_serves_media(config: Mapping[str, object], serves: bool) -> None:
    assert synapse_config.serves_media(config) is serves


@pytest.mark.parametrize(("value", "uses"), [(True, True), (False, False), (None, False), (0, False), ("false", True)])
def test_synapse_that_uses_the_local_disk(value: object, uses: bool) -> None:
    """As Synapse takes what YAML gives."""
    assert synapse_config.uses_local_disk({"enable_local_media_storage": value}) is uses
    assert synapse_config.uses_local_disk({})


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


@pytest.mark.parametrize("path", ["homeserver.db", ":memory:", ""])
def test_sqlite_database_that_depends_on_the_working_directory(path: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        synapse_config.database_settings({"database": {"name": "sqlite3", "args": {"database": path}}})

    assert str(caught.value) == (
        f"Could not find Synapse's database: it is {path!r}, which depends on the directory that Synapse is started in."
        " Give an absolute path in Synapse's configuration."
    )
