# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings judged by the profile of the service that they are for."""

from __future__ import annotations

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.profiles import PROFILES
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.service_profile import (
    choose_profile,
    find_profile,
    is_service_address,
    provider_problems,
    service_bucket_warnings,
    service_class_problems,
    service_encryption_problems,
    service_endpoint_warnings,
    service_hints,
    service_region_warnings,
    takes_key_over_http,
    usable_classes,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.storage_class import STORAGE_CLASSES
from hypothesis import given
from hypothesis import strategies as st

OWN = "https://s3.example.org"
WASABI = "https://s3.eu-central-1.wasabisys.com"
R2 = "https://0123456789abcdef.r2.cloudflarestorage.com"
NAMES = (
    "aws, linode, backblaze, cloudflare, contabo, digitalocean, exoscale, google, hetzner, idrive, ovhcloud, scaleway, "
    "storj, supabase, wasabi, minio, versitygw, seaweedfs, garage, ceph or moto"
)
OVH_REGIONS = (
    "gra, rbx, sbg, eu-west-par, eu-south-mil, de, uk, waw, bhs, ca-east-tor, sgp, ap-southeast-syd, ap-south-mum"
)
WASABI_REGIONS = (
    "us-east-1, us-east-2, us-central-1, us-west-1, us-west-2, ca-central-1, eu-central-1, eu-central-2, eu-west-1, "
    "eu-west-2, eu-west-3, eu-south-1, ap-northeast-1, ap-northeast-2, ap-southeast-1, ap-southeast-2"
)

TEST_FOUND = [
    (None, "aws"),
    ("", "aws"),
    ("https://s3.eu-central-1.amazonaws.com", "aws"),
    ("https://bucket.vpce-1a2b3c-4d5e.s3.us-east-1.vpce.amazonaws.com", "aws"),
    (WASABI, "wasabi"),
    (f"{WASABI}:443/", "wasabi"),
    ("https://S3.EU-Central-1.WasabiSys.com", "wasabi"),
    ("https://s3.eu-central-1.wasabisys.com.", "wasabi"),
    ("http://s3.wasabisys.com", "wasabi"),
    (R2, "cloudflare"),
    ("https://0123456789abcdef.eu.r2.cloudflarestorage.com", "cloudflare"),
    ("https://ref.storage.supabase.co/storage/v1/s3", "supabase"),
    ("https://fsn1.your-objectstorage.com", "hetzner"),
    ("https://eu2.contabostorage.com", "contabo"),
    (OWN, None),
    ("http://127.0.0.1:9000", None),
    ("http://[::1]:9000", None),
    ("https://s3.eu-central-1.wasabisys.com.example.org", None),
    ("https://evil-s3.eu-central-1.wasabisys.com", None),
    ("https://user:secret@s3.wasabisys.com", None),
    ("no url", None),
]

# config_provider, endpoint_url, what is wrong with them together
TEST_PROVIDERS: list[tuple[str, str, list[str]]] = [
    ("", "", []),
    ("", OWN, []),
    ("aws", "", []),
    ("aws", "https://s3.eu-central-1.amazonaws.com", []),
    ("aws", OWN, []),
    ("minio", OWN, []),
    ("wasabi", WASABI, []),
    ("wasabi", OWN, []),
    ("ceph", "https://eu2.contabostorage.com", []),
    ("AWS", "", [f"'AWS' is not an S3 service known here. Did you mean 'aws'? Use {NAMES}, or ''."]),
    ("minIO", OWN, [f"'minIO' is not an S3 service known here. Did you mean 'minio'? Use {NAMES}, or ''."]),
    ("other", OWN, [f"'other' is not an S3 service known here. Use {NAMES}, or ''."]),
    (
        "wasabi",
        "",
        [
            "'wasabi' needs endpoint_url, which is empty and so stands for Amazon S3. Set it to"
            " 'https://s3.REGION.wasabisys.com' or 'https://s3.wasabisys.com'."
        ],
    ),
    (
        "garage",
        "",
        [
            "'garage' needs endpoint_url, which is empty and so stands for Amazon S3. Set it to the address of your"
            " server."
        ],
    ),
    ("backblaze", WASABI, ["'backblaze' does not fit endpoint_url, which is of Wasabi. Correct one or the other."]),
    ("minio", R2, ["'minio' does not fit endpoint_url, which is of Cloudflare R2. Correct one or the other."]),
    (
        "minio",
        "https://s3.eu-central-1.amazonaws.com",
        ["'minio' does not fit endpoint_url, which is of Amazon S3. Correct one or the other."],
    ),
]

TEST_ENDPOINTS: list[tuple[str, str, list[str]]] = [
    ("", "", []),
    ("", OWN, []),
    ("minio", OWN, []),
    ("nonsense", OWN, []),
    ("wasabi", WASABI, []),
    ("", "https://s3.nl-1.wasabisys.com", []),
    ("", "https://s3.us-east-1-dell-obs.wasabisys.com:9021", []),
    ("", "https://s3.us-west-004.backblazeb2.com", []),
    ("", "https://s3.eu-central-99.amazonaws.com", []),
    ("", "https://fra1.digitaloceanspaces.com", []),
    (
        "",
        "https://nyc1.digitaloceanspaces.com",
        [
            "names 'nyc1', which is no region of DigitalOcean Spaces known here. Did you mean 'nyc3'? Known are nyc3,"
            " ams3, sfo2, sfo3, sgp1, lon1, fra1, tor1, blr1, syd1, atl1."
        ],
    ),
    (
        "wasabi",
        OWN,
        [
            "is not an address of Wasabi known here, 'https://s3.REGION.wasabisys.com' or 'https://s3.wasabisys.com'."
            " Check it, and config_provider."
        ],
    ),
    (
        "",
        "https://s3.gra1.io.cloud.ovh.net",
        [
            "names 'gra1', which is no region of OVHcloud Object Storage known here. Did you mean 'gra'? Known are"
            f" {OVH_REGIONS}."
        ],
    ),
    (
        "",
        "https://s3.es-mad.scw.cloud",
        ["names 'es-mad', which is no region of Scaleway Object Storage known here. Known are fr-par, nl-ams, pl-waw."],
    ),
]

TEST_REGIONS: list[tuple[str, str, list[str]]] = [
    ("eu-central-1", "", []),
    ("", WASABI, []),
    ("eu-central-1", WASABI, []),
    ("us-east-1", "https://s3.wasabisys.com", []),
    ("eu-central-1", "https://s3.nl-1.wasabisys.com", []),
    ("auto", R2, []),
    ("us-east-1", R2, []),
    ("us-west-004", "https://s3.us-west-004.backblazeb2.com", []),
    ("new-region-1", "https://s3.new-region-1.wasabisys.com", []),
    ("us-east-1", "https://fra1.digitaloceanspaces.com", []),
    ("anything", OWN, []),
    (
        "us-east-1",
        WASABI,
        [
            "'us-east-1' is not the region of endpoint_url, 'eu-central-1'. Write 'eu-central-1', or correct"
            f" endpoint_url. The regions of Wasabi known here are {WASABI_REGIONS}."
        ],
    ),
    (
        "us-west-001",
        "https://s3.us-west-004.backblazeb2.com",
        [
            "'us-west-001' is not the region of endpoint_url, 'us-west-004'. Write 'us-west-004', or correct"
            " endpoint_url."
        ],
    ),
    ("eu-central-1", R2, ["'eu-central-1' is no region of Cloudflare R2. Use auto or us-east-1."]),
]

TEST_CLASSES: list[tuple[str, str, str]] = [
    ("aws", "INTELLIGENT_TIERING", ""),
    ("minio", "REDUCED_REDUNDANCY", ""),
    ("minio", "STANDARD_IA", "is no storage class of MinIO. Use STANDARD or REDUCED_REDUNDANCY."),
    ("versitygw", "STANDARD_IA", "is accepted by versitygw, but objects are kept in another class. Use STANDARD."),
    ("garage", "STANDARD_IA", "is accepted by Garage, but objects are kept in another class. Use STANDARD."),
    ("seaweedfs", "INTELLIGENT_TIERING", ""),
    ("ceph", "STANDARD_IA", ""),
    ("cloudflare", "STANDARD_IA", ""),
    (
        "cloudflare",
        "INTELLIGENT_TIERING",
        "is no storage class of Cloudflare R2. Use STANDARD or STANDARD_IA.",
    ),
    ("ovhcloud", "STANDARD_IA", ""),
    ("ovhcloud", "REDUCED_REDUNDANCY", ""),
    (
        "ovhcloud",
        "INTELLIGENT_TIERING",
        "is accepted by OVHcloud Object Storage, but objects are kept in another class. Use STANDARD or STANDARD_IA.",
    ),
    ("scaleway", "STANDARD_IA", "is no storage class of Scaleway Object Storage. Use STANDARD."),
    (
        "scaleway",
        "GLACIER",
        "is an archive at Scaleway Object Storage: Synapse could not read media back at once. Use STANDARD.",
    ),
    ("google", "STANDARD_IA", "is no storage class of Google Cloud Storage. Use STANDARD."),
    ("backblaze", "STANDARD_IA", ""),
    ("wasabi", "STANDARD_IA", ""),
]

TEST_ENCRYPTION = [
    *((name, []) for name in ("aws", "minio", "garage", "seaweedfs", "ceph", "cloudflare", "wasabi", "hetzner")),
    (
        "versitygw",
        [
            "is true, but versitygw accepts the key, and stores objects without encryption. Set it to false, or use a"
            " service that has SSE-C."
        ],
    ),
    (
        "supabase",
        [
            "is true, but Supabase Storage does not offer encryption with a key of yours. Set it to false, or use a"
            " service that has SSE-C."
        ],
    ),
]

TEST_BUCKETS = [
    ("aws", "media", []),
    ("minio", "Any_Thing", []),
    ("wasabi", "media.example.org", []),
    ("backblaze", "matrix-Media", []),
    (
        "backblaze",
        "media",
        [
            "'media' is no name of a bucket by the rules of Backblaze B2: 6 to 63 letters, digits and hyphens, not"
            " beginning with 'b2-'. Whether it takes the name, the trial of it tells."
        ],
    ),
    (
        "cloudflare",
        "media.example.org",
        [
            "'media.example.org' is no name of a bucket by the rules of Cloudflare R2: 3 to 63 lower-case letters,"
            " digits and hyphens, with a letter or digit at both ends. Whether it takes the name, the trial of it"
            " tells."
        ],
    ),
]


@pytest.mark.parametrize(("endpoint_url", "name"), TEST_FOUND)
def test_the_endpoint_finds_the_service(endpoint_url: str | None, name: str | None) -> None:
    found = find_profile(endpoint_url)
    assert (found and found.name) == name


@pytest.mark.parametrize(
    ("name", "endpoint_url", "chosen"),
    [
        ("", OWN, None),
        ("minio", OWN, "minio"),
        ("nonsense", OWN, None),
        ("minio", WASABI, "wasabi"),
        ("ceph", "https://eu2.contabostorage.com", "contabo"),
        ("garage", "", "aws"),
    ],
)
def test_the_name_decides_only_where_the_endpoint_does_not(name: str, endpoint_url: str, chosen: str | None) -> None:
    profile = choose_profile(name, endpoint_url)
    assert (profile and profile.name) == chosen


@pytest.mark.parametrize(("name", "endpoint_url", "problems"), TEST_PROVIDERS)
def test_the_name_and_the_endpoint_must_not_contradict_each_other(
    name: str, endpoint_url: str, problems: list[str]
) -> None:
    assert provider_problems(name, endpoint_url) == problems


@pytest.mark.parametrize(("name", "endpoint_url", "warnings"), TEST_ENDPOINTS)
def test_an_endpoint_that_the_service_does_not_have_is_told(name: str, endpoint_url: str, warnings: list[str]) -> None:
    assert service_endpoint_warnings(name, endpoint_url) == warnings


@pytest.mark.parametrize(("region", "endpoint_url", "warnings"), TEST_REGIONS)
def test_a_wrong_region_is_told_with_the_right_ones(region: str, endpoint_url: str, warnings: list[str]) -> None:
    assert service_region_warnings(find_profile(endpoint_url), region, endpoint_url) == warnings


@pytest.mark.parametrize(("name", "storage_class", "problem"), TEST_CLASSES)
def test_a_storage_class_of_another_service_is_refused_with_the_right_ones(
    name: str, storage_class: str, problem: str
) -> None:
    problems = [f"{storage_class!r} {problem}"] if problem else []
    assert service_class_problems(PROFILES[name], storage_class) == problems


def test_the_classes_of_a_service_are_told_where_all_are_known() -> None:
    assert usable_classes(R2) == "STANDARD or STANDARD_IA"
    assert usable_classes("https://s3.fr-par.scw.cloud") == "STANDARD"
    assert usable_classes("https://s3.gra.io.cloud.ovh.net") == ""
    assert usable_classes(WASABI) == usable_classes(OWN) == usable_classes(None) == ""


@pytest.mark.parametrize("name", PROFILES)
def test_the_default_class_is_good_everywhere(name: str) -> None:
    assert service_class_problems(PROFILES[name], "STANDARD") == []


@pytest.mark.parametrize(("name", "problems"), TEST_ENCRYPTION)
def test_a_service_that_does_not_encrypt_is_refused_a_key(name: str, problems: list[str]) -> None:
    assert service_encryption_problems(PROFILES[name]) == problems


def test_only_two_are_known_to_take_a_key_over_http() -> None:
    assert [name for name, profile in PROFILES.items() if takes_key_over_http(profile)] == ["seaweedfs", "garage"]


@pytest.mark.parametrize(("name", "bucket", "warnings"), TEST_BUCKETS)
def test_the_names_of_buckets_go_by_the_service(name: str, bucket: str, warnings: list[str]) -> None:
    assert service_bucket_warnings(PROFILES[name], bucket) == warnings


def test_an_address_from_the_pages_of_a_service_is_known_to_its_path() -> None:
    assert is_service_address("https://ref.storage.supabase.co/storage/v1/s3")
    assert is_service_address("https://ref.storage.supabase.co/storage/v1/s3/")
    assert not is_service_address("https://ref.storage.supabase.co/storage/v1/s3/media")
    assert not is_service_address("http://ref.storage.supabase.co/storage/v1/s3")
    assert not is_service_address("https://s3.eu-central-1.wasabisys.com/media")
    assert not is_service_address(OWN)


def test_what_may_explain_a_failure_is_told_of_the_service() -> None:
    settings = BucketSettings(
        "My_Media",
        region_name="eu-central-1",
        endpoint_url="https://s3.gra1.io.cloud.ovh.net",
        storage_class="STANDARD",
    )
    assert service_hints(settings) == [
        "region_name: 'eu-central-1' is not the region of endpoint_url, 'gra1'. Write 'gra1', or correct endpoint_url."
        f" The regions of OVHcloud Object Storage known here are {OVH_REGIONS}.",
        "endpoint_url: names 'gra1', which is no region of OVHcloud Object Storage known here. Did you mean 'gra'?"
        f" Known are {OVH_REGIONS}.",
        "bucket: 'My_Media' is no name of a bucket by the rules of OVHcloud Object Storage: 3 to 63 lower-case letters,"
        " digits, single dots and hyphens, with a letter or digit at both ends. Whether it takes the name, the trial"
        " of it tells.",
        "The server is of OVHcloud Object Storage.",
    ]


def test_a_service_that_is_not_known_explains_nothing() -> None:
    assert service_hints(BucketSettings("My_Media", endpoint_url=OWN, storage_class="X")) == []
    assert service_hints(BucketSettings("media", region_name="eu-central-99")) == []


@given(region=st.text(max_size=20), storage_class=st.sampled_from(STORAGE_CLASSES), bucket=st.text(max_size=70))
def test_what_is_not_known_gives_no_rule(region: str, storage_class: str, bucket: str) -> None:
    assert find_profile(OWN) is None
    assert provider_problems("", OWN) == []
    assert service_endpoint_warnings("", OWN) == []
    assert service_region_warnings(None, region, OWN) == []
    assert service_class_problems(None, storage_class) == []
    assert service_encryption_problems(None) == []
    assert service_bucket_warnings(None, bucket) == []


@given(endpoint_url=st.text(max_size=80), region=st.text(max_size=20), name=st.sampled_from(["", "x", *PROFILES]))
def test_nothing_that_is_written_breaks_the_rules(endpoint_url: str, region: str, name: str) -> None:
    profile = choose_profile(name, endpoint_url)
    for texts in (
        provider_problems(name, endpoint_url),
        service_endpoint_warnings(name, endpoint_url),
        service_region_warnings(profile, region, endpoint_url),
    ):
        assert all(text.endswith(".") for text in texts)
