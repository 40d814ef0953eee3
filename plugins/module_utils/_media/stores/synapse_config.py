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

import yaml

from ..rules.errors import AccessError, ConfigurationError
from ..rules.settings import BucketSettings, bucket_settings

PROVIDER_MODULE = "s3_storage_provider.S3StorageProviderBackend"


@dataclass(frozen=True)
class DatabaseSettings:
    """How Synapse reaches its database: the engine ``psycopg2`` or ``sqlite3``, and that library's arguments."""

    engine: str
    arguments: Mapping[str, Any] = field(repr=False)


def config_files(paths: Sequence[Path]) -> list[Path]:
    """The files that Synapse reads for these paths, in its order."""
    return [file for path in paths for file in _files_below(path)]


def _files_below(path: Path) -> list[Path]:
    try:
        if path.is_dir():
            return sorted(entry for entry in path.iterdir() if entry.suffix == ".yaml" and entry.is_file())
    except PermissionError as error:
        raise _no_access(path) from error
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
        raise ConfigurationError(
            f"Could not read Synapse's configuration {str(path)!r}: {error.strerror}. Give the path that Synapse is"
            " started with."
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # ValueError: bytes that are no UTF-8, or a date that is none; RecursionError: thousands of brackets.
        # The parser's own text quotes the line, which may hold a password.
        mark = getattr(error, "problem_mark", None)
        place = f" near line {mark.line + 1}" if mark else ""
        raise ConfigurationError(
            f"Could not read Synapse's configuration {str(path)!r}: it is not valid YAML{place}. Correct the file."
        ) from None
    return content if isinstance(content, dict) else {}


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


def s3_provider(config: Mapping[str, Any]) -> BucketSettings:
    """The settings of the one S3 storage provider in Synapse's configuration."""
    providers = config.get("media_storage_providers")
    entries = [
        entry
        for entry in (providers if isinstance(providers, list) else [])
        if isinstance(entry, dict) and entry.get("module") == PROVIDER_MODULE
    ]
    if len(entries) != 1:
        raise ConfigurationError(
            f"Could not find the bucket: Synapse's configuration has {len(entries)} entries with module"
            f" {PROVIDER_MODULE!r}"
            " below media_storage_providers. Exactly one is needed."
        )
    return bucket_settings(_mapping(entries[0].get("config") or {}, "the bucket", f"'config' of {PROVIDER_MODULE}"))


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
