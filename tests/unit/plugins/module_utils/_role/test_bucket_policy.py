# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy for a key of Synapse's. tests/integration tries it on a real server."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3_failures import (
    PERMISSIONS as EXPLAINED,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.bucket_policy import (
    PERMISSIONS,
    bucket_policy,
    listing_all,
    partition_of,
)

ROOT = Path(__file__).parents[5]


def test_a_policy_for_a_part_of_a_bucket() -> None:
    assert bucket_policy("media", "hs/") == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "ListMedia",
                "Effect": "Allow",
                "Action": ["s3:ListBucket", "s3:ListBucketVersions"],
                "Resource": ["arn:aws:s3:::media"],
                "Condition": {"StringLike": {"s3:prefix": ["hs/*"]}},
            },
            {
                "Sid": "LookAtBucket",
                "Effect": "Allow",
                "Action": ["s3:ListBucketMultipartUploads", "s3:GetBucketVersioning", "s3:GetLifecycleConfiguration"],
                "Resource": ["arn:aws:s3:::media"],
            },
            {
                "Sid": "UseMedia",
                "Effect": "Allow",
                "Action": [
                    "s3:GetObject",
                    "s3:PutObject",
                    "s3:AbortMultipartUpload",
                    "s3:DeleteObject",
                    "s3:DeleteObjectVersion",
                ],
                "Resource": ["arn:aws:s3:::media/hs/*"],
            },
        ],
    }


def test_a_whole_bucket_needs_no_condition() -> None:
    listing, _unused, objects = bucket_policy("media")["Statement"]
    assert "Condition" not in listing
    assert objects["Resource"] == ["arn:aws:s3:::media/*"]


def test_a_list_of_the_whole_bucket() -> None:
    """Objects stay those below the prefix, and what is forbidden stays so."""
    document = bucket_policy("media", "hs/", tls_only=True)
    listing, *others = listing_all(document)["Statement"]
    assert listing == bucket_policy("media")["Statement"][0]
    assert others == document["Statement"][1:]


@pytest.mark.parametrize(("principal", "operator"), [("", "Bool"), ("arn:aws:iam:::user/synapse", "BoolIfExists")])
def test_only_by_tls(principal: str, operator: str) -> None:
    """IAM and MinIO take the one for a user, Ceph needs the other for a bucket."""
    *others, last = bucket_policy("media", tls_only=True, principal=principal)["Statement"]
    assert (len(others), last["Effect"], last["Action"]) == (3, "Deny", ["s3:*"])
    assert last["Condition"] == {operator: {"aws:SecureTransport": ["false"]}}
    assert [each.get("Principal") for each in (*others, last)] == [{"AWS": [principal]} if principal else None] * 4


def test_actions_can_be_left_out() -> None:
    """SeaweedFS refuses a policy with an action that it does not know."""
    for permission in PERMISSIONS:
        rest = [
            action
            for statement in bucket_policy("media", without=[permission.action])["Statement"]
            for action in statement["Action"]
        ]
        assert sorted([*rest, permission.action]) == sorted(each.action for each in PERMISSIONS)
    of_the_bucket = ["s3:ListBucketMultipartUploads", "s3:GetBucketVersioning", "s3:GetLifecycleConfiguration"]
    assert len(bucket_policy("media", without=of_the_bucket)["Statement"]) == 2


@pytest.mark.parametrize(
    ("arguments", "without", "text"),
    [
        (("", ""), [], "the name of the bucket is empty. Write it."),
        (
            ("media", "a*/"),
            [],
            "the prefix 'a*/' has '*', which a policy takes for something else. Use a prefix without.",
        ),
        (
            ("media", "${aws}/"),
            [],
            "the prefix '${aws}/' has '${', which a policy takes for something else. Use a prefix without.",
        ),
        (("media", ""), ["s3:Get"], "it has no action 's3:Get' to be left out. Correct 'without'."),
    ],
)
def test_what_can_not_be_used(arguments: tuple[str, str], without: list[str], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        bucket_policy(*arguments, without=without)
    assert str(caught.value) == text


def test_amazon_s_partitions() -> None:
    regions = {"eu-central-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov", "": "aws", "main": "aws"}
    regions |= {"eusc-de-east-1": "aws-eusc", "us-iso-east-1": "aws-iso", "eu-isoe-west-1": "aws-iso-e"}
    assert {region: partition_of(region) for region in regions} == regions
    assert bucket_policy("media", partition="aws-cn")["Statement"][1]["Resource"] == ["arn:aws-cn:s3:::media"]


def test_messages_name_every_action() -> None:
    """What is refused is told by the name that the policy has for it."""
    assert {permission.action for permission in PERMISSIONS} <= set(EXPLAINED.values())


def test_the_documentation_shows_what_the_filter_renders() -> None:
    text = (ROOT / "docs/bucket.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert json.loads(shown) == bucket_policy("example-org-media", "media/")


def test_the_documentation_says_what_each_action_is_for() -> None:
    text = (ROOT / "docs/bucket.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| `(s3:\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    assert shown == [(each.action, each.on.value, ", ".join(each.needed_by), each.without) for each in PERMISSIONS]
