# SPDX-License-Identifier: GPL-3.0-or-later
"""A store in front of another, which passes everything on: what one concern does otherwise, a class of its own says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO

from ..rules.content import Content
from ..rules.errors import MediaError
from .object_store import ObjectStore, Readable, RemoteObject


class StoreInFront:
    """An ObjectStore in front of ``store``: see that protocol."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @property
    def requests(self) -> int:
        return self._store.requests

    @property
    def slow_downs(self) -> int:
        return self._store.slow_downs

    def head(self, key: str) -> RemoteObject | None:
        return self._store.head(key)

    def put(self, key: str, source: BinaryIO, content: Content) -> RemoteObject:
        return self._store.put(key, source, content)

    def abort_unfinished(self, key: str) -> None:
        self._store.abort_unfinished(key)

    def open(self, key: str) -> AbstractContextManager[Readable]:
        return self._store.open(key)

    def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
        return self._store.list(prefix, after, page_size)

    def delete(self, key: str) -> None:
        self._store.delete(key)

    def unfinished_uploads(self, prefix: str) -> int | None:
        return self._store.unfinished_uploads(prefix)

    def delete_many(self, keys: Sequence[str]) -> Mapping[str, MediaError]:
        return self._store.delete_many(keys)
