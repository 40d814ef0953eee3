# SPDX-License-Identifier: GPL-3.0-or-later
"""Bandwidths as people write them: bytes a second, with a unit of powers of 1000."""

from __future__ import annotations

import re

_FACTORS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_BANDWIDTH = re.compile(r"([1-9][0-9]{0,8})([KMG]?)")


def parse_bandwidth(text: str) -> int:
    """The bytes a second in ``text``, such as ``500K`` or ``20M``.

    :raises ValueError: with a text for the administrator, when it is no bandwidth.
    """
    match = _BANDWIDTH.fullmatch(text)
    if match is None:
        message = (
            f"{text!r} is not a bandwidth. Write a whole number from 1 on, and K, M or G for a thousand, a million or a"
            " billion bytes a second, such as '20M'."
        )
        raise ValueError(message)
    return int(match[1]) * _FACTORS[match[2]]
