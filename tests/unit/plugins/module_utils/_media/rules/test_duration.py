# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations."""

from __future__ import annotations

import re

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.duration import (
    duration_problems,
    parse_duration,
)

ADVICE = "Write a whole number and a unit (s, m, h, d, w or y; m is minutes), such as '1h'."

TEST_GOOD = [
    ("0s", 0),
    ("90s", 90),
    ("15m", 900),
    ("1h", 3600),
    ("7d", 604800),
    ("2w", 1209600),
    ("1y", 31536000),
    ("007d", 604800),
    ("999999999s", 999999999),
]
TEST_BAD = [
    "",
    "h",
    "1",
    "0",
    "1 h",
    " 1h",
    "1h\n",
    "-1h",
    "+1h",
    "1.5h",
    "1H",
    "1h30m",
    "1M",
    "1_0s",
    "\N{ARABIC-INDIC DIGIT ONE}h",
    "1234567890s",
]


@pytest.mark.parametrize(("text", "seconds"), TEST_GOOD)
def test_good_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds
    assert duration_problems(text) == []


@pytest.mark.parametrize("text", TEST_BAD)
def test_bad_durations(text: str) -> None:
    message = f"{text!r} is not a duration. {ADVICE}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_duration(text)
    assert duration_problems(text) == [message]
