# SPDX-License-Identifier: GPL-3.0-or-later
"""The sides joined by path: each comes ascending, and none is held in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
    """Every path that one of the sides has, ascending; all sides come in that order, and with each path once.

    The order of Python's texts is that of their UTF-8, which is S3's.
    """
    sides: list[Iterator[tuple[str, Any]]] = [
        ((file.path, file) for file in files),
        ((each.path, each) for each in known),
        *(_side(bucket) for bucket in buckets),
    ]
    heads = {number: head for number, side in enumerate(sides) if (head := next(side, None))}
    while heads:
        path = min([head[0] for head in heads.values()])
        here: list[Any] = [None] * len(sides)
        for number, (its_path, value) in list(heads.items()):
            if its_path == path:
                here[number] = value
                if head := next(sides[number], None):
                    heads[number] = head
                else:
                    del heads[number]
        file, row, *objects = here
        yield Joined(path, file, row, tuple(objects))


def _side(bucket: Bucket) -> Iterator[tuple[str, RemoteObject]]:
    start = len(bucket.prefix)
    return ((found.key[start:], found) for found in bucket.objects)
