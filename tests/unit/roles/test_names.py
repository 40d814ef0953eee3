# SPDX-License-Identifier: GPL-3.0-or-later
"""A fact comes before a variable of a task or a play: one of the administrator's own must not switch off a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
FILES = sorted([*ROOT.glob("roles/*/tasks/**/*.yml"), *ROOT.glob("playbooks/**/*.yml")])
# Private ones, and those that the administrator gives a role.
OWN = ("__", "matrix_synapse_ext_synapse_s3_storage_provider_", "bucket_mount_", "bucket_")


def names_in(node: Any) -> Iterator[str]:
    """Of all variables that the tasks and plays of a file set for themselves."""
    if isinstance(node, list):
        for each in node:
            yield from names_in(each)
    elif isinstance(node, dict):
        yield from node.get("vars", {})
        for key in ("block", "rescue", "always", "pre_tasks", "tasks", "post_tasks", "roles"):
            yield from names_in(node.get(key))


def test_no_fact_of_the_administrator_s_has_the_name_of_a_task_s_variable() -> None:
    found = [(path, name) for path in FILES for name in names_in(yaml.safe_load(path.read_text(encoding="utf-8")))]
    assert len(found) > 100
    assert [(path.name, name) for path, name in found if not name.startswith(OWN)] == []
