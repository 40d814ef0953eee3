# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a service's interface for access keys."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Protocol

from .._media.rules.settings import BucketSettings
from .._media.stores.s3_said import shortened, without_secrets
from .._role.bucket_policy import Document

PASTE = (
    "Make a key there for Synapse, and give it the policy that the filter matrixops.synapse_s3.bucket_policy writes:"
    " docs/bucket.md tells how."
)
ACTION = "Could not give Synapse a key of its own"


class KeyInterface(Protocol):
    """Keys and what they may do. Every method raises a MediaError for what fails.

    ``makes_keys``: whether it makes a key of a given name and secret; where not, ``set_user`` says what to do.
    ``lists_by_prefix``: whether a key that may list a prefix alone is told what is missing below it.
    """

    @property
    def makes_keys(self) -> bool: ...

    @property
    def lists_by_prefix(self) -> bool: ...

    def principal(self, name: str, /) -> str:
        """Whom its policy names: where that is the bucket's, the user of the key; where it is the user's, ''."""

    def knows(self, name: str) -> bool:
        """Whether there is such a key."""

    def policy(self, name: str) -> Document | None:
        """What this collection allows the key, as the server has it; None where it does not allow it anything."""

    def other_policies(self, name: str, /) -> list[str]:
        """What else allows the key something."""

    def set_user(self, name: str, secret: str, *, is_there: bool) -> None:
        """Make the key, or give it this secret."""

    def set_policy(self, name: str, document: Document) -> None:
        """Allow the key this; what somebody else allows it stays."""

    def by(self, name: str, /) -> str:
        """By what it is allowed, as the end of a sentence."""

    def close(self) -> None:
        """Close idle connections."""


def what_was_said(text: str, settings: BucketSettings, secret: str = "") -> str:
    """What a service or a library said, to be quoted. ``secret``: Synapse's, where that was sent."""
    if secret:
        text = without_secrets(text, replace(settings, secret_access_key=secret))
    return shortened(without_secrets(text, settings)).rstrip(".")


def told_in(text: str) -> dict[str, Any]:
    """The object that an answer holds in JSON; empty where it holds none."""
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
