#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``synapse_config_info``: what Synapse's own configuration says about its media."""

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_config_info
short_description: Looks at Synapse's configuration before a storage provider is added to it
version_added: 0.1.0
author:
  - The matrixops.synapse_s3 authors (@matrixops)
description:
  - Reads Synapse's configuration files, merged as Synapse merges them, and returns where its media is.
  - Returns everything that would keep a storage provider in a file of its own from working.
  - Returns no secret.
requirements:
  - Run it with Synapse's own Python, which has PyYAML.
options:
  config_paths:
    description:
      - Synapse's configuration files and directories, in the order in which Synapse is given them.
    type: list
    elements: path
    required: true
  own_path:
    description:
      - The file that holds the storage provider, or will hold it. It need not exist.
    type: path
    required: true
  user:
    description:
      - The user that Synapse runs as, by name or by number.
    type: str
    required: true
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - matrixops.synapse_s3.attributes
  - matrixops.synapse_s3.attributes.reads_only
"""

EXAMPLES = r"""
- name: Look at Synapse's configuration
  matrixops.synapse_s3.synapse_config_info:
    config_paths:
      - /etc/matrix-synapse/homeserver.yaml
      - /etc/matrix-synapse/conf.d
    own_path: /etc/matrix-synapse/conf.d/synapse-s3-storage-provider.yaml
    user: matrix-synapse
  vars:
    ansible_python_interpreter: /opt/venvs/matrix-synapse/bin/python
"""

RETURN = r"""
problems:
  description: What would keep the storage provider from working. Each says what to change.
  returned: success
  type: list
  elements: str
media_store_path:
  description: The directory where Synapse keeps media. Empty when it can't be told.
  returned: success
  type: str
media_problems:
  description:
    - Why the process that this configuration is for does not serve media, so that a storage provider in it does
      nothing. Each says what to change.
  returned: success
  type: list
  elements: str
worker_path:
  description: The file that makes the configuration one of a worker. Empty when it is the main process's.
  returned: success
  type: str
place:
  description: Where Synapse keeps media in S3 now, by its first S3 storage provider. Empty when it has none.
  returned: success
  type: dict
  contains:
    bucket:
      description: Name of the bucket.
      type: str
    prefix:
      description: What every key begins with.
      type: str
    endpoint_url:
      description: Address of the S3 service, without a slash at the end. Empty for Amazon S3.
      type: str
database:
  description: The kind of Synapse's database, V(psycopg2) or V(sqlite3). Empty when it can't be told.
  returned: success
  type: str
"""

import pwd
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import (
        AccessError,
        MediaError,
    )
    from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores import synapse_config
    from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import links_problems
except ImportError as error:
    IMPORT_ERROR: ImportError | None = error
else:
    IMPORT_ERROR = None

PROVIDERS = "media_storage_providers"
MEDIA_WORKER = "synapse.app.media_repository"
# Names of the main process among those of the workers
MAIN_PROCESS = ("main", "master")
MISSPELT = ("media_store_providers", "media_storage_provider", "media_store_provider")


@dataclass(frozen=True)
class ConfigFile:
    """One file of Synapse's configuration."""

    path: Path
    values: Mapping[str, Any]


def provider_problems(files: Sequence[ConfigFile], own_path: Path) -> list[str]:
    """Whether Synapse will use the provider in ``own_path`` and no other; ``files`` are in Synapse's order."""
    problems = []
    # Synapse takes a key from the last file that has it: even an empty list in a later file switches the provider off.
    own_place = next((place for place, file in enumerate(files) if file.path == own_path), len(files))
    for place, file in enumerate(files):
        if file.path != own_path and PROVIDERS in file.values and (file.values[PROVIDERS] or place > own_place):
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


def paths_in_order(config_paths: Sequence[Path], own_path: Path) -> list[Path]:
    """The files that Synapse will read, in its order; ``own_path`` among them, though it may not be there yet."""
    paths: list[Path] = []
    for path in config_paths:
        files = synapse_config.config_files([path])
        is_missing = path.is_dir() and own_path.parent == path and own_path not in files
        paths += sorted([*files, own_path]) if is_missing else files
    return paths


def value_problems(config: Mapping[str, Any]) -> list[str]:
    """Settings of the merged configuration that a storage provider can't work with."""
    problems = []
    if config.get("backup_media_store_path"):
        problems.append(
            "Could not add a storage provider: Synapse's configuration sets backup_media_store_path,"
            " which excludes every other storage provider. Remove it."
        )
    if config.get("enable_local_media_storage", True) is False:
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
    if config.get("enable_media_repo", True) is False and config.get("worker_app") != MEDIA_WORKER:
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


def s3_place(config: Mapping[str, Any]) -> dict[str, str]:
    """Where the merged configuration has media in S3. Nothing of it is judged, and no secret is in it."""
    providers = config.get(PROVIDERS)
    for entry in providers if isinstance(providers, list) else []:
        if isinstance(entry, dict) and entry.get("module") == synapse_config.PROVIDER_MODULE:
            settings = entry["config"] if isinstance(entry.get("config"), dict) else {}
            place = {name: str(settings.get(name) or "") for name in ("bucket", "prefix", "endpoint_url")}
            return {**place, "endpoint_url": place["endpoint_url"].rstrip("/")}
    return {}


def place_problems(config_paths: Sequence[Path], own_path: Path) -> list[str]:
    """Whether Synapse reads ``own_path`` at all."""
    if own_path in config_paths or (own_path.parent in config_paths and own_path.suffix == ".yaml"):
        return []
    problem = (
        f"Could not add a storage provider: Synapse would not read {str(own_path)!r}."
        " Put it, with a name that ends in .yaml, into a directory that Synapse is given as configuration."
    )
    return [problem]


def user_problems(user: str) -> list[str]:
    """Whether Synapse's user is there. A number needs no name: a container need not know it."""
    if user.isdecimal():
        return []
    try:
        pwd.getpwnam(user)
    except KeyError:
        problem = f"Could not find Synapse's user {user!r}: this host has none of that name."
        return [f"{problem} Give the user that Synapse runs as."]
    return []


def inspect(config_paths: Sequence[Path], own_path: Path, user: str) -> dict[str, Any]:
    """Read everything and return the module's result."""
    problems = [*user_problems(user), *place_problems(config_paths, own_path)]
    files = []
    for path in paths_in_order(config_paths, own_path):
        if path == own_path and not path.exists():
            files.append(ConfigFile(path, {}))
            continue
        try:
            files.append(ConfigFile(path, synapse_config.read_config_file(path)))
        except MediaError as error:
            problems.append(str(error))
    config: dict[str, Any] = {}
    for file in files:
        config.update(file.values)
    problems += provider_problems(files, own_path) + value_problems(config)
    # As Synapse has it, the last file that names an application decides.
    worker_path = next((str(file.path) for file in reversed(files) if file.values.get("worker_app")), "")
    result = {
        "problems": problems,
        "media_problems": [],
        "worker_path": worker_path,
        "place": s3_place(config),
        "media_store_path": "",
        "database": "",
    }
    if not config:
        return result
    result["media_problems"] = media_problems(config, worker_path)
    try:
        media_store = synapse_config.media_store_path(config)
        result["media_store_path"] = str(media_store)
        if not media_store.is_dir():
            problems.append(
                f"Could not find the media store {str(media_store)!r}: there is no such directory."
                " Mount it, or correct media_store_path in Synapse's configuration."
            )
        # Where root may not look (NFS), the program does, as Synapse's user.
        with suppress(AccessError):
            problems += links_problems(media_store)
    except MediaError as error:
        problems.append(str(error))
    try:
        result["database"] = synapse_config.database_settings(config).engine
    except MediaError as error:
        problems.append(str(error))
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "config_paths": {"type": "list", "elements": "path", "required": True},
            "own_path": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    if IMPORT_ERROR is not None:
        module.fail_json(
            msg=missing_required_lib("PyYAML", reason="to read Synapse's configuration"), exception=str(IMPORT_ERROR)
        )
    config_paths = [Path(path) for path in module.params["config_paths"]]
    module.exit_json(changed=False, **inspect(config_paths, Path(module.params["own_path"]), module.params["user"]))


if __name__ == "__main__":
    main()
