# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's own tasks that refuse to take media from Synapse, with a command in the program's place."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLE = Path(__file__).parents[3] / "roles" / "storage_provider"
PREFIX = "matrix_synapse_ext_synapse_s3_storage_provider_"
OLD = {"bucket": "old", "prefix": "", "endpoint_url": "https://old.example.org"}
OLD_STORE = {**OLD, "access_key_id": "AKID", "secret_access_key": "s3cr3t"}
NOTHING = {"files": 0, "bytes": 0}
SOME = {"files": 3, "bytes": 30}
# With the configuration that is to come it answers by another file, and writes down that it was asked.
PROGRAM = """\
#!/bin/sh
[ "$1" != --config ] || { name=to-come; shift 2; }
echo "$@ ${name:=now}" >> "$0.calls"
cat "$0.$name"
"""


def named(path: str, *names: str) -> list[dict[str, Any]]:
    """The tasks of these names in one of the role's files, also those within blocks."""

    def every(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [found for task in tasks for found in [task, *every(task.get("block", []))]]

    tasks = every(yaml.safe_load((ROLE / "tasks" / path).read_text()))
    found = [task for task in tasks if task["name"] in names]
    assert [task["name"] for task in found] == list(names)
    return found


MOVE = named("trial.yml", "See that Synapse finds its media in the places that are to come")
REMOVAL = named("uninstall.yml", "Count the media that only the bucket has", "Note what it would not serve any more")

AGAIN = named(
    "uninstall.yml", "Count again what only the bucket has, since a migration may have freed more of the disk"
)
MOVE_AGAIN = named(
    "configure.yml", "Count again what Synapse would not find, since a migration may have freed more of the disk"
)


def problems(
    directory: Path, tasks: list[dict[str, Any]], answers: dict[str, dict[str, Any]], **variables: Any
) -> tuple[list[str], list[str]]:
    """What the tasks note, and how they have called the program."""
    program = directory / "program"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    for name, told in answers.items():
        (directory / f"program.{name}").write_text(json.dumps({"command": "status", "errors": [], **told}) + "\n")
    shutil.copy(ROLE / "tasks/count.yml", directory / "count.yml")
    facts = {
        "__storage_provider_command": str(program),
        "__storage_provider_problems": [],
        "__storage_provider_service_info": {},
        "__storage_provider_host": {"owns_config": True, "candidate_path": "/candidate.yaml"},
        "__storage_provider_changes": ["/etc/provider.yaml"],
        "__storage_provider_config_compared": {"paths": ["/etc/provider.yaml"]},
        "__storage_provider_bucket_check": {"rc": 0},
        "__storage_provider_config_check": {"rc": 0, "stdout": json.dumps({"places": [OLD]})},
    }
    end = {"ansible.builtin.copy": {"dest": str(directory / "noted.json"), "mode": "0600", "content": "{{ noted }}"}}
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars_files": [str(ROLE / "defaults/main.yml"), str(ROLE / "vars/main.yml")],
        "tasks": [
            {"ansible.builtin.set_fact": facts},
            *tasks,
            {**end, "vars": {"noted": "{{ __storage_provider_problems | to_json }}"}},
        ],
    }
    (directory / "play.yml").write_text(yaml.safe_dump([play], sort_keys=False))
    given = {"config_bucket": "new", "config_access_key_id": "AKID", "config_secret_access_key": "s3cr3t", **variables}
    (directory / "extra.json").write_text(json.dumps({f"{PREFIX}{name}": value for name, value in given.items()}))
    own = {
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_COLLECTIONS_PATH": os.environ["PYTHONPATH"].split(os.pathsep)[0],
    }
    run = subprocess.run(
        ["ansible-playbook", "--inventory=localhost,", "--extra-vars=@extra.json", "play.yml"],
        cwd=directory,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    calls = directory / "program.calls"
    return json.loads((directory / "noted.json").read_text()), calls.read_text().splitlines() if calls.exists() else []


def test_another_bucket_is_refused_with_media_behind_the_old_one(tmp_path: Path) -> None:
    answers = {
        "to-come": {"unserved": SOME, "damaged": NOTHING, "unreadable": NOTHING},
        "now": {"unserved": {"files": 1, "bytes": 1}, "damaged": NOTHING, "unreadable": NOTHING},
    }
    noted, calls = problems(tmp_path, MOVE, answers)
    assert calls == ["status --json to-come", "status --json now"]
    (problem,) = noted
    assert problem.startswith(
        "Could not take bucket 'old' at https://old.example.org from Synapse: 3 files (30 bytes) that its database"
        " knows would not be served, being neither on the local disk nor in bucket 'new'. (1 file (1 bytes) are"
        " missing or damaged now already.) Name what"
    )


def test_another_bucket_that_has_all_of_it(tmp_path: Path) -> None:
    assert problems(tmp_path, MOVE, {"to-come": {"unserved": NOTHING, "damaged": NOTHING, "unreadable": NOTHING}}) == (
        [],
        ["status --json to-come"],
    )


@pytest.mark.parametrize(
    "variables", [{"previous_stores": [OLD_STORE]}, {"accept_unserved_media": True}], ids=["previous", "accepted"]
)
def test_nothing_is_counted_where_the_old_one_is_still_read_or_given_up(
    tmp_path: Path, variables: dict[str, Any]
) -> None:
    assert problems(tmp_path, MOVE, {}, **variables) == ([], [])


def test_a_removal_is_refused_with_media_in_the_bucket_alone(tmp_path: Path) -> None:
    noted, calls = problems(
        tmp_path, REMOVAL, {"now": {"stored_only": SOME, "stored_elsewhere": NOTHING, "repairable": NOTHING}}
    )
    assert calls == ["status --json now"]
    assert noted[0].startswith("Could not take the provider from Synapse: 3 files (30 bytes) that its database knows")


@pytest.mark.parametrize(
    ("told", "variables"),
    [
        ({"stored_only": NOTHING, "stored_elsewhere": NOTHING, "repairable": NOTHING}, {}),
        ({"errors": ["Could not reach the bucket."]}, {"accept_unserved_media": True}),
    ],
    ids=["all is local", "accepted"],
)
def test_a_removal_that_takes_nothing_or_was_accepted(
    tmp_path: Path, told: dict[str, Any], variables: dict[str, Any]
) -> None:
    assert problems(tmp_path, REMOVAL, {"now": told}, **variables)[0] == []


def with_failure(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tasks, with what they fail with among what is noted."""
    fact = {"__storage_provider_problems": ["{{ ansible_failed_result.msg }}"]}
    return [{"block": tasks, "rescue": [{"ansible.builtin.set_fact": fact}]}]


def test_what_a_migration_has_freed_since_the_first_look_stops_the_move_too(tmp_path: Path) -> None:
    """It went to the bucket that Synapse would not read any more, and nobody counted it."""
    told = {"to-come": {"unserved": SOME, "damaged": NOTHING, "unreadable": NOTHING}}
    found, calls = problems(tmp_path, with_failure(MOVE_AGAIN), told)
    assert calls == ["status --json to-come"]
    assert found == [
        "Could not take bucket 'old' at https://old.example.org from Synapse: 3 files (30 bytes) that its database"
        " knows would not be served, being neither on the local disk nor in bucket 'new'. Name what Synapse is to go on"
        f" reading from in {PREFIX}previous_stores until it is copied (the playbook matrixops.synapse_s3.move), or set"
        f" {PREFIX}accept_unserved_media to true."
    ]


@pytest.mark.parametrize(
    "variables", [{"previous_stores": [OLD_STORE]}, {"accept_unserved_media": True}], ids=["previous", "accepted"]
)
def test_nothing_is_counted_again_where_nothing_is_taken(tmp_path: Path, variables: dict[str, Any]) -> None:
    assert problems(tmp_path, with_failure(MOVE_AGAIN), {}, **variables) == ([], [])


def test_what_a_migration_has_freed_since_the_first_look_stops_the_removal_too(tmp_path: Path) -> None:
    """It may have ended by itself before it could be stopped."""
    tasks: list[dict[str, Any]] = [
        {"ansible.builtin.set_fact": {"__storage_provider_takes_provider": True}},
        *with_failure(AGAIN),
    ]
    found, calls = problems(
        tmp_path, tasks, {"now": {"stored_only": SOME, "stored_elsewhere": NOTHING, "repairable": NOTHING}}
    )
    assert calls == ["status --json now"]
    assert found[0].startswith("Could not take the provider from Synapse: 3 files (30 bytes) that its database knows")
