# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that begin as a role's variables do, and are none of them."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable


def unknown_problems(prefix: str, names: Iterable[str], known: Collection[str]) -> list[str]:
    """One message for each of the ``names`` that is not ``known``, all without the ``prefix``."""
    close = {name: _closest(name, known) for name in names if name not in known}
    advice = {name: f"Did you mean {prefix}{other}?" if other else "Remove it." for name, other in close.items()}
    return [f"{prefix}{name}: is not a variable of this role. {advice[name]}" for name in close]


def misspelt_problems(prefix: str, names: Iterable[str], known: Collection[str]) -> list[str]:
    """As `unknown_problems`, for a prefix that the variables of others may have too: of what is nearly a known one."""
    return unknown_problems(prefix, [name for name in names if _closest(name, known)], known)


def _closest(name: str, known: Collection[str]) -> str:
    """The known one that it may be meant to be, '' for none."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.8)), "")
