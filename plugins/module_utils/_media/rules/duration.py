# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations as Synapse's configuration writes them: a number and one unit."""

from __future__ import annotations

import re
from collections.abc import Mapping

# As in Synapse's parse_duration: m is a minute. (Upstream's s3_media_upload takes m for 30 days.)
_SECONDS: Mapping[str, int] = {
    "s": 1,
    "m": 60,
    "h": 60 * 60,
    "d": 24 * 60 * 60,
    "w": 7 * 24 * 60 * 60,
    "y": 365 * 24 * 60 * 60,
}
_DURATION = re.compile(r"([0-9]{1,9})([smhdwy])")


def parse_duration(text: str) -> int:
    """The seconds in ``text``, such as ``90s``, ``15m``, ``1h`` or ``7d``.

    A bare number is refused, since Synapse would take it for milliseconds and most people for seconds.

    :raises ValueError: with a text for the administrator, when it is no duration.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        advice = "Write a whole number and a unit (s, m, h, d, w or y; m is minutes), such as '1h'."
        message = f"{text!r} is not a duration. {advice}"
        raise ValueError(message)
    return int(match[1]) * _SECONDS[match[2]]


def duration_problems(text: str) -> list[str]:
    """What is wrong with ``text`` as a duration."""
    try:
        parse_duration(text)
    except ValueError as error:
        return [str(error)]
    return []
