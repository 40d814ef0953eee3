# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import stat
from pathlib import Path
from unittest.mock import patch

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import UnavailableError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.journal import (
    kept_for_later,
    open_journal,
)

CURE = (
    "Nothing is deleted without it: make room, see that its directory is there and writable, or name another file with"
    " --report."
)


def test_lines_are_on_the_disk_when_it_returns(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with patch("os.fsync", wraps=os.fsync) as synced, open_journal(path, lambda: 1.23456) as journal:
        before = synced.call_count
        journal.write([{"key": "a"}, {"key": "ä"}])
        assert path.read_text() == '{"time": 1.235, "key": "a"}\n{"time": 1.235, "key": "\\u00e4"}\n'
        assert synced.call_count == before + 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_is_appended_to(tmp_path: Path) -> None:
    """Also behind half a line, which a run left that was killed; and what others could read is closed to them."""
    path = tmp_path / "journal"
    path.write_text('{"key": "a"}\n{"ke')
    path.chmod(0o644)
    with open_journal(path, lambda: 5.0) as journal:
        journal.write([{"key": "b"}])
    assert path.read_text() == '{"key": "a"}\n{"ke\n{"time": 5.0, "key": "b"}\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_directory_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "journal"
    with pytest.raises(UnavailableError) as failure, open_journal(path):
        pytest.fail("it was opened")
    assert str(failure.value) == f"Could not write the journal {str(path)!r}: No such file or directory. {CURE}"


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as failure, open_journal(Path("/dev/null")):
        pytest.fail("it was opened")
    assert str(failure.value) == (
        "Could not write the journal '/dev/null': it is not a regular file. Name another with --report."
    )
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnavailableError), open_journal(tmp_path / "link"):
        pytest.fail("it was opened")


def test_disk_that_fills_up(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    full = patch("os.fsync", side_effect=OSError(28, "No space left on device"))
    with open_journal(path) as journal, full as _disk, pytest.raises(UnavailableError) as failure:
        journal.write([{"key": "a"}])
    assert str(failure.value) == f"Could not write the journal {str(path)!r}: No space left on device. {CURE}"


def test_records_that_wait() -> None:
    records = [{"key": "a"}, {"key": "ä"}]
    with kept_for_later() as later:
        for record in records:
            later.add(record)
        assert list(later) == list(later) == records


def test_no_room_for_records_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    with pytest.raises(UnavailableError) as failure, kept_for_later():
        pytest.fail("it was opened")
    assert str(failure.value) == (
        "Could not keep the list for the report in a temporary file in '/tmp': No space left on device. Make room"
        " there, or name another directory in the environment variable TMPDIR."
    )
