# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io
import re
import time

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine import progress as module
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.migrate import MigrateStep as Step
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.progress import (
    progress,
    telling,
    waiting,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.summary import Outcome


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def outcome(number: int, step: Step = Step.DELETED) -> Outcome:
    return Outcome(f"local_content/aa/bb/{number}", 1_000_000, frozenset({step}), "the reason")


def lines_of(stream: io.StringIO, count: int) -> list[str]:
    while len(lines := stream.getvalue().splitlines()) < count:
        time.sleep(0.005)
    return lines


def test_a_journal_gets_problems_and_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LINE_SECONDS", 0.05)
    stream = io.StringIO()

    with progress(stream, lambda: pytest.fail("counted for nothing")) as report:
        for number in range(3):
            report(outcome(number, Step.FAILED if number == 1 else Step.DELETED))
        # Nothing is silent for long, also while nothing comes to its end.
        lines = lines_of(stream, 3)

    assert lines[0] == "local_content/aa/bb/1: the reason"
    assert re.fullmatch(r"3 files, 3\.0 MB, .*/s, [\d,]+ files/s so far", lines[1])
    assert re.fullmatch(r"3 files, 3\.0 MB, .*/s, [\d,]+ files/s so far; waiting for the bucket", lines[2])


def test_what_is_waited_for_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LINE_SECONDS", 0.02)
    stream = io.StringIO()

    with waiting(stream, "the bucket's first answer"):
        lines = lines_of(stream, 1)

    assert lines[0] == "Still waiting for the bucket's first answer (0 s)"


def test_how_far_the_work_is_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LINE_SECONDS", 0.02)
    stream, numbers = io.StringIO(), iter(range(10**9))

    with telling(stream, lambda: f"{next(numbers)} compared so far"):
        lines = lines_of(stream, 2)

    assert lines[:2] == ["0 compared so far", "1 compared so far"]


def test_a_terminal_gets_a_bar_with_files_bytes_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setenv("COLUMNS", "200")

    with progress(stream, lambda: range(10)) as report:
        for number in range(5):
            report(outcome(number, Step.CONFLICT if number == 1 else Step.DELETED))
            time.sleep(0.15)

    text = stream.getvalue()
    assert "local_content/aa/bb/1: the reason" in text
    shown = re.findall(r"(\d+)%\|.*\| (\d+\.?\d*)/10\.0 \[(.*)<(.*), +(.*) files/s, (.*), (.*/s)\]", text)
    assert shown, text
    assert shown[-1][5] in ("4.0 MB", "5.0 MB")


def test_counting_ends_with_the_run() -> None:
    def endless() -> object:
        while True:
            yield 1

    with progress(Terminal(), endless) as report:  # type: ignore[arg-type]
        report(outcome(1))


def test_without_tqdm_there_are_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _name: None)
    stream = Terminal()

    with progress(stream, lambda: pytest.fail("counted for nothing")) as report:
        report(outcome(1, Step.FAILED))

    assert stream.getvalue() == "local_content/aa/bb/1: the reason\n"
