# SPDX-License-Identifier: GPL-3.0-or-later
"""The subcommand ``status``: what is on the local disk, what is in the bucket, and what is in one place only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..rules.errors import MediaError
from ..rules.media_path import parse_media_path
from ..stores.media_store import LocalFile, MediaStore
from ..stores.object_store import ObjectStore, RemoteObject
from ..stores.systemd import unit_properties
from .summary import Count, format_bytes


@dataclass
class Status:
    """``at_risk``: what the bucket does not hold under its key, so that the local disk has the only copy."""

    local: Count = field(default_factory=Count)
    stored: Count = field(default_factory=Count)
    at_risk: Count = field(default_factory=Count)
    last_run: str | None = None
    last_result: str | None = None
    last_exit_code: int | None = None
    next_run: str | None = None

    def as_json(self) -> Mapping[str, Any]:
        """The object that ``--json`` prints."""
        return {
            "local": self.local.as_json(),
            "stored": self.stored.as_json(),
            "at_risk": self.at_risk.as_json(),
            "last_run": self.last_run,
            "last_result": self.last_result,
            "last_exit_code": self.last_exit_code,
            "next_run": self.next_run,
            "exit_code": 0,
        }

    def as_text(self) -> str:
        """The same for a person."""
        rows = [
            f"  {label:<24}{count.files:>12,} files {format_bytes(count.bytes):>12}"
            for label, count in (
                ("On the local disk", self.local),
                ("In the bucket", self.stored),
                ("Only on the local disk", self.at_risk),
            )
        ]
        last = f"{self.last_run} ({self.last_result}, exit status {self.last_exit_code})" if self.last_run else "never"
        return "\n".join([*rows, f"  Last run: {last}", f"  Next run: {self.next_run or 'not scheduled'}"])


def status(media: MediaStore, store: ObjectStore, prefix: str, unit: str) -> Status:
    """Compare the two sides by one listing of each; ``unit`` is the systemd unit's name without its type."""
    result = Status()
    for file, remote in join(media.scan(_fail), _media_objects(store, prefix), prefix):
        if file is not None:
            result.local.add(file.size)
        if remote is not None:
            result.stored.add(remote.size)
        elif file is not None:
            result.at_risk.add(file.size)
    service = unit_properties(f"{unit}.service", ["ExecMainExitTimestamp", "ExecMainStatus", "Result"])
    timer = unit_properties(f"{unit}.timer", ["NextElapseUSecRealtime"])
    result.last_run = service.get("ExecMainExitTimestamp")
    if result.last_run:
        result.last_result = service.get("Result")
        result.last_exit_code = int(service.get("ExecMainStatus", "0"))
    result.next_run = timer.get("NextElapseUSecRealtime")
    return result


def join(
    files: Iterable[LocalFile], objects: Iterable[RemoteObject], prefix: str
) -> Iterator[tuple[LocalFile | None, RemoteObject | None]]:
    """Pair local files with objects of the same path. Both come ascending by path; neither is held in memory."""
    local, remote = iter(files), iter(objects)
    file, found = next(local, None), next(remote, None)
    while file is not None or found is not None:
        path = None if file is None else file.path.encode(errors="surrogateescape")
        stored = None if found is None else found.key[len(prefix) :].encode()
        if path is not None and (stored is None or path <= stored):
            yield file, (found if path == stored else None)
            file = next(local, None)
            if path == stored:
                found = next(remote, None)
        else:
            yield None, found
            found = next(remote, None)


def _fail(error: MediaError) -> None:
    """What can't be read can't be counted."""
    raise error


def _media_objects(store: ObjectStore, prefix: str) -> Iterator[RemoteObject]:
    """The objects that are media: others may share the bucket."""
    return (found for found in store.list(prefix) if parse_media_path(found.key[len(prefix) :]))
