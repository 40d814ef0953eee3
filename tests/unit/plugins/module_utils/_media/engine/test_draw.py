# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections import Counter

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.draw import draw
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
