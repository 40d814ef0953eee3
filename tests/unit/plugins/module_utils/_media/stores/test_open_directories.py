# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores import open_directories as module
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.directories import mount_of
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.open_directories import OpenDirectories


def numbers_of_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def is_open_at(descriptor: int, path: Path) -> bool:
    return os.path.samestat(os.fstat(descriptor), path.stat())


@pytest.mark.parametrize(("there", "depth"), [("", 0), ("a", 1), ("a/b", 2), ("a/b/c", 2)])
def test_the_last_one_that_is_there(tmp_path: Path, there: str, depth: int) -> None:
    (tmp_path / there).mkdir(parents=True, exist_ok=True)
    directories = OpenDirectories(str(tmp_path))
    # The second time out of what was kept.
    for _time in range(2):
        found, number = directories.deepest(["a", "b"])
        assert number == depth
        assert is_open_at(found.descriptor, tmp_path.joinpath(*["a", "b"][:depth]))
        assert found.mount == mount_of(found.descriptor)


def test_one_that_was_made_meanwhile_is_found(tmp_path: Path) -> None:
    directories = OpenDirectories(str(tmp_path))
    assert directories.deepest(["a", "b"])[1] == 0
    (tmp_path / "a").mkdir()
    assert directories.deepest(["a", "b"])[1] == 1


def test_one_that_was_made_anew_is_found_when_the_old_one_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    directories = OpenDirectories(str(tmp_path))
    old, _depth = directories.deepest(["a"])
    (tmp_path / "a").rmdir()
    (tmp_path / "a").mkdir()
    with pytest.raises(FileNotFoundError):
        os.mkdir("b", dir_fd=old.descriptor)
    directories.forget()
    assert is_open_at(directories.deepest(["a"])[0].descriptor, tmp_path / "a")


def test_no_link_is_followed_but_the_media_store_may_be_one(tmp_path: Path) -> None:
    (tmp_path / "media/local_content").mkdir(parents=True)
    (tmp_path / "elsewhere/a").mkdir(parents=True)
    (tmp_path / "media/remote_content").symlink_to("../elsewhere")
    (tmp_path / "link").symlink_to("media")
    directories = OpenDirectories(str(tmp_path / "link"))
    assert directories.deepest(["local_content"])[1] == 1
    with pytest.raises(NotADirectoryError):
        directories.deepest(["remote_content", "a"])


def test_few_are_open_at_a_time_and_none_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    before = numbers_of_open_files()
    directories = OpenDirectories(str(tmp_path))
    for number in range(20):
        (tmp_path / f"{number}").mkdir()
        directories.deepest([f"{number}"])
        assert numbers_of_open_files() <= before + 4
    in_use, _depth = directories.deepest(["7"])
    directories.forget()
    assert is_open_at(in_use.descriptor, tmp_path / "7")
    del in_use
    assert numbers_of_open_files() == before
