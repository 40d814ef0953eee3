# SPDX-License-Identifier: GPL-3.0-or-later
"""The page's own way: what runs, and in what order."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.tests.benchmark import page_way, tools
from ansible_collections.matrixops.synapse_s3.tests.benchmark.homeserver import Homeserver
from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import Measurement, ratios, summarise
from ansible_collections.matrixops.synapse_s3.tests.benchmark.settings import files_for
from ansible_collections.matrixops.synapse_s3.tests.benchmark.tools import Job


@pytest.fixture(autouse=True)
def no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit tests need none of the programs that are compared."""
    monkeypatch.setattr(f"{tools.__name__}.peer_binary", Path)


def test_copy_then_the_script(tmp_path: Path) -> None:
    (contest,) = page_way.contests([10], 3, ["s5cmd"])
    (entry,) = contest.entries
    job = Job(Homeserver(tmp_path), BucketSettings("bucket", endpoint_url="http://127.0.0.1:9000"))

    shell, option, script = entry.tool.command(job).arguments

    assert (shell, option) == ("sh", "-c")
    assert [step.split(" ")[:3] for step in script.split(" && ")] == [
        ["s5cmd", "--log", "error"],
        ["s3_media_upload", "--no-progress", "update-db"],
        ["s3_media_upload", "--no-progress", "check-deleted"],
        ["s3_media_upload", "--no-progress", "upload"],
    ]
    assert f" cp {tmp_path}/media/ s3://bucket/" in script
    assert " --delete " in script


@pytest.mark.parametrize(("rtt_ms", "target"), [(0, 5.0), (10, 20.0), (40, 45.0)])
def test_targets(rtt_ms: int, target: float) -> None:
    (contest,) = page_way.contests([rtt_ms], 1, page_way.PAGE_TOOLS)
    rows = summarise(
        Measurement(contest.condition, entry.tool.name, None, False, 100, 100, 1.0, 1.0, 1, 100, 1.0, 2.0)
        for entry in contest.entries
    )

    assert [(ratio.rival, ratio.target) for ratio in ratios(rows)] == [
        ("rclone copy, then s3_media_upload", target),
        ("s5cmd cp, then s3_media_upload", target),
        ("aws s3 cp, then s3_media_upload", target),
    ]


def test_the_script_gets_fewer_files() -> None:
    (contest,) = page_way.contests([40], 1, page_way.PAGE_TOOLS)

    assert [files_for(entry.tool, 40, 8000) for entry in contest.entries] == [8000, 300, 300, 300]
