# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that judges the variables of the role bucket_mount. Its documentation is in the YAML file beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role import bucket_mount


def bucket_mount_problems(value: object) -> list[str]:
    """Everything that is wrong with the variables."""
    if not isinstance(value, Mapping):
        raise AnsibleFilterError(
            "Could not run the filter matrixops.synapse_s3.bucket_mount_problems: its input is no mapping of variables"
            " to values."
        )
    return bucket_mount.problems(value)


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[[object], list[str]]]:
        """Filters by name."""
        return {"bucket_mount_problems": bucket_mount_problems}
