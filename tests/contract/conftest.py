# SPDX-License-Identifier: GPL-3.0-or-later
"""The stores of the suite; or one server that somebody else has started and $SYNAPSE_S3_SERVER describes."""

from __future__ import annotations

import pytest
from ansible_collections.matrixops.synapse_s3.tests.minio_server import minio_http, minio_https
from ansible_collections.matrixops.synapse_s3.tests.s3_server import S3Server, given_server

__all__ = ["minio_http", "minio_https"]


@pytest.fixture(scope="session")
def server() -> S3Server:
    given = given_server()
    assert given is not None
    return given[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What the given server is known to lack has to fail: what works by now is told too."""
    given = given_server()
    for item in items if given else ():
        name = item.name.partition("[")[0]
        # The name of a test, or of one of its cases: name[case], whichever way it goes.
        case = item.name.replace("server by boto3", "server").replace("server-", "").replace("-server", "")
        for lack, reason in given[1].items() if given else ():
            if lack in (name, case):
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
