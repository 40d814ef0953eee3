# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a program lost, left or spoiled is found."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.tests.benchmark.homeserver import PREFIX, Homeserver
from ansible_collections.matrixops.synapse_s3.tests.benchmark.tree import TINY, TreeFile, content, plan
from ansible_collections.matrixops.synapse_s3.tests.benchmark.verification import (
    find_key_problems,
    find_local_problems,
    find_problems,
)

FILES = tuple(chain.from_iterable(media.files for media in plan(TINY, 10)))
FIRST = FILES[0].path


class Bucket:
    """The two calls that are made, on objects in memory."""

    def __init__(self) -> None:
        self.bodies = {PREFIX + file.path: content(file) for file in FILES}
        self.etags = {key: hashlib.md5(body).hexdigest() for key, body in self.bodies.items()}

    def get_paginator(self, name: str) -> Bucket:
        assert name == "list_objects_v2"
        return self

    def paginate(self, **_arguments: str) -> Iterator[Mapping[str, Any]]:
        entries = [{"Key": key, "Size": len(body), "ETag": f'"{self.etags[key]}"'} for key, body in self.bodies.items()]
        yield {"Contents": entries[:4]}
        yield {"Contents": entries[4:]}
        yield {}

    def get_object(self, *, Bucket: str, Key: str) -> Mapping[str, Any]:  # noqa: N803 (boto3's names)
        assert Bucket == "bucket"
        return {"Body": io.BytesIO(self.bodies[Key])}


@pytest.fixture
def home(tmp_path: Path) -> Homeserver:
    return Homeserver(tmp_path)


def problems(bucket: Bucket, home: Homeserver, files: Sequence[TreeFile] = FILES, **others: Any) -> list[str]:
    return find_problems(bucket, "bucket", files, home, **others)


def test_all_is_well(home: Homeserver) -> None:
    assert problems(Bucket(), home) == []


def test_local_file_that_was_left(home: Homeserver) -> None:
    home.write_media(FILES[:1])

    assert problems(Bucket(), home) == [f"1 local files are left, for example {FIRST!r}"]


def test_object_that_is_missing(home: Homeserver) -> None:
    bucket = Bucket()
    del bucket.bodies[PREFIX + FIRST]

    assert problems(bucket, home) == [f"1 files are not in the bucket, for example {FIRST!r}"]


def test_object_that_nobody_asked_for(home: Homeserver) -> None:
    assert problems(Bucket(), home, FILES[1:]) == [f"1 objects were not asked for, for example {FIRST!r}"]


def test_objects_of_before(home: Homeserver) -> None:
    assert problems(Bucket(), home, FILES[1:], others={FIRST}) == []
    assert problems(Bucket(), home, others={"gone"}) == [
        "1 objects that were there before are gone, for example 'gone'"
    ]


@pytest.mark.parametrize(("body", "etag"), [(b"", None), (content(FILES[0]), "0" * 32)])
def test_object_of_other_size_or_etag(home: Homeserver, body: bytes, etag: str | None) -> None:
    bucket, key = Bucket(), PREFIX + FIRST
    bucket.etags[key] = etag or bucket.etags[key]
    bucket.bodies[key] = body

    assert f"1 objects differ in size or ETag, for example {FIRST!r}" in problems(bucket, home)


def test_content_under_an_etag_that_proves_nothing(home: Homeserver) -> None:
    bucket, key = Bucket(), PREFIX + FIRST
    bucket.etags[key] = "0" * 32 + "-2"
    bucket.bodies[key] = bytes(len(bucket.bodies[key]))

    assert problems(bucket, home) == [f"1 objects differ in content, for example {FIRST!r}"]


def test_all_files_are_back(home: Homeserver) -> None:
    home.write_media(FILES)

    assert find_local_problems(FILES, home) == []


def test_local_file_that_is_missing_spoiled_or_too_many(home: Homeserver) -> None:
    home.write_media(FILES[1:])
    (home.media / FILES[1].path).write_bytes(b"other")

    assert find_local_problems([FILES[0], *FILES[1:-1]], home) == [
        f"1 files are not on the local disk, for example {FIRST!r}",
        f"1 local files were not asked for, for example {FILES[-1].path!r}",
        f"1 local files differ in content, for example {FILES[1].path!r}",
    ]


def test_keys_that_are_left_or_gone() -> None:
    bucket, paths = Bucket(), [file.path for file in FILES]

    assert find_key_problems(bucket, "bucket", paths) == []
    assert find_key_problems(bucket, "bucket", [*paths[1:], "gone"]) == [
        f"1 objects are left that were to go, for example {FIRST!r}",
        "1 objects are gone that were to stay, for example 'gone'",
    ]
