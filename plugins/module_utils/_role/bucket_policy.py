# SPDX-License-Identifier: GPL-3.0-or-later
"""What an access key for Synapse has to be allowed in a bucket, and nothing more, as an IAM policy document.

A document is what IAM takes (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html), and
every service that knows policies with it. Pure.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import Any, NamedTuple

from .._media.rules.aws_regions import AWS_PARTITIONS
from .._media.rules.bucket_name import bucket_name_obstacles

Document = dict[str, Any]
Statement = dict[str, Any]

PROVIDER = "the provider"


class On(Enum):
    """What an action is allowed on."""

    OBJECTS = "objects below the prefix"
    # S3 tells by the condition key s3:prefix which part of the bucket is listed; a look at a missing object counts too.
    LISTING = "the list of them"
    # No condition is known to S3 for these.
    BUCKET = "the bucket"


class Permission(NamedTuple):
    """One action, and what of the collection needs it.

    ``without``: what happens otherwise, for an administrator.
    """

    action: str
    on: On
    needed_by: tuple[str, ...]
    without: str


PERMISSIONS = (
    Permission(
        "s3:ListBucket",
        On.LISTING,
        (PROVIDER, "preflight", "migrate", "status", "verify", "restore", "purge-orphans", "copy-bucket"),
        "nothing works, and the provider can't tell what is missing from what is forbidden",
    ),
    Permission(
        "s3:GetObject",
        On.OBJECTS,
        (PROVIDER, "preflight", "migrate", "verify --deep", "restore", "purge-orphans", "copy-bucket"),
        "no media can be read",
    ),
    Permission(
        "s3:PutObject",
        On.OBJECTS,
        (PROVIDER, "preflight", "migrate", "copy-bucket"),
        "no media can be stored",
    ),
    Permission(
        "s3:AbortMultipartUpload",
        On.OBJECTS,
        (PROVIDER, "migrate", "copy-bucket"),
        "what was sent of a large file stays in the bucket, unseen, when its upload fails; preflight says so",
    ),
    Permission(
        "s3:DeleteObject",
        On.OBJECTS,
        ("preflight", "purge-orphans --delete"),
        "preflight fails, and what Synapse has deleted stays in the bucket",
    ),
    Permission(
        "s3:DeleteObjectVersion",
        On.OBJECTS,
        ("preflight", "purge-orphans --delete-versions"),
        "in a bucket that keeps old versions those of deleted media stay, and those of preflight's test objects",
    ),
    Permission(
        "s3:ListBucketVersions",
        On.LISTING,
        ("purge-orphans",),
        "in a bucket that keeps old versions purge-orphans ends with 1, as it can't tell what it has of deleted media,"
        " nor delete that for good",
    ),
    Permission(
        "s3:ListBucketMultipartUploads",
        On.BUCKET,
        ("migrate", "verify", "copy-bucket"),
        "what a run that was killed has sent of a large file stays in the bucket; verify says that it can't count that",
    ),
    Permission(
        "s3:GetBucketVersioning",
        On.BUCKET,
        ("purge-orphans",),
        "nobody tells whether old versions of deleted media stay, and they can't be deleted for good",
    ),
    Permission(
        "s3:GetLifecycleConfiguration",
        On.BUCKET,
        ("purge-orphans",),
        "nobody tells what ends old versions of deleted media",
    ),
)

# The names of the statements.
SIDS = {On.LISTING: "ListMedia", On.BUCKET: "LookAtBucket", On.OBJECTS: "UseMedia"}
TLS_ONLY_FOR_USER = "OnlyByTls"
# A policy takes these for something else than themselves.
_PATTERN_CHARACTERS = ("*", "?", "${")


def bucket_policy(
    bucket: str,
    prefix: str = "",
    *,
    tls_only: bool = False,
    principal: str = "",
    partition: str = "aws",
    without: Collection[str] = (),
) -> Document:
    """The least that Synapse's provider and this collection's program need, on this bucket and prefix.

    ``tls_only`` forbids all that does not come by TLS. ``principal`` makes it a policy of the bucket, for this user;
    otherwise it is one to be attached to a user. ``without``: actions to leave out.

    :raises ValueError: saying what can't be used, and what to do.
    """
    _check(bucket, prefix, without)
    allowed = [permission for permission in PERMISSIONS if permission.action not in without]
    statements = [
        {
            "Sid": SIDS[on],
            "Effect": "Allow",
            "Action": [permission.action for permission in allowed if permission.on is on],
            "Resource": [_resource(bucket, partition, f"{prefix}*" if on is On.OBJECTS else "")],
            # Without a prefix it would allow nothing less.
            **({"Condition": {"StringLike": {"s3:prefix": [f"{prefix}*"]}}} if on is On.LISTING and prefix else {}),
        }
        for on in SIDS
    ]
    statements = [statement for statement in statements if statement["Action"]]
    if tls_only:
        # IAM and MinIO know no other for a user; Ceph needs the other for a bucket.
        operator = "BoolIfExists" if principal else "Bool"
        statements.append(tls_only_statement(bucket, partition=partition, operator=operator))
    if principal:
        statements = [_for(principal, statement) for statement in statements]
    return {"Version": "2012-10-17", "Statement": statements}


def listing_all(document: Document) -> Document:
    """The same, and a list of the whole bucket: for a service that would refuse what is missing otherwise."""
    listing = SIDS[On.LISTING]
    return {
        **document,
        "Statement": [
            {name: value for name, value in each.items() if name != "Condition"} if each["Sid"] == listing else each
            for each in document["Statement"]
        ],
    }


def tls_only_statement(bucket: str, *, partition: str, operator: str) -> Statement:
    """A statement that forbids what does not come by TLS, with the operator ``Bool`` or ``BoolIfExists``.

    Ceph has no aws:SecureTransport at all where there is no TLS, so that ``Bool`` never holds there.
    """
    return {
        "Sid": TLS_ONLY_FOR_USER,
        "Effect": "Deny",
        "Action": ["s3:*"],
        "Resource": [_resource(bucket, partition, ""), _resource(bucket, partition, "*")],
        "Condition": {operator: {"aws:SecureTransport": ["false"]}},
    }


def partition_of(region: str) -> str:
    """The partition of Amazon's in which a region is; that of all other services is ``aws``."""
    return next((name for name, partition in AWS_PARTITIONS.items() if region in partition.regions), "aws")


def _check(bucket: str, prefix: str, without: Collection[str]) -> None:
    if not bucket:
        raise ValueError("the name of the bucket is empty. Write it.")
    if obstacles := bucket_name_obstacles(bucket):
        raise ValueError(f"the bucket: {obstacles[0]}")
    found = [text for text in _PATTERN_CHARACTERS if text in prefix]
    if found:
        raise ValueError(
            f"the prefix {prefix!r} has {found[0]!r}, which a policy takes for something else. Use a prefix without."
        )
    unknown = sorted(set(without) - {permission.action for permission in PERMISSIONS})
    if unknown:
        raise ValueError(f"it has no action {unknown[0]!r} to be left out. Correct 'without'.")


def _resource(bucket: str, partition: str, key: str) -> str:
    return f"arn:{partition}:s3:::{bucket}/{key}" if key else f"arn:{partition}:s3:::{bucket}"


def _for(principal: str, statement: Statement) -> Statement:
    sid, effect, *rest = statement.items()
    return dict([sid, effect, ("Principal", {"AWS": [principal]}), *rest])
