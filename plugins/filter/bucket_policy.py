# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ``bucket_policy``. Its documentation is in the YAML file beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role import bucket_policy as rules


def bucket_policy(
    bucket: str,
    prefix: str = "",
    tls_only: bool = False,
    principal: str = "",
    partition: str = "aws",
    without: Sequence[str] = (),
) -> dict[str, Any]:
    """The policy for an access key of Synapse's."""
    try:
        return rules.bucket_policy(
            str(bucket),
            str(prefix),
            tls_only=tls_only,
            principal=str(principal),
            partition=str(partition),
            without=[str(action) for action in without],
        )
    except ValueError as error:
        message = f"Could not write a policy with the filter matrixops.synapse_s3.bucket_policy: {error}"
        raise AnsibleFilterError(message) from error


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """Filters by name."""
        return {"bucket_policy": bucket_policy}
