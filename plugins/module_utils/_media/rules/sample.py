# SPDX-License-Identifier: GPL-3.0-or-later
"""A sample of all media, drawn by chance: each media with its thumbnails is in it or not, by a number of its own."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from .media_path import MediaPath
from .share import read_share

_ALL = 2**64
_NUMBER = re.compile("[0-9]{1,9}")


class Sample(NamedTuple):
    """How much of all media to look at: a ``number`` of them, or the ``fraction`` (above 0, at most 1) of all."""

    number: int | None = None
    fraction: float | None = None


def parse_sample(text: str) -> Sample:
    """A number as 1000, or a part as 5% or 0.5%. Raises ValueError in words for anything else."""
    if _NUMBER.fullmatch(text) and int(text):
        return Sample(number=int(text))
    if share := read_share(text):
        return Sample(fraction=float(share))
    raise ValueError(f"{text!r} is no number of media from 1 to 999999999, and no part of them as 5% or 0.5%")


def lot(media: MediaPath, salt: bytes) -> int:
    """The number from 0 to 2**64 - 1 of a media and of all its thumbnails; with another ``salt`` it is another."""
    text = f"{media.root.is_remote}/{media.origin}/{media.file_id}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, key=salt).digest(), "big")


def highest_lot(fraction: float) -> int:
    """The media whose lot is no higher are that part of all."""
    return min(_ALL - 1, int(fraction * _ALL))
