# SPDX-License-Identifier: GPL-3.0-or-later
"""Regions: Amazon's own are known by name; other S3 servers call theirs as they like."""

from __future__ import annotations

import difflib
import re

from .aws_regions import AWS_PARTITIONS
from .endpoint import find_aws_region, is_aws_endpoint

_PLACEHOLDER = "some-region-name"
AWS_REGIONS = tuple(region for partition in AWS_PARTITIONS.values() for region in partition.regions)
# botocore's own condition for a region: one label of a host name.
_REGION = re.compile(r"(?![0-9]+$)(?!-)[a-zA-Z0-9-]{1,63}(?<!-)")
_AVAILABILITY_ZONE = re.compile(r"(.+-[0-9]+)[a-z]")
_AWS_LIKE = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]+")


def region_problems(region: str, endpoint_url: str) -> list[str]:
    """What is wrong with ``region``, given the endpoint ('' for Amazon S3).

    With Amazon S3 a region is required: without one, boto3 would sign for us-east-1 and find only buckets there. With
    another server it may be left out, since many accept any; the live check tells when the server does not.
    """
    if region == _PLACEHOLDER:
        return [f"{region!r} is still the example of the documentation. Write the region of your bucket."]
    if region and not _REGION.fullmatch(region):
        return [f"{region!r} is not a region. Use only letters, digits and hyphens, such as 'eu-central-1'."]
    if is_aws_endpoint(endpoint_url):
        return _endpoint_mismatch(region, find_aws_region(endpoint_url))
    if endpoint_url or region in AWS_REGIONS:
        return []
    if not region:
        return ["is empty. Write the region of the bucket, such as 'eu-central-1'."]
    return [_unknown(region)]


def region_obstacles(region: str | None, endpoint_url: str | None) -> list[str]:
    """What makes it impossible for boto3 to use ``region`` (None: not given)."""
    if region is None or _REGION.fullmatch(region) or (region == "" and endpoint_url):
        return []
    return [f"{region!r} is not a region. Write the region of the bucket, such as 'eu-central-1', or remove the line."]


def aws_endpoint_url(region: str) -> str:
    """Amazon's endpoint of ``region``; of the partition with most regions when none knows it."""
    suffix = next(
        (partition.dns_suffix for partition in AWS_PARTITIONS.values() if region in partition.regions),
        AWS_PARTITIONS["aws"].dns_suffix,
    )
    return f"https://s3.{region}.{suffix}"


def _endpoint_mismatch(region: str, endpoint_region: str | None) -> list[str]:
    if endpoint_region is None or region == endpoint_region:
        return []
    if not region:
        return [f"is empty. Write the region of endpoint_url, {endpoint_region!r}."]
    cause = f"{region!r} is not the region of endpoint_url, {endpoint_region!r}"
    return [f"{cause}. Write the region of the bucket, and leave endpoint_url empty for Amazon S3."]


def _unknown(region: str) -> str:
    zone = _AVAILABILITY_ZONE.fullmatch(region)
    if zone and zone[1] in AWS_REGIONS:
        return f"{region!r} is an availability zone. Write its region, {zone[1]!r}."
    closest = difflib.get_close_matches(region.lower(), AWS_REGIONS, n=1, cutoff=0.8)
    newer = f" If it is newer than this release, set endpoint_url to {aws_endpoint_url(region)!r}."
    if closest:
        hint = newer if _AWS_LIKE.fullmatch(region) else ""
        return f"{region!r} is not a region of Amazon S3 known here. Did you mean {closest[0]!r}?{hint}"
    if _AWS_LIKE.fullmatch(region):
        return f"{region!r} is not a region of Amazon S3 known here. Write the region of the bucket.{newer}"
    return (
        f"{region!r} is not a region of Amazon S3. Write the region of the bucket, such as 'eu-central-1', or, "
        "when the bucket is with another service, set endpoint_url."
    )
