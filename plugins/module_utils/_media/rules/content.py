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

    ``part_md5s``: the raw MD5 of each part of `PART_SIZE`; none where there is nothing.
    """

    size: int
    md5: bytes
    sha256: str
    part_md5s: tuple[bytes, ...]

    def is_proven_by(self, etag: str) -> bool:
        """Whether ``etag`` is the one of a single PUT of this content, or of an upload in parts of `PART_SIZE`.

        Another ETag proves nothing: with some encryptions it is no hash.
        """
        if etag == self.md5.hex():
            return True
        return etag == f"{_md5(b''.join(self.part_md5s)).hexdigest()}-{len(self.part_md5s)}"

    def is_as_kept(self, sha256: str | None, md5: str | None) -> bool | None:
        """Whether this is what a store keeps these hashes of, in hexadecimal digits; None where it keeps neither."""
        if sha256 is not None:
            return self.sha256 == sha256
        return None if md5 is None else self.md5.hex() == md5


def content_of(data: bytes) -> Content:
    """Describe content that is held in memory, of at most one part."""
    md5 = _md5(data).digest()
    return Content(len(data), md5, hashlib.sha256(data).hexdigest(), (md5,) if data else ())


def read_content(source: Reader) -> Content:
    """Read ``source`` to its end, a little at a time, and describe what was read."""
    size = 0
    sha256 = hashlib.sha256()
    # Until a second part begins, the part is the whole: nothing need be hashed twice.
    whole, part, missing = None, _md5(), PART_SIZE
    parts: list[bytes] = []
    while chunk := source.read(min(missing or PART_SIZE, _CHUNK_SIZE)):
        if not missing:
            whole = whole or part
            parts.append(part.digest())
            part, missing = _md5(), PART_SIZE
        size += len(chunk)
        missing -= len(chunk)
        sha256.update(chunk)
        part.update(chunk)
        if whole is not None:
            whole.update(chunk)
    if size:
        parts.append(part.digest())
    return Content(size, (whole or part).digest(), sha256.hexdigest(), tuple(parts))


def _md5(data: bytes = b"") -> hashlib._Hash:
    return hashlib.md5(data, usedforsecurity=False)
