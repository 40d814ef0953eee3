# SPDX-License-Identifier: GPL-3.0-or-later
"""When files changed last."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def newest_change(paths: Sequence[Path]) -> float:
    """When the last of the paths changed, in seconds since 1970: contents, owner, permissions or name; else 0."""
    return max((path.lstat().st_ctime for path in paths if path.is_symlink() or path.exists()), default=0.0)
