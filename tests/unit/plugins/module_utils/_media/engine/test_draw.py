# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections import Counter

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.draw import (
    draw,
    draw_part,
    media_of,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.sample import highest_lot
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.database import KnownFile, MediaRow

ROW = MediaRow(frozenset({1}), None, None)


def known(media: int) -> list[KnownFile]:
    ids = [f"aa/bb/{number:05}" for number in range(media)]
    originals = [KnownFile(f"local_content/{each}", ROW, False) for each in ids]
    thumbnails = [
        KnownFile(f"local_thumbnails/{each}/{size}-32-image-png-crop", ROW, False) for each in ids for size in (32, 64)
    ]
    return originals + thumbnails


def test_so_many_media_with_their_thumbnails_in_order() -> None:
    everything = known(500)

    drawn = list(draw(iter(everything), 20, b"salt"))

    assert len(drawn) == 60
    assert drawn == [each for each in everything if each in set(drawn)]
    per_media = Counter(each.path.split("/")[3] for each in drawn)
    assert set(per_media.values()) == {3}


def test_more_than_there_are() -> None:
    assert list(draw(iter(known(5)), 20, b"salt")) == known(5)


def test_another_run_draws_others() -> None:
    one, two = (list(draw(iter(known(500)), 20, salt)) for salt in (b"1", b"2"))
    assert one != two


def test_spread_over_all() -> None:
    """Each tenth of them is met."""
    drawn = draw(iter(known(1000)), 200, b"salt")
    assert {int(each.path.split("/")[3]) // 100 for each in drawn} == set(range(10))


def test_a_part_with_its_thumbnails_in_order() -> None:
    everything = known(500)
    drawn = list(draw_part(iter(everything), media_of, highest_lot(0.1), b"salt"))

    assert drawn == [each for each in everything if each in set(drawn)]
    assert set(Counter(each.path.split("/")[3] for each in drawn).values()) == {3}
    assert 20 < len(drawn) / 3 < 80


@pytest.mark.parametrize("salt", [b"1", b"2", b"3"])
def test_a_part_of_few_is_one(salt: bytes) -> None:
    """It was none, and all of that was well."""
    drawn = list(draw_part(iter(known(20)), media_of, highest_lot(0.0001), salt))

    assert drawn == list(draw(iter(known(20)), 1, salt))
    assert len(drawn) == 3


def test_thumbnails_without_originals_are_no_sample() -> None:
    """An original is drawn beside them."""
    originals, thumbnails = known(20)[:20], known(2000)[2000:]
    drawn = list(draw_part(iter(originals + thumbnails), media_of, highest_lot(0.001), b"salt"))

    assert len([each for each in drawn if each in originals]) == 1


def test_what_is_no_media_comes_along() -> None:
    assert list(draw_part([1, 2, 3], lambda _each: None, highest_lot(0.01), b"salt")) == [1, 2, 3]
