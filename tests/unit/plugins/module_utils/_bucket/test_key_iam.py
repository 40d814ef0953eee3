# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of Amazon's: what IAM is asked, in its own words (botocore's Stubber holds both sides to its interface)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.administration import Administration
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.key_iam import POLICY_NAME, IamKeys
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import AccessError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.bucket_policy import bucket_policy
from botocore.stub import Stubber

KEY = "AKIAIOSFODNN7EXAMPLE"
SETTINGS = BucketSettings(
    "media", region_name="eu-central-1", access_key_id="administrator", secret_access_key="a-secret"
)
DOCUMENT = bucket_policy("media")


@pytest.fixture
def stub() -> Iterator[Stubber]:
    with Stubber(boto3.client("iam", aws_access_key_id="a", aws_secret_access_key="b")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def interface(stub: Stubber) -> IamKeys:
    return IamKeys(Administration(SETTINGS), stub.client)


def expect_owner(stub: Stubber, user: str = "synapse") -> None:
    used = {"ServiceName": "s3", "Region": "eu-central-1"}
    stub.add_response("get_access_key_last_used", {"UserName": user, "AccessKeyLastUsed": used}, {"AccessKeyId": KEY})


def test_a_key_gets_its_policy(stub: Stubber) -> None:
    own = {"UserName": "synapse", "PolicyName": POLICY_NAME}
    expect_owner(stub)
    stub.add_client_error("get_user_policy", "NoSuchEntity", http_status_code=404)
    expect_owner(stub)
    stub.add_response("put_user_policy", {}, {**own, "PolicyDocument": json.dumps(DOCUMENT)})
    expect_owner(stub)
    stub.add_response("get_user_policy", {**own, "PolicyDocument": json.dumps(DOCUMENT)}, own)
    expect_owner(stub)
    keys = interface(stub)
    assert keys.policy(KEY) is None
    keys.set_policy(KEY, DOCUMENT)
    assert keys.policy(KEY) == DOCUMENT
    assert keys.by(KEY) == "by the policy 'matrixops-synapse-s3' of the user 'synapse'"


def test_other_policies_are_told(stub: Stubber) -> None:
    expect_owner(stub)
    stub.add_response("list_user_policies", {"PolicyNames": [POLICY_NAME, "mail"]}, {"UserName": "synapse"})
    attached: list[dict[str, Any]] = [{"PolicyName": "AmazonS3FullAccess", "PolicyArn": "arn:aws:iam::aws:policy/x"}]
    stub.add_response("list_attached_user_policies", {"AttachedPolicies": attached}, {"UserName": "synapse"})
    assert interface(stub).other_policies(KEY) == ["AmazonS3FullAccess", "mail"]


def test_a_key_that_iam_does_not_know(stub: Stubber) -> None:
    for _turn in range(3):
        stub.add_client_error("get_access_key_last_used", "NoSuchEntity", http_status_code=404)
    keys = interface(stub)
    assert (keys.knows(KEY), keys.policy(KEY), keys.other_policies(KEY)) == (False, None, [])
    with pytest.raises(AccessError) as caught:
        keys.set_user(KEY, "secret", is_there=False)
    assert str(caught.value) == (
        f"Could not give Synapse a key of its own: IAM knows no access key '{KEY}', and chooses keys itself. Make a"
        " user for Synapse with an access key there, without any policy, write that key as Synapse's, and run this"
        " again: it gets its policy here."
    )
    with pytest.raises(AccessError) as caught:
        keys.set_user(KEY, "secret", is_there=True)
    assert str(caught.value) == (
        "Could not give Synapse a key of its own: the secret access key does not belong to the access key ID"
        f" '{KEY}'. Correct synapse_secret_access_key."
    )


def test_an_administrator_who_may_not(stub: Stubber) -> None:
    stub.add_client_error("get_access_key_last_used", "AccessDenied", "not authorized, a-secret", 403)
    with pytest.raises(AccessError) as caught:
        interface(stub).knows(KEY)
    assert str(caught.value) == (
        "Could not give Synapse a key of its own: IAM refused it (AccessDenied: 'not authorized, ***'). Use an access"
        " key that has the permission iam:GetAccessKeyLastUsed, or set key to false. Make a key there for Synapse, and"
        " give it the policy that the filter matrixops.synapse_s3.bucket_policy writes: docs/bucket.md tells how."
    )
