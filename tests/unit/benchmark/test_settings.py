# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in which condition."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.tests.benchmark import settings, tools
from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import Condition
from ansible_collections.matrixops.synapse_s3.tests.benchmark.settings import Contest


@pytest.fixture(autouse=True)
def no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit tests need none of the programs that are compared."""
    monkeypatch.setattr(f"{tools.__name__}.peer_binary", Path)


def contest(condition: Condition, *names: str) -> Contest:
    wanted = names or settings.TOOLS
    (found,) = settings.contests([condition.storage], [condition.scheme], [condition.rtt_ms], 3, wanted)
    assert found.condition == condition
    return found


def test_every_program_in_every_round_on_the_fast_server() -> None:
    entries = contest(Condition("memory", "http", 40)).entries

    assert {entry.rounds for entry in entries} == {3}
    assert {entry.tool.name for entry in entries if not entry.equal} == {
        "migrate",
        "rclone move",
        "s5cmd mv",
        "aws s3 mv",
        "s3_media_upload",
    }
    assert [str(entry.tool) for entry in entries if entry.equal] == [
        "migrate (64)",
        "rclone move (64)",
        "s5cmd mv (64)",
    ]


@pytest.mark.parametrize("condition", [Condition("disk", "http", 0), Condition("memory", "https", 0)])
def test_slow_programs_once_elsewhere(condition: Condition) -> None:
    assert {entry.tool.name: entry.rounds for entry in contest(condition).entries} == {
        "migrate": 2,
        "rclone move": 2,
        "s5cmd mv": 2,
        "aws s3 mv": 1,
        "s3_media_upload": 1,
    }


def test_only_some_programs() -> None:
    entries = contest(Condition("memory", "http", 0), "s5", "migrate").entries

    assert {entry.tool.name for entry in entries} == {"migrate", "s5cmd mv"}


def test_slow_programs_get_a_slice() -> None:
    by_name = {entry.tool.name: entry.tool for entry in contest(Condition("memory", "http", 40)).entries}

    assert settings.files_for(by_name["migrate"], 40, 4000) == 4000
    assert settings.files_for(by_name["s3_media_upload"], 40, 4000) == 80
    assert settings.files_for(by_name["s3_media_upload"], 40, 10) == 10
