# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks that run a command of the program, on this machine, with a command in the program's place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
NAME = "matrix-synapse-s3-storage-provider"
# Writes down how it is called, and answers as the files beside it say.
PROGRAM = """\
#!/bin/sh
# Written by Ansible (role matrixops.synapse_s3.storage_provider)
echo "$@" >> "$0.calls"
echo "All that $1 says" >&2
cat "$0.$1.answer"
exit "$(cat "$0.$1.status" 2>/dev/null || echo 0)"
"""
SYSTEMCTL = """\
#!/bin/sh
echo "{{ path={0} ; argv[]={0} --then-purge ; ignore_errors=no }}"
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / NAME
    path.parent.mkdir()
    path.write_text(PROGRAM)
    (tmp_path / "bin" / f"{NAME}-migrate").write_text(PROGRAM)
    (tmp_path / "bin" / "systemctl").write_text(SYSTEMCTL.format(f"{path}-migrate"))
    for file in path.parent.iterdir():
        file.chmod(0o755)
    for name in ("restore", "verify", "purge-orphans", "copy-bucket"):
        answer(path, name, {"command": name, "errors": [], "exit_code": 0})
    return path


def answer(program: Path, name: str, told: dict[str, object], status: int = 0) -> None:
    program.with_name(f"{NAME}.{name}.answer").write_text(json.dumps(told) + "\n")
    program.with_name(f"{NAME}.{name}.status").write_text(str(status))


def play(
    program: Path, name: str, *options: str, playbooks: Path = ROOT / "playbooks"
) -> subprocess.CompletedProcess[str]:
    inventory = program.parent.parent / "inventory"
    inventory.write_text("[matrix_servers]\nmatrix.example.org ansible_connection=local ansible_become=false\n")
    own = {
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_COLLECTIONS_PATH": os.environ["PYTHONPATH"].split(os.pathsep)[0],
        "ANSIBLE_ASYNC_DIR": str(program.parent.parent / "async"),
        "PATH": f"{program.parent}:{os.environ['PATH']}",
    }
    return subprocess.run(
        [
            "ansible-playbook",
            f"--inventory={inventory}",
            "--extra-vars=poll_seconds=1",
            *options,
            playbooks / f"{name}.yml",
        ],
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
    )


def calls(program: Path) -> list[str]:
    path = program.with_name(f"{NAME}.calls")
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize(
    ("name", "options", "call", "changed"),
    [
        ("restore", ["restore_options='--local --origin a.org'"], "restore --local --origin a.org", 1),
        ("restore", ["--check"], "restore --dry-run", 0),
        ("verify", ["verify_options='--deep --sample 5%'"], "verify --deep --sample 5%", 0),
        ("purge", ["purge_delete=true"], "purge-orphans --delete", 1),
        # Neither without the word for it nor in check mode is anything deleted.
        ("purge", ["purge_options='--delete --minimum-age 30d'"], "purge-orphans --minimum-age 30d", 0),
        ("purge", ["--check", "purge_delete=true purge_options=--delete-versions"], "purge-orphans", 0),
    ],
)
def test_a_command_is_run(program: Path, name: str, options: list[str], call: str, changed: int) -> None:
    run = play(program, name, *(option if option == "--check" else f"--extra-vars={option}" for option in options))
    assert run.returncode == 0, run.stdout + run.stderr
    assert calls(program) == [f"{call} --json"]
    assert f"changed={changed} " in run.stdout
    assert f"All that {call.split()[0]} says" in run.stdout


def test_what_is_not_well_fails(program: Path) -> None:
    answer(program, "verify", {"command": "verify", "errors": [], "missing": {"files": 1, "bytes": 1}}, 1)
    run = play(program, "verify")
    assert run.returncode == 2
    assert "All that verify says" in run.stdout
    assert "Could not find all media whole: not all is well. Look at what it names above." in run.stdout


def test_what_could_not_be_done_fails_with_its_cause(program: Path) -> None:
    answer(program, "restore", {"command": "restore", "errors": ["Could not reach the bucket: it is gone."]}, 69)
    run = play(program, "restore")
    assert run.returncode == 2
    assert "Could not bring all media back: Could not reach the bucket: it is gone." in run.stdout


def test_a_command_of_somebody_else_s_is_not_run(program: Path) -> None:
    Path(f"{program}-migrate").write_text("#!/bin/sh\n")
    run = play(program, "purge", "--extra-vars=purge_delete=true")
    assert run.returncode == 2
    told = f"matrix.example.org has no {NAME}-migrate.service of this collection's. Run matrixops.synapse_s3.install"
    assert told in run.stdout
    assert calls(program) == []


def test_a_move_needs_to_know_the_old_bucket(program: Path) -> None:
    run = play(program, "move")
    assert run.returncode == 2
    assert (
        "Nothing was changed: matrix_synapse_ext_synapse_s3_storage_provider_previous_stores is empty for"
        " matrix.example.org. Write the new bucket into the variables that begin with" in run.stdout
    )
    assert calls(program) == []


@pytest.mark.parametrize("conflicts", [0, 2])
def test_a_move_does_not_end_well_with_a_conflict(program: Path, conflicts: int) -> None:
    """An object of other content and the same length is no damage to `verify`, which looks at the listings."""
    (move,) = yaml.safe_load((ROOT / "playbooks" / "move.yml").read_text())
    without_role = {**move, "pre_tasks": [], "tasks": [task for task in move["tasks"] if "block" in task]}
    playbooks = program.parent.parent / "playbooks"
    playbooks.mkdir()
    (playbooks / "tasks").symlink_to(ROOT / "playbooks" / "tasks")
    (playbooks / "move.yml").write_text(yaml.safe_dump([without_role]))
    answer(program, "copy-bucket", {"errors": [], "conflicts": {"files": conflicts, "bytes": 9}}, 1)

    run = play(program, "move", "--extra-vars={move_from: [2, 3]}", playbooks=playbooks)

    assert calls(program) == [
        "copy-bucket --from 2 --to 1 --json",
        "copy-bucket --from 3 --to 1 --json",
        "verify --store 1 --json",
    ]
    assert ("The new bucket has all media" in run.stdout) == (conflicts == 0)
    assert run.returncode == (2 if conflicts else 0), run.stdout + run.stderr
    told = "Could not move all media: the new bucket holds 4 objects of other content than the old one"
    assert (told in run.stdout) == (conflicts > 0)


@pytest.mark.parametrize(
    ("conflicts", "options", "is_told"),
    [
        (0, (), False),
        (2, (), True),
        (2, ("--extra-vars={matrix_synapse_ext_synapse_s3_storage_provider_accept_unserved_media: true}",), False),
    ],
)
def test_the_way_out_does_not_leave_what_only_the_bucket_has_right(
    program: Path, conflicts: int, options: tuple[str, ...], is_told: bool
) -> None:
    """A local file of the right length and other content was named, and the provider was taken away all the same."""
    (uninstall,) = yaml.safe_load((ROOT / "playbooks" / "uninstall.yml").read_text())
    (block,) = uninstall["tasks"]
    bring_back, _role = block["block"]
    bring_back["block"] = [task for task in bring_back["block"] if "ansible.builtin.systemd_service" not in task]
    playbooks = program.parent.parent / "playbooks"
    playbooks.mkdir()
    (playbooks / "tasks").symlink_to(ROOT / "playbooks" / "tasks")
    (playbooks / "uninstall.yml").write_text(yaml.safe_dump([{**uninstall, "tasks": [bring_back]}]))
    answer(program, "restore", {"errors": [], "conflicts": {"files": conflicts, "bytes": 9}}, 1)

    run = play(program, "uninstall", "--extra-vars=restore_first=true", *options, playbooks=playbooks)

    assert calls(program) == ["restore --json"]
    told = (
        "Could not uninstall: what conflicts is named above (files: 2): on the local disk or in the bucket they are not"
        " what they should be, and the bucket may have the only right ones. Add --repair to restore_options for local"
        " files that the database proves to be damaged; or, to go without what only the bucket has right, set"
        " matrix_synapse_ext_synapse_s3_storage_provider_accept_unserved_media to true."
    )
    assert (told in run.stdout) == is_told, run.stdout + run.stderr
    assert run.returncode == (2 if is_told else 0)
