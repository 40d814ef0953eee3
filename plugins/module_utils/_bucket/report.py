# SPDX-License-Identifier: GPL-3.0-or-later
"""How it stands with each feature of a bucket, and what of that is a failure. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class State(Enum):
    """What came of a feature."""

    OK = "ok"  # it is as it is to be
    CHANGED = "changed"  # it was made so; in check mode: it would be
    NOT_WANTED = "not_wanted"
    UNSUPPORTED = "unsupported"  # the service does not implement it
    IGNORED = "ignored"  # the service takes it, and it has no effect
    FAILED = "failed"


# What the user has not got, although it was asked for.
LACKING = frozenset({State.UNSUPPORTED, State.IGNORED})


@dataclass(frozen=True)
class Feature:
    """One feature. ``before`` and ``after`` are what the server has of it, for a difference to be shown."""

    name: str
    state: State
    message: str = ""
    before: Any = None
    after: Any = None
    # Whether something was changed besides: an attempt that was taken back is none.
    changed: bool = False

    @property
    def is_changed(self) -> bool:
        return self.changed or self.state is State.CHANGED


def problems(features: Iterable[Feature], required: Collection[str]) -> list[str]:
    """The messages of what failed, and of what is required and lacking."""
    return [
        feature.message if feature.state is State.FAILED else f"{feature.name} is required: {feature.message}"
        for feature in features
        if feature.state is State.FAILED or (feature.state in LACKING and feature.name in required)
    ]


def notes(features: Iterable[Feature], required: Collection[str]) -> list[str]:
    """The messages of what is lacking, and is not required."""
    return [
        f"{feature.name}: {feature.message}"
        for feature in features
        if feature.state in LACKING and feature.name not in required
    ]
