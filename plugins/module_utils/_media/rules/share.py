# SPDX-License-Identifier: GPL-3.0-or-later
"""Shares of a whole as people write and read them: a number and a percent sign."""

from __future__ import annotations

import re
from fractions import Fraction

_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%")


def read_share(text: str) -> Fraction | None:
    """The share in ``text``, such as ``5%`` or ``0.5%``, of 1: from 0 to 1. None: it is no share."""
    match = _SHARE.fullmatch(text)
    share = Fraction(match[1]) / 100 if match else None
    return share if share is not None and share <= 1 else None


def parse_share(text: str) -> Fraction:
    """The same where it has to be one.

    :raises ValueError: with a text for the administrator, when it is no share.
    """
    share = read_share(text)
    if share is None:
        message = f"{text!r} is not a share. Write a number from 0 to 100 and a percent sign, such as '5%'."
        raise ValueError(message)
    return share


def percent(share: Fraction) -> str:
    """A share as people read it."""
    return f"{float(share * 100):.4g}%"
