# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bucket holds under ascending keys: told by a listing where many local files lie close together, else asked.

A page of a listing tells 1000 objects for the price of some hundred questions. So where the bucket holds much more than
the local disk, as on most nights, each file is asked for by itself, and the effort follows the local files; where
both hold the same, or the bucket holds nothing, one listing tells all. A server whose lists are not sorted is asked for
each file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import TypeAlias

from ..stores.object_store import ObjectStore, RemoteObject, UnsortedList

PAGE = 1000
# A page that tells of fewer local files than that costs more than asking for each of them.
WORTH_A_PAGE = 100
# After such a page so many files are asked for before a listing is tried again.
REST = 10 * PAGE


class NotLooked(Enum):
    """The bucket has to be asked for the file by itself."""

    YET = "not looked yet"


# As text: Ansible's checks read it as Python 3.8 would.
Seen: TypeAlias = "RemoteObject | NotLooked | None"


class Lookup:
    """Serves one pass over ascending keys; not for use by several threads at once."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._listing: Iterator[RemoteObject] | None = None
        self._next: RemoteObject | None = None
        self._rest = 0
        self._is_sorted = True
        self.listed = 0
        self.asked = 0

    def look(self, keys: Sequence[str]) -> list[Seen]:
        """What is under these keys, which come after all those of earlier calls."""
        try:
            seen = self._look_at_list(keys) if self._is_sorted else []
        except UnsortedList:
            self._is_sorted, self._listing, seen = False, None, []
        left = len(keys) - len(seen)
        self.asked += left
        self._rest = max(0, self._rest - left)
        return seen + [NotLooked.YET] * left

    def _look_at_list(self, keys: Sequence[str]) -> list[Seen]:
        """What a listing tells of the first of these keys."""
        seen: list[Seen] = []
        if self._listing is None and not self._rest and len(keys) >= WORTH_A_PAGE:
            # A string before the first key, and after nearly all that come before it.
            self._listing = self._store.list(self._prefix, keys[0][:-1])
            self._advance()
        # Objects passed, and keys answered by them, since the last reckoning.
        passed = answered = 0
        for key in keys:
            wanted = key.encode()
            while self._listing is not None and self._next is not None and self._next.key.encode() < wanted:
                passed += 1
                if passed == PAGE and answered < WORTH_A_PAGE:
                    self._listing, self._rest = None, REST
                    break
                if passed == PAGE:
                    passed = answered = 0
                self._advance()
            if self._listing is None:
                break
            seen.append(self._next if self._next is not None and self._next.key == key else None)
            answered += 1
        return seen

    def _advance(self) -> None:
        self._next = next(self._listing, None) if self._listing is not None else None
        if self._next is not None:
            self.listed += 1
