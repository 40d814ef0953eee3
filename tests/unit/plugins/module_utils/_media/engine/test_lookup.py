# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.lookup import (
    PAGE,
    REST,
    Lookup,
    NotLooked,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    RemoteObject,
    UnsortedList,
)
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import MemoryStore

BATCH = 500
OBJECTS = 4 * REST
# One key in as many is a local file: far too few for a listing to pay.
SPARSE = 40


def key(number: int) -> str:
    return f"{number:05}"


def look(store: MemoryStore, numbers: Iterable[int]) -> tuple[Lookup, list[bool]]:
    """Look for all keys, batch by batch; for each of them, whether it has to be asked for by itself."""
    lookup, asked, keys = Lookup(store, ""), list[bool](), map(key, numbers)
    while batch := list(islice(keys, BATCH)):
        asked += [seen is NotLooked.YET for seen in lookup.look(batch)]
    return lookup, asked


def full_bucket() -> MemoryStore:
    return MemoryStore({key(number): b"x" for number in range(OBJECTS)})


def test_one_page_tells_that_a_listing_does_not_pay() -> None:
    store, told = full_bucket(), PAGE // SPARSE

    lookup, asked = look(store, range(0, OBJECTS, SPARSE))

    assert asked == [False] * told + [True] * (OBJECTS // SPARSE - told)
    assert (store.requests, lookup.listed, lookup.asked) == (1, PAGE, len(asked) - told)


def test_a_listing_is_tried_again_where_it_may_pay_by_now() -> None:
    store, told = full_bucket(), PAGE // SPARSE
    sparse, dense = range(0, REST, SPARSE), range(REST, OBJECTS)

    _unused, asked = look(store, chain(sparse, dense))

    assert asked[:told] == [False] * told
    assert asked[told : REST + told].count(False) <= BATCH
    assert not any(asked[REST + BATCH :])
    assert store.requests == 1 + (OBJECTS - 2 * REST) // PAGE


class Unsorted(MemoryStore):
    """Its lists show after a page that they are not sorted."""

    lists = 0

    def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
        self.lists += 1
        yield from islice(super().list(prefix, after, page_size), page_size)
        raise UnsortedList("Could not list bucket 'media': the server does not list keys in ascending order.")


def test_a_server_whose_lists_are_not_sorted_is_asked_for_each_file() -> None:
    store = Unsorted(full_bucket().objects)

    lookup, asked = look(store, range(4 * PAGE))

    # What the list said before it showed is true of what it had.
    assert asked == [False] * PAGE + [True] * 3 * PAGE
    assert (store.lists, lookup.asked) == (1, 3 * PAGE)
