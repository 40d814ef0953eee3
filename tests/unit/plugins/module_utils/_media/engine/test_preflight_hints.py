# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight says of a service that is known, where the trial of the bucket has found problems."""

from __future__ import annotations

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.preflight import Bucket, check_bucket
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import AccessError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings

SETTINGS = BucketSettings("media", region_name="us-east-1", endpoint_url="https://s3.us-west-004.backblazeb2.com")


def refuse(_settings: BucketSettings) -> Bucket:
    raise AccessError("Could not list bucket 'media': the server refused.")


def test_what_is_known_of_the_service_stands_beside_the_problems() -> None:
    notes: list[str] = []
    problems = check_bucket(SETTINGS, refuse, notes.append)
    assert [problem.message for problem in problems] == ["Could not list bucket 'media': the server refused."]
    assert notes == [
        "region_name: 'us-east-1' is not the region of endpoint_url, 'us-west-004'. Write 'us-west-004', or correct"
        " endpoint_url.",
        "bucket: 'media' is no name of a bucket by the rules of Backblaze B2: 6 to 63 letters, digits and hyphens, not"
        " beginning with 'b2-'. Whether it takes the name, the trial of it tells.",
        "The server is of Backblaze B2. The master application key can't be used: make an application key. https only,"
        " and signatures of version 4 only.",
    ]


def test_of_a_server_that_is_not_known_nothing_is_said() -> None:
    notes: list[str] = []
    assert check_bucket(BucketSettings("media", endpoint_url="http://127.0.0.1:9000"), refuse, notes.append)
    assert notes == []
