# SPDX-License-Identifier: GPL-3.0-or-later
"""So many media, or a part of all, drawn by chance out of all that the database knows, in one pass."""

from __future__ import annotations

import heapq
import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from ..rules.errors import UnavailableError
from ..rules.media_path import MediaPath, parse_media_path
from ..rules.sample import lot
from ..stores.database import KnownFile

Each = TypeVar("Each")


def media_of(known: KnownFile) -> MediaPath:
    """What the path of a file of the database stands for."""
    media = parse_media_path(known.path)
    if media is None:
        raise RuntimeError(f"the database's file {known.path!r} is no media")
    return media


def draw(known: Iterable[KnownFile], number: int, salt: bytes) -> Iterator[KnownFile]:
    """The files of ``number`` media, originals and thumbnails, in the order in which they come.

    All of ``known`` is read before the first comes. No more is in memory than the lots of so many media: what may be
    drawn stands in a temporary file, which is little more than what is.

    :raises UnavailableError: the temporary file can't be written.
    """
    try:
        with tempfile.TemporaryFile() as spool:
            highest: list[int] = []
            for each in known:
                media = media_of(each)
                mine = lot(media, salt)
                # Whoever is above the highest now is above it in the end: a thumbnail as its original, which comes
                # before it.
                if len(highest) < number or mine <= -highest[0]:
                    pickle.dump((mine, each), spool)
                    if media.thumbnail is None:
                        (heapq.heappush if len(highest) < number else heapq.heappushpop)(highest, -mine)
            spool.seek(0)
            while True:
                try:
                    mine, each = pickle.load(spool)  # noqa: S301 (written just now, to a file without a name)
                except EOFError:
                    return
                if len(highest) < number or mine <= -highest[0]:
                    yield each
    except OSError as error:
        raise UnavailableError(
            f"Could not draw media by chance: {error.strerror}. Make room for temporary files, or name another"
            " directory for them in the environment variable TMPDIR."
        ) from error


def draw_part(
    items: Iterable[Each], media: Callable[[Each], MediaPath | None], highest: int, salt: bytes
) -> Iterator[Each]:
    """The items whose media's lots are no higher than ``highest``, and all without a media.

    Where no original is among them, the media with the lowest lot comes at the end: a part of few media is one, not
    none.
    """
    is_any, lowest, spare = False, highest, list[Each]()
    for each in items:
        path = media(each)
        mine = highest if path is None else lot(path, salt)
        if mine <= highest:
            is_any = is_any or (path is not None and path.thumbnail is None)
            yield each
        elif path is not None and path.thumbnail is None and (not spare or mine < lowest):
            lowest, spare = mine, [each]
        elif spare and mine == lowest:
            spare.append(each)
    if not is_any:
        yield from spare
