# SPDX-License-Identifier: GPL-3.0-or-later
"""What Galaxy would get: the collection, and nothing that only its tests and tools need."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Of the files in the tarball, built from the tree as for the hosts of the tests."""
    directory = tmp_path_factory.mktemp("tarball")
    build = ["ansible-galaxy", "collection", "build", "--output-path", str(directory)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    with tarfile.open(next(directory.glob("*.tar.gz"))) as tarball:
        return [member.name for member in tarball.getmembers() if member.isfile()]


def test_what_is_at_the_top(names: list[str]) -> None:
    assert sorted({name.partition("/")[0] for name in names}) == [
        *("CHANGELOG.md", "CONTRIBUTING.md", "FILES.json", "LICENSE", "LICENSES", "MANIFEST.json", "README.md"),
        *("REUSE.toml", "SECURITY.md", "changelogs", "docs", "meta", "playbooks", "plugins", "roles"),
    ]


def test_nothing_that_only_tests_and_tools_need(names: list[str]) -> None:
    assert [name for name in names if Path(name).suffix == ".json" and "/" in name] == []
    assert [name for name in names if "requirements" in name] == [
        "meta/ee-requirements.txt",
        "roles/storage_provider/files/requirements-1.7.0.txt",
    ]


def test_no_name_that_galaxy_refuses(names: list[str]) -> None:
    assert [name for name in names if Path(name).stem == "__main__"] == []
