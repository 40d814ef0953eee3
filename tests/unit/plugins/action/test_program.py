# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive that the action ``program`` installs: the same bytes for the same source, and it runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.action.program import SOURCE, program_files, write_archive


def build(source: Path, target: Path) -> bytes:
    """Pack ``source`` and return the archive."""
    write_archive(target, program_files(source))
    return target.read_bytes()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The source as another checkout may have it: other times and modes, compiled files, an editor's leftovers."""
    copy = tmp_path / "checkout" / "_media"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for number, path in enumerate(sorted(copy.rglob("*.py"))):
        path.chmod(0o600)
        os.utime(path, (number, number))
    (copy / "__pycache__").mkdir()
    (copy / "__pycache__" / "cli.cpython-311.pyc").write_bytes(b"\0")
    (copy / "cli.py~").write_text("")
    return copy


def test_archive_depends_on_the_source_alone(tmp_path: Path, checkout: Path) -> None:
    assert build(SOURCE, tmp_path / "a.pyz") == build(checkout, tmp_path / "b.pyz")


def test_archive_holds_nothing_that_only_the_role_needs() -> None:
    names = program_files(SOURCE)
    assert {name.partition("/")[0] for name in names} == {"_media", "__main__.py"}
    assert [name for name in names if name.endswith(("/variables.py", "/host.py", "/kinds.py"))] == []


def test_archive_follows_the_source(tmp_path: Path, checkout: Path) -> None:
    (checkout / "cli.py").write_text("")
    assert build(SOURCE, tmp_path / "a.pyz") != build(checkout, tmp_path / "b.pyz")


def test_archive_runs(tmp_path: Path) -> None:
    build(SOURCE, tmp_path / "program.pyz")
    run = subprocess.run(
        [sys.executable, tmp_path / "program.pyz", "--help"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("usage: matrix-synapse-s3-storage-provider ")


def test_archive_passes_the_exit_status_on(tmp_path: Path) -> None:
    build(SOURCE, tmp_path / "program.pyz")
    run = subprocess.run(
        [sys.executable, tmp_path / "program.pyz", "migrate"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert run.returncode == 2
    assert run.stderr == "Could not start: no configuration was named. Give Synapse's with --config.\n"
