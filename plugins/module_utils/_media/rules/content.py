# SPDX-License-Identifier: GPL-3.0-or-later
"""What identifies a file's content: its length, its hashes and the ETags that S3 gives to it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

# boto3's defaults, which Synapse's storage provider uses: from this size on an upload is multipart,
# in parts of this size, and the ETag is composed from the parts' hashes.
PART_SIZE = 8 * 1024 * 1024
_CHUNK_SIZE = 256 * 1024


class Reader(Protocol):
    """Anything to read bytes from."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes; none at the end."""


@dataclass(frozen=True)
class Content:
    """The content of one file: ``size`` in bytes, ``md5`` raw, ``sha256`` in hexadecimal digits.

    ``etags`` are the ETags that prove this content: of a single PUT, and of an upload in parts of
    `PART_SIZE`. An ETag that is not among them proves nothing: with some encryptions it is no hash.
    """

    size: int
    md5: bytes
    sha256: str
    etags: frozenset[str]


def read_content(source: Reader) -> Content:
    """Read ``source`` to its end, a little at a time, and describe what was read."""
    size = 0
    md5, sha256 = _md5(), hashlib.sha256()
    part, missing = _md5(), PART_SIZE
    parts: list[bytes] = []
    while chunk := source.read(min(missing, _CHUNK_SIZE)):
        size += len(chunk)
        missing -= len(chunk)
        for digest in (md5, sha256, part):
            digest.update(chunk)
        if not missing:
            parts.append(part.digest())
            part, missing = _md5(), PART_SIZE
    if missing < PART_SIZE:
        parts.append(part.digest())
    composite = f"{_md5(b''.join(parts)).hexdigest()}-{len(parts)}"
    return Content(size, md5.digest(), sha256.hexdigest(), frozenset({md5.hexdigest(), composite}))


def _md5(data: bytes = b"") -> hashlib._Hash:
    return hashlib.md5(data, usedforsecurity=False)
