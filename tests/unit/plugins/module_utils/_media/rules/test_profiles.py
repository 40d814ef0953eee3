# SPDX-License-Identifier: GPL-3.0-or-later
"""The profiles of S3 services, as data, and the page that is made of them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.content import PART_SIZE
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.profiles import (
    AMAZON,
    PROFILES,
    ServiceProfile,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.profiles.model import (
    ConditionalWrites,
    Fact,
    SseC,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.region import AWS_REGIONS
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.service_profile import find_profile

ROOT = Path(__file__).parents[6]
GENERATOR = ROOT / "scripts" / "update-s3-services"
# A page, a run against a version, or Amazon's own data.
SOURCE = re.compile(r"https://\S+( and https://\S+)*|run (against .+, |of )\d{4}-\d\d-\d\d.*|botocore's .+")
# What Matrix servers take at most is far below: none has an upload limit of gigabytes by default.
LARGEST_MEDIA = 5 * 2**30


def facts(profile: ServiceProfile) -> Iterator[Fact[Any]]:
    for field in fields(profile):
        value = getattr(profile, field.name)
        if isinstance(value, Fact):
            yield value
    yield from profile.lacks


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_every_fact_says_where_it_comes_from(profile: ServiceProfile) -> None:
    found = list(facts(profile))
    assert found
    assert [fact for fact in found if not SOURCE.fullmatch(fact.source)] == []


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_an_endpoint_as_its_pages_show_it_finds_the_service(profile: ServiceProfile) -> None:
    for url in profile.endpoints.value if profile.endpoints else ():
        assert find_profile(re.sub(r"\{\w+\}", "some-1", url)) == profile
        assert url.startswith("https://")


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_each_service_takes_the_parts_in_which_large_files_are_sent(profile: ServiceProfile) -> None:
    if profile.multipart:
        limits = profile.multipart.value
        assert limits.smallest_part <= PART_SIZE <= limits.largest_part
        assert limits.parts * PART_SIZE >= LARGEST_MEDIA


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_each_service_takes_the_addresses_that_the_storage_provider_uses(profile: ServiceProfile) -> None:
    assert profile.addressing is None or "path" in profile.addressing.value


def test_the_software_behind_a_service_has_a_profile() -> None:
    assert [p.name for p in PROFILES.values() if p.runs and p.runs.value not in PROFILES] == []


def test_the_regions_of_amazon_are_those_of_the_generated_list() -> None:
    assert AMAZON.regions
    assert AMAZON.regions.value.names == AWS_REGIONS


def test_an_alias_stands_for_a_region_that_there_is() -> None:
    for profile in PROFILES.values():
        if profile.regions:
            regions = profile.regions.value
            assert {region for _unused, region in regions.aliases} <= set(regions.names)


def test_what_was_seen_of_each_server() -> None:
    """The lines of S3-SERVERS.md on which a promise rests."""
    seen = {
        name: (profile.conditional_writes and profile.conditional_writes.value, profile.sse_c and profile.sse_c.value)
        for name, profile in PROFILES.items()
        if profile.endpoints is None
    }
    assert seen == {
        "minio": (ConditionalWrites.ALL, SseC.OVER_HTTPS),
        "versitygw": (ConditionalWrites.ALL, SseC.IGNORED),
        "seaweedfs": (ConditionalWrites.ALL, SseC.ALSO_OVER_HTTP),
        "garage": (ConditionalWrites.NONE, SseC.ALSO_OVER_HTTP),
        "ceph": (ConditionalWrites.SINGLE, SseC.OVER_HTTPS),
        "moto": (ConditionalWrites.ALL, SseC.IGNORED),
    }


def test_the_page_is_what_the_data_says() -> None:
    shown = subprocess.run([sys.executable, GENERATOR, "--print"], capture_output=True, text=True, check=True)
    page = (ROOT / "docs" / "s3-services.md").read_text(encoding="utf-8")
    assert shown.stdout == page, "Run scripts/run scripts/update-s3-services."
