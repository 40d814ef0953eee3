# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import io

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.content import (
    PART_SIZE,
    content_of,
    read_content,
)
from hypothesis import given
from hypothesis import strategies as st


class Trickle(io.BytesIO):
    """A stream that gives fewer bytes than asked for, as networks do."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(7, size or 7) if size is None or size < 0 else min(7, size))


def etag_of_parts(data: bytes) -> str:
    parts = [data[start : start + PART_SIZE] for start in range(0, len(data), PART_SIZE)]
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    return f"{hashlib.md5(digests).hexdigest()}-{len(parts)}"


@pytest.mark.parametrize("size", [0, 1, PART_SIZE - 1, PART_SIZE, PART_SIZE + 1, 2 * PART_SIZE, 20 * 1024 * 1024])
def test_content(size: int) -> None:
    data = (b"0123456789abcdef" * (size // 16 + 1))[:size]

    content = read_content(io.BytesIO(data))

    assert content.size == size
    assert content.md5 == hashlib.md5(data).digest()
    assert content.sha256 == hashlib.sha256(data).hexdigest()
    assert content.is_proven_by(hashlib.md5(data).hexdigest())
    assert content.is_proven_by(etag_of_parts(data))
    assert not content.is_proven_by(hashlib.md5(data + b"!").hexdigest())
    assert not content.is_proven_by(etag_of_parts(data + b"!"))
    assert not content.is_proven_by("")


def test_what_a_store_keeps_of_it() -> None:
    content, other = content_of(b"content"), content_of(b"other")
    md5, other_md5 = content.md5.hex(), other.md5.hex()

    assert content.is_as_kept(None, None) is None
    assert content.is_as_kept(None, md5) is content.is_as_kept(content.sha256, other_md5) is True
    assert content.is_as_kept(None, other_md5) is content.is_as_kept(other.sha256, md5) is False


@given(st.binary(max_size=1000))
def test_held_content_is_described_alike(data: bytes) -> None:
    assert content_of(data) == read_content(io.BytesIO(data))


@given(st.binary(max_size=1000))
def test_short_reads_make_no_difference(data: bytes) -> None:
    assert read_content(Trickle(data)) == read_content(io.BytesIO(data))
