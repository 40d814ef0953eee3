# SPDX-License-Identifier: GPL-3.0-or-later
"""Names on the target: paths, systemd units, users."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

# Paths and units stand in unit files, scripts and Synapse's configuration, each with other rules for quoting.
_SAFE_PATH = re.compile(r"[A-Za-z0-9/._@+:,=-]*")
_UNIT_TYPES = "automount|device|mount|path|scope|service|slice|socket|swap|target|timer"
_UNIT_NAME = re.compile(rf"[A-Za-z0-9:_.@\\-]+\.({_UNIT_TYPES})")
_LONGEST_UNIT_NAME = 255
_COMPOSE_NAME = re.compile(r"[A-Za-z0-9._-]+")
_USER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
# Directories that belong to the system or to Synapse.
_SHARED_DIRECTORIES = frozenset(
    {
        "/etc/systemd",
        "/etc/systemd/system",
        "/usr/bin",
        "/usr/lib",
        "/usr/local",
        "/usr/local/bin",
        "/usr/local/lib",
        "/usr/local/share",
        "/usr/sbin",
        "/usr/share",
        "/var/cache",
        "/var/lib",
        "/var/log",
        "/var/spool",
    }
)


# Where Synapse is, and has its files, by the layouts' own values.
_SYNAPSE_PLACES = (
    "/etc/matrix-synapse/conf.d",
    "/matrix/synapse/config",
    "/matrix/synapse/storage",
    "/opt/venvs/matrix-synapse",
    "/srv/synapse/media_store",
    "/var/lib/matrix-synapse/media",
)


def path_problems(path: str) -> list[str]:
    """What is wrong with ``path`` as an absolute path."""
    problems = []
    unsafe = dict.fromkeys(character for character in path if not _SAFE_PATH.fullmatch(character))
    if not path.startswith("/"):
        problems.append(f"{path!r} is not an absolute path. Begin it with '/'.")
    if unsafe:
        problems.append(
            f"{path!r} has characters that do not work in unit files and scripts ({', '.join(map(repr, unsafe))}). "
            "Use only letters, digits and / . _ - + @ : , =."
        )
    if {".", ".."} & set(path.split("/")):
        problems.append(f"{path!r} has '.' or '..' between its slashes. Write the path without.")
    return problems


def own_directory_problems(path: str, others: Sequence[str] = ()) -> list[str]:
    """What is wrong with ``path`` as a directory that only this role uses, and removes with what it has put there.

    :param others: paths that are not the role's own, so that ``path`` must neither be nor hold one of them.
    """
    problems = path_problems(path)
    if problems:
        return problems
    directory = PurePosixPath(path)
    if len(directory.parts) < 3 or str(directory) in _SHARED_DIRECTORIES:
        return [f"{path!r} is not for this role alone. Write a path below it."]
    held = [
        other for other in dict.fromkeys([*others, *_SYNAPSE_PLACES]) if PurePosixPath(other).is_relative_to(directory)
    ]
    return [
        f"{path!r} is, or holds, {other!r}, which is not this role's. Write a path of its own." for other in held[:1]
    ]


def unit_names_problems(names: Sequence[str], *, services_only: bool = False) -> list[str]:
    """What is wrong with ``names`` as names of systemd units."""
    problems = []
    for name in names:
        if len(name) > _LONGEST_UNIT_NAME or not _UNIT_NAME.fullmatch(name):
            problems.append(f"{name!r} is not the name of a systemd unit. Write one such as 'postgresql.service'.")
        elif services_only and not name.endswith(".service"):
            problems.append(f"{name!r} is not a service. Write the name of one, such as 'matrix-synapse.service'.")
    return problems


def compose_names_problems(names: Sequence[str]) -> list[str]:
    """What is wrong with ``names`` as services of a Compose project."""
    return [
        f"{name!r} is not the name of a service of Compose. Write one such as 'synapse'."
        for name in names
        if not _COMPOSE_NAME.fullmatch(name)
    ]


def user_name_problems(name: str) -> list[str]:
    """What is wrong with ``name`` as a user of the target."""
    if _USER_NAME.fullmatch(name):
        return []
    return [f"{name!r} is not the name of a user. Write one such as 'matrix-synapse'."]
