# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a disk is to stay free: a size, or a share of the disk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from .share import read_share

# Powers of 1000, as disks are sold and as bandwidths are written here.
_FACTORS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE = re.compile(r"([0-9]{1,9})([KMGT]?)")


@dataclass(frozen=True)
class MinimumFree:
    """``size`` in bytes and ``share`` of the whole, 0 to 1: one of them is 0. ``text`` is as it was written."""

    text: str
    size: int = 0
    share: Fraction = Fraction(0)

    def of(self, total: int) -> int:
        """The bytes that are to stay free of a disk of ``total`` bytes."""
        return max(self.size, int(total * self.share))


def parse_minimum_free(text: str) -> MinimumFree:
    """Read a size such as ``5G``, or a share such as ``5%``, from 0 to less than 100 %.

    :raises ValueError: with a text for the administrator, when it is neither.
    """
    if match := _SIZE.fullmatch(text):
        return MinimumFree(text, size=int(match[1]) * _FACTORS[match[2]])
    share = read_share(text)
    if share is not None and share < 1:
        return MinimumFree(text, share=share)
    message = (
        f"{text!r} is neither a size nor a share. Write a whole number, and K, M, G or T for thousands, millions and so"
        " on of bytes, such as '5G'; or a share of the disk below 100 %, such as '5%'."
    )
    raise ValueError(message)
