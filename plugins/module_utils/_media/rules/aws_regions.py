# SPDX-License-Identifier: GPL-3.0-or-later
"""Amazon's partitions and regions, generated from botocore's data by scripts/update-aws-regions: do not edit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class AwsPartition:
    """Regions that share accounts and host names."""

    dns_suffix: str
    regions: tuple[str, ...]


AWS_PARTITIONS: Mapping[str, AwsPartition] = {
    "aws": AwsPartition(
        "amazonaws.com",
        (
            "af-south-1",
            "ap-east-1",
            "ap-east-2",
            "ap-northeast-1",
            "ap-northeast-2",
            "ap-northeast-3",
            "ap-south-1",
            "ap-south-2",
            "ap-southeast-1",
            "ap-southeast-2",
            "ap-southeast-3",
            "ap-southeast-4",
            "ap-southeast-5",
            "ap-southeast-6",
            "ap-southeast-7",
            "ca-central-1",
            "ca-west-1",
            "eu-central-1",
            "eu-central-2",
            "eu-north-1",
            "eu-south-1",
            "eu-south-2",
            "eu-west-1",
            "eu-west-2",
            "eu-west-3",
            "il-central-1",
            "me-central-1",
            "me-south-1",
            "me-west-1",
            "mx-central-1",
            "sa-east-1",
            "sa-west-1",
            "us-east-1",
            "us-east-2",
            "us-west-1",
            "us-west-2",
        ),
    ),
    "aws-cn": AwsPartition(
        "amazonaws.com.cn",
        (
            "cn-north-1",
            "cn-northwest-1",
        ),
    ),
    "aws-us-gov": AwsPartition(
        "amazonaws.com",
        (
            "us-gov-east-1",
            "us-gov-west-1",
        ),
    ),
    "aws-iso": AwsPartition(
        "c2s.ic.gov",
        (
            "us-iso-east-1",
            "us-iso-west-1",
        ),
    ),
    "aws-iso-b": AwsPartition(
        "sc2s.sgov.gov",
        (
            "us-isob-east-1",
            "us-isob-west-1",
        ),
    ),
    "aws-iso-e": AwsPartition(
        "cloud.adc-e.uk",
        ("eu-isoe-west-1",),
    ),
    "aws-iso-f": AwsPartition(
        "csp.hci.ic.gov",
        (
            "us-isof-east-1",
            "us-isof-south-1",
        ),
    ),
    "aws-eusc": AwsPartition(
        "amazonaws.eu",
        ("eusc-de-east-1",),
    ),
}
