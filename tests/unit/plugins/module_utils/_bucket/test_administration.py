# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a bucket, where a service keeps more of them than the ones of the tests do."""

from __future__ import annotations

from contextlib import closing
from unittest import mock

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.administration import Administration
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings

KMS = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "theirs"}


def test_what_else_the_rule_of_the_encryption_says_stays() -> None:
    """Amazon's says whether there are bucket keys, and which encryptions it refuses."""
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": True}
    with closing(Administration(BucketSettings("media", endpoint_url="http://localhost:9"))) as bucket:
        bucket._client = client = mock.MagicMock()
        client.get_bucket_encryption.return_value = {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}
        assert bucket.encryption() == {"SSEAlgorithm": "AES256"}
        bucket.set_encryption(KMS)
    client.put_bucket_encryption.assert_called_once_with(
        Bucket="media",
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": KMS, "BucketKeyEnabled": True}]
        },
    )


def test_what_is_kept_beside_the_lifecycle_rules_stays() -> None:
    """Amazon takes its default where it is left out, and moves small objects of other rules no more."""
    rule = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": ""}}
    with closing(Administration(BucketSettings("media", endpoint_url="http://localhost:9"))) as bucket:
        bucket._client = client = mock.MagicMock()
        client.get_bucket_lifecycle_configuration.return_value = {
            "Rules": [rule],
            "TransitionDefaultMinimumObjectSize": "varies_by_storage_class",
        }
        bucket.set_lifecycle(bucket.lifecycle())
    client.put_bucket_lifecycle_configuration.assert_called_once_with(
        Bucket="media",
        LifecycleConfiguration={"Rules": [rule]},
        TransitionDefaultMinimumObjectSize="varies_by_storage_class",
    )
