# SPDX-License-Identifier: GPL-3.0-or-later
"""Which statements of a bucket's policy let anybody in, by what Amazon calls public."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket import public

ALLOW: dict[str, Any] = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::media/*"}
USER = "arn:aws:iam::123456789012:user/a"
POINT = "arn:aws:s3:eu-west-1:123456789012:accesspoint/"
TEST_PRINCIPALS: dict[str, tuple[dict[str, Any], bool]] = {
    "anybody": ({"Principal": "*"}, True),
    "anybody, as MinIO gives it": ({"Principal": {"AWS": ["*"]}}, True),
    "anybody, as one": ({"Principal": {"AWS": "*"}}, True),
    "anybody, by another kind of name": ({"Principal": {"CanonicalUser": "*"}}, True),
    "anybody, as Scaleway has it": ({"Principal": {"SCW": "*"}}, True),
    "anybody among others": ({"Principal": {"AWS": [USER, "*"]}}, True),
    "all users of an account, by their keys": ({"Principal": {"AWS": "arn:aws:iam::123456789012:user/*"}}, False),
    "anybody, as a pattern": ({"Principal": {"AWS": "?*"}}, True),
    "all but a user": ({"NotPrincipal": {"AWS": USER}}, True),
    "a user": ({"Principal": {"AWS": [USER]}}, False),
    "users in a list": ({"Principal": ["synapse", "another"]}, False),
    "anybody in a list": ({"Principal": ["synapse", "*"]}, True),
    "a service": ({"Principal": {"Service": "logging.s3.amazonaws.com"}}, False),
    "a denial": ({"Principal": "*", "Effect": "Deny"}, False),
    "a denial for all but a user": ({"NotPrincipal": {"AWS": USER}, "Effect": "Deny"}, False),
}
# What Amazon's page names, and what it only looks like.
TEST_CONDITIONS: dict[str, tuple[Any, bool]] = {
    "none": ({}, True),
    "an address": ({"IpAddress": {"aws:SourceIp": "192.0.2.1"}}, False),
    "some addresses": ({"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "2001:db8::/32"]}}, False),
    "a name in other letters": ({"ipAddress": {"AWS:sourceip": "10.0.0.0/8"}}, False),
    "all addresses": ({"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}, True),
    "half of the addresses": ({"IpAddress": {"aws:SourceIp": ["192.0.2.1", "0.0.0.0/1"]}}, True),
    "too many of IPv6": ({"IpAddress": {"aws:SourceIp": "2000::/31"}}, True),
    "all of IPv4 as IPv6": ({"IpAddress": {"aws:SourceIp": "::ffff:0:0/96"}}, True),
    "some of IPv4 as IPv6": ({"IpAddress": {"aws:SourceIp": "::ffff:192.0.2.0/120"}}, False),
    "no address": ({"IpAddress": {"aws:SourceIp": "office"}}, True),
    "an address as a text": ({"StringLike": {"aws:SourceIp": "192.0.2.1"}}, True),
    "all but some addresses": ({"NotIpAddress": {"aws:SourceIp": "192.0.2.1"}}, True),
    "a network": ({"StringEquals": {"aws:SourceVpc": "vpc-91237329"}}, False),
    "one network of two": ({"ForAnyValue:StringEquals": {"aws:SourceVpce": ["vpce-1", "vpce-2"]}}, False),
    "any network of the kind": ({"StringLike": {"aws:SourceVpc": "vpc-*"}}, True),
    "any network of a length": ({"StringLike": {"aws:SourceVpc": "vpc-????"}}, True),
    "a network that the request names": ({"StringEquals": {"aws:SourceVpc": "${aws:PrincipalTag/vpc}"}}, True),
    "another network": ({"StringNotEquals": {"aws:SourceVpc": "vpc-91237329"}}, True),
    "a network, if there is one": ({"StringEqualsIfExists": {"aws:SourceVpc": "vpc-91237329"}}, True),
    "only networks of these, or none": ({"ForAllValues:StringEquals": {"aws:SourceVpc": "vpc-91237329"}}, True),
    "no network": ({"Null": {"aws:SourceVpc": "true"}}, True),
    "networks of no name": ({"StringEquals": {"aws:SourceVpc": []}}, True),
    "an organisation": ({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, False),
    "a principal": ({"ArnEquals": {"aws:PrincipalArn": USER}}, False),
    "a user's name, which MinIO takes from a header": ({"StringEquals": {"aws:username": ["synapse"]}}, True),
    "a user's ID": ({"StringLike": {"aws:userid": "AIDA1"}}, True),
    "local addresses of IPv6": ({"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "fd00::/8", "fe80::/10"]}}, False),
    "what holds all of IPv4": ({"IpAddress": {"aws:SourceIp": "::fffe:0:0/95"}}, True),
    "any session of a role": ({"StringLike": {"aws:userid": "AROA1:*"}}, True),
    "an account's notifications": ({"ArnLike": {"aws:SourceArn": "arn:aws:s3:::inventory"}}, False),
    "an account": ({"StringEquals": {"aws:SourceAccount": "123456789012", "s3:x-amz-acl": "*"}}, False),
    "an owner": ({"StringEqualsIgnoreCase": {"aws:SourceOwner": "123456789012"}}, False),
    "an account's access points": ({"StringLike": {"s3:DataAccessPointArn": f"{POINT}*"}}, False),
    "an access point": ({"StringEquals": {"s3:DataAccessPointArn": f"{POINT}media"}}, False),
    "anybody's access points": ({"ArnLike": {"s3:DataAccessPointArn": "arn:aws:s3:*:*:accesspoint/*"}}, True),
    "access points of an account": ({"StringEquals": {"s3:DataAccessPointAccount": "123456789012"}}, False),
    "what mc anonymous writes": ({"StringEquals": {"s3:prefix": ["media/local_content"]}}, True),
    "a referer": ({"StringLike": {"aws:Referer": "https://example.org/*"}}, True),
    "TLS": ({"Bool": {"aws:SecureTransport": "true"}}, True),
    "addresses and a prefix": (
        {"StringLike": {"s3:prefix": "media/*"}, "IpAddress": {"aws:SourceIp": "192.0.2.1"}},
        False,
    ),
    "none that is known here": (["what is this"], True),
    "no values that are known here": ({"StringEquals": "what is this"}, True),
}


@pytest.mark.parametrize("name", TEST_PRINCIPALS)
def test_who_is_let_in(name: str) -> None:
    statement, expected = TEST_PRINCIPALS[name]
    assert public.is_public({**ALLOW, **statement}) == expected


@pytest.mark.parametrize("name", TEST_CONDITIONS)
def test_on_what_condition(name: str) -> None:
    condition, expected = TEST_CONDITIONS[name]
    assert public.is_public({**ALLOW, "Principal": "*", "Condition": condition}) == expected


def test_what_stays_and_is_told() -> None:
    pinned = {**ALLOW, "Principal": "*", "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.1"}}}
    of_a_user, anybody = {**ALLOW, "Principal": {"AWS": USER}}, {**ALLOW, "Principal": "*"}
    document = {"Statement": [of_a_user, pinned, anybody, {**pinned, "Sid": "Office"}]}
    assert public.public_in(document) == [anybody]
    assert public.not_public_in(document) == [of_a_user, pinned, {**pinned, "Sid": "Office"}]
    assert public.names(public.on_a_condition, document) == ["number 2", "'Office'"]
    assert public.names(public.is_public, document) == ["number 3"]
    assert public.names(public.is_public, None) == []
