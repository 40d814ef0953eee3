# SPDX-License-Identifier: GPL-3.0-or-later
"""scripts/release refuses what is no release, with every reason at once."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
VERSION = "1.2.3"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository that is ready for a release of VERSION."""
    tree = tmp_path / "tree"
    for name in ("scripts/release", "scripts/steps/lib.sh"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    (tree / "galaxy.yml").write_text(f"version: {VERSION}\n")
    (tree / "changelogs").mkdir()
    (tree / "changelogs/changelog.yaml").write_text(f"releases:\n  {VERSION}:\n    changes: {{}}\n")
    git(tree, "init", "--quiet")
    commit(tree)
    return tree


def git(tree: Path, *words: str) -> None:
    own = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *own, *words], cwd=tree, check=True)


def commit(tree: Path) -> None:
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message=Change")


def release(tree: Path, version: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tree.parent / "cache")}
    command = [str(tree / "scripts/release"), version]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def refused(tree: Path, version: str) -> list[str]:
    run = release(tree, version)
    assert (run.returncode, run.stdout) == (2, "")
    assert not (tree.parent / "cache/matrixops-synapse-s3/release").exists()
    first, *problems = run.stderr.splitlines()
    assert first == "Could not make a release:"
    return problems


def changelog_command(tree: Path) -> str:
    return f"{tree.parent}/cache/matrixops-synapse-s3/galaxy/venv/bin/antsibull-changelog release"


def test_another_version(tree: Path) -> None:
    assert refused(tree, "1.2.4") == [
        "- VERSION is '1.2.4', and galaxy.yml has 1.2.3. Write VERSION=1.2.3, or change galaxy.yml."
    ]


def test_everything_at_once(tree: Path) -> None:
    (tree / "changelogs/changelog.yaml").write_text("releases: {}\n")
    (tree / "changelogs/fragments").mkdir()
    (tree / "changelogs/fragments/1-change.yml").write_text("bugfixes: [a]\n")
    commit(tree)
    (tree / "new").touch()
    command = changelog_command(tree)
    assert refused(tree, "") == [
        "- VERSION is '', and galaxy.yml has 1.2.3. Write VERSION=1.2.3, or change galaxy.yml.",
        "- The tree has changes that are not committed. Commit or remove them; 'git status' names them.",
        f"- The changelog has no 1.2.3. Run '{command}', and commit what it writes.",
        f"- Entries in changelogs/fragments are in no version yet. Run '{command}', and commit what it writes.",
    ]


def test_what_is_ready_is_not_refused(tree: Path) -> None:
    run = release(tree, VERSION)
    # What would build it is not installed there.
    assert "Could not make a release" not in run.stderr
    assert "ansible-galaxy" in run.stderr
