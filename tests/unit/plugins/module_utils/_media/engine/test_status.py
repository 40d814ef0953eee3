# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.status import Status, join, status
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.summary import Count
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import (
    LocalFile,
    MediaStore,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import RemoteObject
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import MemoryStore
from hypothesis import given
from hypothesis import strategies as st

PATHS = st.sets(st.text("ab/-ß", max_size=4))


@given(PATHS, PATHS)
def test_join_pairs_equal_paths_in_order(local: set[str], remote: set[str]) -> None:
    files = [LocalFile(path, 1, 2, 3, 4, 5) for path in sorted(local, key=str.encode)]
    objects = [RemoteObject(f"hs/{path}", 5, "etag") for path in sorted(remote, key=str.encode)]

    pairs = [
        (file.path if file else None, found.key.removeprefix("hs/") if found else None)
        for file, found in join(files, objects, "hs/")
    ]

    assert pairs == [
        (path if path in local else None, path if path in remote else None)
        for path in sorted(local | remote, key=str.encode)
    ]


def test_status(tmp_path: Path) -> None:
    for path, content in {"aa/bb/both": b"1", "aa/bb/local": b"22"}.items():
        target = tmp_path / "local_content" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    store = MemoryStore()
    for key, content in {
        "hs/local_content/aa/bb/both": b"1",
        "hs/local_content/aa/bb/remote": b"333",
        "hs/local_content/no media": b"4444",
        "hs/backup.tar": b"55555",
        "other/local_content/aa/bb/both": b"666666",
    }.items():
        store.objects[key] = content

    result = status(MediaStore(tmp_path), store, "hs/", "no-such-unit-of-this-name")

    assert result == Status(local=Count(2, 3), stored=Count(2, 4), at_risk=Count(1, 2))


def test_text_and_json() -> None:
    result = Status(
        local=Count(1, 1000),
        stored=Count(2, 2000),
        at_risk=Count(3, 3000),
        last_run="Sun 2026-11-22 05:03:11 UTC",
        last_result="exit-code",
        last_exit_code=1,
        next_run="Mon 2026-11-23 05:01:37 UTC",
    )

    assert result.as_text() == "\n".join(
        [
            "  On the local disk                  1 files       1.0 kB",
            "  In the bucket                      2 files       2.0 kB",
            "  Only on the local disk             3 files       3.0 kB",
            "  Last run: Sun 2026-11-22 05:03:11 UTC (exit-code, exit status 1)",
            "  Next run: Mon 2026-11-23 05:01:37 UTC",
        ]
    )
    assert result.as_json() == {
        "local": {"files": 1, "bytes": 1000},
        "stored": {"files": 2, "bytes": 2000},
        "at_risk": {"files": 3, "bytes": 3000},
        "last_run": "Sun 2026-11-22 05:03:11 UTC",
        "last_result": "exit-code",
        "last_exit_code": 1,
        "next_run": "Mon 2026-11-23 05:01:37 UTC",
        "exit_code": 0,
    }
