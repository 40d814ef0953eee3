# SPDX-License-Identifier: GPL-3.0-or-later
"""A bucket that is only looked at: what would be changed is answered as if it were done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import BinaryIO

from ..rules.content import Content
from ..rules.errors import MediaError
from .in_front import StoreInFront
from .object_store import RemoteObject


class DryRunStore(StoreInFront):
    """Passes on all that changes nothing."""

    def put(self, key: str, source: BinaryIO, content: Content) -> RemoteObject:  # noqa: ARG002 (the protocol's)
        return RemoteObject(key, content.size, content.md5.hex())

    def abort_unfinished(self, key: str) -> None:
        """Leave it."""

    def delete(self, key: str) -> None:
        """Leave it."""

    def delete_many(self, keys: Sequence[str]) -> Mapping[str, MediaError]:  # noqa: ARG002 (the protocol's)
        """Leave them."""
        return {}
