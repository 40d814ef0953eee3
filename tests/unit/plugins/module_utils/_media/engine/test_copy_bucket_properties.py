# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the sides hold and whatever fails: nothing is overwritten, no damage is carried on, the rest arrives."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.copy_bucket import CopyPlan
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.run import Endurance
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import FailingStore
from ansible_collections.matrixops.synapse_s3.tests.unit.plugins.module_utils._media.engine.test_copy_bucket import (
    Homeserver,
    OddEtags,
    told,
)
from hypothesis import given
from hypothesis import strategies as st

PATHS = [
    *(f"local_content/aa/bb/{name}" for name in "cde"),
    "local_thumbnails/aa/bb/c/32-32-image-png-crop",
    "remote_content/example.org/aa/bb/c",
]
CONTENT = st.one_of(st.none(), st.sampled_from([b"", b"1234", b"4321", b"12"]))
FILES = st.fixed_dictionaries(dict.fromkeys(PATHS, CONTENT))
ROWS = st.fixed_dictionaries({path: st.sampled_from(["none", "unfinished", "length", "hash"]) for path in PATHS})
SCRIPTS = st.lists(st.sampled_from(["ok", "503", "403", "deny", "cut", "lost"]), max_size=12).map(" ".join)
GOOD = b"1234"


@given(FILES, FILES, FILES, ROWS, SCRIPTS, SCRIPTS, st.booleans())
def test_no_sequence_overwrites_or_loses(
    old: dict[str, bytes | None],
    new: dict[str, bytes | None],
    local: dict[str, bytes | None],
    rows: dict[str, str],
    source_script: str,
    target_script: str,
    odd_etags: bool,
) -> None:
    with TemporaryDirectory() as directory:
        homeserver = Homeserver(Path(directory))
        homeserver.etags_prove = not odd_etags
        homeserver.old.objects = {f"hs/{path}": data for path, data in old.items() if data is not None}
        homeserver.new.objects = {f"new/{path}": data for path, data in new.items() if data is not None}
        for path, data in local.items():
            if data is not None:
                homeserver.save(path, data)
        for path, row in rows.items():
            if row != "none":
                homeserver.know(path, None if row == "unfinished" else 4, GOOD if row == "hash" else None)
        before = dict(homeserver.old.objects), dict(homeserver.new.objects)
        source, target = (OddEtags(store) if odd_etags else store for store in (homeserver.old, homeserver.new))

        first = homeserver.copy(
            FailingStore(source, source_script),
            FailingStore(target, target_script),
            CopyPlan(workers=2, endurance=Endurance(pauses=())),
        )
        after_first = dict(homeserver.new.objects)
        second = homeserver.copy(source, target)

    assert homeserver.old.objects == before[0]
    # What was there is as it was; what came is what the source has, and what the database gives.
    for objects in (after_first, homeserver.new.objects):
        assert before[1].items() <= objects.items()
        for key in objects.keys() - before[1].keys():
            path = key.removeprefix("new/")
            assert objects[key] == old[path]
            assert rows[path] != "none"
            assert rows[path] == "unfinished" or len(objects[key]) == 4
            assert rows[path] != "hash" or objects[key] == GOOD
    # No failure looks like success, and the second run brings all that can be brought.
    for path, row in rows.items():
        if new[path] is None and _is_right(row, old[path]):
            assert homeserver.new.objects[f"new/{path}"] == old[path]
    for summary, objects in ((first, after_first), (second, homeserver.new.objects)):
        if summary.exit_status == 0:
            assert told(summary).keys() <= {"copied", "already_there"}
            lengths = {path: {len(objects.get(f"new/{path}") or b""), len(local[path] or b"")} for path in PATHS}
            assert all(4 in lengths[path] for path, row in rows.items() if row in ("length", "hash"))
    assert second.errors == [] or all(row == "none" for row in rows.values())


def _is_right(row: str, data: bytes | None) -> bool:
    if data is None or row == "none":
        return False
    return {"unfinished": True, "length": len(data) == 4, "hash": data == GOOD}[row]
