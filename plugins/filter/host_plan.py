# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ``host_plan``. Its documentation is in the YAML file beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role import host_plan as rules
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.variables import usable_values


def host_plan(
    value: Mapping[str, object], layout: Mapping[str, Any], requirements: str, found: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything on a host that follows from the layout and the role's variables."""
    plan = rules.host_plan(rules.Layout(**layout), usable_values(value), requirements, rules.Found(**found))
    return dict(_plain(plan))


def _plain(value: Any) -> Any:
    """Dictionaries and lists for what holds something. (dataclasses.asdict can't copy Ansible's own containers.)"""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """Filters by name."""
        return {"host_plan": host_plan}
