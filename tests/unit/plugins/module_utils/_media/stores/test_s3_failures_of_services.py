# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the service is known, its answer is told with what it has."""

from __future__ import annotations

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3_failures import Failure, describe

UNKNOWN = "one that it supports, such as STANDARD"


@pytest.mark.parametrize(
    ("endpoint_url", "server", "classes"),
    [
        ("https://0a1b.r2.cloudflarestorage.com", "https://0a1b.r2.cloudflarestorage.com", "STANDARD or STANDARD_IA"),
        ("https://s3.example.org", "https://s3.example.org", UNKNOWN),
        (None, "Amazon S3", UNKNOWN),
    ],
)
def test_a_refused_storage_class_is_told_with_those_of_the_service(
    endpoint_url: str | None, server: str, classes: str
) -> None:
    settings = BucketSettings("media", endpoint_url=endpoint_url, storage_class="INTELLIGENT_TIERING")
    error = describe(Failure("InvalidStorageClass"), settings, "store object 'x'")
    assert str(error) == (
        f"Could not store object 'x': the server {server} does not support the storage class 'INTELLIGENT_TIERING'."
        f" Set storage_class to {classes}."
    )


@pytest.mark.parametrize("endpoint_url", [None, "https://s3.eu-central-1.amazonaws.com"])
def test_a_bucket_of_amazon_that_takes_no_sse_c(endpoint_url: str | None) -> None:
    settings = BucketSettings("media", endpoint_url=endpoint_url, sse_customer_key="0" * 32)
    error = describe(Failure("AccessDenied", 403, "PutObject", "Access Denied"), settings, "store object 'x'")
    assert str(error) == (
        "Could not store object 'x': the access key does not have the permission s3:PutObject, or the bucket takes no"
        " SSE-C, which is Amazon's default since April 2026. Allow it in the policy of the access key or of the bucket,"
        " and set BlockedEncryptionTypes to NONE in the bucket's default encryption."
    )


@pytest.mark.parametrize(
    ("endpoint_url", "key", "operation"),
    [
        ("https://s3.example.org", "0" * 32, "PutObject"),
        (None, None, "PutObject"),
        (None, "0" * 32, "DeleteObject"),
    ],
)
def test_sse_c_is_not_named_where_it_can_not_be_why(endpoint_url: str | None, key: str | None, operation: str) -> None:
    settings = BucketSettings("media", endpoint_url=endpoint_url, sse_customer_key=key)
    error = describe(Failure("AccessDenied", 403, operation, "Access Denied"), settings, "do this")
    assert "SSE-C" not in str(error)
