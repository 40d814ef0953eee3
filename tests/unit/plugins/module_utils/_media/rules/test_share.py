# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
from fractions import Fraction

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.share import (
    parse_share,
    percent,
    read_share,
)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("5%", Fraction(5, 100)),
        ("0%", Fraction(0)),
        ("100%", Fraction(1)),
        ("0.5%", Fraction(5, 1000)),
        ("100.0%", Fraction(1)),
        ("0.000001%", Fraction(1, 10**8)),
    ],
)
def test_share(text: str, share: Fraction) -> None:
    assert read_share(text) == parse_share(text) == share


@pytest.mark.parametrize(
    "text", ["", "5", "%", "-5%", "101%", "100.1%", ".5%", "5.%", "5 %", "5%\n", "1e1%", "nan%", "\u0665%"]
)
def test_what_is_no_share(text: str) -> None:
    message = f"{text!r} is not a share. Write a number from 0 to 100 and a percent sign, such as '5%'."

    assert read_share(text) is None
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_share(text)


@pytest.mark.parametrize(
    ("share", "text"),
    [(Fraction(0), "0%"), (Fraction(1, 19), "5.263%"), (Fraction(5, 1000), "0.5%"), (Fraction(1), "100%")],
)
def test_share_for_people(share: Fraction, text: str) -> None:
    assert percent(share) == text
