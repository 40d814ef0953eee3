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
