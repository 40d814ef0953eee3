# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.merge import Bucket, join
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.database import KnownFile, MediaRow
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import LocalFile
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import RemoteObject
from hypothesis import given
from hypothesis import strategies as st

PATHS = st.sets(st.text("ab/-ß", max_size=4))
ROW = MediaRow(frozenset({1}), None, None)


def ascending(paths: set[str]) -> list[str]:
    return sorted(paths, key=str.encode)


@given(PATHS, PATHS, PATHS, PATHS)
def test_every_path_comes_once_in_order_with_all_its_sides(
    local: set[str], known: set[str], stored: set[str], elsewhere: set[str]
) -> None:
    joined = join(
        [LocalFile(path, 1, 2, 3, 4, 5) for path in ascending(local)],
        [KnownFile(path, ROW, legacy=False) for path in ascending(known)],
        [
            Bucket("hs/", [RemoteObject(f"hs/{path}", 5, "etag") for path in ascending(stored)]),
            Bucket("", [RemoteObject(path, 6, "etag") for path in ascending(elsewhere)]),
        ],
    )

    sides = [
        (
            each.path,
            each.file and each.file.path,
            each.known and each.known.path,
            *(found and found.key for found in each.objects),
        )
        for each in joined
    ]

    assert sides == [
        (
            path,
            path if path in local else None,
            path if path in known else None,
            f"hs/{path}" if path in stored else None,
            path if path in elsewhere else None,
        )
        for path in ascending(local | known | stored | elsewhere)
    ]
