# SPDX-License-Identifier: GPL-3.0-or-later
"""The generated media store."""

from __future__ import annotations

from itertools import chain

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import (
    Root,
    parse_media_path,
)
from ansible_collections.matrixops.synapse_s3.tests.benchmark.tree import TINY, USUAL, Profile, TreeFile, content, plan

MEBIBYTE = 2**20


def planned_files(profile: Profile, number: int, first: int = 0) -> list[TreeFile]:
    return list(chain.from_iterable(media.files for media in plan(profile, number, first)))


@pytest.mark.parametrize("number", [0, 1, 5, 6, 7, 100, 1001])
def test_as_many_files_as_asked_for(number: int) -> None:
    files = planned_files(USUAL, number)

    assert len(files) == len({file.path for file in files}) == number


def test_fewer_files_are_the_beginning_of_more() -> None:
    few, many = planned_files(USUAL, 300), planned_files(USUAL, 2000)

    assert few[:295] == many[:295]


def test_other_numbers_give_other_files() -> None:
    assert not set(planned_files(TINY, 1000)) & set(planned_files(TINY, 1000, first=10_000))


def test_synapse_would_have_written_every_path() -> None:
    paths = {file.path: parse_media_path(file.path) for file in planned_files(USUAL, 2000)}

    assert [path for path, parsed in paths.items() if parsed is None] == []
    assert {parsed.root for parsed in paths.values() if parsed} == set(Root)


def test_sizes() -> None:
    media = list(plan(USUAL, 4000))
    originals = [each.original.size for each in media]
    thumbnails = [thumbnail.file.size for each in media for thumbnail in each.thumbnails]
    large = [size for size in originals if size > MEBIBYTE]

    assert len(large) == 2
    assert all(9 * MEBIBYTE <= size <= 24 * MEBIBYTE for size in large)
    assert all(20_000 <= size <= 200_000 for size in originals if size not in large)
    assert all(700 <= size <= 9000 for size in thumbnails)


def test_content_has_its_size_and_is_its_own() -> None:
    files = planned_files(USUAL, 500)
    contents = [content(file) for file in files]

    assert [len(each) for each in contents] == [file.size for file in files]
    assert len(set(contents)) == len(files)


def test_content_at_the_end_of_the_pool() -> None:
    last = content(TreeFile("a", 10, 32 * MEBIBYTE - 10))
    first = content(TreeFile("b", 10, 0))

    assert content(TreeFile("c", 20, 32 * MEBIBYTE - 10)) == last + first
