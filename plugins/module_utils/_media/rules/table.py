# SPDX-License-Identifier: GPL-3.0-or-later
"""Decision tables: a line has, for each field of a case, a field of the same name with the values that it fits."""

from __future__ import annotations

from typing import NamedTuple


def fits(line: NamedTuple, case: NamedTuple) -> bool:
    """Whether every value of the case is among those that the line has for it."""
    return all(value in getattr(line, name) for name, value in case._asdict().items())
