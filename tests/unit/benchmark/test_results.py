# SPDX-License-Identifier: GPL-3.0-or-later
"""Medians, spreads, ratios and targets."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import (
    Condition,
    Measurement,
    NightlyRun,
    nightly_ratio,
    ratios,
    summarise,
    summarise_nights,
)

FAST = Condition("memory", "http", 0)
ONE = Measurement(
    condition=FAST,
    tool="migrate",
    connections=None,
    equal=False,
    files=1000,
    bytes=5000,
    seconds=2.0,
    cpu_seconds=1.0,
    peak_bytes=40_000_000,
    requests=1100,
    server_cpu_seconds=3.0,
    busy_seconds=4.5,
)
NIGHT = NightlyRun(
    condition=FAST, tool="migrate", objects=10, local_files=2, seconds=2.0, cpu_seconds=1.0, peak_bytes=5, requests=7
)


def test_summary_of_several_runs() -> None:
    runs = [replace(ONE, seconds=seconds, peak_bytes=peak) for seconds, peak in ((4.0, 1), (1.0, 9), (2.0, 5))]

    (row,) = summarise(runs)

    assert (row.files_per_second, row.slowest, row.fastest) == (500, 250, 1000)
    assert (row.runs, row.failed, row.files, row.peak_bytes) == (3, 0, 1000, 9)
    assert (row.cpu_ms_per_file, row.server_cpu_ms_per_file, row.other_cpu_ms_per_file) == (1.0, 3.0, 0.5)
    assert row.requests_per_file == 1.1


def test_rows_are_kept_apart_and_in_order() -> None:
    others = [
        replace(ONE, tool="s5cmd mv", connections=16),
        replace(ONE, connections=16, equal=True),
        replace(ONE, condition=Condition("disk", "http", 0)),
        replace(ONE, condition=Condition("memory", "https", 0)),
        replace(ONE, condition=Condition("memory", "http", 10)),
        replace(ONE, files=2000),
    ]

    rows = summarise([ONE, *others, *others])

    assert [row.runs for row in rows] == [1, 2, 2, 2, 2, 2, 2]
    assert [row.name for row in rows] == ["migrate", "s5cmd mv (16)", "migrate (16)", *["migrate"] * 4]


@pytest.mark.parametrize(
    ("rtt_ms", "rival", "seconds", "value", "verdict"),
    [
        (0, "rclone move", 3.0, 1.5, "met"),
        (0, "rclone move", 2.98, 1.49, "NOT MET"),
        (0, "s5cmd mv", 2.4, 1.2, "met"),
        (0, "s3_media_upload", 23.8, 11.9, "NOT MET"),
        (10, "s5cmd mv", 2.4, 1.2, "NOT MET"),
        (10, "s3_media_upload", 100.0, 50.0, "met"),
        (40, "rclone move", 3.0, 1.5, "NOT MET"),
        (40, "s3_media_upload", 200.0, 100.0, "met"),
        (0, "aws s3 mv", 1.0, 0.5, ""),
    ],
)
def test_ratio_and_its_target(rtt_ms: int, rival: str, seconds: float, value: float, verdict: str) -> None:
    ours = replace(ONE, condition=Condition("memory", "http", rtt_ms))

    (ratio,) = ratios(summarise([ours, replace(ours, tool=rival, seconds=seconds)]))

    assert ratio.value == pytest.approx(value)
    assert ratio.verdict == verdict


@pytest.mark.parametrize("condition", [Condition("disk", "http", 0), Condition("memory", "https", 0)])
def test_targets_are_meant_for_the_fast_server(condition: Condition) -> None:
    ours = replace(ONE, condition=condition)

    (ratio,) = ratios(summarise([ours, replace(ours, tool="rclone move")]))

    assert (ratio.value, ratio.target, ratio.verdict) == (1.0, None, "")


@pytest.mark.parametrize("failing", ["migrate", "s5cmd mv"])
def test_one_failed_run_is_no_ratio(failing: str) -> None:
    runs = [ONE, replace(ONE, tool="s5cmd mv"), replace(ONE, tool=failing, seconds=0.1, problems=("a file is gone",))]

    (ratio,) = ratios(summarise(runs))

    assert (ratio.value, ratio.verdict) == (None, "failed")


def test_rates_of_different_numbers_of_files_are_compared() -> None:
    (ratio,) = ratios(summarise([ONE, replace(ONE, tool="s3_media_upload", files=100)]))

    assert ratio.value == 10


def test_equal_connections_are_compared_with_equal_ones() -> None:
    rows = summarise(
        [
            ONE,
            replace(ONE, tool="s5cmd mv", connections=8, seconds=4.0),
            replace(ONE, connections=16, equal=True),
            replace(ONE, tool="s5cmd mv", connections=16, equal=True, seconds=6.0),
        ]
    )

    assert [(ratio.ours, ratio.rival, ratio.value) for ratio in ratios(rows)] == [
        ("migrate", "s5cmd mv (8)", 2.0),
        ("migrate (16)", "s5cmd mv (16)", 3.0),
    ]


def test_nights() -> None:
    nights = [replace(NIGHT, seconds=seconds) for seconds in (3.0, 1.0, 2.0)]

    rows = summarise_nights([*nights, replace(NIGHT, tool="s3_media_upload", seconds=60.0)])

    assert [(row.tool, row.seconds, row.fastest, row.slowest) for row in rows] == [
        ("migrate", 2.0, 1.0, 3.0),
        ("s3_media_upload", 60.0, 60.0, 60.0),
    ]
    assert nightly_ratio(rows) == 30.0


def test_a_failed_night_is_no_ratio() -> None:
    rows = summarise_nights([NIGHT, replace(NIGHT, tool="s3_media_upload", problems=("one file is left",))])

    assert nightly_ratio(rows) is None
