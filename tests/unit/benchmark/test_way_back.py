# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back: who takes part and how, and what of their ratios and limits is met."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.tests.benchmark import tools, way_back, way_back_stages, way_back_tools
from ansible_collections.matrixops.synapse_s3.tests.benchmark.homeserver import Homeserver
from ansible_collections.matrixops.synapse_s3.tests.benchmark.report import tables
from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import (
    WAY_BACK,
    Condition,
    Measurement,
    ratios,
    summarise,
    verify_verdict,
)
from ansible_collections.matrixops.synapse_s3.tests.benchmark.saved import Results, load, save
from ansible_collections.matrixops.synapse_s3.tests.benchmark.tools import Job
from ansible_collections.matrixops.synapse_s3.tests.benchmark.way_back_stages import find_verify_problems

ONE = Measurement(
    condition=Condition("memory", "http", 10),
    tool="verify",
    connections=None,
    equal=False,
    files=1_000_000,
    bytes=1_000_000,
    seconds=50.0,
    cpu_seconds=40.0,
    peak_bytes=200_000_000,
    requests=1100,
    server_cpu_seconds=10.0,
    busy_seconds=60.0,
)
WRONG = "local_content/ab/cd/efgh"


@pytest.fixture(autouse=True)
def no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit tests need none of the programs that are compared."""
    monkeypatch.setattr(f"{tools.__name__}.peer_binary", Path)


def command(name: str, tool: str, home: Path) -> tuple[str, ...]:
    """How the first of that name is told to work in that benchmark."""
    buckets = [BucketSettings(bucket=each, endpoint_url="http://127.0.0.1:9") for each in ("bucket", "former")]
    job = Job(Homeserver(home), buckets[0], source=buckets[1])
    return next(each for each in way_back_tools.contest(name, 10) if each.name == tool).command(job).arguments


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("verify", ["verify", "rclone check (32)", "rclone check (64)"]),
        (
            "restore",
            [
                "restore",
                "rclone copy (32)",
                "rclone copy (64)",
                "s5cmd cp (32)",
                "s5cmd cp (64)",
                "aws s3 cp (10)",
            ],
        ),
        ("copy_bucket", ["copy-bucket", "rclone copy (32)", "rclone copy (64)"]),
        ("purge_orphans", ["purge-orphans", "s5cmd rm (32)", "s5cmd rm (64)"]),
    ],
)
def test_who_takes_part(name: str, expected: list[str]) -> None:
    assert [str(tool) for tool in way_back_tools.contest(name, 10)] == expected


def test_every_benchmark_has_its_stage() -> None:
    assert list(way_back_stages.STAGES) == list(WAY_BACK)


def test_rclone_check_compares_the_bucket_with_the_local_files(tmp_path: Path) -> None:
    arguments = command("verify", "rclone check", tmp_path)

    assert arguments[:6] == (
        "rclone",
        "check",
        str(tmp_path / "media"),
        "bench:bucket/hs/",
        "--size-only",
        "--fast-list",
    )


def test_rclone_copies_by_streams_from_the_former_bucket(tmp_path: Path) -> None:
    arguments = command("copy_bucket", "rclone copy", tmp_path)

    assert arguments[:4] == ("rclone", "copy", "bench:former/hs/", "bench:bucket/hs/")
    assert "--disable copy" in " ".join(arguments)


def test_what_is_brought_back(tmp_path: Path) -> None:
    media = str(tmp_path / "media")

    assert command("restore", "rclone copy", tmp_path)[1:4] == ("copy", "bench:bucket/hs/", media)
    assert command("restore", "s5cmd cp", tmp_path)[-3:] == ("cp", "s3://bucket/hs/*", f"{media}/")
    assert command("restore", "aws s3 cp", tmp_path)[-2:] == ("s3://bucket/hs/", media)


def test_what_s5cmd_removes(tmp_path: Path) -> None:
    assert command("purge_orphans", "s5cmd rm", tmp_path)[-2:] == ("rm", "s3://bucket/hs/local_*")


def test_ours_deletes_at_once_and_writes_down_below_its_directory(tmp_path: Path) -> None:
    arguments = " ".join(command("purge_orphans", "purge-orphans", tmp_path))

    assert f"purge-orphans --json --state-directory {tmp_path}/state --delete --minimum-age 0s" in arguments


def test_who_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(f"{way_back_tools.__name__}.has_peer", lambda name: name != "aws")
    said: list[str] = []
    task = way_back.WayBack("restore", 10, "memory", [0, 10], 0, ["restore", "rclone", "aws"], tmp_path, tmp_path)

    way_back.measure(task, said.append)

    assert said == ["aws s3 cp takes no part: it is not installed here (scripts/setup tools minio peers builds it)"]


@pytest.mark.parametrize(("seconds", "verdict"), [(50.0, "met"), (49.9, "NOT MET")])
def test_at_least_as_fast_as_each(seconds: float, verdict: str) -> None:
    rows = summarise([ONE, replace(ONE, tool="rclone check", connections=32, seconds=seconds)])

    (ratio,) = ratios(rows)

    assert (ratio.ours, ratio.rival, ratio.target, ratio.verdict) == ("verify", "rclone check (32)", 1.0, verdict)


def test_disk_has_no_target() -> None:
    ours = replace(ONE, tool="restore", condition=Condition("disk", "http", 0))

    (ratio,) = ratios(summarise([ours, replace(ours, tool="s5cmd cp")]))

    assert (ratio.value, ratio.verdict) == (1.0, "")


@pytest.mark.parametrize(
    ("run", "verdict"),
    [
        (ONE, "met"),
        (replace(ONE, requests=1101), "NOT MET"),
        (replace(ONE, peak_bytes=200_000_001), "NOT MET"),
        (replace(ONE, files=2_000_000, requests=2200), "met"),
        (replace(ONE, files=2_000_000, requests=2202), "NOT MET"),
        (replace(ONE, files=600, requests=29), "met"),
        (replace(ONE, problems=("it does not say",)), "failed"),
    ],
)
def test_limits_of_verify(run: Measurement, verdict: str) -> None:
    (row,) = summarise([run])

    assert verify_verdict(row) == verdict


def test_few_requests_for_many_files_are_kept(tmp_path: Path) -> None:
    save(Results(verify=tuple(summarise([replace(ONE, requests=1004)]))), tmp_path / "results.json")

    (row,) = load(tmp_path / "results.json").verify

    assert (row.requests, row.seconds) == (1004, 50.0)


def test_tables_of_verify() -> None:
    rows = tuple(summarise([ONE, replace(ONE, tool="rclone check", connections=32, seconds=100.0)]))

    compared, programs, limits = tables(Results(verify=rows))["verify"]

    assert compared.rows == (("10 ms, http, memory", "verify", "rclone check (32)", "their best", "2.0", "1", "met"),)
    assert [line[1:4] for line in programs.rows] == [
        ("verify", "50.0", "20,000"),
        ("rclone check (32)", "100.0", "10,000"),
    ]
    assert limits.rows == (
        ("10 ms, http, memory", "1,000,000", "200", "200", "1,100", "1,100 for 1,000,000 files", "met"),
    )


@pytest.mark.parametrize(
    ("tool", "output"),
    [
        ("verify", f'{{"checked": {{"files": 600, "bytes": 605}}, "problems": ["{WRONG}"]}}'),
        ("rclone check", f"ERROR : {WRONG}: sizes differ\nNOTICE: 599 matching files\n"),
    ],
)
def test_damage_was_named_and_all_looked_at(tool: str, output: str) -> None:
    assert find_verify_problems(tool, 1, output, 600, WRONG) == []


def test_look_that_saw_nothing() -> None:
    assert find_verify_problems("verify", 0, "no output", 600, WRONG) == [
        "it exited with 0 instead of 1",
        f"it does not name {WRONG!r}, which is damaged",
        'it does not say \'"checked": {"files": 600,\'',
        "its output ends with no output",
    ]


def test_too_few_inodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.statvfs", lambda _path: SimpleNamespace(f_favail=4499))

    with pytest.raises(SystemExit) as refused:
        way_back_stages.check_inodes(tmp_path, 1000)

    assert str(refused.value) == (
        f"Could not begin: {str(tmp_path)!r} has room for 4,499 files and directories, and 4,500 are needed. Give it"
        " more, as with: mount -o remount,nr_inodes=12000000 /dev/shm"
    )
