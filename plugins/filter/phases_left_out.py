# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ``phases_left_out``. Its documentation is in the YAML file beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role import phases


def phases_left_out(value: Mapping[str, bool], run_tags: Sequence[str], skip_tags: Sequence[str]) -> list[str]:
    """Why a run of some tags would rest upon what is not done."""
    return phases.left_out(run_tags, skip_tags, value)


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Filters by name."""
        return {"phases_left_out": phases_left_out}
