# SPDX-License-Identifier: GPL-3.0-or-later
"""The example of a role is a play with that role, and sets variables that it has."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

SPECS = sorted(Path(__file__).parents[3].glob("roles/*/meta/argument_specs.yml"))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.parents[1].name)
def test_example(path: Path) -> None:
    spec = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]
    (play,) = yaml.safe_load(spec["examples"])
    (role,) = play["roles"]
    assert role["role"] == f"matrixops.synapse_s3.{path.parents[1].name}"
    assert set(role["vars"]) - set(spec["options"]) == set()
