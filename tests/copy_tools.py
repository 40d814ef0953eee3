# SPDX-License-Identifier: GPL-3.0-or-later
"""Where scripts/setup puts the programs that ``copy-with`` runs."""

from __future__ import annotations

import os
from pathlib import Path


def copy_tools() -> Path:
    """The directory that has aws, b2, rclone and s5cmd; a missing one is an error."""
    directory = _cache() / "bin"
    if not (directory / "b2").exists():
        raise FileNotFoundError(f"The programs in {str(directory)!r} are missing: run scripts/setup copy-tools")
    return directory


def python_of_b2() -> Path:
    """The Python that has b2 and its SDK, with the SDK's simulator of Backblaze B2."""
    return _cache() / "b2" / "bin" / "python"


def _cache() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "matrixops-synapse-s3" / "copy-tools"
