# SPDX-License-Identifier: GPL-3.0-or-later
"""Which variables of the caller's are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.environment import (
    is_of_libraries,
    refuse_callers,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import ConfigurationError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings

COMPLETE = BucketSettings(
    "media",
    region_name="eu-central-1",
    endpoint_url="https://s3.example.org",
    access_key_id="AKID",
    secret_access_key="secret",
)
AMAZON = replace(COMPLETE, endpoint_url=None)
HTTP = replace(COMPLETE, endpoint_url="http://s3.example.org:9000")
NO_KEYS = replace(COMPLETE, access_key_id=None, secret_access_key=None)
ARGUMENTS = {"host": "localhost", "port": 5432, "dbname": "synapse", "user": "synapse", "password": "secret"}

REFUSED: list[tuple[BucketSettings, Mapping[str, str], list[str]]] = [
    # Synapse's configuration says it all
    (COMPLETE, {"AWS_ENDPOINT_URL": "http://other", "AWS_PROFILE": "none", "AWS_ACCESS_KEY_ID": "other"}, []),
    (COMPLETE, {"AWS_DEFAULT_REGION": "cn-north-1", "HTTP_PROXY": "http://proxy", "HTTPS_PROXY": "http://proxy"}, []),
    # no endpoint
    (AMAZON, {"AWS_ENDPOINT_URL": "http://other"}, ["AWS_ENDPOINT_URL"]),
    (AMAZON, {"AWS_ENDPOINT_URL_S3": "http://other"}, ["AWS_ENDPOINT_URL_S3"]),
    (AMAZON, {"AWS_ENDPOINT_URL": ""}, []),
    (AMAZON, {"AWS_ENDPOINT_URL": "http://other", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, []),
    (AMAZON, {"AWS_CONFIG_FILE": "/tmp/a", "AWS_PROFILE": "b"}, ["AWS_CONFIG_FILE", "AWS_PROFILE"]),
    # as the program leaves it to those that it runs
    (AMAZON, {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}, []),
    (AMAZON, {"/home/user/.aws/config": "there"}, ["/home/user/.aws/config"]),
    (AMAZON, {"AWS_DEFAULT_REGION": "cn-north-1", "AWS_ACCESS_KEY_ID": "other"}, []),
    (replace(AMAZON, region_name=None), {"AWS_DEFAULT_REGION": "cn-north-1"}, ["AWS_DEFAULT_REGION"]),
    (replace(COMPLETE, region_name=None), {"AWS_DEFAULT_REGION": "cn-north-1", "AWS_PROFILE": "b"}, []),
    # no keys
    (NO_KEYS, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]),
    (NO_KEYS, {"/root/.aws/credentials": "there", "AWS_PROFILE": "b"}, ["/root/.aws/credentials", "AWS_PROFILE"]),
    (NO_KEYS, {"AWS_ENDPOINT_URL": "http://other"}, []),
    # a proxy sees, and answers, all that goes by http
    (HTTP, {"HTTP_PROXY": "http://proxy"}, ["HTTP_PROXY"]),
    (HTTP, {"http_proxy": "http://proxy"}, ["http_proxy"]),
    (HTTP, {"http_proxy": "http://proxy", "no_proxy": "localhost,example.org"}, []),
    (HTTP, {"http_proxy": "http://proxy", "NO_PROXY": "s3.example.com"}, ["http_proxy"]),
    (HTTP, {"https_proxy": "http://proxy"}, []),
    # and with a certificate of the caller's, what goes by https
    (COMPLETE, {"https_proxy": "http://proxy", "AWS_CA_BUNDLE": "/tmp/ca.pem"}, ["https_proxy"]),
    (COMPLETE, {"https_proxy": "http://proxy", "AWS_CA_BUNDLE": "/tmp/ca.pem", "no_proxy": ".example.org"}, []),
    (COMPLETE, {"AWS_CA_BUNDLE": "/tmp/ca.pem"}, []),
]


def refused(
    caller: Mapping[str, str], bucket: BucketSettings = COMPLETE, database: Mapping[str, object] | None = None
) -> list[str]:
    try:
        refuse_callers(caller, [bucket], database)
    except ConfigurationError as error:
        names = str(error).removeprefix("Could not start: ").partition(" of whoever runs this")[0]
        return names.replace(" and ", ", ").split(", ")
    return []


@pytest.mark.parametrize(("bucket", "caller", "names"), REFUSED)
def test_what_of_the_caller_is_refused(bucket: BucketSettings, caller: Mapping[str, str], names: list[str]) -> None:
    assert refused(caller, bucket) == sorted(names)


@pytest.mark.parametrize(
    ("caller", "arguments", "names"),
    [
        ({"PGHOST": "other", "PGPORT": "1", "PGDATABASE": "other", "PGUSER": "other"}, ARGUMENTS, []),
        # libpq goes to PGHOSTADDR also when it is given a host.
        ({"PGHOSTADDR": "192.0.2.1"}, ARGUMENTS, ["PGHOSTADDR"]),
        ({"PGHOST": "other", "PGSERVICE": "other"}, {"database": "synapse"}, ["PGHOST", "PGSERVICE"]),
        ({"PGDATABASE": "other"}, {"database": "synapse"}, []),
        ({"PGHOST": "other"}, {"dsn": "dbname=synapse"}, []),
        ({"PGHOST": "other"}, None, []),
    ],
)
def test_what_of_the_caller_leads_to_another_database(
    caller: Mapping[str, str], arguments: Mapping[str, object] | None, names: list[str]
) -> None:
    assert refused(caller, database=arguments) == names


def test_all_are_named_at_once() -> None:
    caller = {"AWS_ENDPOINT_URL": "http://other", "AWS_ACCESS_KEY_ID": "s3cr3t", "PGHOST": "other"}
    with pytest.raises(ConfigurationError) as refusal:
        refuse_callers(caller, [AMAZON, NO_KEYS], {})
    assert str(refusal.value) == (
        "Could not start: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL and PGHOST of whoever runs this would decide which"
        " server, bucket or database is used, as Synapse's configuration leaves it open. Take them away here. What"
        " Synapse is to use belongs into its configuration, or into the environment of its service."
    )
    with pytest.raises(ConfigurationError) as refusal:
        refuse_callers({"PGHOST": "other"}, [COMPLETE], {})
    assert "Take it away here." in str(refusal.value)


@pytest.mark.parametrize("name", ["AWS_PROFILE", "BOTO_CONFIG", "PGHOST", "http_proxy", "NO_PROXY", "SSL_CERT_FILE"])
def test_read_by_libraries(name: str) -> None:
    assert is_of_libraries(name)


@pytest.mark.parametrize("name", ["PATH", "HOME", "PAGER", "PYTHONPATH", "LANG", "PGP_KEY", "MY_AWS_THING"])
def test_not_read_by_libraries(name: str) -> None:
    assert not is_of_libraries(name)
