# SPDX-License-Identifier: GPL-3.0-or-later
"""What `status` tells of the last runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.last_runs import (
    RunRecord,
    run_lines,
    runs_as_json,
)

NOW = datetime(2026, 11, 25, 12, tzinfo=timezone.utc).timestamp()
FIVE = NOW - 7 * 3600
TIMER = {"ActiveState": "active", "NextElapseUSecRealtime": "Thu 2026-11-26 05:02:00 UTC"}
NEXT = "  Next run: Thu 2026-11-26 05:02:00 UTC (in 17 hours)"
COUNTS = {"uploaded": {"files": 1204, "bytes": 5}, "already_stored": {"files": 3, "bytes": 1}, "failed": {"files": 0}}


def service(
    began: str = "05:00:00", ended: str = "05:10:00", code: int = 1, status: int = 0, **more: str
) -> dict[str, str]:
    return {
        "ActiveState": "inactive",
        "ExecMainStartTimestamp": f"Wed 2026-11-25 {began} UTC",
        "ExecMainExitTimestamp": f"Wed 2026-11-25 {ended} UTC" if ended else "",
        "ExecMainCode": str(code),
        "ExecMainStatus": str(status),
        "Result": "success",
        **more,
    }


RUNNING = service(ended="", ActiveState="activating")
TOLD: list[tuple[Sequence[RunRecord], Mapping[str, str], list[str]]] = [
    # Neither knows any: systemd has forgotten, or never ran it.
    ([], {"ActiveState": "inactive", "Result": "success"}, ["  Last runs: none is known"]),
    (
        [RunRecord("migrate", FIVE, FIVE + 600, 0, COUNTS)],
        service(),
        [
            "Wed 2026-11-25 05:00:00 UTC: migrate ended: all done (after 10 minutes, 7 hours ago);"
            " uploaded 1,204, already stored 3"
        ],
    ),
    # After a reboot
    (
        [RunRecord("migrate", FIVE - 86400, FIVE - 86399.5, 69)],
        {"ActiveState": "inactive", "Result": "success"},
        [
            "Tue 2026-11-24 05:00:00 UTC: migrate ended: bucket, database or media store not available, exit status 69"
            " (after less than a second, 31 hours ago)"
        ],
    ),
    # During a run
    ([], RUNNING, ["Wed 2026-11-25 05:00:00 UTC: migrate is running, for 7 hours"]),
    (
        [RunRecord("migrate", FIVE + 1, is_running=True)],
        RUNNING,
        ["Wed 2026-11-25 05:00:01 UTC: migrate is running, for 7 hours"],
    ),
    # A success, for systemd
    (
        [RunRecord("migrate", FIVE + 1, FIVE + 91, 143)],
        service(ended="05:01:31", status=143),
        [
            "Wed 2026-11-25 05:00:01 UTC: migrate ended: stopped by an administrator, or with the host"
            " (after 90 seconds, 7 hours ago)"
        ],
    ),
    (
        [RunRecord("migrate", FIVE, FIVE + 1, 130)],
        {},
        ["Wed 2026-11-25 05:00:00 UTC: migrate ended: stopped with Ctrl+C (after 1 second, 7 hours ago)"],
    ),
    # By systemd's own limit
    (
        [RunRecord("migrate", FIVE, FIVE + 600, 143)],
        service(status=143, Result="timeout"),
        [
            "Wed 2026-11-25 05:00:00 UTC: migrate ended: cut off by the time limit of its unit"
            " (after 10 minutes, 7 hours ago)"
        ],
    ),
    (
        [RunRecord("migrate", FIVE)],
        service(code=2, status=9, Result="oom-kill"),
        ["Wed 2026-11-25 05:00:00 UTC: migrate did not end: killed, because memory ran out (7 hours ago)"],
    ),
    (
        [RunRecord("migrate", FIVE)],
        {},
        ["Wed 2026-11-25 05:00:00 UTC: migrate did not end: killed, or the host went down (7 hours ago)"],
    ),
    # The program did not even begin.
    (
        [RunRecord("migrate", FIVE - 86400, FIVE - 86000, 0)],
        service(ended="05:00:00", status=203, Result="exit-code"),
        [
            "Wed 2026-11-25 05:00:00 UTC: migrate ended: see its journal, exit status 203 (after less than a second,"
            " 7 hours ago)",
            "Tue 2026-11-24 05:00:00 UTC: migrate ended: all done (after 7 minutes, 31 hours ago)",
        ],
    ),
    # By hand while the nightly one ran
    (
        [RunRecord("migrate", FIVE + 60, FIVE + 61, 75), RunRecord("migrate", FIVE + 1, FIVE + 600, 143)],
        service(status=143, Result="timeout"),
        [
            "Wed 2026-11-25 05:01:00 UTC: migrate ended: another run held the lock, exit status 75 (after 1 second,"
            " 7 hours ago)",
            "Wed 2026-11-25 05:00:01 UTC: migrate ended: cut off by the time limit of its unit (after 10 minutes,"
            " 7 hours ago)",
        ],
    ),
    (
        [RunRecord("copy-bucket", FIVE + 60, FIVE + 61, 1)],
        {},
        ["Wed 2026-11-25 05:01:00 UTC: copy-bucket ended: not all done, exit status 1 (after 1 second, 7 hours ago)"],
    ),
]


@pytest.mark.parametrize(("recorded", "properties", "lines"), TOLD)
def test_last_runs(recorded: Sequence[RunRecord], properties: Mapping[str, str], lines: list[str]) -> None:
    expected = lines if lines[0].startswith("  ") else ["  Last runs:", *(f"    {line}" for line in lines)]
    assert run_lines(recorded, properties, TIMER, NOW) == [*expected, NEXT]


def test_the_newest_few() -> None:
    recorded = [RunRecord("migrate", FIVE - number * 86400, FIVE, 0) for number in range(10)]
    days = [line.split()[1] for line in run_lines(recorded, {}, TIMER, NOW)[1:-1]]
    assert days == ["2026-11-25", "2026-11-24", "2026-11-23", "2026-11-22", "2026-11-21"]


def test_the_last_migration_behind_runs_by_hand() -> None:
    by_hand = [RunRecord("restore", FIVE + number * 60, FIVE + number * 60 + 1, 0) for number in range(1, 7)]
    lines = run_lines([*by_hand, RunRecord("migrate", FIVE, FIVE + 1, 1)], {}, TIMER, NOW)[1:-1]
    assert [line.split()[4] for line in lines] == ["restore"] * 5 + ["migrate"]


@pytest.mark.parametrize(
    ("properties", "timer", "line"),
    [
        ({}, TIMER, NEXT),
        (RUNNING, {"ActiveState": "active"}, "  Next run: by the timer, when the one under way has ended"),
        (service(), {"ActiveState": "active"}, "  Next run: by the timer, at once"),
        (
            service(),
            {"ActiveState": "inactive", "LoadState": "loaded"},
            "  Next run: not scheduled: its timer does not run",
        ),
        ({}, {}, "  Next run: not known: systemd can't be asked here"),
    ],
)
def test_next_run(properties: Mapping[str, str], timer: Mapping[str, str], line: str) -> None:
    assert run_lines([], properties, timer, NOW)[-1] == line


def test_json() -> None:
    recorded = [RunRecord("migrate", FIVE + 1, is_running=True), RunRecord("migrate", FIVE - 86400, FIVE - 86000, 143)]
    assert runs_as_json(recorded, RUNNING, TIMER) == {
        "runs": [
            {
                "command": "migrate",
                "began": FIVE + 1,
                "ended": None,
                "outcome": "running",
                "exit_code": None,
                "counts": {},
            },
            {
                "command": "migrate",
                "began": FIVE - 86400,
                "ended": FIVE - 86000,
                "outcome": "stopped",
                "exit_code": 143,
                "counts": {},
            },
        ],
        "running": True,
        "last_run": "Tue 2026-11-24 05:06:40 UTC",
        "last_result": "stopped",
        "last_exit_code": 143,
        "next_run": "Thu 2026-11-26 05:02:00 UTC",
    }
    assert runs_as_json([], {}, {}) == {
        "runs": [],
        "running": False,
        "last_run": None,
        "last_result": None,
        "last_exit_code": None,
        "next_run": None,
    }


@pytest.mark.parametrize(
    ("properties", "outcome", "exit_code"),
    [
        (service(), "success", 0),
        (service(status=1, Result="exit-code"), "exit-code", 1),
        (service(status=143), "stopped", 143),
        (service(code=2, status=9, Result="signal"), "signal", 137),
        (service(status=143, Result="timeout"), "timeout", 143),
    ],
)
def test_systemd_s_last_run(properties: Mapping[str, str], outcome: str, exit_code: int) -> None:
    found = runs_as_json([], properties, TIMER)
    assert (found["last_result"], found["last_exit_code"]) == (outcome, exit_code)
