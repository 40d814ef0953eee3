# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that judge the variables and the host of the role bucket_mount, as the YAML files beside document them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from ansible.errors import AnsibleFilterError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role import bucket_mount, bucket_mount_host

Result = TypeVar("Result")


def bucket_mount_problems(value: object) -> list[str]:
    """Everything that is wrong with the variables."""
    return bucket_mount.problems(_checked("bucket_mount_problems", value, "mapping of variables to values"))


def bucket_mount_state(seen: object) -> dict[str, Any]:
    """How the host is."""
    return asdict(_judged("bucket_mount_state", bucket_mount_host.state, seen))


def bucket_mount_change(seen: object, wanted: object) -> dict[str, Any]:
    """What becomes of it with the mount that is wanted."""
    return asdict(_judged("bucket_mount_change", bucket_mount_host.change, seen, wanted))


def bucket_mount_preflight_problems(seen: object, wanted: object) -> list[str]:
    """Why the bucket can't be mounted on the host as it is."""
    return _judged("bucket_mount_preflight_problems", bucket_mount_host.preflight_problems, seen, wanted)


def bucket_mount_removal_problems(seen: object, wanted: object) -> list[str]:
    """Why the mount can't be taken away yet."""
    return _judged("bucket_mount_removal_problems", bucket_mount_host.removal_problems, seen, wanted)


def bucket_mount_put_back_words(tried: object, seen: object, wanted: object) -> str:
    """What became of the host where Synapse could not be given the mount."""
    return _judged("bucket_mount_put_back_words", bucket_mount_host.put_back_words, tried, seen, wanted)


def _judged(name: str, judge: Callable[..., Result], *values: object) -> Result:
    checked = [_checked(name, value, "mapping of what was seen, or is wanted") for value in values]
    try:
        return judge(*checked)
    except KeyError as error:
        message = f"Could not run the filter matrixops.synapse_s3.{name}: its input has no {error}."
        raise AnsibleFilterError(message) from None  # Ansible would repeat it.


def _checked(name: str, value: object, kind: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise AnsibleFilterError(f"Could not run the filter matrixops.synapse_s3.{name}: its input is no {kind}.")
    return value


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filters by name."""
        return {
            "bucket_mount_problems": bucket_mount_problems,
            "bucket_mount_state": bucket_mount_state,
            "bucket_mount_change": bucket_mount_change,
            "bucket_mount_preflight_problems": bucket_mount_preflight_problems,
            "bucket_mount_removal_problems": bucket_mount_removal_problems,
            "bucket_mount_put_back_words": bucket_mount_put_back_words,
        }
