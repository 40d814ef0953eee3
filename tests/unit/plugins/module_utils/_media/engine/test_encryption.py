# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a server encrypts, told by an object that is there, or by one that is stored for it; never by its word."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.encryption import (
    TEST_OBJECT,
    check_encryption,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.content import Content
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import (
    AccessError,
    ConfigurationError,
    MediaError,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    ObjectExists,
    ObjectUnreadable,
    PermissionDenied,
    Readable,
    RemoteObject,
)
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import MemoryStore

SETTINGS = BucketSettings(
    bucket="media", prefix="hs/", endpoint_url="https://s3.example.org", sse_customer_key="k" * 32
)


class Server:
    """A server with one bucket. ``keys``: with which key each object is encrypted; '' for none.

    ``ignores``: it passes over keys. ``is_lax``: it gives what is not encrypted also to who sends a key.
    """

    def __init__(self, keys: dict[str, str] | None = None, *, ignores: bool = False, is_lax: bool = False) -> None:
        self.keys = dict(keys or {})
        self.objects = dict.fromkeys(self.keys, b"content")
        self.ignores = ignores
        self.is_lax = is_lax
        self.puts: list[str] = []
        self.refusal: MediaError | None = None
        self.erase_refusal: MediaError | None = None
        self.loses_answers = False
        self.connected: list[Keyed] = []

    def connect(self, settings: BucketSettings) -> Keyed:
        self.connected.append(Keyed(self, settings.sse_customer_key or ""))
        return self.connected[-1]


class Keyed(MemoryStore):
    """The bucket for somebody with this key."""

    def __init__(self, server: Server, key: str) -> None:
        super().__init__()
        self.objects = server.objects
        self._server = server
        self._key = key

    def put(self, key: str, source: BinaryIO, content: Content) -> RemoteObject:
        if self._server.refusal:
            raise self._server.refusal
        answer = super().put(key, source, content)
        self._server.keys[key] = "" if self._server.ignores else self._key
        self._server.puts.append(key)
        if self._server.loses_answers:
            raise ObjectExists("Could not store it: the key is taken already. It was left as it is.")
        return answer

    @contextmanager
    def open(self, key: str) -> Iterator[Readable]:
        right = self._server.keys[key]
        if not (self._server.ignores or right == self._key or (self._server.is_lax and not right)):
            raise ObjectUnreadable("Could not read it: it was stored without, or with another, sse_customer_key.")
        with super().open(key) as body:
            yield body

    def erase(self, key: str) -> str:
        if self._server.erase_refusal:
            raise self._server.erase_refusal
        self.delete(key)
        return ""


def check(server: Server, settings: BucketSettings = SETTINGS, *, may_write: bool = True) -> None:
    try:
        check_encryption(settings, server.connect, lambda _seconds: True, may_write=may_write)
    finally:
        assert [each.is_closed for each in server.connected] == [True, True]
        server.connected.clear()


IGNORED = (
    "Could not encrypt objects in bucket 'media': the server https://s3.example.org ignores the encryption key, and "
    "gives objects to readers without it. Remove sse_customer_key, or use a server that has SSE-C."
)
MEDIA = "hs/local_content/aa/bb/cc"

# The objects below the prefix with their keys, what the server does -> whether an object is stored to see it
TEST_WELL: dict[str, tuple[Server, bool]] = {
    "an object of this key": (Server({MEDIA: "k" * 32}), False),
    "nothing there": (Server(), True),
    "an object without a key": (Server({MEDIA: ""}), True),
    "an object without a key, which is given all the same": (Server({MEDIA: ""}, is_lax=True), True),
    "an object of another key": (Server({MEDIA: "x" * 32}), True),
    "an object beside the prefix": (Server({"other/" + MEDIA: "k" * 32}), True),
}


@pytest.mark.parametrize("name", TEST_WELL)
def test_a_server_that_encrypts(name: str) -> None:
    server, stores = TEST_WELL[name]
    before = dict(server.objects)
    check(server)
    assert len(server.puts) == stores
    assert server.objects == before


@pytest.mark.parametrize("there", [{}, {MEDIA: ""}, {MEDIA: "k" * 32}])
def test_a_server_that_passes_over_the_key(there: dict[str, str]) -> None:
    server = Server(there, ignores=True)
    with pytest.raises(ConfigurationError) as failure:
        check(server)
    assert str(failure.value) == IGNORED
    assert set(server.objects) == set(there)
    (stored,) = server.puts
    assert stored.startswith("hs/" + TEST_OBJECT)


def test_without_a_key_nothing_is_asked() -> None:
    def connect(_settings: BucketSettings) -> Keyed:
        raise AssertionError

    check_encryption(replace(SETTINGS, sse_customer_key=None), connect, lambda _seconds: True)


def test_a_dry_run_stores_nothing() -> None:
    server = Server(ignores=True)
    check(server, may_write=False)
    assert server.puts == []


def test_an_upload_that_is_refused_is_told() -> None:
    server = Server()
    server.refusal = PermissionDenied("Could not store it: the access key does not have the permission.")
    with pytest.raises(PermissionDenied):
        check(server)


def test_an_answer_that_was_lost() -> None:
    server = Server(ignores=True)
    server.loses_answers = True
    with pytest.raises(ConfigurationError):
        check(server)
    assert server.objects == {}


def test_without_the_permission_to_delete_it_is_seen_all_the_same() -> None:
    server = Server()
    server.erase_refusal = AccessError("Could not delete it: the access key does not have the permission.")
    check(server)
    # What is left behind serves the next run.
    check(server)
    assert len(server.puts) == 1
