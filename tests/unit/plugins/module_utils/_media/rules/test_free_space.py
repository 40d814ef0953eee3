# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.free_space import parse_minimum_free

TOTAL = 200 * 10**9


@pytest.mark.parametrize(
    ("text", "minimum"),
    [
        ("0", 0),
        ("0%", 0),
        ("1", 1),
        ("500K", 500_000),
        ("20M", 20_000_000),
        ("5G", 5 * 10**9),
        ("1T", 10**12),
        ("5%", 10 * 10**9),
        ("2.5%", 5 * 10**9),
        ("99%", 198 * 10**9),
    ],
)
def test_sizes_and_shares(text: str, minimum: int) -> None:
    assert parse_minimum_free(text).of(TOTAL) == minimum
    assert parse_minimum_free(text).text == text


@pytest.mark.parametrize("text", ["", "G", "-1", "5 G", "5g", "5GB", "1.5G", "100%", "%", "5 %", "5%5", "1e9"])
def test_neither(text: str) -> None:
    message = (
        f"{text!r} is neither a size nor a share. Write a whole number, and K, M, G or T for thousands, millions and so"
        " on of bytes, such as '5G'; or a share of the disk below 100 %, such as '5%'."
    )

    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_minimum_free(text)
