# SPDX-License-Identifier: GPL-3.0-or-later
"""Stores for tests: one in memory, which keeps the contract of ObjectStore, and one that fails by a script."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.content import PART_SIZE, Content
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import AccessError, MediaError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    MULTIPART_THRESHOLD,
    STANDARD,
    ObjectExists,
    ObjectFailure,
    ObjectMissing,
    ObjectStore,
    ObjectUnreadable,
    PermissionDenied,
    Readable,
    RemoteObject,
    StoreUnavailable,
)


class Body(io.BytesIO):
    """An object's content; ``sha256`` and ``md5`` are what the store keeps beside it."""

    def __init__(self, content: bytes, sha256: str | None = None, md5: str | None = None) -> None:
        super().__init__(content)
        self.sha256 = sha256
        self.md5 = md5


class MemoryStore:
    """An ObjectStore in memory. ``objects`` holds the content by key; a test may change it directly.

    So it may what the store tells beside the content, by key: ``storage_classes`` (STANDARD otherwise), ``modified``
    (seconds since 1970; what is not put is as old as the store) and ``archived`` (the archive status: such objects
    are listed and described, and can't be opened), ``expiring`` (when a rule of the bucket deletes them, by a part of
    the key that such objects have, '' for all). ``unfinished``: the keys of uploads that were begun and not ended.
    ``is_closed``: whether it was closed, after which only ``objects`` may be looked at.
    """

    def __init__(self, objects: dict[str, bytes] | None = None) -> None:
        self.objects = dict(objects or {})
        self.storage_classes: dict[str, str] = {}
        self.modified: dict[str, float] = {}
        self.archived: dict[str, str] = {}
        self.expiring: dict[str, str] = {}
        self.unfinished: list[str] = []
        self.is_closed = False
        self._made = time.time()
        self._lock = threading.Lock()
        self._requests = 0

    @property
    def requests(self) -> int:
        return self._requests

    @property
    def slow_downs(self) -> int:
        return 0

    def _count(self, requests: int = 1) -> None:
        assert not self.is_closed
        with self._lock:
            self._requests += requests

    def head(self, key: str) -> RemoteObject | None:
        self._count()
        content = self.objects.get(key)
        if content is None:
            return None
        return self._describe(key, content, archive_status=self.archived.get(key, ""), expires=self._expires(key))

    def put(self, key: str, source: BinaryIO, content: Content) -> RemoteObject:
        data = source.read(content.size + 1)
        # As S3ObjectStore: in parts it takes a start, the parts, a look, a completion, and a look for unfinished ones.
        self._count(1 if content.size < MULTIPART_THRESHOLD else 4 + len(_parts(data)))
        if len(data) != content.size or [_md5(part).digest() for part in _parts(data)] != list(content.part_md5s):
            raise ObjectFailure(f"Could not store object {key!r}: its content changed on the way. Try again.")
        with self._lock:
            if key in self.objects:
                raise ObjectExists(f"Could not store object {key!r}: the key is taken already. It was left as it is.")
            self.objects[key] = data
            self.modified[key] = time.time()
        return replace(self._describe(key, data), modified=None, expires=self._expires(key))

    def abort_unfinished(self, key: str) -> None:
        """Look, as S3ObjectStore does; nothing is ever unfinished here."""
        assert key
        self._count()

    @contextmanager
    def open(self, key: str) -> Iterator[Readable]:
        self._count()
        content = self.objects.get(key)
        if content is None:
            raise ObjectMissing(f"Could not read object {key!r}: there is no such object. It may have been deleted.")
        if key in self.archived:
            raise ObjectUnreadable(
                f"Could not read object {key!r}: it is in an archive and can't be read at once. "
                "Restore it from the archive, and keep media out of archive storage classes."
            )
        etag = _etag(content)
        yield Body(content, md5=None if "-" in etag else etag)

    def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
        self._count()
        with self._lock:
            found = sorted((key, content) for key, content in self.objects.items() if key.startswith(prefix))
        for number, (key, content) in enumerate(item for item in found if item[0] > after):
            if number and number % page_size == 0:
                self._count()
            yield self._describe(key, content)

    def delete(self, key: str) -> None:
        self._count()
        with self._lock:
            self.objects.pop(key, None)

    def unfinished_uploads(self, prefix: str) -> int | None:
        self._count()
        return sum(key.startswith(prefix) for key in self.unfinished)

    def delete_many(self, keys: Sequence[str]) -> Mapping[str, MediaError]:
        assert len(keys) <= 1000
        self._count(bool(keys))
        with self._lock:
            for key in keys:
                self.objects.pop(key, None)
        return {}

    def close(self) -> None:
        self.is_closed = True

    def _expires(self, key: str) -> str:
        return next((expires for part, expires in self.expiring.items() if part in key), "")

    def _describe(self, key: str, content: bytes, archive_status: str = "", expires: str = "") -> RemoteObject:
        storage_class, modified = self.storage_classes.get(key, STANDARD), self.modified.get(key, self._made)
        return RemoteObject(key, len(content), _etag(content), storage_class, modified, archive_status, expires)


@dataclass
class _Cut:
    """Content that stops early."""

    content: BinaryIO
    sha256: str | None = None
    md5: str | None = None

    def read(self, size: int, /) -> bytes:
        if data := self.content.read(size):
            return data
        raise StoreUnavailable("Could not read the object: the connection broke off. Try again later.")


class FailingStore:
    """A store in front of another that fails by a script: one word a call, "ok" when the words are used up.

    ok    the call is passed on
    503   the server fails, nothing is done
    403   the server refuses the credentials, nothing is done
    deny  the credentials don't allow this one thing, nothing is done
    cut   the connection breaks halfway: a read or a list stops in the middle, nothing is stored or deleted
    lost  the call is done, but its answer is lost
    """

    def __init__(self, store: ObjectStore, script: str) -> None:
        self.store = store
        self._words = iter(script.split())
        self._lock = threading.Lock()
        self._failed = 0

    @property
    def requests(self) -> int:
        return self.store.requests + self._failed

    @property
    def slow_downs(self) -> int:
        return self.store.slow_downs

    def _next(self) -> str:
        with self._lock:
            word = next(self._words, "ok")
            if word in ("503", "403", "deny"):
                self._failed += 1
        if word == "503":
            raise StoreUnavailable("Could not reach the store: the server failed (HTTP 503). Try again later.")
        if word == "403":
            raise AccessError("Could not use the store: the server refused (HTTP 403). Check the credentials.")
        if word == "deny":
            raise PermissionDenied(
                "Could not use the object: the access key does not have the permission for it. "
                "Allow it in the policy of the access key or of the bucket."
            )
        if word not in ("ok", "cut", "lost"):
            raise ValueError(f"{word!r} is no word of a FailingStore's script")
        return word

    def head(self, key: str) -> RemoteObject | None:
        word = self._next()
        answer = self.store.head(key)
        _lose(word, "cut", "lost")
        return answer

    def put(self, key: str, source: BinaryIO, content: Content) -> RemoteObject:
        word = self._next()
        _lose(word, "cut")
        answer = self.store.put(key, source, content)
        _lose(word, "lost")
        return answer

    def abort_unfinished(self, key: str) -> None:
        self.store.abort_unfinished(key)

    @contextmanager
    def open(self, key: str) -> Iterator[Readable]:
        word = self._next()
        _lose(word, "lost")
        with self.store.open(key) as body:
            yield body if word == "ok" else _Cut(io.BytesIO(_half(body)))

    def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
        word = self._next()
        _lose(word, "lost")
        if word == "ok":
            yield from self.store.list(prefix, after, page_size)
            return
        found = list(self.store.list(prefix, after, page_size))
        yield from found[: len(found) // 2]
        _lose(word, "cut")

    def delete(self, key: str) -> None:
        word = self._next()
        _lose(word, "cut")
        self.store.delete(key)
        _lose(word, "lost")

    def unfinished_uploads(self, prefix: str) -> int | None:
        word = self._next()
        answer = self.store.unfinished_uploads(prefix)
        _lose(word, "cut", "lost")
        return answer

    def delete_many(self, keys: Sequence[str]) -> Mapping[str, MediaError]:
        word = self._next()
        half = len(keys) // 2 if word == "cut" else len(keys)
        refused = self.store.delete_many(keys[:half])
        _lose(word, "cut", "lost")
        return refused


def _lose(word: str, *lost: str) -> None:
    if word in lost:
        raise StoreUnavailable("Could not reach the store: the connection broke off. Try again later.")


def _half(body: Readable) -> bytes:
    content = b"".join(iter(lambda: body.read(PART_SIZE), b""))
    return content[: len(content) // 2]


def _etag(content: bytes) -> str:
    if len(content) < MULTIPART_THRESHOLD:
        return _md5(content).hexdigest()
    parts = _parts(content)
    return f"{_md5(b''.join(_md5(part).digest() for part in parts)).hexdigest()}-{len(parts)}"


def _parts(content: bytes) -> list[bytes]:
    return [content[start : start + PART_SIZE] for start in range(0, len(content), PART_SIZE)]


def _md5(content: bytes) -> hashlib._Hash:
    return hashlib.md5(content, usedforsecurity=False)
