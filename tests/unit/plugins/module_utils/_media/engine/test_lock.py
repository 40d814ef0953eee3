# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import fcntl
import os
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Timer

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.lock import run_lock
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import (
    LockedError,
    UnavailableError,
)
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


def test_who_only_looks_whether_it_is_free_holds_back_no_run(tmp_path: Path) -> None:
    """`status` has the lock for some microseconds, just when the nightly job starts."""
    media = MediaStore(tmp_path)
    looking = ExitStack()
    looking.enter_context(MediaStore(tmp_path).lock(fcntl.LOCK_EX | fcntl.LOCK_NB))
    Timer(0.02, looking.close).start()

    with run_lock(media, wait=False, stop=Event()):
        pass


@pytest.mark.parametrize("shard", [ALL, Shard(1, 2)])
def test_run_under_way_is_seen(tmp_path: Path, shard: Shard) -> None:
    media, other = MediaStore(tmp_path), MediaStore(tmp_path, writable=False)

    assert not other.is_locked()
    with run_lock(media, wait=False, stop=Event(), shard=shard):
        assert other.is_locked()
    assert not other.is_locked()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EBADF, errno.EOPNOTSUPP])
@pytest.mark.parametrize("wait", [False, True])
def test_file_system_without_locks_is_no_other_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, wait: bool
) -> None:
    """It ended with a traceback; and neither waiting nor going on without a lock can be right."""

    def failing(_descriptor: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", failing)
    with pytest.raises(UnavailableError), run_lock(MediaStore(tmp_path), wait=wait, stop=Event()):
        pass
