# SPDX-License-Identifier: GPL-3.0-or-later
"""What the generated media store holds: the same media for the same profile, whatever the number of files."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

_SEED = 20261125
_POOL_BYTES = 32 * 2**20
_ID_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Half of the media came from elsewhere. Names as they occur: with a port, and an address instead of a name.
_ORIGINS = (
    "matrix.example.org",
    "example.net",
    "chat.example.com:8448",
    "synapse.university.example",
    "[2001:db8::17]:8448",
    "a.example",
    "192.0.2.33:8448",
    "a-homeserver-with-a-rather-long-name.of-some-department.example.org",
)
# The sizes that Synapse makes by default.
_THUMBNAILS = ((32, 32, "crop"), (96, 96, "crop"), (320, 240, "scale"), (640, 480, "scale"), (800, 600, "scale"))


@dataclass(frozen=True)
class Profile:
    """How large the files are, in bytes, smallest and largest. One in ``large_every`` media is large; 0: none."""

    original: tuple[int, int]
    thumbnail: tuple[int, int]
    large: tuple[int, int] = (0, 0)
    large_every: int = 0


# A homeserver's media as it is; what the issue asks for.
USUAL = Profile((20_000, 200_000), (700, 9_000), (9 * 2**20, 24 * 2**20), 330)
# For numbers of files that would not fit otherwise, where the bytes do not matter.
TINY = Profile((1, 200), (1, 100))


@dataclass(frozen=True)
class TreeFile:
    """A file: its path below the media store, its size, and where in the pool of random bytes its content begins."""

    path: str
    size: int
    offset: int


@dataclass(frozen=True)
class Thumbnail:
    """A thumbnail as the database knows it."""

    width: int
    height: int
    method: str
    file: TreeFile


@dataclass(frozen=True)
class Media:
    """One medium with its thumbnails. ``origin`` is None for local media, where both IDs are the same."""

    origin: str | None
    media_id: str
    file_id: str
    original: TreeFile
    thumbnails: tuple[Thumbnail, ...]

    @property
    def files(self) -> tuple[TreeFile, ...]:
        return (self.original, *(thumbnail.file for thumbnail in self.thumbnails))


def plan(profile: Profile, files: int, first: int = 0) -> Iterator[Media]:
    """Media that have ``files`` files together, from the medium number ``first`` on.

    Each medium depends on its number only, so that fewer files are the beginning of more.
    """
    left = files
    for number in count(first):
        if left <= 0:
            return
        media = _medium(profile, number, left)
        left -= len(media.files)
        yield media


def content(file: TreeFile) -> bytes:
    """The file's bytes; no two files of more than a few bytes have the same."""
    pool = _pool()
    end = file.offset + file.size
    return pool[file.offset : end] if end <= len(pool) else pool[file.offset :] + pool[: end - len(pool)]


def _medium(profile: Profile, number: int, most_files: int) -> Media:
    numbers = random.Random(_SEED + number)  # noqa: S311 (the same in every run)

    def file(path: str, size: tuple[int, int]) -> TreeFile:
        return TreeFile(path, numbers.randint(*size), numbers.randrange(_POOL_BYTES))

    origin = numbers.choice(_ORIGINS) if number % 2 else None
    media_id, file_id = ("".join(numbers.choices(_ID_LETTERS, k=24)) for _turn in range(2))
    if origin is None:
        file_id = media_id
    below = "/".join((*([origin] if origin else []), file_id[:2], file_id[2:4], file_id[4:]))
    # Not the first: a slice of a hundred files has none that alone takes as long as all others.
    is_large = profile.large_every > 0 and number % profile.large_every == profile.large_every // 2
    original = file(
        f"{'remote_content' if origin else 'local_content'}/{below}", profile.large if is_large else profile.original
    )
    directory = f"{'remote_thumbnail' if origin else 'local_thumbnails'}/{below}"
    thumbnails = tuple(
        Thumbnail(width, height, method, file(f"{directory}/{width}-{height}-image-jpeg-{method}", profile.thumbnail))
        for width, height, method in (() if is_large else _THUMBNAILS[: most_files - 1])
    )
    return Media(origin, media_id, file_id, original, thumbnails)


@lru_cache(maxsize=1)
def _pool() -> bytes:
    return random.Random(_SEED).randbytes(_POOL_BYTES)  # noqa: S311 (the same in every run)
