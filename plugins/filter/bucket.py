# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that judges the names of the role bucket's variables. Its documentation is in the YAML file beside."""

from __future__ import annotations

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role import bucket


def bucket_problems(value: object) -> list[str]:
    """Every name that is none of the role's variables."""
    if not isinstance(value, (list, tuple)):
        raise AnsibleFilterError(
            "Could not run the filter matrixops.synapse_s3.bucket_problems: its input is no list of names."
        )
    return bucket.problems(map(str, value))


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[[object], list[str]]]:
        """Filters by name."""
        return {"bucket_problems": bucket_problems}
