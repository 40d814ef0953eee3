# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of a server's answers to what Synapse's key is tried with."""

from __future__ import annotations

from unittest import mock

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket import key_effects
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.key_effects import SynapsesBucket
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.refusals import failure
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.encryption import TEST_OBJECT
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import UnavailableError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from botocore.exceptions import ClientError

SETTINGS = BucketSettings(
    "media",
    prefix="hs/",
    region_name="eu-test-1",
    endpoint_url="http://127.0.0.1:1",
    access_key_id="synapse",
    secret_access_key="a-secret",
)
NO_POLICY = frozenset({"NoSuchBucketPolicy"})
TEST_ANSWERS = {
    "done": (0, "", True),
    "refused": (403, "AccessDenied", False),
    "let in, and there is none": (404, "NoSuchBucketPolicy", True),
    "missing": (404, "NoSuchBucket", False),
    "not implemented": (501, "NotImplemented", False),
}


# To make one takes longer than a test.
@pytest.fixture(scope="module")
def bucket() -> SynapsesBucket:
    return SynapsesBucket(SETTINGS)


def answering(status: int, code: str, operation: str = "GetBucketPolicy") -> mock.Mock:
    if not status:
        return mock.Mock()
    told = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return mock.Mock(side_effect=ClientError(told, operation))  # type: ignore[arg-type]  # of boto3's types the half


@pytest.mark.parametrize("name", TEST_ANSWERS)
def test_whether_a_key_may(bucket: SynapsesBucket, name: str) -> None:
    status, code, expected = TEST_ANSWERS[name]
    assert bucket._may("read the bucket's policy", answering(status, code), NO_POLICY) is expected


def test_what_can_t_be_seen_is_no_refusal(bucket: SynapsesBucket) -> None:
    with pytest.raises(UnavailableError, match=r"^Could not see whether Synapse's key may read the bucket's policy: "):
        bucket._may("read the bucket's policy", answering(503, "ServiceUnavailable"), NO_POLICY)


def test_a_key_that_is_refused_what_is_missing(bucket: SynapsesBucket) -> None:
    """As Ceph does where the list of a prefix alone is allowed: Synapse takes that for a failure."""
    with (
        mock.patch.object(bucket, "list", return_value=iter(())),
        mock.patch.object(bucket._client, "head_object", answering(403, "403", "HeadObject")),
    ):
        refusal = failure(bucket.see)
    assert str(refusal) == (
        "Could not see what is missing in bucket 'media': the server http://127.0.0.1:1 refuses it (HTTP 403), which"
        " Synapse takes for a failure. Allow the key s3:ListBucket; where it is allowed that for the prefix, allow it"
        " for the whole bucket."
    )


@pytest.mark.parametrize("prefix", ["hs/", "m", "matrixops-synapse-s3-preflight-0", "beside-", "b"])
def test_a_key_beside_the_prefix(prefix: str) -> None:
    assert not f"{key_effects._beside(prefix)}{TEST_OBJECT}0123".startswith(prefix)
