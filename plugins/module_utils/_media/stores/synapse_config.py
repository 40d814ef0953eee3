# SPDX-License-Identifier: GPL-3.0-or-later
"""Synapse's own configuration files, read as Synapse reads them.

Files are merged in the order given, a later file replacing whole top-level keys of an earlier one; a
directory stands for its ``*.yaml`` files in sorted order (``synapse/config/_base.py``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..rules.errors import AccessError, ConfigurationError, join_problems
from ..rules.settings import BucketSettings, bucket_settings, read_bucket_settings
from .libraries import yaml

PROVIDER_MODULE = "s3_storage_provider.S3StorageProviderBackend"
MEDIA_WORKER = "synapse.app.media_repository"


@dataclass(frozen=True)
class DatabaseSettings:
    """How Synapse reaches its database: the engine ``psycopg2`` or ``sqlite3``, and that library's arguments."""

    engine: str
    arguments: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class S3Provider:
    """One of the S3 storage providers. Synapse reads from all of them; ``stores``: it also uploads new media to it."""

    settings: BucketSettings
    stores: bool


def config_files(paths: Sequence[Path]) -> list[Path]:
    """The files that Synapse reads for these paths, in its order."""
    return [file for path in paths for file in _files_below(path)]


def _files_below(path: Path) -> list[Path]:
    try:
        if path.is_dir():
            return sorted(entry for entry in path.iterdir() if entry.suffix == ".yaml" and entry.is_file())
    except PermissionError as error:
        raise _no_access(path) from error
    except OSError as error:
        raise _unread(path, error) from error
    return [path]


def read_config_file(path: Path) -> Mapping[str, Any]:
    """The top-level keys of one file; none when Synapse would ignore the file."""
    try:
        with path.open(encoding="utf-8") as source:
            content = yaml.safe_load(source)
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"Could not read Synapse's configuration {str(path)!r}: there is no such file. Give the path that"
            " Synapse is started with."
        ) from error
    except PermissionError as error:
        raise _no_access(path) from error
    except OSError as error:
        raise _unread(path, error) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # ValueError: bytes that are no UTF-8, or a date that is none; RecursionError: thousands of brackets.
        # The parser's own text quotes the line, which may hold a password.
        mark = getattr(error, "problem_mark", None)
        place = f" near line {mark.line + 1}" if mark else ""
        raise ConfigurationError(
            f"Could not read Synapse's configuration {str(path)!r}: it is not valid YAML{place}. Correct the file."
        ) from None
    return content if isinstance(content, dict) else {}


def _unread(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"Could not read Synapse's configuration {str(path)!r}: {error.strerror}. Give the path that Synapse is started"
        " with."
    )


def _no_access(path: Path) -> AccessError:
    return AccessError(
        f"Could not read Synapse's configuration {str(path)!r}: permission denied. Run this as root or as Synapse's"
        " user."
    )


def read_config(paths: Sequence[Path]) -> Mapping[str, Any]:
    """All files merged."""
    merged: dict[str, Any] = {}
    for file in config_files(paths):
        merged.update(read_config_file(file))
    return merged


def media_store_path(config: Mapping[str, Any]) -> Path:
    """Where Synapse keeps media on the local disk."""
    path = Path(str(config.get("media_store_path", "media_store")))
    if not path.is_absolute():
        raise ConfigurationError(
            f"Could not find the media store: media_store_path is {str(path)!r}, which depends on the directory"
            " that Synapse is started in. Give an absolute path in Synapse's configuration."
        )
    return path


def s3_providers(config: Mapping[str, Any]) -> tuple[S3Provider, ...]:
    """The S3 storage providers in Synapse's configuration, at least one, in its order.

    :raises ConfigurationError: there is none; or naming every setting of every one that can't work.
    """
    providers = config.get("media_storage_providers")
    entries = [
        entry
        for entry in (providers if isinstance(providers, list) else [])
        if isinstance(entry, dict) and entry.get("module") == PROVIDER_MODULE
    ]
    if not entries:
        raise ConfigurationError(
            f"Could not find the bucket: Synapse's configuration has no entry with module {PROVIDER_MODULE!r} below"
            " media_storage_providers. Name every configuration file that Synapse is started with."
        )
    if len(entries) == 1:
        only = _mapping(entries[0].get("config") or {}, "the bucket", f"'config' of {PROVIDER_MODULE}")
        return (S3Provider(bucket_settings(only), _stores(entries[0])),)
    found, problems = [], []
    for number, entry in enumerate(entries, 1):
        given = entry.get("config") or {}
        if not isinstance(given, dict):
            problems.append(f"S3 provider {number}: config: is not a mapping. Write settings, as 'name: value'.")
            continue
        settings, obstacles = read_bucket_settings(given)
        problems += [f"S3 provider {number}: {obstacle}" for obstacle in obstacles]
        found.append(S3Provider(settings, _stores(entry)))
    if problems:
        raise ConfigurationError(
            f"Could not use the S3 settings in Synapse's configuration, which has {len(entries)} S3 providers:"
            f" {join_problems(problems)}"
        )
    return tuple(found)


def _stores(entry: Mapping[str, Any]) -> bool:
    # Both are off when left out. store_synchronous only tells whether an upload is waited for.
    return bool(entry.get("store_local") or entry.get("store_remote"))


def s3_provider(config: Mapping[str, Any]) -> BucketSettings:
    """The bucket: the settings of the only S3 storage provider, or of the first that stores.

    :raises ConfigurationError: as `s3_providers`; or there are several, and none stores.
    """
    providers = s3_providers(config)
    storing = [provider for provider in providers if provider.stores]
    if not storing and len(providers) > 1:
        raise ConfigurationError(
            f"Could not find the bucket: Synapse's configuration has {len(providers)} entries with module"
            f" {PROVIDER_MODULE!r} below media_storage_providers, and none has store_local or store_remote. Write"
            " 'store_local: true' and 'store_remote: true' for the one that new media go to."
        )
    return (storing or providers)[0].settings


def serves_media(config: Mapping[str, Any]) -> bool:
    """Whether a Synapse process with this configuration, its worker's file included, serves media.

    Where ``enable_media_repo`` is false, only a worker does whose own file sets it to true, or whose ``worker_app``
    is the media repository (``synapse/config/repository.py``). Another process ignores its storage providers.
    """
    return config.get("enable_media_repo", True) is not False or config.get("worker_app") == MEDIA_WORKER


def uses_local_disk(config: Mapping[str, Any]) -> bool:
    """Whether Synapse reads and writes its media store (``local_provider`` in ``synapse/media/media_repository.py``).

    A Synapse from before this setting always does.
    """
    return bool(config.get("enable_local_media_storage", True))


def server_name(config: Mapping[str, Any]) -> str:
    """The homeserver's own name, which Synapse does not start without.

    :raises ConfigurationError: these files do not give it.
    """
    name = config.get("server_name")
    if not isinstance(name, str) or not name:
        raise ConfigurationError(
            "Could not tell this homeserver's media from others': Synapse's configuration has no server_name. Name"
            " every configuration file that Synapse is started with."
        )
    return name


def database_settings(config: Mapping[str, Any]) -> DatabaseSettings:
    """How to reach the database that holds Synapse's media tables (the data store ``main``)."""
    sections = {"database": config["database"]} if config.get("database") else config.get("databases") or {}
    for name, value in _mapping(sections, "Synapse's database", "'databases'").items():
        section = _mapping(value, "Synapse's database", repr(name))
        # As in Synapse, a section that names no stores has them all.
        if "main" in (section.get("data_stores") or ["main"]):
            return _database(section)
    if config.get("database_path"):
        return _database({"name": "sqlite3", "args": {"database": config["database_path"]}})
    raise ConfigurationError(
        "Could not find Synapse's database: its configuration has no 'database' section. Name every configuration"
        " file that Synapse is started with."
    )


def _database(section: Mapping[str, Any]) -> DatabaseSettings:
    engine, arguments = section.get("name"), _mapping(section.get("args") or {}, "Synapse's database", "'args'")
    if engine not in ("psycopg2", "sqlite3"):
        raise ConfigurationError(
            f"Could not use Synapse's database: its engine is {engine!r}. Synapse knows 'psycopg2' and 'sqlite3'."
        )
    path = str(arguments.get("database", ""))
    if engine == "sqlite3" and not path.startswith("/"):
        raise ConfigurationError(
            f"Could not find Synapse's database: it is {path!r}, which depends on the directory that Synapse is started"
            " in. Give an absolute path in Synapse's configuration."
        )
    # Arguments beginning with cp_ are for the connection pool of Twisted, not for the database's library.
    return DatabaseSettings(engine, {key: value for key, value in arguments.items() if not str(key).startswith("cp_")})


def _mapping(value: object, thing: str, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigurationError(
            f"Could not use {thing}: {name} in Synapse's configuration is not a mapping. Write its settings below it,"
            " one a line, as 'name: value'."
        )
    return value


def write_private_yaml(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file that only its owner can read, replacing what is there."""
    path.unlink(missing_ok=True)
    with open(path, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as target:
        yaml.safe_dump(dict(content), target)
