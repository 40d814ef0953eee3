# SPDX-License-Identifier: GPL-3.0-or-later
"""A memory store whose objects are files: what a process had stored when it was killed is still there."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import cast
from urllib.parse import quote, unquote

from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import MemoryStore

# No quoted key ends so.
_UNFINISHED = "%"


class DirectoryStore(MemoryStore):
    """A `MemoryStore` in ``directory``, which is there: whoever opens it has the same objects."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.objects = cast("dict[str, bytes]", _Contents(directory))
        self.modified = cast("dict[str, float]", _Times(directory))


class _Contents(MutableMapping[str, bytes]):
    """A file for each key, which appears complete."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __getitem__(self, key: str) -> bytes:
        try:
            return _path(self._directory, key).read_bytes()
        except FileNotFoundError:
            raise KeyError(key) from None

    def __setitem__(self, key: str, content: bytes) -> None:
        path = _path(self._directory, key)
        unfinished = path.with_name(path.name + _UNFINISHED)
        unfinished.write_bytes(content)
        unfinished.replace(path)

    def __delitem__(self, key: str) -> None:
        try:
            _path(self._directory, key).unlink()
        except FileNotFoundError:
            raise KeyError(key) from None

    def __iter__(self) -> Iterator[str]:
        names = (path.name for path in self._directory.iterdir())
        return (unquote(name) for name in names if not name.endswith(_UNFINISHED))

    def __len__(self) -> int:
        return sum(1 for _turn in self)


class _Times(MutableMapping[str, float]):
    """When each key was stored, in seconds since 1970; goes with the file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __getitem__(self, key: str) -> float:
        try:
            return _path(self._directory, key).stat().st_mtime
        except FileNotFoundError:
            raise KeyError(key) from None

    def __setitem__(self, key: str, seconds: float) -> None:
        os.utime(_path(self._directory, key), (seconds, seconds))

    def __delitem__(self, key: str) -> None:
        """It has gone with the content."""

    def __iter__(self) -> Iterator[str]:
        return iter(_Contents(self._directory))

    def __len__(self) -> int:
        return len(_Contents(self._directory))


def _path(directory: Path, key: str) -> Path:
    return directory / quote(key, safe="")
