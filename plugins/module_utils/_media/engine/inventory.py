# SPDX-License-Identifier: GPL-3.0-or-later
"""Each local file with its row in the database and what the bucket holds under its key, as far as that is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from ..rules.decision import Local
from ..rules.media_path import parse_media_path
from ..stores.database import MediaDatabase, MediaRow
from ..stores.media_store import LocalFile
from .lookup import Lookup, NotLooked, Seen

# How many files one question to the database is about: few at first, so that work begins at once. More and more later,
# because for remote media the database goes over many rows, however few are asked for.
_FIRST_BATCH = 500
_LARGEST_BATCH = 4000


class Item(NamedTuple):
    """One local file with what is known of it. The database and the bucket are asked for SETTLED files only."""

    file: LocalFile
    local: Local
    row: MediaRow | None
    seen: Seen


def inventory(
    files: Iterable[LocalFile],
    database: MediaDatabase,
    lookup: Lookup,
    prefix: str,
    *,
    local: Callable[[LocalFile], Local],
    stopped: Callable[[], bool],
) -> Iterator[Item]:
    """Every one of ``files``, which come ascending by path, holding no more than a batch of them in memory.

    Raises a `MediaError` when the database or the bucket can't be asked any more.
    """
    rest = iter(files)
    size = _FIRST_BATCH
    while not stopped() and (batch := list(islice(rest, size))):
        size = min(2 * size, _LARGEST_BATCH)
        yield from _items([(file, local(file)) for file in batch], database, lookup, prefix)


def _items(
    batch: list[tuple[LocalFile, Local]], database: MediaDatabase, lookup: Lookup, prefix: str
) -> Iterator[Item]:
    settled = [file for file, how in batch if how is Local.SETTLED]
    paths = {file.path: path for file in settled if (path := parse_media_path(file.path))}
    rows = database.media_rows(paths.values())
    seen = dict(
        zip([file.path for file in settled], lookup.look([prefix + file.path for file in settled]), strict=True)
    )
    for file, how in batch:
        row = rows.get(paths[file.path]) if file.path in paths else None
        yield Item(file, how, row, seen.get(file.path, NotLooked.YET))
