# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores import rename
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.rename import rename_new


def test_a_free_name_is_given(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "below").mkdir()
    directories = [os.open(path, os.O_RDONLY) for path in (tmp_path, tmp_path / "below")]

    rename_new("a", "b", *directories)

    for directory in directories:
        os.close(directory)
    assert not (tmp_path / "a").exists()
    assert (tmp_path / "below/b").read_text() == "a"


@pytest.mark.parametrize("kind", ["file", "link", "directory"])
def test_what_has_the_name_by_then_is_not_replaced(tmp_path: Path, kind: str) -> None:
    new, there = tmp_path / "new", tmp_path / "there"
    new.write_text("new")
    if kind == "file":
        there.write_text("there")
    elif kind == "link":
        there.symlink_to("nowhere")
    else:
        there.mkdir()

    with pytest.raises(FileExistsError):
        rename_new(str(new), str(there))

    assert new.read_text() == "new"
    assert (there.is_file(), there.is_symlink(), there.is_dir()) == (
        kind == "file",
        kind == "link",
        kind == "directory",
    )


def test_a_library_without_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another rename would replace."""
    monkeypatch.setattr(rename, "_renameat2", lambda: None)
    (tmp_path / "new").touch()

    with pytest.raises(OSError, match="Function not implemented") as failure:
        rename_new(str(tmp_path / "new"), str(tmp_path / "free"))

    assert failure.value.errno == errno.ENOSYS
    assert (tmp_path / "new").exists()
