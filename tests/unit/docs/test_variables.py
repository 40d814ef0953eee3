# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of variables in docs/variables.md and in the roles' README.md are in step with the roles."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.tests.documents import ROOT

ROLES = {
    "storage_provider": "matrix_synapse_ext_synapse_s3_storage_provider_",
    "bucket": "bucket_",
    "bucket_mount": "bucket_mount_",
}


def test_tables_are_in_step() -> None:
    check = subprocess.run(
        [sys.executable, ROOT / "scripts/update-variables", "--check"], capture_output=True, text=True, check=False
    )
    assert (check.stderr, check.returncode) == ("", 0)


@pytest.mark.parametrize("role", ROLES)
def test_each_variable_has_a_row_in_the_order_of_the_defaults(role: str) -> None:
    readme = (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8")
    tables = readme.partition("### What a layout has")[0]
    rows = [line.split("`")[1] for line in tables.splitlines() if line.startswith("| `")]
    defaults = yaml.safe_load((ROOT / "roles" / role / "defaults/main.yml").read_text(encoding="utf-8"))
    assert rows == [name.removeprefix(ROLES[role]) for name in defaults]


@pytest.mark.parametrize("role", ROLES)
def test_no_markup_of_ansible_is_left(role: str) -> None:
    readme = (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8")
    assert not [word for word in ("C(", "V(", "O(", "P(") if word in readme]
