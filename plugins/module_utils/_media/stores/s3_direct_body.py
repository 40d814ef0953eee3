# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of an object, read from the socket on which ``s3_direct`` has asked for it."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable


class Cut(Exception):
    """The answer stops before its end."""


class DirectBody:
    """``size`` bytes, for one thread; ``start`` has come already.

    ``sha256``, ``md5``: of the whole object, in hexadecimal digits, where the store keeps them. ``give_back`` is called
    when all is read and nothing else has come: the connection can be used again.
    """

    def __init__(
        self,
        connection: socket.socket,
        size: int,
        start: bytes,
        sha256: str | None,
        md5: str | None,
        give_back: Callable[[], None],
    ) -> None:
        self.sha256 = sha256
        self.md5 = md5
        self._connection = connection
        self._start = start
        self._left = size
        self._give_back = give_back
        self._is_given_back = False

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, b'' only at the end. Raises Cut."""
        wanted = min(size, self._left)
        if not wanted:
            return b""
        if self._start:
            data, self._start = self._start[:wanted], self._start[wanted:]
        else:
            try:
                data = self._connection.recv(wanted)
            except OSError as error:
                raise Cut("the connection failed") from error
            if not data:
                raise Cut("an answer that stops early")
        self._left -= len(data)
        return data

    def close(self) -> None:
        """End it. A connection on which more is to come, or has come, is not used again."""
        if self._is_given_back:
            return
        self._is_given_back = True
        if self._left or self._start:
            self._connection.close()
        else:
            self._give_back()


def hexadecimal(checksum: str) -> str | None:
    """A checksum as S3 writes it, base64, in hexadecimal digits; None for none, and for one of parts' checksums."""
    try:
        return base64.b64decode(checksum, validate=True).hex() or None
    except ValueError:
        return None
