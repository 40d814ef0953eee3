# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._changes import newest_change


def test_newest_change_is_seen_without_following_links(tmp_path: Path) -> None:
    assert newest_change([tmp_path / "missing"]) == 0.0
    (tmp_path / "link").symlink_to("nowhere")
    changed = (tmp_path / "link").lstat().st_ctime
    assert newest_change([tmp_path / "link", tmp_path / "missing"]) == changed


def test_newest_change_sees_what_leaves_the_time_of_modification(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    os.utime(file, (0, 0))
    assert newest_change([file]) == file.stat().st_ctime > 0
