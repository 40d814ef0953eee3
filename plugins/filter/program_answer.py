# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters for what the program answers. Their documentation is in the YAML files beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role import answer


def program_answer(value: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object that a command of the program printed."""
    return dict(answer.read_answer(value))


def program_problems(value: Mapping[str, Any]) -> list[str]:
    """Why a command of the program failed."""
    return answer.problems(value)


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any] | list[str]]]:
        """Filters by name."""
        return {"program_answer": program_answer, "program_problems": program_problems}
