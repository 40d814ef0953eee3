# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the sides hold, and whatever Synapse does meanwhile: nothing goes that the database knows, all else does.

With SYNAPSE_S3_SOAK=1 many more examples are tried.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from unittest.mock import patch

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine import purge_orphans
from ansible_collections.matrixops.synapse_s3.tests.soak import SOAK
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import FailingStore
from ansible_collections.matrixops.synapse_s3.tests.unit.purge_homeserver import OLD, PREFIX, YOUNG, Homeserver
from hypothesis import given, settings
from hypothesis import strategies as st

EXAMPLES = 20_000 if SOAK else 200
ANCHOR = "local_content/zz/zz/anchor"
PATHS = [
    *(f"local_content/aa/bb/{name}" for name in "cdef"),
    "local_thumbnails/aa/bb/c/32-32-image-png-crop",
    "remote_content/example.org/aa/bb/c",
    "remote_thumbnail/example.org/aa/bb/c/32-32-image-png-crop",
    "remote_thumbnail/example.org/aa/bb/c/32-32-image-png",
]
AGES = st.sampled_from([None, OLD, YOUNG])
# What each path is: whether the database knows it, and how old its object and its file are.
STATES = st.lists(st.tuples(st.booleans(), AGES, AGES), min_size=len(PATHS), max_size=len(PATHS))
ACTS = st.lists(st.sampled_from(["", "", "new", *(f"delete {path}" for path in PATHS), *PATHS]), max_size=30)
WORDS = st.lists(st.sampled_from(["ok", "ok", "503", "403", "deny", "cut", "lost"]), max_size=10).map(" ".join)
FOREIGN = ["url_cache/2024-01-01/abc", "backup.tar", "local_content/aa/bb"]


@settings(max_examples=EXAMPLES)
@given(states=STATES, acts=ACTS, script=WORDS)
def test_what_is_known_stays_and_what_is_forgotten_goes(
    states: list[tuple[bool, float | None, float | None]], acts: list[str], script: str
) -> None:
    with tempfile.TemporaryDirectory() as directory, patch.object(purge_orphans, "BATCH", 2):
        homeserver = Homeserver(Path(directory))
        homeserver.upload(ANCHOR)
        for path, (is_known, stored, saved) in zip(PATHS, states, strict=True):
            if is_known:
                homeserver.rows.add(path)
            if stored is not None:
                homeserver.store(path, stored)
            if saved is not None:
                homeserver.save(path, saved)
        for path in FOREIGN:
            homeserver.store(path)
        waiting, made = list(acts), list[str]()

        def act() -> None:
            what = waiting.pop(0) if waiting else ""
            if what == "new":
                made.append(f"local_content/nn/nn/{len(made)}")
                homeserver.upload(made[-1])
            elif what.startswith("delete "):
                homeserver.delete(what.removeprefix("delete "))
            elif what and what not in homeserver.asked:
                # A path is used once, but by a thumbnail that is made anew: that one has its file on the disk besides.
                homeserver.upload(what)

        homeserver.act = act
        before = homeserver.stored
        failing = homeserver.purge(store=FailingStore(homeserver.memory, script))
        # What the database knew at that moment is still where it was, and each that went is on record.
        assert homeserver.wrongs == []
        records = [json.loads(line) for line in homeserver.journal.read_text().splitlines()]
        assert {PREFIX + path for path in before - homeserver.stored} <= {each.get("key") for each in records}
        assert failing.exit_status in (0, 1, 69, 77)

        waiting.clear()
        rows, in_bucket = set(homeserver.rows), homeserver.stored
        on_disk = {path: (homeserver.root / path).stat().st_mtime for path in homeserver.local}
        result = homeserver.purge()

        assert (result.exit_status, homeserver.wrongs, homeserver.rows) == (0, [], rows)
        assert homeserver.stored == {path for path in in_bucket if path in rows or stays(homeserver, path)}
        assert homeserver.local == {path for path, modified in on_disk.items() if path in rows or modified > OLD}
        # Nothing that is forgotten and old is left, on either side.
        again = homeserver.purge(delete=False)
        told = {step.key: count.files for step, count in again.counts.items()}
        assert (told["orphans"], told["local_orphans"], told["foreign"]) == (0, 0, len(FOREIGN))


def stays(homeserver: Homeserver, path: str) -> bool:
    """Whether an object that the database does not know is not to go."""
    return path in FOREIGN or homeserver.memory.modified[PREFIX + path] > OLD
