# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of SeaweedFS: what its IAM interface is asked, and what is made of its answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from unittest import mock
from urllib.parse import parse_qs

import boto3
import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.administration import Administration
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.key_seaweedfs import SeaweedfsKeys
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.refusals import Unsupported
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import AccessError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.bucket_policy import bucket_policy
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.stub import ANY, Stubber

# As long as boto3's model of Amazon's answers wants it.
KEY, SECRET = "SYNAPSEOWNKEY0000", "synapse-own-secret"
SETTINGS = BucketSettings(
    "media", endpoint_url="http://127.0.0.1:1", access_key_id="administrator", secret_access_key="a-secret"
)
DOCUMENT = bucket_policy("media", "hs/")
OWN = f"matrixops-synapse-s3-{KEY}-0123abcd"
CANT = "Could not give Synapse a key of its own"
PASTE = (
    "Make a key there for Synapse, and give it the policy that the filter matrixops.synapse_s3.bucket_policy writes:"
    " docs/bucket.md tells how."
)


# To make one takes longer than a test.
@pytest.fixture(scope="module")
def client() -> Any:
    return boto3.client(
        "iam", "eu-test-1", endpoint_url=SETTINGS.endpoint_url, aws_access_key_id="a", aws_secret_access_key="b"
    )


@pytest.fixture
def stub(client: Any) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def with_client(client: Any) -> SeaweedfsKeys:
    return SeaweedfsKeys(mock.Mock(spec=Administration, settings=SETTINGS), client)


def interface(stub: Stubber) -> SeaweedfsKeys:
    return with_client(stub.client)


def expect_users(stub: Stubber, **keys: str) -> None:
    """Users, each with its key; the one that has KEY's name is asked for first."""
    about: dict[str, Any] = {"Path": "/", "UserId": "A" * 16, "CreateDate": "2026-11-29T00:00:00Z"}
    users = [{**about, "Arn": f"arn:aws:iam:::user/{user}", "UserName": user} for user in keys]
    stub.add_response("list_users", {"Users": users})
    for user in sorted(keys, key=lambda each: each != KEY):
        answer = {"AccessKeyMetadata": [{"UserName": user, "AccessKeyId": keys[user]}]}
        stub.add_response("list_access_keys", answer, {"UserName": user})
        if keys[user] == KEY:
            break


def expect_policies(stub: Stubber, *names: str) -> None:
    answer = {"AttachedPolicies": [{"PolicyName": name, "PolicyArn": arn(name)} for name in names]}
    stub.add_response("list_attached_user_policies", answer, {"UserName": KEY})


def arn(name: str) -> str:
    return f"arn:aws:iam:::policy/{name}"


def test_a_policy_is_made_anew_and_the_old_one_goes(stub: Stubber) -> None:
    expect_users(stub, **{"admin": "another-administrator", KEY: KEY})
    expect_policies(stub, OWN)
    version = {"VersionId": "v1", "Document": json.dumps(DOCUMENT)}
    stub.add_response("get_policy_version", {"PolicyVersion": version}, {"PolicyArn": arn(OWN), "VersionId": "v1"})
    expect_policies(stub, OWN, "readonly")
    stub.add_response("create_policy", {}, {"PolicyName": ANY, "PolicyDocument": json.dumps(DOCUMENT)})
    stub.add_response("attach_user_policy", {}, {"UserName": KEY, "PolicyArn": ANY})
    stub.add_response("detach_user_policy", {}, {"UserName": KEY, "PolicyArn": arn(OWN)})
    stub.add_response("delete_policy", {}, {"PolicyArn": arn(OWN)})
    keys = interface(stub)
    assert keys.policy(KEY) == json.loads(json.dumps(DOCUMENT))
    keys.set_policy(KEY, DOCUMENT)
    assert keys.by(KEY) == f"by its policy 'matrixops-synapse-s3-{KEY}-…'"


def test_two_policies_of_an_interrupted_run_are_none(stub: Stubber) -> None:
    expect_users(stub, **{KEY: KEY})
    expect_policies(stub, OWN, f"{OWN[:-1]}e")
    assert interface(stub).policy(KEY) is None


def test_other_policies_are_told(stub: Stubber) -> None:
    expect_users(stub, **{KEY: KEY})
    stub.add_response("list_user_policies", {"PolicyNames": ["mail"]}, {"UserName": KEY})
    expect_policies(stub, OWN, "readonly")
    expect_policies(stub, OWN, "readonly")
    assert interface(stub).other_policies(KEY) == ["mail", "readonly"]


def test_a_key_that_is_not_there(stub: Stubber) -> None:
    expect_users(stub, admin="another-administrator")
    keys = interface(stub)
    assert (keys.knows(KEY), keys.policy(KEY), keys.other_policies(KEY)) == (False, None, [])


def test_the_key_and_the_secret_are_sent(client: Any) -> None:
    sent: list[dict[str, str]] = []

    def answer(request: Any, **_event: object) -> AWSResponse:
        asked = {name: value for name, (value,) in parse_qs(request.body).items()}
        sent.append({name: asked[name] for name in asked if name != "Version"})
        name = asked["Action"]
        text = f"<{name}Response><{name}Result/></{name}Response>".encode()
        return AWSResponse(request.url, 200, HTTPHeaders(), mock.Mock(stream=lambda: iter((text,))))

    client.meta.events.register("before-send.iam", answer, "answer")
    with_client(client).set_user(KEY, SECRET, is_there=False)
    client.meta.events.unregister("before-send.iam", unique_id="answer")
    assert sent[-1] == {
        "Action": "CreateAccessKey",
        "UserName": KEY,
        "AccessKeyId": KEY,
        "SecretAccessKey": SECRET,
    }


def test_a_key_of_another_secret_is_made_anew(stub: Stubber) -> None:
    expect_users(stub, synapse=KEY)
    stub.add_response("delete_access_key", {}, {"UserName": "synapse", "AccessKeyId": KEY})
    stub.add_response("list_access_keys", {"AccessKeyMetadata": []}, {"UserName": "synapse"})
    stub.add_client_error("create_access_key", "ServiceFailure", f"no room for {SECRET} of a-secret", 500)
    with pytest.raises(AccessError) as caught:
        interface(stub).set_user(KEY, SECRET, is_there=True)
    assert str(caught.value) == (
        f"{CANT} (make it anew; it is deleted): SeaweedFS refused it (HTTP 500 ServiceFailure: 'no room for *** of"
        f" ***'). Use an access key that may administer users, or set key to false. {PASTE}"
    )


def test_a_key_of_its_configuration_can_t_be_changed(stub: Stubber) -> None:
    expect_users(stub, synapse=KEY)
    stub.add_response("delete_access_key", {}, {"UserName": "synapse", "AccessKeyId": KEY})
    answer = {"AccessKeyMetadata": [{"UserName": "synapse", "AccessKeyId": KEY}]}
    stub.add_response("list_access_keys", answer, {"UserName": "synapse"})
    with pytest.raises(AccessError) as caught:
        interface(stub).set_user(KEY, SECRET, is_there=True)
    assert str(caught.value) == (
        f"{CANT}: the access key '{KEY}' is written in SeaweedFS's own configuration, with another secret. Write that"
        " as synapse_secret_access_key, or another key as Synapse's."
    )


@pytest.mark.parametrize(("name", "secret"), [("synapse-key", SECRET), ("abc", SECRET), (KEY, "short")])
def test_a_key_that_it_does_not_take(name: str, secret: str) -> None:
    with pytest.raises(AccessError) as caught:
        with_client(mock.Mock()).set_user(name, secret, is_there=False)
    assert str(caught.value) == (
        f"{CANT}: SeaweedFS takes an access key ID of 4 to 128 letters and digits, and a secret of 8 to 128 characters."
        " Write such ones as synapse_access_key_id and synapse_secret_access_key."
    )


def test_an_administrator_who_may_not(stub: Stubber) -> None:
    stub.add_client_error("list_users", "", "", 403)
    with pytest.raises(AccessError) as caught:
        interface(stub).knows(KEY)
    assert str(caught.value) == (
        f"{CANT} (look it up): SeaweedFS refused it (HTTP 403). Use an access key that may administer users, or set key"
        f" to false. {PASTE}"
    )


def test_an_interface_that_is_not_switched_on(stub: Stubber) -> None:
    expect_users(stub, admin="another-administrator")
    said = "IAM write operations are disabled on this server"
    stub.add_client_error("get_user", "NoSuchEntity", http_status_code=404)
    stub.add_client_error("create_user", "AccessDenied", said, 403)
    with pytest.raises(Unsupported) as caught:
        interface(stub).set_user(KEY, SECRET, is_there=False)
    assert str(caught.value) == (
        f"SeaweedFS's interface for keys is not switched on (HTTP 403 AccessDenied: '{said}'): start it with"
        " -s3.iam=true -s3.iam.readOnly=false"
    )
