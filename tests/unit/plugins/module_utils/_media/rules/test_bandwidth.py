# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.bandwidth import parse_bandwidth

TEST_BANDWIDTHS = [("1", 1), ("500K", 500_000), ("20M", 20_000_000), ("3G", 3_000_000_000)]
TEST_NONE = ["", "0", "0M", "-1M", "1.5M", "20 M", "20m", "20MB", "20MiB", "M", "1e6", "9999999999"]


@pytest.mark.parametrize(("text", "rate"), TEST_BANDWIDTHS)
def test_bandwidths(text: str, rate: int) -> None:
    assert parse_bandwidth(text) == rate


@pytest.mark.parametrize("text", TEST_NONE)
def test_no_bandwidths(text: str) -> None:
    message = (
        f"{text!r} is not a bandwidth. Write a whole number from 1 on, and K, M or G for a thousand, a million or a"
        " billion bytes a second, such as '20M'."
    )

    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_bandwidth(text)
