# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command of the program answers."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.filter.program_answer import program_answer, program_problems


@pytest.mark.parametrize(
    ("answer", "told", "problems"),
    [
        ({"rc": 0, "stdout": 'more\n{"exit_code": 0}', "stderr": "progress"}, {"exit_code": 0}, []),
        ({"rc": 78, "stdout": '{"problems": ["a", "b"]}', "stderr": "a"}, {"problems": ["a", "b"]}, ["a", "b"]),
        ({"rc": 69, "stdout": '{"errors": ["a"]}', "stderr": "a"}, {"errors": ["a"]}, ["a"]),
        (
            {"rc": 69, "stdout": "", "stderr": "sh: x: not found\nCould not start: no x.\n"},
            {},
            ["Could not start: no x."],
        ),
        ({"rc": 1, "stdout": "{broken", "stderr": ""}, {}, ["it ended with status 1"]),
        ({"rc": 1, "stdout": "", "stderr": ""}, {}, ["it ended with status 1"]),
        # Ansible could not even start it.
        (
            {"rc": 2, "msg": "[Errno 2] No such file or directory: b'/run'"},
            {},
            ["[Errno 2] No such file or directory: b'/run'"],
        ),
    ],
)
def test_answer(answer: dict[str, Any], told: dict[str, Any], problems: list[str]) -> None:
    assert program_answer(answer) == told
    assert program_problems(answer) == problems
