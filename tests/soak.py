# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make soak` tries beyond `make test`."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import Any

import pytest

SOAK = bool(os.environ.get("SYNAPSE_S3_SOAK"))


def soak_but(shown: Collection[Any], values: Iterable[Any]) -> list[Any]:
    """The values for ``parametrize``: all but those of ``shown`` are marked ``soak``."""
    return [pytest.param(value, marks=[] if value in shown else pytest.mark.soak) for value in values]
