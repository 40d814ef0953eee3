# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ``without_secrets``. Its documentation is in the YAML file beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules import secrets


def without_secrets(value: str, configs: Sequence[Mapping[str, str]]) -> str:
    """The text, with stars for each secret of the providers' settings."""
    return secrets.without_secrets(value, configs)


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[[str, Sequence[Mapping[str, str]]], str]]:
        """Filters by name."""
        return {"without_secrets": without_secrets}
