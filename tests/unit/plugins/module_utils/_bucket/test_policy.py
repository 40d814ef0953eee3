# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy of a bucket: its statements, and that about TLS in whatever form a server gives it back."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket import policy
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.bucket_policy import bucket_policy

ALLOW: dict[str, Any] = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::media/*"}


def test_the_statement_about_tls_is_found_as_servers_give_it_back() -> None:
    for operator in policy.OPERATORS:
        own = policy.tls_only("media", "eu-test-1", operator)
        back = {
            **own,
            "Principal": {"AWS": ["*"]},
            "Action": "s3:*",
            "Resource": own["Resource"][::-1],
            "Condition": {operator: {"aws:SecureTransport": False}},
        }
        assert policy.has_tls_only([ALLOW, back], "media", "eu-test-1")
        assert policy.without_tls_only([ALLOW, back]) == [ALLOW]
    assert not policy.has_tls_only([ALLOW], "media", "eu-test-1")
    assert not policy.has_tls_only([policy.tls_only("other", None, "Bool")], "media", None)
    # It says less than it did.
    assert not policy.has_tls_only([{**policy.tls_only("media", None, "Bool"), "Action": ["s3:Get*"]}], "media", None)


def test_documents() -> None:
    assert policy.statements_of(None) == []
    assert policy.statements_of({"Statement": ALLOW}) == [ALLOW]
    assert policy.with_statements({"Version": "2008-10-17", "Id": "x", "Statement": []}, [ALLOW]) == {
        "Version": "2008-10-17",
        "Id": "x",
        "Statement": [ALLOW],
    }
    assert policy.with_statements(None, [ALLOW]) == {"Version": "2012-10-17", "Statement": [ALLOW]}
    assert policy.with_statements({"Statement": [ALLOW]}, []) is None
    assert policy.same({"Statement": ALLOW}, {"Statement": [{**ALLOW, "Action": ["s3:GetObject"]}]})
    assert not policy.same({"Statement": ALLOW}, None)


TEST_LOST: dict[str, tuple[str, str, list[str]]] = {
    "the same": ("hs/", "hs/", []),
    "a wider one": ("hs/", "", []),
    "a narrower one": ("", "hs/", ["arn:aws:s3:::media/*"]),
    "another one": ("hs/", "new/", ["arn:aws:s3:::media/hs/*"]),
}


@pytest.mark.parametrize("name", TEST_LOST)
def test_what_a_key_would_lose(name: str) -> None:
    had, wanted, expected = TEST_LOST[name]
    assert policy.lost(bucket_policy("media", had), bucket_policy("media", wanted, tls_only=True)) == expected


def test_what_a_key_would_lose_without_a_policy_and_of_a_bucket() -> None:
    assert policy.lost(None, bucket_policy("media")) == []
    # A single text is no list of letters. The bucket itself goes with what is in it.
    former = {"Statement": {**ALLOW, "Resource": "arn:aws:s3:::media/*"}}
    assert policy.lost(former, bucket_policy("media-2")) == ["arn:aws:s3:::media/*"]
    assert policy.lost(bucket_policy("media"), bucket_policy("media-2")) == ["arn:aws:s3:::media/*"]
