# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that begin as a role's variables do, and are none of them."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable


def unknown_problems(prefix: str, names: Iterable[str], known: Collection[str]) -> list[str]:
    """One message for each of the ``names`` that is not ``known``, all without the ``prefix``."""
    return [_problem(prefix, name, known) for name in names if name not in known]


def _problem(prefix: str, name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    advice = f"Did you mean {prefix}{close[0]}?" if close else "Remove it."
    return f"{prefix}{name}: is not a variable of this role. {advice}"
