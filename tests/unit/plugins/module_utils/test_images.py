# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._images import full_name

DIGEST = f"sha256:{64 * '0'}"
TEST_NAMES = [
    ("synapse", "docker.io/library/synapse:latest"),
    ("synapse:1", "docker.io/library/synapse:1"),
    ("docker.io/synapse", "docker.io/library/synapse:latest"),
    ("example/synapse", "docker.io/example/synapse:latest"),
    ("docker.io/example/synapse:1", "docker.io/example/synapse:1"),
    ("example.org/synapse", "example.org/synapse:latest"),
    ("example.org/a/b/synapse:1", "example.org/a/b/synapse:1"),
    ("localhost/synapse", "localhost/synapse:latest"),
    ("registry:5000/synapse", "registry:5000/synapse:latest"),
    (f"example/synapse@{DIGEST}", f"docker.io/example/synapse@{DIGEST}"),
]


@pytest.mark.parametrize(("name", "full"), TEST_NAMES)
def test_full_names(name: str, full: str) -> None:
    assert full_name(name) == full
    assert full_name(full) == full
