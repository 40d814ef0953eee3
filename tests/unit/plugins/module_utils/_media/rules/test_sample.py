# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import (
    MediaPath,
    Root,
    Thumbnail,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.sample import (
    Sample,
    highest_lot,
    lot,
    parse_sample,
)


@pytest.mark.parametrize(
    ("text", "sample"),
    [("1", Sample(1)), ("1000", Sample(1000)), ("5%", Sample(fraction=0.05)), ("0.5%", Sample(fraction=0.005))],
)
def test_sample(text: str, sample: Sample) -> None:
    assert parse_sample(text) == sample


@pytest.mark.parametrize("text", ["", "0", "0%", "101%", "-1", "5 %", "1e3", "nan%", "%", "1234567890", "٣"])
def test_no_sample(text: str) -> None:
    message = f"{text!r} is no number of media from 1 to 999999999, and no part of them as 5% or 0.5%"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_sample(text)


def test_thumbnails_are_drawn_with_their_original() -> None:
    original = MediaPath(Root.REMOTE_CONTENT, "example.org", "abcdef", None)
    thumbnail = MediaPath(Root.REMOTE_THUMBNAIL, "example.org", "abcdef", Thumbnail(32, 32, "image/png", "crop"))

    assert lot(original, b"salt") == lot(thumbnail, b"salt") != lot(original, b"other")
    assert lot(original._replace(root=Root.LOCAL_CONTENT, origin=None), b"salt") != lot(original, b"salt")


def test_a_fraction_draws_about_as_many() -> None:
    media = [MediaPath(Root.LOCAL_CONTENT, None, f"abcd{number}", None) for number in range(10_000)]
    drawn = sum(lot(each, b"salt") <= highest_lot(0.2) for each in media)
    assert 1800 < drawn < 2200
    assert all(lot(each, b"salt") <= highest_lot(1) for each in media)
