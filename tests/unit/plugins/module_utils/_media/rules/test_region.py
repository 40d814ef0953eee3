# SPDX-License-Identifier: GPL-3.0-or-later
"""Regions, and the generated list of Amazon's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules import aws_regions
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.region import (
    aws_endpoint_url,
    region_obstacles,
    region_problems,
)
from botocore.utils import validate_region_name
from hypothesis import given
from hypothesis import strategies as st

MINIO = "http://minio:9000"
AWS = "https://s3.eu-central-1.amazonaws.com"
GENERATOR = Path(__file__).parents[6] / "scripts" / "update-aws-regions"

TEST_GOOD = [
    ("eu-central-1", ""),
    ("cn-northwest-1", ""),
    ("us-gov-west-1", ""),
    ("eu-central-1", AWS),
    ("eu-central-99", "https://s3.eu-central-99.amazonaws.com"),
    ("eu-west-1", "https://s3-eu-west-1.amazonaws.com"),
    ("us-east-1", "https://s3.amazonaws.com"),
    ("us-east-1", "https://s3-external-1.amazonaws.com"),
    ("us-east-1", "https://bucket.vpce-1a2b3c-4d5e.s3.us-east-1.vpce.amazonaws.com"),
    ("eu-west-1", "https://s3-accelerate.amazonaws.com"),
    ("", MINIO),
    ("garage", MINIO),
    ("eu-central-1a", MINIO),
    ("US-EAST-1", MINIO),
]

TEST_BAD = [
    ("", "", ["is empty. Write the region of the bucket, such as 'eu-central-1'."]),
    ("", AWS, ["is empty. Write the region of endpoint_url, 'eu-central-1'."]),
    (
        "some-region-name",
        MINIO,
        ["'some-region-name' is still the example of the documentation. Write the region of your bucket."],
    ),
    (
        "eu central",
        MINIO,
        ["'eu central' is not a region. Use only letters, digits and hyphens, such as 'eu-central-1'."],
    ),
    (
        "eu_central_1",
        "",
        ["'eu_central_1' is not a region. Use only letters, digits and hyphens, such as 'eu-central-1'."],
    ),
    ("-a", MINIO, ["'-a' is not a region. Use only letters, digits and hyphens, such as 'eu-central-1'."]),
    ("1234", MINIO, ["'1234' is not a region. Use only letters, digits and hyphens, such as 'eu-central-1'."]),
    (
        "a" * 64,
        MINIO,
        [f"'{'a' * 64}' is not a region. Use only letters, digits and hyphens, such as 'eu-central-1'."],
    ),
    ("eu-central-1a", "", ["'eu-central-1a' is an availability zone. Write its region, 'eu-central-1'."]),
    ("EU-CENTRAL-1", "", ["'EU-CENTRAL-1' is not a region of Amazon S3 known here. Did you mean 'eu-central-1'?"]),
    ("eu-west1", "", ["'eu-west1' is not a region of Amazon S3 known here. Did you mean 'eu-west-1'?"]),
    (
        "eu-centrall-1",
        "",
        [
            "'eu-centrall-1' is not a region of Amazon S3 known here. Did you mean 'eu-central-1'? "
            "If it is newer than this release, set endpoint_url to 'https://s3.eu-centrall-1.amazonaws.com'."
        ],
    ),
    (
        "antarctica-south-1",
        "",
        [
            "'antarctica-south-1' is not a region of Amazon S3. Write the region of the bucket, such as "
            "'eu-central-1', or, when the bucket is with another service, set endpoint_url."
        ],
    ),
    (
        "zz-outback-12",
        "",
        [
            "'zz-outback-12' is not a region of Amazon S3 known here. Write the region of the bucket. "
            "If it is newer than this release, set endpoint_url to 'https://s3.zz-outback-12.amazonaws.com'."
        ],
    ),
    (
        "garage",
        "",
        [
            "'garage' is not a region of Amazon S3. Write the region of the bucket, such as 'eu-central-1', or, "
            "when the bucket is with another service, set endpoint_url."
        ],
    ),
    (
        "us-east-1",
        AWS,
        [
            "'us-east-1' is not the region of endpoint_url, 'eu-central-1'. "
            "Write the region of the bucket, and leave endpoint_url empty for Amazon S3."
        ],
    ),
]

TEST_OBSTACLES = [
    (None, None, []),
    ("eu-central-99", None, []),
    ("", "http://minio:9000", []),
    (
        "",
        None,
        ["'' is not a region. Write the region of the bucket, such as 'eu-central-1', or remove the line."],
    ),
    (
        "eu central",
        "http://minio:9000",
        ["'eu central' is not a region. Write the region of the bucket, such as 'eu-central-1', or remove the line."],
    ),
]


@pytest.mark.parametrize(("region", "endpoint_url"), TEST_GOOD)
def test_good_regions(region: str, endpoint_url: str) -> None:
    assert region_problems(region, endpoint_url) == []


@pytest.mark.parametrize(("region", "endpoint_url", "problems"), TEST_BAD)
def test_bad_regions(region: str, endpoint_url: str, problems: list[str]) -> None:
    assert region_problems(region, endpoint_url) == problems


@pytest.mark.parametrize(("region", "endpoint_url", "obstacles"), TEST_OBSTACLES)
def test_obstacles(region: str | None, endpoint_url: str | None, obstacles: list[str]) -> None:
    assert region_obstacles(region, endpoint_url) == obstacles


@given(st.text(max_size=70))
def test_accepted_regions_pass_botocore(region: str) -> None:
    if region and not region_problems(region, MINIO):
        validate_region_name(region)


@pytest.mark.parametrize("region", [partition.regions[-1] for partition in aws_regions.AWS_PARTITIONS.values()])
def test_endpoint_is_botocores(region: str) -> None:
    client = boto3.session.Session().client("s3", region_name=region)
    assert client.meta.endpoint_url == aws_endpoint_url(region)


def test_regions_are_those_of_the_installed_botocore() -> None:
    printed = subprocess.run(
        [sys.executable, GENERATOR, "--print"], check=True, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ).stdout
    assert Path(aws_regions.__file__).read_text(encoding="utf-8") == printed, "run scripts/update-aws-regions"
