# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import (
    ConfigurationError,
    UsageError,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.two_buckets import (
    check_apart,
    choose,
    target_below,
)

ONE, TWO, THREE = "bucket 'a' at x", "bucket 'b' at y", "bucket 'c' at z"
BUCKET = BucketSettings("media", "hs/", endpoint_url="https://s3.example.org")


@pytest.mark.parametrize(
    ("names", "main", "from_", "to", "expected"),
    [
        ([ONE, TWO], 1, None, None, (2, 1)),
        ([ONE, TWO], 2, None, None, (1, 2)),
        ([ONE, TWO], 1, None, 2, (1, 2)),
        ([ONE, TWO], 1, 2, None, (2, 1)),
        ([ONE, TWO, THREE], 1, 3, None, (3, 1)),
        ([ONE, TWO, THREE], 1, 2, 3, (2, 3)),
    ],
)
def test_choice(names: list[str], main: int, from_: int | None, to: int | None, expected: tuple[int, int]) -> None:
    assert choose(names, main, from_, to) == expected


@pytest.mark.parametrize(
    ("names", "from_", "to", "message"),
    [
        (
            [ONE, TWO],
            3,
            None,
            "Could not copy: there is no S3 provider 3. Give the number of one of these with --from. There are"
            f" 1: {ONE}; 2: {TWO}.",
        ),
        (
            [ONE, TWO],
            None,
            9,
            "Could not copy: there is no S3 provider 9. Give the number of one of these with --to. There are"
            f" 1: {ONE}; 2: {TWO}.",
        ),
        (
            [ONE],
            None,
            None,
            f"Could not copy: Synapse's configuration has one S3 provider only, {ONE}. Add the other bucket below"
            " media_storage_providers, without store_local and store_remote if Synapse is only to read from it.",
        ),
        (
            [ONE, TWO, THREE],
            None,
            None,
            "Could not copy: it is not said from which bucket. Give the number of one of these with --from. There are"
            f" 1: {ONE}; 2: {TWO}; 3: {THREE}.",
        ),
        (
            [ONE, TWO],
            1,
            None,
            "Could not copy: S3 provider 1 would be copied into itself. Give another with --from or --to. There are 1:"
            f" {ONE}; 2: {TWO}.",
        ),
    ],
)
def test_choice_that_is_none(names: list[str], from_: int | None, to: int | None, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        choose(names, 1, from_, to)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "other",
    [
        replace(BUCKET, prefix="new/"),
        replace(BUCKET, prefix=""),
        replace(BUCKET, bucket="other"),
        replace(BUCKET, endpoint_url="https://s3.example.com"),
        replace(BUCKET, endpoint_url=None),
    ],
)
def test_places_that_are_apart(other: BucketSettings) -> None:
    check_apart(BUCKET, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (BUCKET, replace(BUCKET, sse_customer_key="0" * 32, storage_class="STANDARD_IA")),
        (BUCKET, replace(BUCKET, endpoint_url="https://S3.example.org/")),
        (replace(BUCKET, endpoint_url=None), replace(BUCKET, endpoint_url="https://s3.eu-west-1.amazonaws.com")),
    ],
)
def test_same_place_is_refused(one: BucketSettings, other: BucketSettings) -> None:
    with pytest.raises(ConfigurationError) as raised:
        check_apart(one, other)
    assert str(raised.value) == (
        "Could not copy: source and target are the same place, bucket 'media', prefix 'hs/'. An object is never"
        " overwritten, so nothing would change. To change the storage class or the encryption key, give the new"
        " provider a prefix of its own."
    )


def test_prefix_within_the_others_media_is_refused() -> None:
    with pytest.raises(ConfigurationError) as raised:
        check_apart(BUCKET, replace(BUCKET, prefix="hs/remote_content/"))
    assert str(raised.value) == (
        "Could not copy: the prefix 'hs/remote_content/' lies where media is kept below the prefix 'hs/' of the same"
        " bucket, so that what is below both could not be told apart. Use a prefix that does not go on with"
        " local_content/, local_thumbnails/, remote_content/ or remote_thumbnail/."
    )


def test_where_the_target_lies_below_the_source() -> None:
    above = replace(BUCKET, prefix="")
    assert [target_below(above, BUCKET), target_below(BUCKET, above)] == ["hs/", ""]
    assert target_below(above, replace(BUCKET, bucket="other")) == ""
