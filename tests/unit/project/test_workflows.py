# SPDX-License-Identifier: GPL-3.0-or-later
"""The workflow runs each check there is, and sets up by steps there are."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))


def matrix() -> list[dict[str, str]]:
    jobs = yaml.safe_load((ROOT / ".github/workflows/checks.yml").read_text())["jobs"]
    entries: list[dict[str, str]] = jobs["check"]["strategy"]["matrix"]["include"]
    return entries


def script(name: str) -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / name), run_name=name)


def test_each_check_is_run_once() -> None:
    checks = script("check")
    named = [name for entry in matrix() for name in entry["check"].split()]
    run = [check for name in named for check in checks["GROUPS"].get(name, [name])]
    assert sorted(run) == sorted(checks["CHECKS"])


def test_what_is_set_up_is_a_step() -> None:
    steps = script("setup")["STEPS"]
    assert [step for entry in matrix() for step in entry["setup"].split() if step not in steps] == []


def test_each_action_is_that_of_one_commit() -> None:
    used = [action for path in WORKFLOWS for action in re.findall(r"uses: (\S+)", path.read_text())]
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action)] == []
