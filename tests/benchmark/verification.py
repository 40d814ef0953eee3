# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether after a run every file is where it is to be, with its bytes, and none is elsewhere."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from typing import Any

from ansible_collections.matrixops.synapse_s3.tests.benchmark.homeserver import PREFIX, Homeserver
from ansible_collections.matrixops.synapse_s3.tests.benchmark.tree import TreeFile, content

_READ_IN_FULL = 20


def find_problems(
    client: Any, bucket: str, files: Sequence[TreeFile], home: Homeserver, others: Set[str] = frozenset()
) -> list[str]:
    """Everything that is wrong, in words; nothing when the run did what it should.

    Size and ETag of every object are compared. Read in full and compared are some, and all whose ETag is no MD5.
    ``others`` are the paths of objects that were in the bucket before.
    """
    stored = {entry["Key"].removeprefix(PREFIX): entry for entry in list_objects(client, bucket)}
    expected = {file.path: file for file in files}
    problems = _count("local files are left", list(home.local_files()))
    problems += _count("files are not in the bucket", sorted(expected.keys() - stored.keys()))
    problems += _count("objects were not asked for", sorted(stored.keys() - expected.keys() - others))
    problems += _count("objects that were there before are gone", sorted(others - stored.keys()))
    unproven = {path for path in expected.keys() & stored.keys() if "-" in stored[path]["ETag"]}
    different = [
        path
        for path in expected.keys() & stored.keys()
        if not _is_equal(expected[path], stored[path], path in unproven)
    ]
    problems += _count("objects differ in size or ETag", different)
    known = sorted(expected.keys() & stored.keys())
    sample = random.Random(len(known)).sample(known, min(_READ_IN_FULL, len(known)))  # noqa: S311
    bodies = {path: client.get_object(Bucket=bucket, Key=PREFIX + path)["Body"].read() for path in {*sample, *unproven}}
    return problems + _count(
        "objects differ in content", [path for path, body in bodies.items() if body != content(expected[path])]
    )


def find_local_problems(files: Sequence[TreeFile], home: Homeserver) -> list[str]:
    """What is wrong with the media store, which is to hold these files, byte for byte, and no other."""
    expected, there = {file.path: file for file in files}, set(home.local_files())
    known = sorted(expected.keys() & there)
    problems = _count("files are not on the local disk", sorted(expected.keys() - there))
    problems += _count("local files were not asked for", sorted(there - expected.keys()))
    return problems + _count(
        "local files differ in content",
        [path for path in known if (home.media / path).read_bytes() != content(expected[path])],
    )


def find_key_problems(client: Any, bucket: str, kept: Collection[str]) -> list[str]:
    """What is wrong with the bucket, which is to hold objects at these paths, and no other."""
    stored = {entry["Key"].removeprefix(PREFIX) for entry in list_objects(client, bucket)}
    problems = _count("objects are left that were to go", sorted(stored - set(kept)))
    return problems + _count("objects are gone that were to stay", sorted(set(kept) - stored))


def list_objects(client: Any, bucket: str) -> Iterator[Mapping[str, Any]]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        yield from page.get("Contents", [])


def _is_equal(file: TreeFile, entry: Mapping[str, Any], any_etag: bool) -> bool:
    if entry["Size"] != file.size:
        return False
    return any_etag or entry["ETag"].strip('"') == hashlib.md5(content(file)).hexdigest()


def _count(what: str, paths: Sequence[str]) -> list[str]:
    return [f"{len(paths)} {what}, for example {paths[0]!r}"] if paths else []
