# SPDX-License-Identifier: GPL-3.0-or-later
"""Encryption with a customer key."""

from __future__ import annotations

import base64
from typing import Any

import boto3
import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.sse_c import (
    sse_algorithm_problems,
    sse_key_problems,
    sse_transport_problems,
)
from hypothesis import given
from hypothesis import strategies as st

RIGHT_KEY = "Use a text of exactly 32 characters, such as 'openssl rand -hex 16' prints."
RAW_KEY = bytes(range(32))

TEST_BAD_KEYS = [
    ("", f"has 0 bytes, but AES256 needs 32. {RIGHT_KEY}"),
    ("k" * 31, f"has 31 bytes, but AES256 needs 32. {RIGHT_KEY}"),
    ("ü" * 32, f"has 64 bytes, but AES256 needs 32. {RIGHT_KEY}"),
    (
        base64.b64encode(RAW_KEY).decode(),
        f"is a key in base64, which boto3 would put into base64 once more. {RIGHT_KEY}",
    ),
    (RAW_KEY.hex(), f"is a key in 64 hexadecimal digits, but 32 bytes are wanted. {RIGHT_KEY}"),
    ("k" * 44, f"has 44 bytes, but AES256 needs 32. {RIGHT_KEY}"),
]

TEST_TRANSPORT = [
    ("", []),
    ("https://minio:9000", []),
    (
        "http://minio:9000",
        ["is true, but endpoint_url is plain http, over which S3 refuses customer keys. Use an https endpoint_url."],
    ),
    (
        "HTTP://minio",
        ["is true, but endpoint_url is plain http, over which S3 refuses customer keys. Use an https endpoint_url."],
    ),
]


@pytest.mark.parametrize("key", ["k" * 32, "ü" * 16, RAW_KEY.hex()[:32]])
def test_good_keys(key: str) -> None:
    assert sse_key_problems(key) == []


@pytest.mark.parametrize(("key", "problem"), TEST_BAD_KEYS)
def test_bad_keys(key: str, problem: str) -> None:
    assert sse_key_problems(key) == [problem]


def test_algorithms() -> None:
    assert sse_algorithm_problems("AES256") == []
    assert sse_algorithm_problems("aws:kms") == [
        "'aws:kms' is not an algorithm that S3 offers for customer keys. Write 'AES256'."
    ]


@pytest.mark.parametrize(("endpoint_url", "problems"), TEST_TRANSPORT)
def test_transport(endpoint_url: str, problems: list[str]) -> None:
    assert sse_transport_problems(endpoint_url) == problems


@given(st.text(max_size=70))
def test_no_key_is_shown(tail: str) -> None:
    key = f"hidden{tail}"
    assert not [text for text in sse_key_problems(key) if "hidden" in text]


class Stopped(Exception):
    """Raised in place of sending a request."""


@given(st.text(min_size=8, max_size=32))
def test_a_good_key_reaches_s3_as_32_bytes(key: str) -> None:
    if sse_key_problems(key):
        return
    sent: dict[str, bytes] = {}

    def stop(request: Any, **_kwargs: object) -> None:
        sent.update(request.headers)
        raise Stopped

    CLIENT.meta.events.register_first("before-send.s3", stop, unique_id="test")
    try:
        with pytest.raises(Stopped):
            CLIENT.get_object(Bucket="media", Key="key", SSECustomerKey=key, SSECustomerAlgorithm="AES256")
    finally:
        CLIENT.meta.events.unregister("before-send.s3", unique_id="test")
    assert len(base64.b64decode(sent["x-amz-server-side-encryption-customer-key"])) == 32


CLIENT = boto3.session.Session().client(
    "s3",
    region_name="us-east-1",
    endpoint_url="https://s3.example.org",
    aws_access_key_id="key",
    aws_secret_access_key="secret",
)
