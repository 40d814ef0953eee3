# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter host_path: a type check and one call."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.matrixops.synapse_s3.plugins.filter import host_path as plugin

host_path = plugin.FilterModule().filters()["host_path"]


def test_path() -> None:
    assert host_path("/data/a", ["/srv/synapse:/data"]) == "/srv/synapse/a"


def test_wrong_input() -> None:
    with pytest.raises(
        AnsibleFilterError, match=r"^Could not run the filter matrixops.synapse_s3.host_path: its input is no path\.$"
    ):
        host_path(None, [])


def test_documentation() -> None:
    documentation = yaml.safe_load(Path(plugin.__file__).with_suffix(".yml").read_text(encoding="utf-8"))
    assert documentation["DOCUMENTATION"]["name"] == "host_path"
    assert "matrixops.synapse_s3.host_path" in documentation["EXAMPLES"]
