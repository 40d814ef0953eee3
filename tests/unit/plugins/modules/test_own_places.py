# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``own_places``: the role's own files and temporary directories are told from what is somebody else's."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.matrixops.synapse_s3.plugins.modules.own_places import (
    file_problem,
    is_foreign,
    missing_problems,
    temporary_directories,
)

MARK = "role matrixops.synapse_s3.storage_provider"


def test_whose_a_file_is(tmp_path: Path) -> None:
    ours, theirs, binary, link = (tmp_path / name for name in ("ours", "theirs", "binary", "link"))
    ours.write_text(f"#!/bin/sh\n# Written by Ansible ({MARK}): change its variables, not this file.\n")
    theirs.write_text("server_name: example.org\n")
    binary.write_bytes(b"\x7fELF\xff")
    link.symlink_to(ours)
    assert [path.name for path in (ours, theirs, binary, link, tmp_path / "missing") if is_foreign(path, MARK)] == [
        *("theirs", "binary", "link"),
    ]
    assert file_problem("/data/homeserver.yaml", "synapse_dropin_path") == (
        "Could not write '/data/homeserver.yaml': what is there was not written by this role."
        " Move it away, or give another place in synapse_dropin_path."
    )


def test_temporary_directories_of_a_run_that_was_interrupted(tmp_path: Path) -> None:
    """They may hold a secret. What only looks like one, or is another user's, is not the role's."""
    for name in ("ours.abc_1234", "ours.zyx98765", "ours.backup", "ours.anothers", "theirs.abc_1234"):
        (tmp_path / name).mkdir()
    os.chown(tmp_path / "ours.anothers", 1234, 1234)
    (tmp_path / "ours.alink123").symlink_to(tmp_path / "theirs.abc_1234")
    (tmp_path / "ours.afile123").touch()
    found = [tmp_path / "ours.abc_1234", tmp_path / "ours.zyx98765"]
    assert temporary_directories(f"{tmp_path}/ours.") == found
    assert temporary_directories(f"{tmp_path}/nowhere/ours.") == []
    assert temporary_directories("") == []


def test_directory_of_the_metrics_that_is_missing(tmp_path: Path) -> None:
    """Each night would fail for it."""
    assert missing_problems({str(tmp_path): "metrics_path"}) == []
    assert missing_problems({f"{tmp_path}/textfile": "metrics_path"}) == [
        f"Could not find the directory '{tmp_path}/textfile': this host has none. Make it, so that Synapse's user can"
        " write into it, or give another place in metrics_path."
    ]
