# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories of the host that a container sees elsewhere, as ``HOST:CONTAINER`` or ``HOST:CONTAINER:OPTIONS``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from .host import path_problems


def volume_problems(volumes: Sequence[str]) -> list[str]:
    """What is wrong with ``volumes``."""
    problems = []
    for volume in volumes:
        paths = volume.split(":")[:2]
        if len(paths) < 2 or volume.count(":") > 2:
            problems.append(f"{volume!r} is not a volume. Write one such as '/srv/synapse:/data:ro'.")
        else:
            problems += [text for path in paths for text in path_problems(path)]
    return problems


def host_path(path: str, volumes: Sequence[str]) -> str:
    """Where the host has what a container sees as ``path``; the same path where no volume holds it."""
    seen = PurePosixPath(path)
    pairs = [volume.split(":")[:2] for volume in volumes]
    holders = [(PurePosixPath(inside), PurePosixPath(outside)) for outside, inside in pairs]
    # A volume below another one hides what that has there.
    for inside, outside in sorted(holders, key=lambda pair: len(pair[0].parts), reverse=True):
        if seen.is_relative_to(inside):
            return str(outside / seen.relative_to(inside))
    return path
