# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.migrate import MigrateStep as Step
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.migrate import new_summary
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.summary import (
    Outcome,
    Summary,
    format_bytes,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import ConfigurationError


def outcome(*steps: Step, size: int = 1, path: str = "local_content/aa/bb/cc", reason: str = "reason") -> Outcome:
    return Outcome(path, size, frozenset(steps), reason, why="too_recent")


def example() -> Summary:
    """Every number differs, so that no two can be mixed up unnoticed."""
    summary = new_summary()
    summary.requests, summary.seconds, summary.listed, summary.asked = 987, 65.4321, 1234, 56
    summary.not_reached = 7
    summary.facts = ["a fact"]
    summary.empty_directories = 9
    for _turn in range(8):
        summary.pass_over("local_content/lost+found", "not Synapse's", is_problem=False)
    for number, step in enumerate(Step, start=1):
        for _turn in range(number):
            summary.add(outcome(step, size=10**number))
    return summary


def test_json() -> None:
    problems = [{"path": "local_content/aa/bb/cc", "reason": "reason"}] * 11

    assert json.loads(json.dumps(example().as_json())) == {
        "command": "migrate",
        "uploaded": {"files": 1, "bytes": 10},
        "already_stored": {"files": 2, "bytes": 200},
        "deleted": {"files": 3, "bytes": 3000},
        "kept": {"files": 4, "bytes": 40000},
        "conflicts": {"files": 5, "bytes": 500000},
        "failed": {"files": 6, "bytes": 6000000},
        "kept_by_reason": {"too_recent": {"files": 4, "bytes": 40000}},
        "passed_over": 8,
        "empty_directories": 9,
        "not_reached": 7,
        "requests": 987,
        "listed": 1234,
        "asked": 56,
        "seconds": 65.432,
        "dry_run": False,
        "problems": problems,
        "notices": [{"path": "local_content/lost+found", "reason": "not Synapse's"}] * 8,
        "facts": ["a fact"],
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
            "    too recent                     4 files      40.0 kB",
            "  Conflicts                        5 files     500.0 kB",
            "  Failed                           6 files       6.0 MB",
            "  Passed over                      8",
            "  Empty directories gone           9",
            "  Not reached                      7 files",
            "  a fact",
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
            "# HELP synapse_s3_migrate_passed_over What the last run did not look at.",
            "# TYPE synapse_s3_migrate_passed_over gauge",
            "synapse_s3_migrate_passed_over 8",
            "# HELP synapse_s3_migrate_not_reached Files that the last run left because it gave up.",
            "# TYPE synapse_s3_migrate_not_reached gauge",
            "synapse_s3_migrate_not_reached 7",
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


def summary(**fields: object) -> Summary:
    made = new_summary(dry_run=bool(fields.pop("dry_run", False)))
    for name, value in fields.items():
        setattr(made, name, value)
    return made


NOT_ALL = "NOT ALL DONE. What failed or conflicts is named above and still on the local disk."
TEST_EXIT_STATUS: list[tuple[Summary, list[Step], int, str]] = [
    (summary(), [], 0, "All done."),
    (summary(), [Step.UPLOADED, Step.DELETED, Step.KEPT, Step.ALREADY_STORED], 0, "All done."),
    (summary(dry_run=True), [Step.UPLOADED], 0, "Dry run: nothing was changed."),
    (summary(), [Step.CONFLICT], 1, NOT_ALL),
    (summary(), [Step.FAILED], 1, NOT_ALL),
    (summary(errors=["The database is gone."]), [], 1, NOT_ALL),
    (summary(errors=["There is no bucket."], refused_with=69), [], 69, "NOTHING WAS DONE, for the reason above."),
    (
        summary(errors=["The bucket is the disk."], ended_with=78),
        [Step.KEPT],
        78,
        "STOPPED, for the reason above. Nothing more was touched.",
    ),
    (
        summary(interrupted_by=15, refused_with=75),
        [Step.FAILED],
        143,
        "INTERRUPTED. What was not reached is untouched; the next run goes on from here.",
    ),
    (
        summary(interrupted_by=15, abandoned=3),
        [],
        143,
        "INTERRUPTED. What was not reached is untouched; the next run goes on from here. 3 files were still under way:"
        " the next run looks at them again.",
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


def test_what_may_hold_media_and_is_passed_over_is_a_problem() -> None:
    made = new_summary()

    made.pass_over("remote_content/example.org", "a link", is_problem=True)

    assert made.problems == [{"path": "remote_content/example.org", "reason": "a link"}]
    assert (made.passed_over, made.exit_status) == (1, 1)


def test_the_first_reason_to_end_is_told() -> None:
    made = new_summary()

    made.end(ConfigurationError("first"))
    made.end(ConfigurationError("second"))

    assert (made.errors, made.exit_status) == (["first"], 78)


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
