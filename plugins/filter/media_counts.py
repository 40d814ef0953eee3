# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that put the program's counts of media into words. Their documentation is in the YAML files beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role import media_counts


def media_dropped_places(now: Sequence[Mapping[str, str]], new: Sequence[Mapping[str, Any]]) -> list[Mapping[str, str]]:
    """Where Synapse would not look for its media any more."""
    return media_counts.dropped_places(now, new)


def media_move_problems(
    value: object, before: object, dropped: Sequence[Mapping[str, str]], new: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Why Synapse's media can't be looked for in other places yet."""
    answers = [_checked("media_move_problems", answer) for answer in (value, before)]
    return media_counts.move_problems(answers[0], answers[1], dropped, new)


def media_removal_problems(value: object) -> list[str]:
    """Why the provider can't be taken away yet."""
    return media_counts.removal_problems(_checked("media_removal_problems", value))


def media_offline_words(value: object) -> str:
    """What is not served any more without the provider."""
    return media_counts.offline_words(_checked("media_offline_words", value))


def _checked(name: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        message = f"Could not run the filter matrixops.synapse_s3.{name}: its input is not what a command returned."
        raise AnsibleFilterError(message)
    return value


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filters by name."""
        return {
            "media_dropped_places": media_dropped_places,
            "media_move_problems": media_move_problems,
            "media_removal_problems": media_removal_problems,
            "media_offline_words": media_offline_words,
        }
