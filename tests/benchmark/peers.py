# SPDX-License-Identifier: GPL-3.0-or-later
"""Where scripts/setup puts the programs that are compared."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matrixops-synapse-s3"


def has_peer(name: str) -> bool:
    """Whether the program of that name is there."""
    return _path(name).is_file()


def peer_binary(name: str) -> Path:
    """The program of that name; a missing one is an error."""
    binary = _path(name)
    if not binary.is_file():
        raise FileNotFoundError(f"The program {str(binary)!r} is missing: run scripts/setup tools minio peers")
    return binary


def _path(name: str) -> Path:
    return cache_directory() / "peers" / "bin" / name
