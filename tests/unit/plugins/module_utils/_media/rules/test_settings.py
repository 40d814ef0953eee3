# SPDX-License-Identifier: GPL-3.0-or-later
"""The provider's settings, read as Synapse's storage provider reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import ConfigurationError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import (
    BucketSettings,
    bucket_settings,
)
from hypothesis import given
from hypothesis import strategies as st

START = "Could not use the S3 settings in Synapse's configuration: "
KEY = "k" * 32

TEST_GOOD = [
    ({"bucket": "media"}, BucketSettings("media")),
    ({"bucket": "Old_Media", "prefix": "/a//b"}, BucketSettings("Old_Media", prefix="/a//b")),
    (
        {
            "bucket": "my.media",
            "prefix": "synapse/",
            "region_name": "eu-central-1",
            "endpoint_url": "https://s3.example.org/storage/v1",
            "access_key_id": "key",
            "secret_access_key": "secret",
            "session_token": "token",
            "storage_class": "STANDARD_IA",
            "sse_customer_key": KEY,
            "sse_customer_algo": "AES256",
            "threadpool_size": "many",
        },
        BucketSettings(
            "my.media",
            prefix="synapse/",
            region_name="eu-central-1",
            endpoint_url="https://s3.example.org/storage/v1",
            access_key_id="key",
            secret_access_key="secret",
            session_token="token",
            storage_class="STANDARD_IA",
            sse_customer_key=KEY,
            sse_customer_algo="AES256",
        ),
    ),
    ({"bucket": "media", "region_name": "eu-central-99"}, BucketSettings("media", region_name="eu-central-99")),
    (
        {"bucket": "media", "access_key_id": 12, "secret_access_key": 34},
        BucketSettings("media", access_key_id="12", secret_access_key="34"),
    ),
    ({"bucket": "media", "endpoint_url": None, "session_token": None}, BucketSettings("media")),
    ({"bucket": "media", "secret_access_key": None}, BucketSettings("media")),
    ({"bucket": "media", "sse_customer_key": KEY.encode()}, BucketSettings("media", sse_customer_key=KEY)),
    ({"bucket": "media", "sse_customer_algo": "none"}, BucketSettings("media", sse_customer_algo="none")),
]

NOT_A_TEXT = "is not a text. Write a text, in quotes if need be."
TEST_BAD: list[tuple[Mapping[str, object], str]] = [
    ({}, "bucket: is missing. Write it."),
    ({"bucket": 5}, f"bucket: {NOT_A_TEXT}"),
    ({"bucket": "a b"}, "bucket: 'a b' can't be the name of a bucket. Write the name of the bucket."),
    ({"bucket": "media", "prefix": None}, f"prefix: {NOT_A_TEXT}"),
    (
        {"bucket": "media", "prefix": "a\n"},
        "prefix: 'a\\n' has control characters. Use only characters that can be seen.",
    ),
    (
        {"bucket": "media", "region_name": None},
        "region_name: is not a text. Write a text, in quotes if need be, or remove the line.",
    ),
    (
        {"bucket": "media", "region_name": ""},
        "region_name: '' is not a region. Write the region of the bucket, such as 'eu-central-1', or remove the line.",
    ),
    (
        {"bucket": "media", "endpoint_url": ""},
        "endpoint_url: is empty. Write the URL of the server, or remove the line for Amazon S3.",
    ),
    ({"bucket": "media", "endpoint_url": "minio"}, "endpoint_url: 'minio' has no scheme. Write 'https://minio'."),
    (
        {"bucket": "media", "access_key_id": "hidden"},
        "secret_access_key: is missing, but access_key_id is set. Write both, or neither.",
    ),
    (
        {"bucket": "media", "secret_access_key": "hidden"},
        "access_key_id: is missing, but secret_access_key is set. Write both, or neither.",
    ),
    (
        {"bucket": "media", "access_key_id": "key", "secret_access_key": ""},
        "secret_access_key: is empty. Write it, or remove the line to use the credentials of this host.",
    ),
    (
        {"bucket": "media", "access_key_id": None, "secret_access_key": "hidden"},
        "access_key_id: is not a text. Write a text, in quotes if need be, or remove the line.",
    ),
    ({"bucket": "media", "storage_class": None}, f"storage_class: {NOT_A_TEXT}"),
    (
        {"bucket": "media", "storage_class": "standard"},
        "storage_class: 'standard' is in lower case. Write it as 'STANDARD'.",
    ),
    (
        {"bucket": "media", "sse_customer_key": None},
        "sse_customer_key: is not a text. Write a text of exactly 32 characters.",
    ),
    (
        {"bucket": "media", "sse_customer_key": b"\xff" * 32},
        "sse_customer_key: is not a text. Write a text of exactly 32 characters.",
    ),
    (
        {"bucket": "media", "sse_customer_key": "hidden"},
        "sse_customer_key: has 6 bytes, but AES256 needs 32. "
        "Use a text of exactly 32 characters, such as 'openssl rand -hex 16' prints.",
    ),
    (
        {"bucket": "media", "sse_customer_key": KEY, "sse_customer_algo": "DES"},
        "sse_customer_algo: 'DES' is not an algorithm that S3 offers for customer keys. Write 'AES256'.",
    ),
    (
        {"prefix": 1, "endpoint_url": "minio", "storage_class": "GLACIER"},
        "4 problems were found:\n"
        "- bucket: is missing. Write it.\n"
        f"- prefix: {NOT_A_TEXT}\n"
        "- endpoint_url: 'minio' has no scheme. Write 'https://minio'.\n"
        "- storage_class: 'GLACIER' is an archive: Synapse could not read media back at once. "
        "Use STANDARD, REDUCED_REDUNDANCY, STANDARD_IA or INTELLIGENT_TIERING.",
    ),
]


@pytest.mark.parametrize(("config", "settings"), TEST_GOOD)
def test_good_settings(config: Mapping[str, object], settings: BucketSettings) -> None:
    assert bucket_settings(config) == settings


@pytest.mark.parametrize(("config", "problems"), TEST_BAD)
def test_bad_settings(config: Mapping[str, object], problems: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{re.escape(START + problems)}$"):
        bucket_settings(config)


def test_settings_from_yaml() -> None:
    config = yaml.safe_load(f"{{bucket: media, sse_customer_key: !!binary {'a2tr' * 10}a2s=, region_name: 1-a}}")
    assert bucket_settings(config) == BucketSettings("media", region_name="1-a", sse_customer_key=KEY)


def test_no_secret_in_the_text() -> None:
    settings = BucketSettings(
        "media",
        access_key_id="hidden",
        secret_access_key="hidden",
        session_token="hidden",
        sse_customer_key="hidden",
    )
    assert "hidden" not in f"{settings} {settings!r}"


@given(
    st.dictionaries(
        st.sampled_from(
            ["bucket", "region_name", "access_key_id", "secret_access_key", "session_token", "sse_customer_key"]
        ),
        st.none() | st.booleans() | st.lists(st.just("hidden")) | st.text(max_size=9).map(lambda text: f"hidden{text}"),
    ),
    st.sampled_from(["", "minio", "https://key:hidden@minio:x", "https://key:hidden@minio?sig=hidden"]),
)
def test_no_secret_in_a_message(config: dict[str, object], endpoint_url: str) -> None:
    secret_only = {name: value for name, value in config.items() if name not in ("bucket", "region_name")}
    with pytest.raises(ConfigurationError) as caught:
        bucket_settings({**secret_only, "bucket": "/", "endpoint_url": endpoint_url})
    assert "hidden" not in str(caught.value)
