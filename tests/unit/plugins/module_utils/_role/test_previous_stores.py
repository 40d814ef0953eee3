# SPDX-License-Identifier: GPL-3.0-or-later
"""Former stores: judged by the rules of the main one, each problem by the name that the user wrote."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import bucket_settings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.previous_stores import provider_entries
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.variables import (
    NAME_PREFIX,
    VARIABLES,
    problems,
    warnings,
)

MAIN = {
    "enabled": True,
    "config_bucket": "media",
    "config_prefix": "synapse/",
    "config_endpoint_url": "https://s3.example.org",
    "config_access_key_id": "main-key-id",
    "config_secret_access_key": "main-secret",
}
KEYS = {"access_key_id": "old-key-id", "secret_access_key": "old-secret"}
STORE = {"bucket": "old-media", "endpoint_url": "https://minio.example.org", **KEYS}
SSE_KEY = "0123456789abcdef0123456789abcdef"
ALL_KEYS = (
    "provider, bucket, prefix, region_name, endpoint_url, access_key_id, secret_access_key, session_token,"
    " ec2_instance_profile, storage_class, sse_customer_enabled, sse_customer_key, sse_customer_algo"
)


def in_full(stores: object, **more: object) -> dict[str, object]:
    return {f"{NAME_PREFIX}{name}": value for name, value in {**MAIN, "previous_stores": stores, **more}.items()}


CASES: list[tuple[Any, list[str]]] = [
    ([], []),
    ([STORE], []),
    ([STORE, {**STORE, "prefix": "older/"}], []),
    # The same bucket with another prefix is another place.
    ([{**STORE, "bucket": "media", "endpoint_url": "https://s3.example.org"}], []),
    ([{"bucket": "media", "region_name": "eu-central-1", "ec2_instance_profile": True}], []),
    (
        {"bucket": "old"},
        [": is not a list. Write each former store after '- ', with its bucket and its other settings."],
    ),
    (["old"], ["[0]: is not a mapping. Write its bucket and its other settings, as 'bucket: name'."]),
    (
        [{"bukcet": "old-media", "endpoint_url": "https://minio.example.org", **KEYS}],
        [
            "[0].bucket: is empty. Write the name of the bucket.",
            f"[0].bukcet: is no setting of a store. Use {ALL_KEYS}.",
        ],
    ),
    (
        [STORE, {**STORE, "bucket": "a//b", "secret_access_key": 17, "prefix": "a//b/"}],
        [
            "[1].bucket: 'a//b' is more than a name. Write the bucket's name only; a path in it belongs into prefix.",
            "[1].prefix: 'a//b/' has '//', which some S3 servers refuse. Use single slashes.",
            "[1].secret_access_key: is a number, not a text. Put it in quotes.",
        ],
    ),
    (
        [{"bucket": "old", "endpoint_url": "https://minio.example.org"}],
        [
            "[0].access_key_id: is empty. Write the access key ID, or set ec2_instance_profile to true on an EC2"
            " instance with a profile.",
            "[0].secret_access_key: is empty. Write the secret key, or set ec2_instance_profile to true on an EC2"
            " instance with a profile.",
        ],
    ),
    (
        [{**STORE, "sse_customer_enabled": True}],
        ["[0].sse_customer_key: is empty, but sse_customer_enabled is true. Write the key, or set that to false."],
    ),
    (
        [{**STORE, "bucket": "media", "prefix": "synapse/", "endpoint_url": "https://s3.example.org/"}],
        ["[0]: is the place of the config_ variables: bucket, prefix and endpoint_url are the same. Remove it."],
    ),
    (
        [STORE, {**STORE, "secret_access_key": "another"}],
        ["[1]: is the place of previous_stores[0]: bucket, prefix and endpoint_url are the same. Remove it."],
    ),
]


@pytest.mark.parametrize(("stores", "expected"), CASES)
def test_problems(stores: object, expected: list[str]) -> None:
    assert problems(in_full(stores)) == [f"{NAME_PREFIX}previous_stores{text}" for text in expected]


def test_they_are_told_with_all_others() -> None:
    found = problems(in_full([{**STORE, "bucket": ""}], config_bucket="", migration_minimum_age="soon"))
    assert [text.partition(":")[0].removeprefix(NAME_PREFIX) for text in found] == [
        *("config_bucket", "previous_stores[0].bucket", "migration_minimum_age"),
    ]


def test_no_secret_of_a_former_store_is_shown() -> None:
    store = {**STORE, "secret_access_key": " hidden", "session_token": ["hidden"], "sse_customer_key": "hidden"}
    found = problems(in_full([store])) + problems(in_full("hidden")) + problems(in_full(["hidden"]))
    assert [text for text in found if "hidden" in text] == []
    assert len(found) == 5


def test_warnings() -> None:
    assert warnings(in_full([{**STORE, "prefix": "synapse"}])) == [
        f"{NAME_PREFIX}previous_stores[0].prefix: 'synapse' does not end with '/', so that keys begin with"
        " 'synapselocal_content/'. Write 'synapse/', unless the bucket already holds media under such keys."
    ]


def test_nothing_of_it_matters_to_a_removal() -> None:
    assert problems(in_full("old", enabled=False)) == []
    assert provider_entries("old", VARIABLES) == []


def test_synapse_reads_from_each_and_stores_nothing_there() -> None:
    encrypted = {"prefix": "hs/", "sse_customer_enabled": True, "sse_customer_key": SSE_KEY, "session_token": ""}
    entries = provider_entries([STORE, {**STORE, **encrypted}], VARIABLES)
    read_only = {
        "module": "s3_storage_provider.S3StorageProviderBackend",
        "store_local": False,
        "store_remote": False,
        "store_synchronous": False,
    }
    config = {**STORE, "storage_class": "STANDARD"}
    sse = {"prefix": "hs/", "sse_customer_key": SSE_KEY, "sse_customer_algo": "AES256"}
    assert entries == [{**read_only, "config": config}, {**read_only, "config": {**config, **sse}}]
    # And the program reads them so.
    assert bucket_settings(entries[1]["config"]).sse_customer_key == SSE_KEY
