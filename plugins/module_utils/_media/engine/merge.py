# SPDX-License-Identifier: GPL-3.0-or-later
"""The sides joined by path: each comes ascending, and none is held in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge as merge_sorted
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from ..stores.database import KnownFile
from ..stores.media_store import LocalFile
from ..stores.object_store import RemoteObject


class Joined(NamedTuple):
    """What the sides have of one path; None: nothing.

    ``objects``: what each of the buckets holds, in the order of the buckets.
    """

    path: str
    file: LocalFile | None
    known: KnownFile | None
    objects: tuple[RemoteObject | None, ...]


class Bucket(NamedTuple):
    """The objects below ``prefix``, ascending by key."""

    prefix: str
    objects: Iterable[RemoteObject]


def join(files: Iterable[LocalFile], known: Iterable[KnownFile], buckets: Sequence[Bucket]) -> Iterator[Joined]:
    """Every path that one of the sides has, ascending in the order of UTF-8; all sides come in that order."""
    sides: list[Iterator[tuple[bytes, int, Any]]] = [
        ((_order(file.path), -2, file) for file in files),
        ((_order(each.path), -1, each) for each in known),
        *(_side(number, bucket) for number, bucket in enumerate(buckets)),
    ]
    for path, found in groupby(merge_sorted(*sides, key=itemgetter(0)), key=itemgetter(0)):
        by_side = {number: value for _, number, value in found}
        yield Joined(
            path.decode(errors="surrogateescape"),
            by_side.get(-2),
            by_side.get(-1),
            tuple(by_side.get(number) for number in range(len(buckets))),
        )


def _side(number: int, bucket: Bucket) -> Iterator[tuple[bytes, int, Any]]:
    start = len(bucket.prefix)
    return ((_order(found.key[start:]), number, found) for found in bucket.objects)


def _order(path: str) -> bytes:
    return path.encode(errors="surrogateescape")
