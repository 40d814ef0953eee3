# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.lock import run_lock
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import LockedError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.shard import ALL, Shard
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import MediaStore

TEST_PAIRS = [
    (ALL, ALL, False),
    (ALL, Shard(1, 2), False),
    (Shard(1, 2), ALL, False),
    (Shard(1, 2), Shard(1, 2), False),
    (Shard(1, 2), Shard(2, 2), True),
]


@pytest.mark.parametrize(("first", "second", "together"), TEST_PAIRS)
def test_who_may_run_with_whom(tmp_path: Path, first: Shard, second: Shard, together: bool) -> None:
    media, other = MediaStore(tmp_path), MediaStore(tmp_path)
    with run_lock(media, wait=False, stop=Event(), shard=first):
        if together:
            with run_lock(other, wait=False, stop=Event(), shard=second):
                pass
        else:
            with pytest.raises(LockedError) as caught, run_lock(other, wait=False, stop=Event(), shard=second):
                pass
            assert str(caught.value) == (
                f"Could not start: another run is working on the media store {str(tmp_path)!r}."
                " Wait until it has ended, or use --wait."
            )
    with run_lock(other, wait=False, stop=Event(), shard=second):
        pass
    assert list(tmp_path.iterdir()) == []
