# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of Ceph: what its admin API is asked, and what is made of its answers; and how Ceph is recognised."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.administration import Administration
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.key_ceph import CephKeys
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.refusals import Unsupported
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import AccessError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings

KEY, SECRET = "synapse-own-key", "synapse/own+se cret"
SETTINGS = BucketSettings(
    "media", endpoint_url="http://ceph.example.org/", access_key_id="administrator", secret_access_key="a-secret"
)
ADDRESS = "http://ceph.example.org/admin/user"
OWN = f"uid={KEY}&access-key={KEY}&secret-key=synapse%2Fown%2Bse%20cret&generate-key=false"
CANT = "Could not give Synapse a key of its own"


def asked(status: int, answer: Any, call: Callable[[CephKeys], object]) -> tuple[object, list[tuple[str, str]]]:
    """What a call returns, and the method and address of each request."""
    keys = CephKeys(mock.Mock(spec=Administration, settings=SETTINGS))
    text = answer if isinstance(answer, str) else json.dumps(answer)
    with mock.patch.object(keys, "_http") as http:
        http.request.return_value = mock.Mock(status=status, data=text.encode())
        found = call(keys)
    return found, [each.args for each in http.request.call_args_list]


TEST_KNOWN: dict[str, tuple[int, Any, bool]] = {
    "there": (200, {"user_id": KEY, "keys": [{"user": KEY, "access_key": KEY, "secret_key": "x"}]}, True),
    "a user with another key": (200, {"user_id": KEY, "keys": [{"user": KEY, "access_key": "other"}]}, False),
    "not there": (404, {"Code": "NoSuchUser"}, False),
}


@pytest.mark.parametrize("name", TEST_KNOWN)
def test_whether_a_key_is_known(name: str) -> None:
    status, answer, expected = TEST_KNOWN[name]
    assert asked(status, answer, lambda keys: keys.knows(KEY)) == (expected, [("GET", f"{ADDRESS}?uid={KEY}")])


def test_a_key_is_made_that_may_make_no_buckets() -> None:
    _none, sent = asked(200, {}, lambda keys: keys.set_user(KEY, SECRET, is_there=False))
    assert sent == [("PUT", f"{ADDRESS}?{OWN}&display-name=Synapse&max-buckets=-1&exclusive=true")]


def test_a_key_is_given_another_secret() -> None:
    _none, sent = asked(200, {}, lambda keys: keys.set_user(KEY, SECRET, is_there=True))
    assert sent == [("PUT", f"{ADDRESS}?key=&{OWN}")]


def test_an_administrator_who_may_not() -> None:
    with pytest.raises(Unsupported) as caught:
        asked(403, {"Code": "AccessDenied"}, lambda keys: keys.knows(KEY))
    assert str(caught.value) == (
        "Ceph does not let this key into its admin API (HTTP 403: 'AccessDenied'): give its user the capability users=*"
    )


def test_a_gateway_without_the_api() -> None:
    with pytest.raises(Unsupported, match=r"admin API \(HTTP 405: '<html>no</html>'\): give"):
        asked(405, "<html>no</html>", lambda keys: keys.knows(KEY))


def test_a_key_of_another_user() -> None:
    with pytest.raises(AccessError) as caught:
        asked(409, {"Code": "KeyExists"}, lambda keys: keys.set_user(KEY, SECRET, is_there=False))
    assert str(caught.value) == (
        f"{CANT} (make it): it is of a user of another name, or its name is that of a user without it (HTTP 409:"
        " 'KeyExists'). Write another as synapse_access_key_id."
    )


def test_what_is_refused_shows_no_secret() -> None:
    answer = {"Code": "InvalidSecretKey", "Message": f"no {SECRET}, a-secret"}
    with pytest.raises(AccessError) as caught:
        asked(400, answer, lambda keys: keys.set_user(KEY, SECRET, is_there=True))
    assert str(caught.value) == (
        f"{CANT} (give it another secret): Ceph refused it (HTTP 400: 'InvalidSecretKey: no ***, ***'). Use an access"
        " key whose user has the capability users=*, or set key to false. Make a key there for Synapse, and give it the"
        " policy that the filter matrixops.synapse_s3.bucket_policy writes: docs/bucket.md tells how."
    )


TEST_SOFTWARE = {
    "Ceph": ({"x-amz-request-id": "tx00000a2a6ff0d1b1f5c11-00692ac6d5-4155-default"}, "Ceph"),
    "Ceph behind another": (
        {"server": "nginx", "x-amz-request-id": "tx00000a2a6ff0d1b1f5c11-00692ac6d5-4155-eu-west"},
        "Ceph",
    ),
    "Swift": ({"x-amz-request-id": "tx0aa2a6ff0d1b1f5c11fff-00692ac6d5"}, ""),
    "MinIO": ({"server": "MinIO", "x-amz-request-id": "187C5F8E5D9F7B2A"}, "MinIO"),
}


@pytest.mark.parametrize("name", TEST_SOFTWARE)
def test_what_a_server_is(name: str) -> None:
    headers, expected = TEST_SOFTWARE[name]
    bucket = mock.Mock(software="")
    Administration._note_software(bucket, http_response=mock.Mock(headers=headers))
    assert bucket.software == expected
