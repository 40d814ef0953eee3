# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the three sides hold and however the bucket fails: nothing is lost, and no failure looks like success.

With SYNAPSE_S3_SOAK=1 many more examples are tried.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.migrate import (
    MigrateStep,
    MigrationPlan,
    migrate,
    new_summary,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.removal import NoRemoval, Remover
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.run import Endurance
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.decision import Policy
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import (
    MediaPath,
    parse_media_path,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.aside import Aside
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.database import MediaRow
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.dry_run import DryRunStore
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import MediaStore
from ansible_collections.matrixops.synapse_s3.tests.soak import SOAK
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import FailingStore, MemoryStore
from hypothesis import given, settings
from hypothesis import strategies as st

EXAMPLES = 20_000 if SOAK else 200
NOW_NS = 1_800_000_000 * 10**9
OLD_NS, YOUNG_NS = NOW_NS - 7200 * 10**9, NOW_NS
GOOD, BAD, SHORT = b"good content", b"evil content", b"good"


@dataclass(frozen=True)
class Media:
    """One file as each side has it; None: not at all."""

    local: bytes | None
    stored: bytes | None
    known: bytes | None
    has_hash: bool
    accessed_ms: int | None
    young: bool


CONTENTS = st.sampled_from([None, GOOD, BAD, SHORT, b""])
MEDIA = st.builds(Media, CONTENTS, CONTENTS, CONTENTS, st.booleans(), st.sampled_from([None, 1, 10**15]), st.booleans())
WORDS = st.lists(st.sampled_from(["ok", "ok", "ok", "503", "403", "cut", "lost"]), max_size=30).map(" ".join)


BEFORE_THE_END = (MigrateStep.UPLOADED, MigrateStep.ALREADY_STORED)


class Table:
    """The database."""

    def __init__(self, rows: Mapping[MediaPath, MediaRow]) -> None:
        self.rows = rows

    def media_rows(self, paths: Iterable[MediaPath]) -> Mapping[MediaPath, MediaRow]:
        return {path: self.rows[path] for path in paths if path in self.rows}

    def has_media(self) -> bool:
        return bool(self.rows)


def row_of(media: Media) -> MediaRow | None:
    if media.known is None:
        return None
    sha256 = hashlib.sha256(media.known).hexdigest() if media.has_hash else None
    return MediaRow(frozenset({len(media.known)}), sha256, media.accessed_ms)


@settings(max_examples=EXAMPLES)
@given(
    media=st.lists(MEDIA, max_size=8),
    script=WORDS,
    delete_local=st.booleans(),
    dry_run=st.booleans(),
    in_use_after_ms=st.sampled_from([None, 1000]),
)
def test_nothing_is_lost_and_no_failure_looks_like_success(
    media: list[Media], script: str, delete_local: bool, dry_run: bool, in_use_after_ms: int | None
) -> None:
    all_media = {f"local_content/aa/bb/{number}": each for number, each in enumerate(media)}
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for path, each in all_media.items():
            if each.local is not None:
                target = root / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(each.local)
                time = YOUNG_NS if each.young else OLD_NS
                os.utime(target, ns=(time, time))
        stored_before = {path: each.stored for path, each in all_media.items() if each.stored is not None}
        memory = MemoryStore(stored_before)
        rows = {
            parsed: row
            for path, each in all_media.items()
            if (parsed := parse_media_path(path)) and (row := row_of(each))
        }
        plan = MigrationPlan(
            Policy(delete_local),
            NOW_NS,
            recent_after_ns=NOW_NS - 3600 * 10**9,
            in_use_after_ms=in_use_after_ms,
            workers=2,
            endurance=Endurance(pauses=()),
        )
        summary = new_summary(dry_run=dry_run)
        store = FailingStore(memory, script)
        disk = MediaStore(root)

        migrate(
            plan,
            "",
            disk,
            DryRunStore(store) if dry_run else store,
            Table(rows),
            NoRemoval() if dry_run else Remover(disk, store, Aside(root / ".aside"), lambda _seconds: None),
            summary,
            stop=Event(),
            report=lambda _outcome: None,
        )

        left = {path: (root / path).read_bytes() for path in all_media if (root / path).exists()}
    for path, each in all_media.items():
        # An object is never overwritten or removed, and a local file goes only when the bucket holds its bytes.
        assert each.stored is None or memory.objects[path] == each.stored
        if each.local is not None:
            assert path in left or memory.objects[path] == each.local
            assert path not in left or left[path] == each.local
        kept = (
            each.young or not delete_local or dry_run or (in_use_after_ms and each.known and each.accessed_ms == 10**15)
        )
        assert not kept or each.local is None or path in left
    if dry_run:
        assert memory.objects == stored_before
    if summary.exit_status == 0:
        for path, each in all_media.items():
            damaged = each.known is not None and each.local is not None and not same(each, each.local)
            other = each.local is not None and each.stored is not None and each.stored != each.local
            assert each.young or not (damaged or other)
            if each.local is not None and each.known is not None and not each.young and not dry_run:
                assert memory.objects[path] == each.local
    # Every local file is told: as deleted, kept, in conflict or failed.
    told = sum(summary.counts[step].files for step in MigrateStep if step not in BEFORE_THE_END)
    assert told == sum(each.local is not None for each in media)


def same(media: Media, local: bytes) -> bool:
    """Whether the database would take the local file for the one that it knows."""
    assert media.known is not None
    return local == media.known if media.has_hash else len(local) == len(media.known)
