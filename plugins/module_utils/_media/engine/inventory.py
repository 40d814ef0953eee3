# SPDX-License-Identifier: GPL-3.0-or-later
"""The three sides side by side: each local file, its row in the database, and what the bucket holds under its key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from ..rules.errors import MediaError
from ..rules.media_path import parse_media_path
from ..rules.shard import Shard
from ..stores.database import MediaDatabase, MediaRow
from ..stores.media_store import LocalFile, MediaStore
from .lookup import Lookup, NotLooked, Seen

# How many files one question to the database is about: few at first, so that work begins at once. More and more later,
# because for remote media the database goes over many rows, however few are asked for.
_FIRST_BATCH = 500
_LARGEST_BATCH = 4000


class Item(NamedTuple):
    """One local file with what is known of it. ``recent``: too young to be looked at any closer."""

    file: LocalFile
    row: MediaRow | None
    seen: Seen
    recent: bool


def inventory(
    media: MediaStore,
    database: MediaDatabase,
    lookup: Lookup,
    prefix: str,
    *,
    shard: Shard,
    recent_after_ns: int,
    failed: Callable[[MediaError], None],
    stopped: Callable[[], bool],
) -> Iterator[Item]:
    """Every local file of the shard, ascending by path, holding no more than a batch of them in memory.

    ``failed`` is told of each directory that can't be read. Raises a `MediaError` when the database or the bucket
    can't be asked any more.
    """
    files = local_files(media, shard, failed)
    size = _FIRST_BATCH
    while not stopped() and (batch := list(islice(files, size))):
        size = min(2 * size, _LARGEST_BATCH)
        yield from _items(batch, database, lookup, prefix, recent_after_ns)


def _items(
    batch: list[LocalFile], database: MediaDatabase, lookup: Lookup, prefix: str, recent_after_ns: int
) -> list[Item]:
    old = [file for file in batch if file.modified_ns <= recent_after_ns and is_text(file.path)]
    paths = {file.path: path for file in old if (path := parse_media_path(file.path))}
    rows = database.media_rows(paths.values())
    seen = dict(zip([file.path for file in old], lookup.look([prefix + file.path for file in old]), strict=True))
    return [
        Item(
            file,
            rows.get(paths[file.path]) if file.path in paths else None,
            seen.get(file.path, NotLooked.YET),
            file.modified_ns > recent_after_ns,
        )
        for file in batch
    ]


def local_files(media: MediaStore, shard: Shard, failed: Callable[[MediaError], None]) -> Iterator[LocalFile]:
    """The files of the shard, ascending by path; ``failed`` is told of each directory that can't be read."""
    return (file for file in media.scan(failed) if shard.has(file.path))


def is_text(path: str) -> bool:
    """Whether all bytes of the name on the disk were UTF-8: what is not came in as lone surrogates."""
    return path.isascii() or not any("\ud800" <= character <= "\udfff" for character in path)
