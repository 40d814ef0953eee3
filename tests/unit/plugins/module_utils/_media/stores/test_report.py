# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import MediaError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.report import Report


def test_it_appears_when_it_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_text("of before")
    path.chmod(0o644)
    with Report(path) as report:
        report.add({"path": "ä", "reason": "x"})
        assert path.read_text() == "of before"
        report.finish()

    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"path": "ä", "reason": "x"}]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_without_an_end_nothing_stays(tmp_path: Path) -> None:
    path = tmp_path / "report"
    with Report(path) as report:
        report.add({})
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "report"
    first = Report(path)
    with Report(path) as report:
        report.finish()
    first.__exit__(None, None, None)
    assert path.read_text() == ""


def test_missing_directory(tmp_path: Path) -> None:
    path = str(tmp_path / "missing/report")
    with pytest.raises(MediaError) as told:
        Report(Path(path))
    assert str(told.value) == (
        f"Could not write the report {path!r}: No such file or directory. Check its directory, and that its disk has"
        " space."
    )


def test_place_that_cannot_even_be_looked_at(tmp_path: Path) -> None:
    path = str(tmp_path / ("x" * 300))
    with pytest.raises(MediaError) as told:
        Report(Path(path))
    assert str(told.value) == (
        f"Could not write the report {path!r}: File name too long. Check its directory, and that its disk has space."
    )


def test_device() -> None:
    with pytest.raises(MediaError) as told:
        Report(Path("/dev/null"))
    assert str(told.value) == (
        "Could not write the report '/dev/null': it is not a regular file. Give the path of a file with --report."
    )


def test_full_disk(tmp_path: Path) -> None:
    with Report(tmp_path / "report") as report:
        report._file.close()
        report._file = open("/dev/full", "w")  # noqa: SIM115 (closed by the report)
        with pytest.raises(MediaError, match="No space left on device"):
            report.add({"path": "x" * 100_000})
