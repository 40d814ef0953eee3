# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a bucket that keeps old versions: beside ``object_store``, for those who erase for good."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from ..rules.errors import MediaError


class ObjectVersion(NamedTuple):
    """One version of an object, or a delete marker, which has no ``size``.

    ``modified`` in seconds since 1970, None where the server does not say. ``is_latest``: what a reader of the key
    meets; a delete marker then says that there is no such object.
    """

    key: str
    version_id: str
    size: int
    modified: float | None
    is_latest: bool
    is_delete_marker: bool


class VersionStore(Protocol):
    """The versions in one bucket; errors as those of an ObjectStore."""

    def are_kept(self) -> bool:
        """Whether the bucket keeps old versions, or has kept them.

        Raises a MediaError where that can't be told: a ConfigurationError of a server that knows no versions.
        """

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectVersion]:
        """All versions and delete markers below ``prefix`` of keys after ``after``, ascending by key."""

    def delete(self, versions: Sequence[ObjectVersion]) -> Mapping[ObjectVersion, MediaError]:
        """Delete at most 1000 for good; the answer is why each that may still be there could not be."""

    def expiry(self, prefix: str) -> str:
        """What ends old versions below ``prefix`` by itself, in a clause; '' where no rule does.

        Raises a MediaError where that can't be told.
        """
