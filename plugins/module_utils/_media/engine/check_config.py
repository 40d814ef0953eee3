# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge Synapse's configuration: is the provider in it, and is it that of the process which serves media?

Nothing but files is read here; whether Synapse itself accepts it, ``stores/synapse_process.py`` asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..rules.errors import AccessError, MediaError
from ..rules.place import place_of
from ..stores import synapse_config
from ..stores.media_store import links_problems

PROVIDERS = "media_storage_providers"
# Names of the main process among those of the workers
MAIN_PROCESS = ("main", "master")
MISSPELT = ("media_store_providers", "media_storage_provider", "media_store_provider")


@dataclass(frozen=True)
class ConfigFile:
    """One file of Synapse's configuration."""

    path: Path
    values: Mapping[str, Any]


@dataclass
class Findings:
    """What a configuration says. ``media_problems``: why its process serves no media, where all else is right."""

    problems: list[str] = field(default_factory=list)
    media_problems: list[str] = field(default_factory=list)
    # The configuration file of the worker that serves media, '' where none does
    worker_path: str = ""
    # Where media is in S3 now, in the order in which Synapse asks: bucket, prefix and endpoint_url of each
    places: list[dict[str, str]] = field(default_factory=list)
    media_store_path: str = ""
    database: str = ""


def check_config(
    config_paths: Sequence[Path], provider_file: Path | None = None, *, wants_provider: bool = True
) -> Findings:
    """Read everything, and find all that is wrong.

    :param provider_file: the file that alone is to have the storage provider; it need not be there yet.
    :param wants_provider: whether else a provider must be somewhere in the configuration.
    """
    found = Findings()
    if provider_file is not None:
        found.problems += place_problems(config_paths, provider_file)
    files = _read_files(paths_in_order(config_paths, provider_file), provider_file, found)
    config: dict[str, Any] = {}
    for file in files:
        config.update(file.values)
    if provider_file is not None:
        found.problems += provider_problems(files, provider_file)
    found.problems += value_problems(config)
    # As Synapse has it, the last file that names an application decides.
    found.worker_path = next((str(file.path) for file in reversed(files) if file.values.get("worker_app")), "")
    found.places = s3_places(config)
    if not config:
        return found
    found.media_problems = media_problems(config, found.worker_path)
    _add_media_store(config, found)
    try:
        found.database = synapse_config.database_settings(config).engine
    except MediaError as error:
        found.problems.append(str(error))
    if provider_file is None and wants_provider:
        try:
            synapse_config.s3_provider(config)
        except MediaError as error:
            found.problems.append(str(error))
    return found


def paths_in_order(config_paths: Sequence[Path], provider_file: Path | None) -> list[Path]:
    """The files that Synapse will read, in its order; ``provider_file`` among them, though it may not be there yet."""
    paths: list[Path] = []
    for path in config_paths:
        files = synapse_config.config_files([path])
        if provider_file is not None and path.is_dir() and provider_file.parent == path and provider_file not in files:
            files = sorted([*files, provider_file])
        paths += files
    return paths


def provider_problems(files: Sequence[ConfigFile], provider_file: Path) -> list[str]:
    """Whether Synapse will use the provider in that file and no other; ``files`` are in Synapse's order."""
    problems = []
    # Synapse takes a key from the last file that has it: even an empty list in a later file switches the provider off.
    own_place = next((place for place, file in enumerate(files) if file.path == provider_file), len(files))
    for place, file in enumerate(files):
        if file.path != provider_file and PROVIDERS in file.values and (file.values[PROVIDERS] or place > own_place):
            problems.append(
                f"Could not add a storage provider: {str(file.path)!r} already sets {PROVIDERS},"
                " and Synapse uses only one such list. Remove it there; this role writes its own."
            )
        problems += [
            f"Could not trust {str(file.path)!r}: it sets {key!r}, which Synapse ignores in silence."
            f" Remove it; the right name is {PROVIDERS}."
            for key in MISSPELT
            if key in file.values
        ]
    return problems


def value_problems(config: Mapping[str, Any]) -> list[str]:
    """Settings of the merged configuration that a storage provider can't work with."""
    problems = []
    if config.get("backup_media_store_path"):
        problems.append(
            "Could not add a storage provider: Synapse's configuration sets backup_media_store_path,"
            " which excludes every other storage provider. Remove it."
        )
    if not synapse_config.uses_local_disk(config):
        problems.append(
            "Could not add a storage provider: Synapse's configuration sets enable_local_media_storage to false,"
            " with which every upload fails. Remove it."
        )
    return problems


def media_problems(config: Mapping[str, Any], worker_path: str) -> list[str]:
    """Why the process of the merged configuration does not serve media: then it does not even load the provider.

    https://element-hq.github.io/synapse/latest/workers.html#synapseappmedia_repository
    """
    advice = (
        "Add that worker's configuration file to synapse_config_paths, as the last, and its unit to synapse_services."
    )
    if not synapse_config.serves_media(config):
        if worker_path:
            problem = f"the worker of {worker_path!r} has enable_media_repo set to false, and serves no media"
            return [f"Could not give the provider to what serves media: {problem}. Name the file of the one that does."]
        problem = "a worker does that, since Synapse's configuration sets enable_media_repo to false"
        return [f"Could not give the provider to what serves media: {problem}. {advice}"]
    worker = config.get("media_instance_running_background_jobs")
    if worker and worker not in MAIN_PROCESS and not worker_path:
        problem = f"Synapse's configuration names the worker {worker!r} in media_instance_running_background_jobs"
        return [f"Could not give the provider to what serves media: {problem}. {advice}"]
    return []


def s3_places(config: Mapping[str, Any]) -> list[dict[str, str]]:
    """Where the merged configuration has media in S3. Nothing of it is judged, and no secret is in it."""
    providers = config.get(PROVIDERS)
    return [
        place_of(entry["config"] if isinstance(entry.get("config"), dict) else {})
        for entry in (providers if isinstance(providers, list) else [])
        if isinstance(entry, dict) and entry.get("module") == synapse_config.PROVIDER_MODULE
    ]


def place_problems(config_paths: Sequence[Path], provider_file: Path) -> list[str]:
    """Whether Synapse reads that file at all."""
    if provider_file in config_paths or (provider_file.parent in config_paths and provider_file.suffix == ".yaml"):
        return []
    problem = (
        f"Could not add a storage provider: Synapse would not read {str(provider_file)!r}."
        " Put it, with a name that ends in .yaml, into a directory that Synapse is given as configuration."
    )
    return [problem]


def _read_files(paths: Sequence[Path], provider_file: Path | None, found: Findings) -> list[ConfigFile]:
    files = []
    for path in paths:
        if path == provider_file and not path.exists():
            files.append(ConfigFile(path, {}))
            continue
        try:
            files.append(ConfigFile(path, synapse_config.read_config_file(path)))
        except MediaError as error:
            found.problems.append(str(error))
    return files


def _add_media_store(config: Mapping[str, Any], found: Findings) -> None:
    try:
        media_store = synapse_config.media_store_path(config)
        found.media_store_path = str(media_store)
        if not media_store.is_dir():
            found.problems.append(
                f"Could not find the media store {str(media_store)!r}: there is no such directory."
                " Mount it, or correct media_store_path in Synapse's configuration."
            )
        # What of it may not be looked at, the other commands tell.
        with suppress(AccessError):
            found.problems += links_problems(media_store)
    except MediaError as error:
        found.problems.append(str(error))
    except PermissionError as error:
        found.problems.append(
            f"Could not look at the media store {str(media_store)!r}: {error.strerror}. Let Synapse's user into it."
        )
