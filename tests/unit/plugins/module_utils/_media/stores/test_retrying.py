# SPDX-License-Identifier: GPL-3.0-or-later
"""Beside the contract suite, which it passes in front of a store that fails at every first try."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.content import content_of
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import MediaError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.dry_run import DryRunStore
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    ObjectExists,
    ObjectFailure,
    StoreUnavailable,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.retrying import RetryingStore
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import FailingStore, MemoryStore

DATA = b"0123456789" * 100


class Waits:
    """Keeps how long was waited; ``stop`` after so many waits."""

    def __init__(self, stop_after: int = 100) -> None:
        self.waited: list[float] = []
        self._stop_after = stop_after

    def __call__(self, seconds: float) -> bool:
        self.waited.append(seconds)
        return len(self.waited) >= self._stop_after


def make(script: str, waits: Waits, objects: dict[str, bytes] | None = None) -> tuple[RetryingStore, MemoryStore]:
    memory = MemoryStore(objects)
    return RetryingStore(FailingStore(memory, script), (1, 2), waits), memory


def test_tries_again_and_then_gives_up() -> None:
    waits = Waits()
    store, _unused = make("503 503 503", waits)

    with pytest.raises(StoreUnavailable):
        store.head("a")

    assert waits.waited == [1, 2]


def test_does_not_try_again_when_the_run_is_to_stop() -> None:
    waits = Waits(stop_after=1)
    store, _unused = make("503 ok", waits)

    with pytest.raises(StoreUnavailable):
        store.head("a")

    assert waits.waited == [1]


def test_put_begins_at_the_start_again() -> None:
    store, memory = make("cut ok", Waits())
    source = io.BytesIO(DATA)
    source.seek(5)

    store.put("a", source, content_of(DATA))

    assert memory.objects == {"a": DATA}


def test_put_whose_answer_was_lost_meets_its_own_object() -> None:
    store, memory = make("lost ok", Waits())

    with pytest.raises(ObjectExists):
        store.put("a", io.BytesIO(DATA), content_of(DATA))

    assert memory.objects == {"a": DATA}


@pytest.mark.parametrize("script", ["503 cut ok", "cut cut ok", "lost cut ok"])
def test_read_goes_on_where_it_broke_off(script: str) -> None:
    store, _unused = make(script, Waits(), {"a": DATA})

    with store.open("a") as body:
        assert b"".join(iter(lambda: body.read(70), b"")) == DATA


@pytest.mark.parametrize("script", ["503 cut ok", "cut cut ok", "cut lost ok"])
def test_list_goes_on_where_it_broke_off(script: str) -> None:
    store, _unused = make(script, Waits(), {f"a/{number:03}": b"x" for number in range(100)})

    assert [found.key for found in store.list("a/")] == [f"a/{number:03}" for number in range(100)]


def test_dry_run_changes_nothing() -> None:
    memory = MemoryStore({"a": b"a"})
    store = DryRunStore(memory)

    stored = store.put("b", io.BytesIO(DATA), content_of(DATA))
    store.delete("a")
    store.abort_unfinished("a")

    assert content_of(DATA).is_proven_by(stored.etag)
    assert memory.objects == {"a": b"a"}
    assert memory.requests == store.requests == 0


class Busy(MemoryStore):
    """Deletes one object a request, and is too busy for the others; one it never deletes."""

    def delete_many(self, keys: Sequence[str]) -> Mapping[str, MediaError]:
        first, *others = [key for key in keys if key != "locked"] or [""]
        super().delete_many([first])
        locked = {"locked": ObjectFailure("locked")} if "locked" in keys else {}
        return {**{key: StoreUnavailable("busy") for key in others}, **locked}


def test_of_many_only_those_are_deleted_again_for_which_the_server_was_too_busy() -> None:
    waits = Waits()
    memory = Busy(dict.fromkeys(("a", "b", "c", "d", "locked"), DATA))
    store = RetryingStore(memory, (1, 2), waits)

    refused = store.delete_many(["a", "b", "c", "d", "locked"])

    assert {key: str(error) for key, error in refused.items()} == {"d": "busy", "locked": "locked"}
    assert waits.waited == [1, 2]
    assert set(memory.objects) == {"d", "locked"}


def test_dry_run_deletes_none_of_many() -> None:
    memory = MemoryStore({"a": DATA})

    assert DryRunStore(memory).delete_many(["a"]) == {}
    assert memory.objects == {"a": DATA}
