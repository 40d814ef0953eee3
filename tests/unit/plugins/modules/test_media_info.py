# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``media_info``, with a command in place of the program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.matrixops.synapse_s3.plugins.modules import media_info

COUNT = {"files": 3, "bytes": 30}
STATUS = {"command": "status", "at_risk": COUNT, "errors": [], "exit_code": 0}
VERIFY = {"command": "verify", "missing": COUNT, "problems": [{"path": "a", "reason": "b"}], "exit_code": 1}
# Writes down how it is called, and answers as the files beside it say.
COMMAND = """\
#!/bin/sh
echo "$@" >> "$0.calls"
echo "Looking" >&2
cat "$0.$1" 2>/dev/null
exit "$(cat "$0.$1.status" 2>/dev/null || echo 0)"
"""


@pytest.fixture
def command(tmp_path: Path) -> Path:
    path = tmp_path / "command"
    path.write_text(COMMAND)
    path.chmod(0o755)
    answer(path, "status", STATUS)
    answer(path, "verify", VERIFY, 1)
    return path


def answer(command: Path, name: str, told: dict[str, Any], status: int = 0) -> None:
    command.with_name(f"command.{name}").write_text(json.dumps(told) + "\n" if told else "")
    command.with_name(f"command.{name}.status").write_text(str(status))


def run(capsys: pytest.CaptureFixture[str], command: Path, *, check: bool = False, **options: Any) -> dict[str, Any]:
    """Run the module as Ansible does; what it returns."""
    arguments = {"command": str(command), "_ansible_check_mode": check, **options}
    with patch_module_args(arguments), pytest.raises(SystemExit):
        media_info.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def calls(command: Path) -> list[str]:
    return command.with_name("command.calls").read_text().splitlines()


@pytest.mark.parametrize("check", [False, True])
def test_status(command: Path, capsys: pytest.CaptureFixture[str], check: bool) -> None:
    result = run(capsys, command, check=check)
    assert (result["changed"], result["status"], "verify" in result) == (False, STATUS, False)
    assert calls(command) == ["status --json"]


def test_verify_tells_what_is_missing_and_does_not_fail(command: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(capsys, command, verify=True)
    assert (result["changed"], result["status"], result["verify"]) == (False, STATUS, VERIFY)
    assert calls(command) == ["status --json", "verify --json"]


def test_options_of_verify(command: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, command, verify=True, deep=True, sample="5%", origin="example.org")
    assert calls(command)[-1] == "verify --json --deep --sample 5% --origin example.org"


def test_options_that_would_have_no_effect(command: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, command, deep=True, sample="5%")["msg"] == (
        "Could not look at the media: deep, sample would have no effect. Set verify to true."
    )


@pytest.mark.parametrize(
    ("told", "status", "message"),
    [
        (
            {"command": "verify", "errors": ["Could not reach the bucket. Start it."], "exit_code": 69},
            69,
            "Could not verify the media: Could not reach the bucket. Start it.",
        ),
        # An error that nobody thought of ends with 1 too.
        (
            {"command": "verify", "errors": ["Could not go on: KeyError"], "exit_code": 1},
            1,
            "Could not verify the media: Could not go on: KeyError.",
        ),
        ({}, 126, "Could not verify the media: Looking."),
        ({}, 0, "Could not verify the media: Looking."),
    ],
)
def test_what_could_not_be_looked_at_fails(
    command: Path, capsys: pytest.CaptureFixture[str], told: dict[str, Any], status: int, message: str
) -> None:
    answer(command, "verify", told, status)
    result = run(capsys, command, verify=True)
    assert (result["failed"], result["msg"], result["rc"]) == (True, message, status)


def test_before_it_is_installed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, tmp_path / "nothing")["msg"] == (
        f"Could not look at the media: there is no '{tmp_path}/nothing' on this host. Run matrixops.synapse_s3.install"
        " first, or say in command where the role has put it."
    )
