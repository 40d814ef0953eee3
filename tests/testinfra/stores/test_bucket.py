# SPDX-License-Identifier: GPL-3.0-or-later
"""The role bucket: a bucket and a key for Synapse, made from the controller for a host that is there.

The tests build on each other. They leave the bucket and the key that Synapse uses alone.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import requests
from ansible_collections.matrixops.synapse_s3.tests.testinfra.bucket import s3_client
from ansible_collections.matrixops.synapse_s3.tests.testinfra.endpoints import Endpoints
from ansible_collections.matrixops.synapse_s3.tests.testinfra.play import HostState, PlayResult, RoleRunner
from botocore.exceptions import ClientError

NAME = "made-by-the-role"
KEY_ID = "key-that-the-role-made"
KEY_SECRET = "secret-of-the-key-that-the-role-made"


@pytest.fixture(scope="module")
def made(endpoints: Endpoints) -> Endpoints:
    """The bucket that the role makes, by Synapse's new key."""
    return replace(endpoints, bucket=NAME, root_user=KEY_ID, root_password=KEY_SECRET)


def make(run_role: RoleRunner, host_name: str, endpoints: Endpoints, *arguments: str, label: str) -> PlayResult:
    variables = {
        "matrix_hosts": host_name,
        "bucket_name": NAME,
        # The controller reaches the server at another address than the host does.
        "bucket_endpoint_url": endpoints.s3_url,
        "bucket_access_key_id": endpoints.root_user,
        "bucket_secret_access_key": endpoints.root_password,
        "bucket_synapse_access_key_id": KEY_ID,
        "bucket_synapse_secret_access_key": KEY_SECRET,
        "bucket_versioning": True,
    }
    return run_role(
        {}, f"--extra-vars={json.dumps(variables)}", *arguments, label=label, playbook="matrixops.synapse_s3.bucket"
    )


def buckets(endpoints: Endpoints) -> list[str]:
    return [bucket["Name"] for bucket in s3_client(endpoints).list_buckets()["Buckets"]]


def test_check_mode_announces_the_bucket_and_makes_none(
    run_role: RoleRunner, host_name: str, endpoints: Endpoints, state_before: dict[str, HostState]
) -> None:
    result = make(run_role, host_name, endpoints, "--check", "--diff", "-vvv", label="check mode")
    assert (result.failed(host_name), result.changed(host_name)) == (0, 1), result.output
    assert f'+  "bucket": "{NAME}"' in result.output
    assert NAME not in buckets(endpoints)
    assert result.states[host_name] == state_before[host_name]
    secrets = [endpoints.root_password, endpoints.secret_access_key, KEY_SECRET]
    assert [secret for secret in secrets if secret in result.output] == []


def test_a_wrong_key_is_told_and_makes_nothing(run_role: RoleRunner, host_name: str, endpoints: Endpoints) -> None:
    wrong = replace(endpoints, root_password="not-the-password-of-the-root")
    result = make(run_role, host_name, wrong, label="a wrong key")
    assert result.message(host_name) == (
        f"Could not use bucket '{NAME}': the secret access key does not belong to the access key ID."
        " Correct secret_access_key."
    )
    assert NAME not in buckets(endpoints)


def test_the_bucket_is_made(run_role: RoleRunner, host_name: str, endpoints: Endpoints) -> None:
    result = make(run_role, host_name, endpoints, label="make")
    assert (result.failed(host_name), result.changed(host_name)) == (0, 1), result.output
    client = s3_client(endpoints)
    assert client.get_bucket_versioning(Bucket=NAME)["Status"] == "Enabled"
    (rule,) = client.get_bucket_lifecycle_configuration(Bucket=NAME)["Rules"]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    # What was tried is gone.
    assert "Versions" not in client.list_object_versions(Bucket=NAME)


def test_nobody_reads_it_without_a_key(endpoints: Endpoints) -> None:
    key = f"{endpoints.prefix}secret"
    s3_client(endpoints).put_object(Bucket=NAME, Key=key, Body=b"1")
    places = (NAME, f"{NAME}/{key}")
    assert [requests.get(f"{endpoints.s3_url}/{place}", timeout=10).status_code for place in places] == [403, 403]


def test_synapses_key_reaches_its_prefix_and_nothing_else(endpoints: Endpoints, made: Endpoints) -> None:
    client, own = s3_client(made), f"{endpoints.prefix}local_content/aa/bb/cc"
    client.put_object(Bucket=NAME, Key=own, Body=b"1")
    assert client.get_object(Bucket=NAME, Key=own)["Body"].read() == b"1"
    client.delete_object(Bucket=NAME, Key=own)
    refused = []
    for bucket, key in ((NAME, "other/prefix"), (endpoints.bucket, own)):
        with pytest.raises(ClientError) as error:
            client.put_object(Bucket=bucket, Key=key, Body=b"1")
        refused.append(error.value.response["Error"]["Code"])
    assert refused == ["AccessDenied", "AccessDenied"]


def test_a_second_run_changes_nothing(run_role: RoleRunner, host_name: str, endpoints: Endpoints) -> None:
    result = make(run_role, host_name, endpoints, label="again")
    assert (result.failed(host_name), result.changed(host_name)) == (0, 0), result.output
