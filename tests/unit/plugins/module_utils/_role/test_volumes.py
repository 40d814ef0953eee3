# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes of containers."""

from __future__ import annotations

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.volumes import (
    host_path,
    volume_problems,
)

VOLUMES = ["/srv/synapse:/data:ro", "/mnt/media:/data/media_store", "/etc/ssl:/etc/ssl:ro"]
TEST_PATHS = [
    ("/data/homeserver.yaml", VOLUMES, "/srv/synapse/homeserver.yaml"),
    ("/data", VOLUMES, "/srv/synapse"),
    # The volume within another one hides what that has there, whichever comes first.
    ("/data/media_store/local_content", VOLUMES, "/mnt/media/local_content"),
    ("/data/media_store/local_content", VOLUMES[::-1], "/mnt/media/local_content"),
    ("/data/media_store_2", VOLUMES, "/srv/synapse/media_store_2"),
    ("/database", VOLUMES, "/database"),
    ("/etc/ssl/ca.pem", VOLUMES, "/etc/ssl/ca.pem"),
    ("/etc/matrix-synapse/homeserver.yaml", [], "/etc/matrix-synapse/homeserver.yaml"),
]


@pytest.mark.parametrize(("path", "volumes", "expected"), TEST_PATHS)
def test_host_path(path: str, volumes: list[str], expected: str) -> None:
    assert host_path(path, volumes) == expected


NO_VOLUME = "is not a volume. Write one such as '/srv/synapse:/data:ro'."
TEST_PROBLEMS = [
    (VOLUMES, []),
    ([], []),
    (["/srv/synapse"], [f"'/srv/synapse' {NO_VOLUME}"]),
    (["/a:/b:ro:z"], [f"'/a:/b:ro:z' {NO_VOLUME}"]),
    (["synapse-data:/data"], ["'synapse-data' is not an absolute path. Begin it with '/'."]),
    (["/srv/synapse:data"], ["'data' is not an absolute path. Begin it with '/'."]),
]


@pytest.mark.parametrize(("volumes", "problems"), TEST_PROBLEMS)
def test_problems(volumes: list[str], problems: list[str]) -> None:
    assert volume_problems(volumes) == problems
