# SPDX-License-Identifier: GPL-3.0-or-later
"""Which forms of a test are for `make soak` alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def soak_but(shown: Collection[Any], values: Iterable[Any]) -> list[Any]:
    """The values for ``parametrize``: all but those of ``shown`` are marked ``soak``."""
    return [pytest.param(value, marks=[] if value in shown else pytest.mark.soak) for value in values]
