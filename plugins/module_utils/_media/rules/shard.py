# SPDX-License-Identifier: GPL-3.0-or-later
"""Shares of all files, for several hosts that work on one media store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from zlib import crc32

_SHARD = re.compile(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})")


@dataclass(frozen=True)
class Shard:
    """One of ``count`` shares; ``number`` from 1 on."""

    number: int
    count: int

    def has(self, path: str) -> bool:
        """Whether a file is in this share: in exactly one of them, on every host the same one."""
        return self.count == 1 or crc32(path.encode(errors="surrogatepass")) % self.count == self.number - 1


ALL = Shard(1, 1)


def parse_shard(text: str) -> Shard:
    """The share in ``text``, such as ``2/3`` for the second of three.

    :raises ValueError: with a text for the administrator, when it is no share.
    """
    match = _SHARD.fullmatch(text)
    if match is None or int(match[1]) > int(match[2]):
        message = (
            f"{text!r} is not a share. Write its number and how many there are, such as '2/3' for the second of three."
        )
        raise ValueError(message)
    return Shard(int(match[1]), int(match[2]))
