# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole plan of each layout as a file that somebody can read: tests/unit/host_plans/<layout>.yml.

Write them anew after a change, and read what `git diff` shows::

    scripts/run python -m ansible_collections.matrixops.synapse_s3.tests.unit.host_plan_files
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from ansible_collections.matrixops.synapse_s3.plugins.filter.host_plan import host_plan
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.variables import LAYOUTS, NAME_PREFIX

DIRECTORY = Path(__file__).parent / "host_plans"
VARS = Path(__file__).parents[2] / "roles" / "storage_provider" / "vars"
HEAD = """\
# SPDX-License-Identifier: GPL-3.0-or-later
# All that follows from the layout "{}" and the variables' defaults. Written by tests/unit/host_plan_files.py.
---
"""
# What must be given
MINIMAL = {
    "enabled": True,
    "config_bucket": "media",
    "config_access_key_id": "AKID",
    "config_secret_access_key": "s3cr3t/+key",
}
FOUND: Mapping[str, Any] = MappingProxyType(
    {
        "image": "docker.io/matrixdotorg/synapse:v1.140.0",
        "base_image_id": "sha256:4e0c",
        "image_texts": ["FROM"],
        "media_store_path": "/data/media_store",
        "staging_path": "/var/lib/synapse-s3-storage-provider.x",
    }
)


def plan_of(
    layout: str, variables: Mapping[str, object] = MappingProxyType({}), found: Mapping[str, Any] = FOUND
) -> dict[str, Any]:
    """The plan of that layout, where ``variables`` has no more than these by short name."""
    given = {**MINIMAL, "layout": layout, **({"compose_path": "/srv/compose"} if layout == "compose" else {})}
    full = {f"{NAME_PREFIX}{name}": value for name, value in {**given, **variables}.items()}
    return host_plan(full, yaml.safe_load((VARS / f"{layout}.yml").read_text()), "boto3==1.2.3\n", found)


def plan_text(layout: str) -> str:
    """The plan as it stands in its file."""
    return HEAD.format(layout) + yaml.dump(plan_of(layout), Dumper=_Indented, sort_keys=False, width=1000)


class _Indented(yaml.SafeDumper):
    """Lists are indented, as in the project's other files."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for name in LAYOUTS:
        (DIRECTORY / f"{name}.yml").write_text(plan_text(name), encoding="utf-8")
