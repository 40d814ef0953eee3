# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a service's interface for access keys."""

from __future__ import annotations

from typing import Protocol

from .._role.bucket_policy import Document

PASTE = (
    "Make a key there for Synapse, and give it the policy that the filter matrixops.synapse_s3.bucket_policy writes:"
    " docs/bucket.md tells how."
)
ACTION = "Could not give Synapse a key of its own"


class KeyInterface(Protocol):
    """Keys and what they may do. Every method raises a MediaError for what fails.

    ``makes_keys``: whether it makes a key of a given name and secret; where not, ``set_user`` says what to do.
    """

    @property
    def makes_keys(self) -> bool: ...

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
