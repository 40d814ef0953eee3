# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ``host_path``. Its documentation is in the YAML file beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ansible.errors import AnsibleFilterError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role import volumes as rules


def host_path(value: object, volumes: Sequence[str]) -> str:
    """Where the host has what a container with these volumes sees."""
    if not isinstance(value, str):
        message = "Could not run the filter matrixops.synapse_s3.host_path: its input is no path."
        raise AnsibleFilterError(message)
    return rules.host_path(value, volumes)


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[[object, Sequence[str]], str]]:
        """Filters by name."""
        return {"host_path": host_path}
