# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs write down of themselves, on real file systems and with real processes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import AccessError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.last_runs import RunRecord
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.run_history import RunHistory

ENDED = {"uploaded": {"files": 2, "bytes": 30}, "seconds": 3, "problems": [], "exit_code": 1}
COUNTS = {"uploaded": {"files": 2, "bytes": 30}}


def test_a_run_that_ended(tmp_path: Path) -> None:
    run = RunHistory(tmp_path)
    run.begin(1000.5, "migrate")
    assert RunHistory(tmp_path).last(10) == [RunRecord("migrate", 1000.5, is_running=True)]
    run.end(ENDED, 1003.5)
    assert RunHistory(tmp_path).last(10) == [RunRecord("migrate", 1000.5, 1003.5, 1, COUNTS)]
    (file,) = (tmp_path / "runs").iterdir()
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)


def test_a_run_that_was_killed(tmp_path: Path) -> None:
    module = RunHistory.__module__
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        f"from pathlib import Path\nfrom {module} import RunHistory\n"
        f"history = RunHistory(Path({str(tmp_path)!r})); history.begin(1000, 'migrate'); print(); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert RunHistory(tmp_path).last(10) == [RunRecord("migrate", 1000, is_running=True)]
        process.send_signal(signal.SIGKILL)
    assert RunHistory(tmp_path).last(10) == [RunRecord("migrate", 1000)]


def test_two_runs_at_once(tmp_path: Path) -> None:
    """Two shards of one media store."""
    one, two = RunHistory(tmp_path), RunHistory(tmp_path)
    one.begin(1000, "migrate")
    two.begin(1001, "migrate")
    one.end(ENDED, 1002)
    first, second = RunHistory(tmp_path).last(10)
    assert (first.is_running, second.ended) == (True, 1002)
    two.end(ENDED, 1003)


def test_the_last_ten(tmp_path: Path) -> None:
    for number in range(15):
        run = RunHistory(tmp_path)
        run.begin(1000 + number, "migrate")
        run.end(ENDED, 1001 + number)
    assert [record.began for record in RunHistory(tmp_path).last(100)] == [1014 - number for number in range(10)]
    assert [record.began for record in RunHistory(tmp_path).last(2)] == [1014, 1013]


@pytest.mark.parametrize("ahead", [1, 12])
def test_runs_that_were_written_down_while_the_clock_was_ahead(tmp_path: Path, ahead: int) -> None:
    """They passed for the last runs, each a success, while every night failed; ten of them made each new one go."""
    for number in range(ahead):
        early = RunHistory(tmp_path)
        early.begin(1_000_000 + number, "migrate")
        early.end({**ENDED, "exit_code": 0}, 1_000_001 + number)
    (tmp_path / "runs/notes.txt").write_text("an administrator's")

    run = RunHistory(tmp_path)
    run.begin(2000, "migrate")
    assert RunHistory(tmp_path).last(10) == [RunRecord("migrate", 2000, is_running=True)]
    run.end(ENDED, 2003)

    assert RunHistory(tmp_path).last(10) == [RunRecord("migrate", 2000, 2003, 1, COUNTS)]
    assert (tmp_path / "runs/notes.txt").exists()


def test_none_has_been_written_down(tmp_path: Path) -> None:
    assert RunHistory(tmp_path / "missing").last(10) == []


def test_a_record_that_was_cut_by_a_crash(tmp_path: Path) -> None:
    run = RunHistory(tmp_path)
    run.begin(1000, "migrate")
    run.end(ENDED, 1001)
    for name, content in {"1.json": "", "2.json": '{"command"', "3.json": "[]", "4.json": '{"other": 1}'}.items():
        (tmp_path / "runs" / name).write_text(content)
    assert [record.began for record in RunHistory(tmp_path).last(10)] == [1000]


def warning(directory: Path, cause: str) -> str:
    return (
        f"Could not write down this run in '{directory}/runs': {cause}. The run itself goes on; `status` will not know"
        " of it. See that the directory is there, is Synapse's user's, and has space."
    )


def test_a_directory_that_is_missing(tmp_path: Path) -> None:
    warnings: list[str] = []
    run = RunHistory(tmp_path / "missing", warnings.append)
    run.begin(1000, "migrate")
    run.end(ENDED, 1001)
    assert warnings == [warning(tmp_path / "missing", "No such file or directory")] * 2


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that has space for little more than one record."""
    assert os.geteuid() == 0, "These tests are run as root."
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def fill(directory: Path) -> None:
    with (directory / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(b"x" * 1024)


def test_a_disk_that_is_full(full_disk: Path) -> None:
    fill(full_disk)
    warnings: list[str] = []
    run = RunHistory(full_disk, warnings.append)
    run.begin(1000, "migrate")
    assert warnings == [warning(full_disk, "No space left on device")]
    # By its end there is some again.
    (full_disk / "filler").unlink()
    run.end(ENDED, 1001)
    assert RunHistory(full_disk).last(10) == [RunRecord("migrate", 1000, 1001, 1, COUNTS)]
    assert len(warnings) == 1


def test_a_disk_that_gets_full(full_disk: Path) -> None:
    """A run that ended must not be told as one that was killed."""
    warnings: list[str] = []
    run = RunHistory(full_disk, warnings.append)
    run.begin(1000, "migrate")
    fill(full_disk)
    run.end(ENDED, 1001)
    assert RunHistory(full_disk).last(10) == [RunRecord("migrate", 1000, 1001, 1, COUNTS)]
    assert warnings == []
    assert [path.suffix for path in (full_disk / "runs").iterdir()] == [".json"]


@pytest.mark.parametrize("full", ["at neither", "at the second", "at both"])
def test_a_second_end(full_disk: Path, full: str) -> None:
    """The result could not be printed: the run had ended with 0 by what was written down, and then a ValueError."""
    warnings: list[str] = []
    run = RunHistory(full_disk, warnings.append)
    run.begin(1000, "migrate")
    if full == "at both":
        fill(full_disk)
    run.end({**ENDED, "exit_code": 0}, 1001)
    if full == "at the second":
        fill(full_disk)
    run.end(ENDED, 1002)
    assert RunHistory(full_disk).last(10) == [RunRecord("migrate", 1000, 1002, 1, COUNTS)]
    assert warnings == []


def test_more_facts_than_there_is_space(full_disk: Path) -> None:
    """They were cut, and with them the whole record: an earlier run passed for the last one."""
    run = RunHistory(full_disk)
    run.begin(1000, "migrate")
    fill(full_disk)
    run.end({**ENDED, "facts": ["x" * 5000]}, 1001)
    assert RunHistory(full_disk).last(10) == [RunRecord("migrate", 1000, 1001, 1, COUNTS)]


def test_runs_that_can_t_be_read(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(AccessError) as refusal:
        RunHistory(tmp_path).last(10)
    assert str(refusal.value) == (
        f"Could not read what the last runs wrote down in '{tmp_path}/runs': Not a directory. Run this as root or as"
        " Synapse's user."
    )


def test_an_end_without_a_beginning(tmp_path: Path) -> None:
    RunHistory(tmp_path).end(ENDED, 1001)
    assert RunHistory(tmp_path).last(10) == []
