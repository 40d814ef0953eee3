# SPDX-License-Identifier: GPL-3.0-or-later
"""A stretch of a large file, as the body of a request."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import BinaryIO


class Part:
    """A stretch of a source that several parts read at the same time, as boto3 takes a body."""

    def __init__(
        self, source: BinaryIO, lock: threading.Lock, start: int, size: int, pass_on: Callable[[int], None]
    ) -> None:
        self._source = source
        self._lock = lock
        self._start = start
        self._size = size
        self._position = 0
        self._pass_on = pass_on
        # What is read to be signed is not sent yet.
        self.is_sent = False
        self.is_cut = False

    def __len__(self) -> int:
        return self._size

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def read(self, size: int = -1) -> bytes:
        left = self._size - self._position
        wanted = left if size is None or size < 0 else min(size, left)
        with self._lock:
            self._source.seek(self._start + self._position)
            data = self._source.read(wanted)
        if len(data) < wanted:
            self.is_cut = True
            raise OSError("the source is shorter than it was")
        if self.is_sent:
            self._pass_on(len(data))
        self._position += len(data)
        return data
