# SPDX-License-Identifier: GPL-3.0-or-later
"""A homeserver in memory, but for its disk, on which ``purge-orphans`` is run; Synapse may act at each look at it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from threading import Event

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.orphans import new_orphans
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.purge_orphans import (
    PurgePlan,
    delete_orphans,
    find_orphans,
    new_summary,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.summary import Summary
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import MediaError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import (
    MediaPath,
    format_media_path,
    parse_media_path,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.orphan import refusal
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.database import KnownFile, MediaRow
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.journal import open_journal
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import (
    LocalFile,
    MediaStore,
    Removed,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    ObjectStore,
    RemoteObject,
)
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import MemoryStore

PREFIX = "hs/"
NOW = 1_800_000_000.0
AGE = 7 * 24 * 3600.0
OLD, YOUNG = NOW - 2 * AGE, NOW - AGE / 2
CONTENT = b"1234"


class Homeserver:
    """The three sides. ``rows`` are the paths that the database knows, ``odd`` those of rows that stand for no file.

    ``act`` is called whenever the program looks at one of the sides, and may change all three as Synapse does.
    ``wrongs`` names what was deleted although the database knew it at that moment; ``asked`` are the paths that the
    database was asked about right before.
    """

    def __init__(self, root: Path) -> None:
        self.root = root / "media"
        self.root.mkdir()
        self.journal = root / "journal"
        self.memory = Bucket(self)
        self.rows: set[str] = set()
        self.odd: list[str] = []
        self.standby = False
        self.act: Callable[[], None] = lambda: None
        self.wrongs: list[str] = []
        self.asked: set[str] = set()

    def store(self, path: str, modified: float = OLD) -> None:
        self.memory.objects[PREFIX + path] = CONTENT
        self.memory.modified[PREFIX + path] = modified

    def save(self, path: str, modified: float = OLD) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(CONTENT)
        os.utime(target, (modified, modified))

    def upload(self, path: str) -> None:
        """As Synapse: the disk, the bucket, and at last the row."""
        self.save(path, NOW)
        self.store(path, NOW)
        self.rows.add(path)

    def delete(self, path: str) -> None:
        """As Synapse's admin API: the bucket keeps it."""
        self.rows.discard(path)
        (self.root / path).unlink(missing_ok=True)

    @property
    def stored(self) -> set[str]:
        return {key.removeprefix(PREFIX) for key in self.memory.objects}

    @property
    def local(self) -> set[str]:
        return {path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file()}

    def known_files(self, passed_over: Callable[[str], None]) -> Iterator[KnownFile]:
        """As the database gives them: all is read at once."""
        self.act()
        for path in self.odd:
            passed_over(path)
        found = [KnownFile(path, MediaRow(frozenset({len(CONTENT)}), None, None), False) for path in self.rows]
        return iter(sorted(found))

    def media_rows(self, paths: Iterable[MediaPath]) -> Mapping[MediaPath, MediaRow]:
        self.act()
        known = {parse_media_path(path) for path in self.rows}
        wanted = list(paths)
        self.asked |= {format_media_path(path) for path in wanted}
        return {path: MediaRow(frozenset(), None, None) for path in wanted if path in known}

    def has_media(self) -> bool:
        return bool(self.rows)

    def is_standby(self) -> bool:
        return self.standby

    def purge(
        self,
        *,
        delete: bool = True,
        share: Fraction = Fraction(1),
        store: ObjectStore | None = None,
        stop: Event | None = None,
        server_name: str = "own.example",
    ) -> Summary:
        """Run it as the command does, but for the versions."""
        summary = new_summary(delete=delete)
        plan = PurgePlan(NOW - AGE, NOW - AGE, share, server_name)
        media, bucket = Disk(self), store or self.memory
        try:
            with new_orphans() as orphans, open_journal(self.journal) as journal:
                tally = find_orphans(plan, PREFIX, media, bucket, self, orphans, summary, lambda _found: None)
                if (refused := refusal(tally, share, server_name)) is not None:
                    raise refused
                if delete:
                    delete_orphans(
                        orphans,
                        media,
                        bucket,
                        self,
                        journal,
                        summary,
                        stop=stop or Event(),
                        report=lambda _outcome: None,
                    )
        except MediaError as error:
            summary.errors.append(str(error))
            summary.refused_with = error.exit_status
        return summary


class Bucket(MemoryStore):
    """The bucket of a homeserver."""

    def __init__(self, homeserver: Homeserver) -> None:
        super().__init__()
        self._homeserver = homeserver

    def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
        for found in super().list(prefix, after, page_size):
            self._homeserver.act()
            yield found

    def delete_many(self, keys: Sequence[str]) -> Mapping[str, MediaError]:
        rows = self._homeserver.rows
        self._homeserver.wrongs += [key for key in keys if key.removeprefix(PREFIX) in rows]
        return super().delete_many(keys)


class Disk(MediaStore):
    """The media store of a homeserver."""

    def __init__(self, homeserver: Homeserver) -> None:
        super().__init__(homeserver.root)
        self._homeserver = homeserver

    def remove(self, file: LocalFile) -> Removed:
        removed = super().remove(file)
        if file.path in self._homeserver.rows:
            self._homeserver.wrongs.append(file.path)
        return removed
