# SPDX-License-Identifier: GPL-3.0-or-later
"""A former store beside the bucket, against two real buckets: preflight tries it, and status finds what only it has."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import NONE, Homeserver, count

MEANING = " Synapse reads from it too, as S3 provider 2 of its configuration: what is only there could not be served.\n"


def add_former(homeserver: Homeserver, **changes: str) -> None:
    """Take Synapse to a new bucket, with the old one behind it as the role writes it: nothing is stored there."""
    configuration = yaml.safe_load(homeserver.configuration.read_text())
    (old,) = configuration["media_storage_providers"]
    new_bucket = {**old["config"], "bucket": homeserver.server.new_bucket().bucket}
    providers: list[dict[str, Any]] = [
        {**old, "store_local": True, "store_remote": True, "config": new_bucket},
        {**old, "store_local": False, "store_remote": False, "config": {**old["config"], **changes}},
    ]
    homeserver.configure(media_storage_providers=providers)


def test_a_former_store_is_read(homeserver: Homeserver) -> None:
    old = homeserver.upload([10, 20])
    homeserver.store(old)
    for path in old:
        (homeserver.media / path).unlink()
    add_former(homeserver)

    assert homeserver.run("preflight") == (
        0,
        "The bucket can be reached, listed, written, read and deleted from.\n"
        "The others that Synapse reads from can be reached, listed and read.\n",
        "",
    )
    _status, stdout, _stderr = homeserver.run("status", "--json", "--state-directory", str(homeserver.state))
    result = json.loads(stdout)
    assert (result["stored_elsewhere"], result["stored_only"], result["unserved"]) == (count(old), NONE, NONE)


@pytest.mark.parametrize(
    ("changes", "status", "cause"),
    [
        ({"bucket": "no-such-bucket"}, 69, "there is no such bucket"),
        ({"secret_access_key": "an-old-one"}, 77, "the secret"),
        ({"endpoint_url": "http://127.0.0.1:9"}, 69, "127.0.0.1:9"),
    ],
)
def test_a_former_store_that_can_t_be_read(
    homeserver: Homeserver, changes: dict[str, str], status: int, cause: str
) -> None:
    add_former(homeserver, **changes)
    exit_status, stdout, _unused = homeserver.run("preflight")
    assert exit_status == status
    assert stdout.startswith("Could not list bucket '")
    assert cause in stdout
    assert stdout.endswith(MEANING)
    assert len(stdout.splitlines()) == 1
