# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that judge the variables of the role storage_provider. Their documentation is in the YAML files beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role import variables


def storage_provider_problems(value: object) -> list[str]:
    """Everything that is wrong with the variables."""
    return variables.problems(_checked("storage_provider_problems", value))


def storage_provider_warnings(value: object) -> list[str]:
    """What has no effect or is probably not meant."""
    return variables.warnings(_checked("storage_provider_warnings", value))


def _checked(name: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        message = (
            f"Could not run the filter matrixops.synapse_s3.{name}: its input is no mapping of variables to values."
        )
        raise AnsibleFilterError(message)
    foreign = [str(key) for key in value if not str(key).startswith(variables.NAME_PREFIX)]
    if foreign:
        cause = f"these names do not begin with {variables.NAME_PREFIX}: {', '.join(sorted(foreign))}"
        message = f"Could not run the filter matrixops.synapse_s3.{name}: {cause}."
        raise AnsibleFilterError(message)
    return value


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[[object], list[str]]]:
        """Filters by name."""
        return {
            "storage_provider_problems": storage_provider_problems,
            "storage_provider_warnings": storage_provider_warnings,
        }
