# SPDX-License-Identifier: GPL-3.0-or-later
"""The failing store, as its description says. The memory store is held to the contract in tests/contract."""

from __future__ import annotations

import io

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.content import content_of
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import AccessError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    ObjectFailure,
    PermissionDenied,
    StoreUnavailable,
)
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import FailingStore, MemoryStore

KEYS = {"a": b"content of a", "b": b"b"}


def store_with(script: str) -> tuple[FailingStore, dict[str, bytes]]:
    memory = MemoryStore(KEYS)
    return FailingStore(memory, script), memory.objects


def put(store: FailingStore, key: str, content: bytes) -> None:
    store.put(key, io.BytesIO(content), content_of(content))


def test_words_are_used_up_in_their_order() -> None:
    store, _unused = store_with("ok 503 403 deny")
    assert store.head("a")
    with pytest.raises(StoreUnavailable):
        store.head("a")
    with pytest.raises(AccessError):
        store.head("a")
    with pytest.raises(PermissionDenied):
        store.head("a")
    assert store.head("a")
    assert store.requests == 5


@pytest.mark.parametrize(("word", "done"), [("503", False), ("cut", False), ("lost", True)])
def test_what_is_done_before_a_failure(word: str, done: bool) -> None:
    store, objects = store_with(f"{word} {word}")
    with pytest.raises(StoreUnavailable):
        put(store, "c", b"new")
    assert ("c" in objects) is done
    with pytest.raises(StoreUnavailable):
        store.delete("a")
    assert ("a" not in objects) is done


def test_a_cut_read_begins_and_stops() -> None:
    store, _unused = store_with("cut")
    with store.open("a") as body:
        assert body.read(100) == b"conten"
        with pytest.raises(StoreUnavailable):
            body.read(100)


def test_a_cut_list_begins_and_stops() -> None:
    store, _unused = store_with("cut")
    found = store.list("")
    assert next(found).key == "a"
    with pytest.raises(StoreUnavailable):
        next(found)


def test_what_the_memory_store_tells_beside_the_content() -> None:
    store = MemoryStore(KEYS)
    store.storage_classes["a"] = store.archived["a"] = "GLACIER"
    store.modified["a"] = 1000
    found, (listed, other) = store.head("a"), store.list("")
    assert found
    assert (found.storage_class, found.modified, found.archive_status) == ("GLACIER", 1000, "GLACIER")
    # As S3: a listing does not tell whether it was brought back.
    assert (listed.storage_class, listed.modified, listed.archive_status) == ("GLACIER", 1000, "")
    assert (other.storage_class, other.archive_status) == ("STANDARD", "")
    with pytest.raises(ObjectFailure), store.open("a"):
        pytest.fail("an archived object was opened")


def test_a_misspelt_word_is_an_error() -> None:
    store, _unused = store_with("okay")
    with pytest.raises(ValueError, match=r"^'okay' is no word of a FailingStore's script$"):
        store.head("a")
