# SPDX-License-Identifier: GPL-3.0-or-later
"""A listing proves content, but opens nothing: what Synapse can't read is no copy."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import NONE, Homeserver, count
from ansible_collections.matrixops.synapse_s3.tests.minio_server import MinioServer

ONE_KEY, ANOTHER_KEY = "0123456789abcdef" * 2, "fedcba9876543210" * 2
# So many that one listing is asked for all of them; and so few that each is asked for, and that what may be a
# permission that is missing for all is not waited for.
MANY, FEW = 150, 20


def set_key(homeserver: Homeserver, key: str | None) -> None:
    """Write Synapse's configuration with this key for SSE-C."""
    homeserver.configure()
    configuration = yaml.safe_load(homeserver.configuration.read_text())
    if key:
        configuration["media_storage_providers"][0]["config"]["sse_customer_key"] = key
    homeserver.configuration.write_text(yaml.safe_dump(configuration))


@pytest.mark.parametrize(
    ("stored_with", "configured", "files"),
    [
        pytest.param(None, ONE_KEY, MANY, id="on"),
        pytest.param(ONE_KEY, None, MANY, id="off", marks=pytest.mark.soak),
        pytest.param(ONE_KEY, ANOTHER_KEY, FEW, id="changed"),
    ],
)
def test_encryption_key_that_was_switched_on_off_or_changed(
    tmp_path: Path, minio_https: MinioServer, stored_with: str | None, configured: str | None, files: int
) -> None:
    """Exit 0, the local files deleted, and Synapse could not read one of them."""
    homeserver = Homeserver(tmp_path, minio_https)
    homeserver.ca_bundle = minio_https.certificate
    content = homeserver.upload([10] * files)
    set_key(homeserver, stored_with)
    assert homeserver.migrate("--keep-local")["uploaded"] == count(content)
    set_key(homeserver, configured)

    result = homeserver.migrate()

    assert (result["deleted"], result["exit_code"]) == (NONE, 1)
    assert homeserver.local() == content
    preflight, _stdout, _stderr = homeserver.run("preflight")
    status, _stdout, _stderr = homeserver.run("status")
    # A refusal for another key may be one for a missing permission too.
    assert (preflight in (77, 78), status) == (True, 1)


def test_key_that_may_not_read_objects(homeserver: Homeserver) -> None:
    """Without s3:GetObject a bucket may still be listed."""
    content = homeserver.upload([10] * FEW)
    homeserver.store(content)
    actions = ("s3:ListBucket", "s3:PutObject", "s3:DeleteObject")
    homeserver.configure(homeserver.server.restricted(homeserver.bucket, *actions))

    result = homeserver.migrate()

    assert (result["deleted"], result["exit_code"]) == (NONE, 1)
    assert homeserver.local() == content
