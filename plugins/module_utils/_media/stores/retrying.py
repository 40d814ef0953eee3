# SPDX-License-Identifier: GPL-3.0-or-later
"""A store that waits out short absences of the bucket behind it: a server that restarts is away for some seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, BinaryIO, TypeVar

from ..rules.content import Content
from ..rules.errors import MediaError
from .in_front import StoreInFront
from .object_store import ObjectStore, Readable, RemoteObject, StoreUnavailable

Result = TypeVar("Result")

_CHUNK_SIZE = 256 * 1024
# In seconds. A server that restarts is away for some.
WAITS = (0.5, 2)
# Before the first file a server that never answers is given up within a minute and a half.
FIRST_WAITS = (5,)


class RetryingStore(StoreInFront):
    """Makes a call again after StoreUnavailable.

    :param waits: how long to wait before each further try, in seconds.
    :param wait: waits so many seconds, and tells whether the run is to stop: then there is no further try.
    """

    def __init__(self, store: ObjectStore, waits: Sequence[float], wait: Callable[[float], bool]) -> None:
        super().__init__(store)
        self._waits = tuple(waits)
        self._wait = wait

    def head(self, key: str) -> RemoteObject | None:
        return self._patiently(lambda: self._store.head(key))

    def put(self, key: str, source: BinaryIO, content: Content) -> RemoteObject:
        def put() -> RemoteObject:
            source.seek(0)
            return self._store.put(key, source, content)

        return self._patiently(put)

    @contextmanager
    def open(self, key: str) -> Iterator[Readable]:
        with ExitStack() as held:
            yield _Body(lambda: held.enter_context(self._store.open(key)), self._patiently)

    def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
        listing: Iterator[RemoteObject] | None = None
        last = after

        def following() -> RemoteObject | None:
            nonlocal listing
            if listing is None:
                listing = self._store.list(prefix, last, page_size)
            try:
                return next(listing, None)
            except StoreUnavailable:
                # A listing that failed has ended: the next try needs a new one.
                listing = None
                raise

        while (found := self._patiently(following)) is not None:
            last = found.key
            yield found

    def delete(self, key: str) -> None:
        self._patiently(lambda: self._store.delete(key))

    def unfinished_uploads(self, prefix: str) -> int | None:
        return self._patiently(lambda: self._store.unfinished_uploads(prefix))

    def delete_many(self, keys: Sequence[str]) -> Mapping[str, MediaError]:
        waits, left = iter(self._waits), list(keys)
        refused: dict[str, MediaError] = {}
        while True:
            answer = self._patiently(partial(self._store.delete_many, left))
            refused |= {key: error for key, error in answer.items() if not isinstance(error, StoreUnavailable)}
            missed = {key: error for key, error in answer.items() if key not in refused}
            seconds = next(waits, None) if missed else None
            if seconds is None or self._wait(seconds):
                return {**refused, **missed}
            left = list(missed)

    def _patiently(self, call: Callable[[], Result]) -> Result:
        waits = iter(self._waits)
        while True:
            try:
                return call()
            except StoreUnavailable:  # noqa: PERF203 (waiting is what it is for)
                seconds = next(waits, None)
                if seconds is None or self._wait(seconds):
                    raise


class _Body:
    """An object's content, which is opened again, and read up to the same place, when the connection breaks."""

    def __init__(self, open_again: Callable[[], Readable], patiently: Callable[[Callable[[], Any]], Any]) -> None:
        self._open_again = open_again
        self._patiently = patiently
        self._position = 0
        # What can't be opened is told when it is opened.
        self._body: Readable = patiently(open_again)
        self._is_broken = False

    @property
    def sha256(self) -> str | None:
        return self._body.sha256

    @property
    def md5(self) -> str | None:
        return self._body.md5

    def read(self, size: int, /) -> bytes:
        def read() -> bytes:
            if self._is_broken:
                self._body = self._opened_at(self._position)
                self._is_broken = False
            try:
                return self._body.read(size)
            except StoreUnavailable:
                self._is_broken = True
                raise

        chunk: bytes = self._patiently(read)
        self._position += len(chunk)
        return chunk

    def _opened_at(self, position: int) -> Readable:
        body = self._open_again()
        passed = 0
        while passed < position and (chunk := body.read(min(position - passed, _CHUNK_SIZE))):
            passed += len(chunk)
        return body
