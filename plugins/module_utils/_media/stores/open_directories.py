# SPDX-License-Identifier: GPL-3.0-or-later
"""The directories of a media store that were used last, kept open for the files that come into them next."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock

from .directories import DIRECTORY, mount_of

# Far fewer than a process may have open (1,024 as a rule), and enough for the files that are under way at once.
_MOST = 256


class OpenDirectory:
    """An open directory; it is closed when nobody holds it any more."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.mount = mount_of(descriptor)

    def __del__(self) -> None:
        os.close(self.descriptor)


class OpenDirectories:
    """Opens directories below ``path`` for many threads at once. None is reached through a link below ``path``.

    One that was removed since stays open, and nothing can be put into it (ENOENT): then `forget`, and ask again.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = Lock()
        # By the path below; the last one was used last.
        self._kept: dict[str, OpenDirectory] = {}

    def deepest(self, names: Sequence[str]) -> tuple[OpenDirectory, int]:
        """Of the directories on the way that ``names`` gives, the last that is there, and how many names lead to it.

        Raises OSError where one can't be opened, or is a link.
        """
        found, depth = self._kept_on(names)
        with suppress(FileNotFoundError):
            while depth < len(names):
                descriptor = os.open(names[depth], DIRECTORY, dir_fd=found.descriptor)
                depth += 1
                found = self._keep("/".join(names[:depth]), OpenDirectory(descriptor))
        return found, depth

    def forget(self) -> None:
        """Close them all, those in use when they no longer are."""
        with self._lock:
            self._kept = {}

    def _kept_on(self, names: Sequence[str]) -> tuple[OpenDirectory, int]:
        for depth in range(len(names), -1, -1):
            path = "/".join(names[:depth])
            with self._lock:
                if found := self._kept.pop(path, None):
                    self._kept[path] = found
                    return found, depth
        # The media store itself may be a link.
        descriptor = os.open(self._path, DIRECTORY & ~os.O_NOFOLLOW)
        return self._keep("", OpenDirectory(descriptor)), 0

    def _keep(self, path: str, directory: OpenDirectory) -> OpenDirectory:
        with self._lock:
            self._kept[path] = directory
            if len(self._kept) > _MOST:
                del self._kept[next(iter(self._kept))]
        return directory
