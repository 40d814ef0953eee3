# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoint URLs."""

from __future__ import annotations

import re

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.endpoint import (
    endpoint_obstacles,
    endpoint_problems,
    endpoint_warnings,
    find_aws_region,
    http_url_problems,
    is_aws_endpoint,
)
from botocore.utils import is_valid_endpoint_url, is_valid_ipv6_endpoint_url
from hypothesis import assume, given
from hypothesis import strategies as st

BUCKET = "media"
EXAMPLE = "Write a scheme and a host, such as 'https://s3.example.org'."
PORTS = "Use a number from 1 to 65535, or leave out the colon."
CREDENTIALS = (
    "has an '@', as if there were credentials in it. Write only a scheme and a host, such as 'https://s3.example.org'."
)

TEST_GOOD = [
    "",
    "https://s3.example.org",
    "https://s3.example.org/",
    "https://s3.example.org.",
    "http://minio:9000",
    "HTTPS://S3.Example.ORG",
    "http://127.0.0.1:9000",
    "http://[::1]:9000",
    "https://[2001:db8::5]",
    "https://s3.eu-central-1.amazonaws.com",
    "https://s3.dualstack.eu-central-1.amazonaws.com",
    "https://s3-fips.us-east-1.amazonaws.com",
    "https://s3-eu-west-1.amazonaws.com",
    "https://s3.cn-north-1.amazonaws.com.cn",
    "https://bucket.vpce-1a2b3c-4d5e.s3.us-east-1.vpce.amazonaws.com",
    "https://media.example.org",
]

TEST_BAD = [
    (
        "https://..",
        ["'https://..' is still the example of the documentation. Write your server's URL, or '' for Amazon S3."],
    ),
    (
        "https://s3.REGION_NAME.amazonaws.com",
        [
            "'https://s3.REGION_NAME.amazonaws.com' is still the example of the documentation. "
            "Write your server's URL, or '' for Amazon S3."
        ],
    ),
    ("minio:9000", ["'minio:9000' has no scheme. Write 'https://minio:9000'."]),
    ("s3.example.org", ["'s3.example.org' has no scheme. Write 'https://s3.example.org'."]),
    ("//s3.example.org", [f"'//s3.example.org' is not a URL. {EXAMPLE}"]),
    ("https:/s3.example.org", [f"'https:/s3.example.org' is not a URL. {EXAMPLE}"]),
    (" https://s3.example.org", [f"' https://s3.example.org' is not a URL. {EXAMPLE}"]),
    ("what?secret", [f"is not a URL. {EXAMPLE}"]),
    (
        "ftp://s3.example.org",
        ["'ftp://s3.example.org' has the scheme 'ftp'. Use https, or http for a server without TLS."],
    ),
    ("s3://media", ["'s3://media' has the scheme 's3'. Use https, or http for a server without TLS."]),
    ("http://..", ["'http://..' has a malformed host, '..'. Use only letters, digits, hyphens and dots."]),
    ("https://", [f"'https://' has no host. {EXAMPLE}"]),
    (
        "https:///media",
        [f"'https:///media' has no host. {EXAMPLE}"],
    ),
    (
        "http://my_minio:9000",
        ["'http://my_minio:9000' has a malformed host, 'my_minio'. Use only letters, digits, hyphens and dots."],
    ),
    (
        "https://s3.example.org..",
        [
            "'https://s3.example.org..' has a malformed host, 's3.example.org..'. "
            "Use only letters, digits, hyphens and dots."
        ],
    ),
    (
        "https://bücher.example",
        [
            "'https://bücher.example' has a malformed host, 'bücher.example'. "
            "Use only letters, digits, hyphens and dots."
        ],
    ),
    (
        "http://10.0.0.256:9000",
        ["'http://10.0.0.256:9000' has a malformed host, '10.0.0.256'. Use only letters, digits, hyphens and dots."],
    ),
    (
        "http://s3.example.org\n",
        [
            "'http://s3.example.org\\n' has a malformed host, 's3.example.org\\n'. "
            "Use only letters, digits, hyphens and dots."
        ],
    ),
    (
        "http://::1:9000",
        ["'http://::1:9000' has too many colons. Write an IPv6 address in brackets, such as 'http://[::1]:9000'."],
    ),
    ("http://[::g]:9000", ["'http://[::g]:9000' has no IPv6 address in its brackets. Correct the address."]),
    ("http://minio:0", [f"'http://minio:0' has a wrong port. {PORTS}"]),
    ("http://minio:65536", [f"'http://minio:65536' has a wrong port. {PORTS}"]),
    ("http://minio:", [f"'http://minio:' has a wrong port. {PORTS}"]),
    ("http://minio:port", [f"'http://minio:port' has a wrong port. {PORTS}"]),
    (
        "https://s3.eu-central-1.amazonaws.com/minio",
        [
            "'https://s3.eu-central-1.amazonaws.com/minio' has a path. "
            "Write 'https://s3.eu-central-1.amazonaws.com'; a path in the bucket belongs into prefix."
        ],
    ),
    (
        "https://s3.example.org/media/",
        ["'https://s3.example.org/media/' ends with the name of the bucket. Write 'https://s3.example.org'."],
    ),
    (
        "https://s3.example.org?token=hidden",
        ["'https://s3.example.org' is followed by a '?' or '#'. Write 'https://s3.example.org'."],
    ),
    (
        "https://s3.example.org/#top",
        ["'https://s3.example.org/' is followed by a '?' or '#'. Write 'https://s3.example.org'."],
    ),
    ("https://key:hidden@s3.example.org", [CREDENTIALS]),
    ("https://key:hid/den@s3.example.org", [CREDENTIALS]),
    ("key:hidden@s3.example.org", [CREDENTIALS]),
    (
        "https://media.s3.eu-central-1.amazonaws.com",
        [
            "'https://media.s3.eu-central-1.amazonaws.com' has the bucket 'media' in its host. "
            "Write 'https://s3.eu-central-1.amazonaws.com', or '' for Amazon S3."
        ],
    ),
    (
        "https://other.bucket.s3.amazonaws.com:443",
        [
            "'https://other.bucket.s3.amazonaws.com:443' has the bucket 'other.bucket' in its host. "
            "Write 'https://s3.amazonaws.com:443', or '' for Amazon S3."
        ],
    ),
    (
        "http://media.s3-website.eu-central-1.amazonaws.com",
        [
            "'http://media.s3-website.eu-central-1.amazonaws.com' is not an S3 endpoint of Amazon's. "
            "Write '' for Amazon S3."
        ],
    ),
    (
        "https://ec2.eu-central-1.amazonaws.com",
        ["'https://ec2.eu-central-1.amazonaws.com' is not an S3 endpoint of Amazon's. Write '' for Amazon S3."],
    ),
    (
        "ftp://my_minio:0/x?y",
        [
            "'ftp://my_minio:0/x' has the scheme 'ftp'. Use https, or http for a server without TLS.",
            "'ftp://my_minio:0/x' has a malformed host, 'my_minio'. Use only letters, digits, hyphens and dots.",
            f"'ftp://my_minio:0/x' has a wrong port. {PORTS}",
            "'ftp://my_minio:0/x' is followed by a '?' or '#'. Write 'ftp://my_minio:0'.",
        ],
    ),
]

TEST_WARNINGS = [
    ("", []),
    ("https://s3.example.org", []),
    ("https://mediastore.example.org", []),
    ("https://media.s3.eu-central-1.amazonaws.com", []),
    (
        "https://media.fra1.example.org:8443",
        [
            "'https://media.fra1.example.org:8443' begins with the bucket's name. "
            "If it is the bucket's own address, write 'https://fra1.example.org:8443'."
        ],
    ),
    (
        "https://ref.storage.example.org/storage/v1/s3",
        [
            "'https://ref.storage.example.org/storage/v1/s3' has a path. That is right where the service says so,"
            " as Supabase does; a path in the bucket belongs into prefix."
        ],
    ),
]

TEST_OBSTACLES = [
    (None, []),
    ("https://s3.example.org/storage/v1/s3", []),
    ("https://media.fra1.example.org", []),
    ("https://key:hidden@s3.example.org", []),
    ("", ["is empty. Write the URL of the server, or remove the line for Amazon S3."]),
    ("minio:9000", ["'minio:9000' has no scheme. Write 'https://minio:9000'."]),
    ("http://minio:99999", [f"'http://minio:99999' has a wrong port. {PORTS}"]),
    ("https://s3.example.org?x=hidden", ["'https://s3.example.org' has a query. Remove the '?' and what follows it."]),
    ("ftp://key:hidden@minio", ["'ftp://minio' has the scheme 'ftp'. Use https, or http for a server without TLS."]),
]

TEST_AWS_REGIONS = [
    ("", False, None),
    ("http://minio:9000", False, None),
    ("https://amazonaws.com.example.org", False, None),
    ("https://s3.amazonaws.com", True, "us-east-1"),
    ("https://S3.EU-Central-1.AmazonAWS.com", True, "eu-central-1"),
    ("https://media.s3.eu-central-1.amazonaws.com", True, "eu-central-1"),
    ("https://s3.dualstack.us-west-2.amazonaws.com", True, "us-west-2"),
    ("https://s3-fips.dualstack.us-west-2.amazonaws.com", True, "us-west-2"),
    ("https://s3-eu-west-1.amazonaws.com", True, "eu-west-1"),
    ("https://bucket.vpce-1a2b3c-4d5e.s3.us-east-1.vpce.amazonaws.com", True, "us-east-1"),
    ("https://s3-accelerate.amazonaws.com", True, None),
]

TEST_HTTP_URLS = [
    ("http://127.0.0.1:8008/health", []),
    ("http://[::1]:8008/health?x", []),
    ("127.0.0.1:8008", ["'127.0.0.1:8008' has no scheme. Write 'https://127.0.0.1:8008'."]),
    (
        "http://:8008/health",
        ["'http://:8008/health' has a malformed host, ''. Use only letters, digits, hyphens and dots."],
    ),
    ("http://user:hidden@localhost", [CREDENTIALS]),
]

URLS = st.from_regex(re.compile(r"https?://[a-z0-9.:\[\]_-]{0,30}(/[a-z]*)?(\?[a-z])?"), fullmatch=True)


@pytest.mark.parametrize("url", TEST_GOOD)
def test_good_endpoints(url: str) -> None:
    assert endpoint_problems(url, BUCKET) == []


@pytest.mark.parametrize(("url", "problems"), TEST_BAD)
def test_bad_endpoints(url: str, problems: list[str]) -> None:
    assert endpoint_problems(url, BUCKET) == problems


@pytest.mark.parametrize(("url", "warnings"), TEST_WARNINGS)
def test_warnings(url: str, warnings: list[str]) -> None:
    assert endpoint_warnings(url, BUCKET) == warnings


@pytest.mark.parametrize(("url", "obstacles"), TEST_OBSTACLES)
def test_obstacles(url: str | None, obstacles: list[str]) -> None:
    assert endpoint_obstacles(url) == obstacles


@pytest.mark.parametrize(("url", "is_aws", "region"), TEST_AWS_REGIONS)
def test_aws_endpoints(url: str, is_aws: bool, region: str | None) -> None:
    assert is_aws_endpoint(url) is is_aws
    assert find_aws_region(url) == region


@pytest.mark.parametrize(("url", "problems"), TEST_HTTP_URLS)
def test_http_urls(url: str, problems: list[str]) -> None:
    assert http_url_problems(url) == problems


@given(URLS | st.ip_addresses(v=6).map(lambda address: f"http://[{address}]:9000"))
def test_accepted_endpoints_pass_botocore(url: str) -> None:
    if not endpoint_problems(url, BUCKET):
        assert is_valid_endpoint_url(url) or is_valid_ipv6_endpoint_url(url)


@given(URLS | st.text(max_size=40))
def test_rules_are_stricter_than_obstacles(url: str) -> None:
    assume(url)
    assert endpoint_problems(url, BUCKET) or not endpoint_obstacles(url)


@given(
    st.sampled_from(["https://{}@s3.example.org", "https://key:{}@s3.example.org", "https://s3.example.org/?sig={}"]),
    st.text(min_size=1, max_size=20).map(lambda text: f"hidden{text}"),
)
def test_credentials_are_never_shown(form: str, secret: str) -> None:
    url = form.format(secret)
    texts = [*endpoint_problems(url, BUCKET), *endpoint_warnings(url, BUCKET), *endpoint_obstacles(url)]
    assert endpoint_problems(url, BUCKET)
    assert not [text for text in texts if "hidden" in text]
