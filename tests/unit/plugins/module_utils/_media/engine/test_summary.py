# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.summary import (
    Outcome,
    Step,
    Summary,
    format_bytes,
)


def outcome(*steps: Step, size: int = 1, path: str = "local_content/aa/bb/cc", reason: str = "reason") -> Outcome:
    return Outcome(path, size, frozenset(steps), reason)


def example() -> Summary:
    """Every number differs, so that no two can be mixed up unnoticed."""
    summary = Summary(requests=987, seconds=65.4321, listed=1234, asked=56)
    for number, step in enumerate(Step, start=1):
        for _ in range(number):
            summary.add(outcome(step, size=10**number))
    return summary


def test_json() -> None:
    problems = [{"path": "local_content/aa/bb/cc", "reason": "reason"}] * 11

    assert json.loads(json.dumps(example().as_json())) == {
        "uploaded": {"files": 1, "bytes": 10},
        "already_stored": {"files": 2, "bytes": 200},
        "deleted": {"files": 3, "bytes": 3000},
        "kept": {"files": 4, "bytes": 40000},
        "conflicts": {"files": 5, "bytes": 500000},
        "failed": {"files": 6, "bytes": 6000000},
        "requests": 987,
        "listed": 1234,
        "asked": 56,
        "seconds": 65.432,
        "dry_run": False,
        "problems": problems,
        "errors": [],
        "exit_code": 1,
    }


def test_text() -> None:
    assert example().as_text() == "\n".join(
        [
            "  Uploaded                         1 files         10 B",
            "  Already in the bucket            2 files        200 B",
            "  Deleted locally                  3 files       3.0 kB",
            "  Kept locally                     4 files      40.0 kB",
            "  Conflicts                        5 files     500.0 kB",
            "  Failed                           6 files       6.0 MB",
            "NOT ALL DONE. What failed or conflicts is named above and still on the local disk."
            " (987 requests to the bucket in 65.4 s; 1,234 objects listed, 56 files asked for)",
        ]
    )


def test_metrics() -> None:
    assert example().as_metrics(1234.5) == "\n".join(
        [
            "# HELP synapse_s3_migrate_files What the last run did, in files.",
            "# TYPE synapse_s3_migrate_files gauge",
            'synapse_s3_migrate_files{result="uploaded"} 1',
            'synapse_s3_migrate_files{result="already_stored"} 2',
            'synapse_s3_migrate_files{result="deleted"} 3',
            'synapse_s3_migrate_files{result="kept"} 4',
            'synapse_s3_migrate_files{result="conflicts"} 5',
            'synapse_s3_migrate_files{result="failed"} 6',
            "# HELP synapse_s3_migrate_bytes What the last run did, in bytes.",
            "# TYPE synapse_s3_migrate_bytes gauge",
            'synapse_s3_migrate_bytes{result="uploaded"} 10',
            'synapse_s3_migrate_bytes{result="already_stored"} 200',
            'synapse_s3_migrate_bytes{result="deleted"} 3000',
            'synapse_s3_migrate_bytes{result="kept"} 40000',
            'synapse_s3_migrate_bytes{result="conflicts"} 500000',
            'synapse_s3_migrate_bytes{result="failed"} 6000000',
            "# HELP synapse_s3_migrate_requests Requests that the last run sent to the bucket.",
            "# TYPE synapse_s3_migrate_requests gauge",
            "synapse_s3_migrate_requests 987",
            "# HELP synapse_s3_migrate_duration_seconds How long the last run took.",
            "# TYPE synapse_s3_migrate_duration_seconds gauge",
            "synapse_s3_migrate_duration_seconds 65.432",
            "# HELP synapse_s3_migrate_exit_status Exit status of the last run; 0 means that all is done.",
            "# TYPE synapse_s3_migrate_exit_status gauge",
            "synapse_s3_migrate_exit_status 1",
            "# HELP synapse_s3_migrate_end_timestamp_seconds When the last run ended, in seconds since 1970.",
            "# TYPE synapse_s3_migrate_end_timestamp_seconds gauge",
            "synapse_s3_migrate_end_timestamp_seconds 1234.5",
            "",
        ]
    )


TEST_EXIT_STATUS: list[tuple[Summary, list[Step], int, str]] = [
    (Summary(), [], 0, "All done."),
    (Summary(), [Step.UPLOADED, Step.DELETED, Step.KEPT, Step.ALREADY_STORED], 0, "All done."),
    (Summary(dry_run=True), [Step.UPLOADED], 0, "Dry run: nothing was changed."),
    (
        Summary(),
        [Step.CONFLICT],
        1,
        "NOT ALL DONE. What failed or conflicts is named above and still on the local disk.",
    ),
    (Summary(), [Step.FAILED], 1, "NOT ALL DONE. What failed or conflicts is named above and still on the local disk."),
    (
        Summary(errors=["The database is gone."]),
        [],
        1,
        "NOT ALL DONE. What failed or conflicts is named above and still on the local disk.",
    ),
    (Summary(errors=["There is no bucket."], refused_with=69), [], 69, "NOTHING WAS DONE, for the reason above."),
    (
        Summary(interrupted_by=15, refused_with=75),
        [Step.FAILED],
        143,
        "INTERRUPTED. What was not reached is untouched; the next run goes on from here.",
    ),
]


@pytest.mark.parametrize(("summary", "steps", "exit_status", "verdict"), TEST_EXIT_STATUS)
def test_exit_status(summary: Summary, steps: list[Step], exit_status: int, verdict: str) -> None:
    for step in steps:
        summary.add(outcome(step))

    assert summary.exit_status == exit_status
    assert summary.as_text().splitlines()[-1] == (
        f"{verdict} (0 requests to the bucket in 0.0 s; 0 objects listed, 0 files asked for)"
    )


TEST_SIZES = [
    (0, "0 B"),
    (999, "999 B"),
    (1000, "1.0 kB"),
    (12_345_678, "12.3 MB"),
    (5_000_000_000, "5.0 GB"),
    (3_210_000_000_000_000, "3,210.0 TB"),
]


@pytest.mark.parametrize(("size", "text"), TEST_SIZES)
def test_format_bytes(size: int, text: str) -> None:
    assert format_bytes(size) == text
