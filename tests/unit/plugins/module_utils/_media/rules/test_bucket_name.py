# SPDX-License-Identifier: GPL-3.0-or-later
"""S3's rules for bucket names."""

from __future__ import annotations

import re

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.bucket_name import (
    bucket_dots_problems,
    bucket_name_obstacles,
    bucket_name_problems,
    bucket_name_warnings,
)
from botocore.handlers import validate_bucket_name
from hypothesis import given
from hypothesis import strategies as st

TEST_GOOD_NAMES = [
    "abc",
    "a" * 63,
    "my-bucket",
    "my.bucket",
    "3com",
    "a-.b",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.x4",
    "matrix-media-111122223333-eu-central-1-an",
    "xn-a",
    "sthree",
    "my-s3alias-bucket",
]

TEST_BAD_NAMES = [
    ("", ["is empty. Write the name of the bucket."]),
    (
        "your-bucket-name",
        ["'your-bucket-name' is still the example of the documentation. Write the name of your bucket."],
    ),
    ("ab", ["'ab' has 2 characters. Use a name of 3 to 63 characters."]),
    ("a" * 64, [f"'{'a' * 64}' has 64 characters. Use a name of 3 to 63 characters."]),
    (
        "My_Bucket",
        [
            "'My_Bucket' has characters that S3 does not allow ('M', '_', 'B'). "
            "Use only lower-case letters, digits, dots and hyphens."
        ],
    ),
    (
        "bücket\n",
        [
            "'bücket\\n' has characters that S3 does not allow ('ü', '\\n'). "
            "Use only lower-case letters, digits, dots and hyphens."
        ],
    ),
    ("-media", ["'-media' begins with '-'. Use a name that begins with a lower-case letter or a digit."]),
    ("media.", ["'media.' ends with '.'. Use a name that ends with a lower-case letter or a digit."]),
    ("my..media", ["'my..media' has two dots in a row. Use single dots."]),
    ("192.168.5.4", ["'192.168.5.4' looks like an IP address. Use a name that does not."]),
    (
        "xn--media",
        ["'xn--media' begins with 'xn--', which S3 reserves for internationalised domain names. Use another bucket."],
    ),
    ("sthree-media", ["'sthree-media' begins with 'sthree-', which S3 reserves for its own use. Use another bucket."]),
    (
        "sthree-configurator-x",
        [
            "'sthree-configurator-x' begins with 'sthree-configurator', which S3 reserves for its own use. "
            "Use another bucket."
        ],
    ),
    (
        "amzn-s3-demo-media",
        [
            "'amzn-s3-demo-media' begins with 'amzn-s3-demo-', which S3 reserves for examples in its documentation. "
            "Use another bucket."
        ],
    ),
    (
        "media-s3alias",
        ["'media-s3alias' ends with '-s3alias', which S3 reserves for access point aliases. Use another bucket."],
    ),
    (
        "media--ol-s3",
        ["'media--ol-s3' ends with '--ol-s3', which S3 reserves for Object Lambda access points. Use another bucket."],
    ),
    (
        "media.mrap",
        ["'media.mrap' ends with '.mrap', which S3 reserves for Multi-Region Access Points. Use another bucket."],
    ),
    (
        "media--x-s3",
        ["'media--x-s3' ends with '--x-s3', which S3 reserves for directory buckets. Use another bucket."],
    ),
    (
        "media--table-s3",
        ["'media--table-s3' ends with '--table-s3', which S3 reserves for table buckets. Use another bucket."],
    ),
    (
        "media/synapse",
        ["'media/synapse' is more than a name. Write the bucket's name only; a path in it belongs into prefix."],
    ),
    (
        "s3://media",
        ["'s3://media' is more than a name. Write the bucket's name only; a path in it belongs into prefix."],
    ),
    (
        "arn:aws:s3:::media",
        ["'arn:aws:s3:::media' is more than a name. Write the bucket's name only; a path in it belongs into prefix."],
    ),
    (
        ".M",
        [
            "'.M' has 2 characters. Use a name of 3 to 63 characters.",
            "'.M' has characters that S3 does not allow ('M'). Use only lower-case letters, digits, dots and hyphens.",
            "'.M' begins with '.'. Use a name that begins with a lower-case letter or a digit.",
        ],
    ),
]

TEST_DOTS = [
    ("mybucket", "eu-central-1", "", []),
    ("my.bucket", "eu-central-1", "https://s3.example.org", []),
    ("my.bucket", "eu-central-1", "https://s3.eu-central-1.amazonaws.com", []),
    (
        "my.bucket",
        "eu-central-1",
        "",
        [
            "'my.bucket' has dots, which the TLS certificate of Amazon S3 does not cover in host names. "
            "Use a bucket without dots, or set endpoint_url to 'https://s3.eu-central-1.amazonaws.com'."
        ],
    ),
    (
        "my.bucket",
        "cn-north-1",
        "",
        [
            "'my.bucket' has dots, which the TLS certificate of Amazon S3 does not cover in host names. "
            "Use a bucket without dots, or set endpoint_url to 'https://s3.cn-north-1.amazonaws.com.cn'."
        ],
    ),
    (
        "my.bucket",
        "",
        "",
        [
            "'my.bucket' has dots, which the TLS certificate of Amazon S3 does not cover in host names. "
            "Use a bucket without dots, or set endpoint_url to 'https://s3.REGION.amazonaws.com'."
        ],
    ),
]

TEST_OBSTACLES = [
    ("Old_Bucket", []),
    ("arn:aws:s3:eu-central-1:123456789012:accesspoint/media", []),
    ("arn:aws:s3-outposts:eu-central-1:123456789012:outpost/op-1/accesspoint/media", []),
    ("media-s3alias", []),
    ("", ["'' can't be the name of a bucket. Write the name of the bucket."]),
    ("my bucket", ["'my bucket' can't be the name of a bucket. Write the name of the bucket."]),
    ("media/x", ["'media/x' can't be the name of a bucket. Write the name of the bucket."]),
    (
        "media--x-s3",
        ["'media--x-s3' ends with '--x-s3', which S3 reserves for directory buckets. Use another bucket."],
    ),
]

ELSEWHERE = "https://s3.example.org"
TEST_ELSEWHERE = [
    ("my-bucket", [], False),
    ("My_Bucket", [], True),
    ("ab", [], True),
    ("sthree-media", [], True),
    ("", ["is empty. Write the name of the bucket."], False),
    ("my bucket", ["'my bucket' can't be the name of a bucket. Write the name of the bucket."], False),
    (
        "media/x",
        ["'media/x' is more than a name. Write the bucket's name only; a path in it belongs into prefix."],
        False,
    ),
]

NAMES = st.one_of(st.text(max_size=70), st.from_regex(re.compile(r"[a-z0-9.-]{1,66}"), fullmatch=True))


@pytest.mark.parametrize("name", TEST_GOOD_NAMES)
def test_good_names(name: str) -> None:
    assert bucket_name_problems(name, "") == []


@pytest.mark.parametrize(("name", "problems"), TEST_BAD_NAMES)
def test_bad_names(name: str, problems: list[str]) -> None:
    assert bucket_name_problems(name, "https://s3.eu-central-1.amazonaws.com") == problems


@pytest.mark.parametrize(("name", "problems", "warned"), TEST_ELSEWHERE)
def test_names_that_another_service_may_take(name: str, problems: list[str], warned: bool) -> None:
    warning = f"{name!r} is no name of a bucket by Amazon's rules. Whether the server takes it, the trial of it tells."
    assert bucket_name_problems(name, ELSEWHERE) == problems
    assert bucket_name_warnings(name, ELSEWHERE) == ([warning] if warned else [])
    assert bucket_name_warnings(name, "") == []


@given(NAMES)
def test_names_accepted_elsewhere_pass_botocore(name: str) -> None:
    if not bucket_name_problems(name, ELSEWHERE):
        validate_bucket_name({"Bucket": name})


@pytest.mark.parametrize(("name", "region", "endpoint_url", "problems"), TEST_DOTS)
def test_dots(name: str, region: str, endpoint_url: str, problems: list[str]) -> None:
    assert bucket_dots_problems(name, region, endpoint_url) == problems


@pytest.mark.parametrize(("name", "obstacles"), TEST_OBSTACLES)
def test_obstacles(name: str, obstacles: list[str]) -> None:
    assert bucket_name_obstacles(name) == obstacles


@given(NAMES)
def test_accepted_names_pass_botocore(name: str) -> None:
    if not bucket_name_problems(name, ""):
        assert 3 <= len(name) <= 63
        validate_bucket_name({"Bucket": name})


@given(NAMES)
def test_rules_are_stricter_than_obstacles(name: str) -> None:
    assert bucket_name_problems(name, "") or not bucket_name_obstacles(name)


@given(NAMES)
def test_names_without_obstacles_pass_botocore(name: str) -> None:
    if not bucket_name_obstacles(name):
        validate_bucket_name({"Bucket": name})
