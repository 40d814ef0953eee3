# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ``previous_store_entries``. Its documentation is in the YAML file beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role import previous_stores
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.variables import VARIABLES


def previous_store_entries(value: object) -> list[dict[str, Any]]:
    """The former stores as Synapse's configuration has them."""
    return previous_stores.provider_entries(value, VARIABLES)


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[[object], list[dict[str, Any]]]]:
        """Filters by name."""
        return {"previous_store_entries": previous_store_entries}
