# SPDX-License-Identifier: GPL-3.0-or-later
"""The role and its playbooks where Ansible finds none of a host's variables: nothing is taken away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ENABLED = "matrix_synapse_ext_synapse_s3_storage_provider_enabled"
NOT_FOUND = (
    " If it is, Ansible has not found it: see that the directory below host_vars or group_vars has the name that the"
    " inventory has."
)
TAKE_AWAY = " To take the provider away, run matrixops.synapse_s3.uninstall."
ROLE_ALONE = """\
- hosts: matrix_servers
  gather_facts: false
  roles: [matrixops.synapse_s3.storage_provider]
"""


def play(directory: Path, playbook: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a playbook on this machine, which has none of the role's variables."""
    (directory / "inventory").write_text("[matrix_servers]\nmatrix.example.org ansible_connection=local\n")
    # The tree itself, and not what happens to be installed.
    own = {
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_COLLECTIONS_PATH": os.environ["PYTHONPATH"].split(os.pathsep)[0],
        "ANSIBLE_CALLBACK_FORMAT_PRETTY": "False",
    }
    return subprocess.run(
        ["ansible-playbook", "--inventory=inventory", *options, playbook],
        cwd=directory,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_role_changes_nothing_where_no_variable_is_found(tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(ROLE_ALONE)
    run = play(tmp_path, tmp_path / "play.yml")
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"Nothing is changed: {ENABLED} is not set for matrix.example.org. Set it to true to put" in run.stdout
    # Two tasks that tell, and the layout's values: no task on the host.
    assert "changed=0" in run.stdout
    assert "Look" not in run.stdout


def test_the_role_refuses_a_false_in_quotes(tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(ROLE_ALONE)
    run = play(tmp_path, tmp_path / "play.yml", f"--extra-vars={ENABLED}=false")
    assert run.returncode == 2
    assert f"{ENABLED}: is the text 'false', not true or false. Write false without quotes" in run.stdout
    assert "Look" not in run.stdout


@pytest.mark.parametrize(
    ("options", "state", "hint"),
    [([], "not set", NOT_FOUND), ([f'--extra-vars={{"{ENABLED}": false}}'], "false", "")],
    ids=["unset", "false"],
)
def test_install_refuses_unless_it_is_enabled(tmp_path: Path, options: list[str], state: str, hint: str) -> None:
    run = play(tmp_path, ROOT / "playbooks/install.yml", *options)
    assert run.returncode == 2
    assert (
        f"Nothing was changed: {ENABLED} is {state} for matrix.example.org. Set it to true.{hint}{TAKE_AWAY}"
        in run.stdout
    )
    assert "changed=0" in run.stdout
