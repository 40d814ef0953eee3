# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores import mounts

TEST_KINDS = {
    "ext4": False,
    "btrfs": False,
    "overlay": False,
    "tmpfs": False,
    "fuse": True,
    "fuse.s3fs": True,
    "fuse.rclone": True,
    "fuseblk": True,
    "nfs4": True,
    "9p": True,
    # Of a virtual machine whose host has the bucket mounted; it may pass on a removal late.
    "virtiofs": True,
    "vboxsf": True,
}


@pytest.mark.parametrize("kind", TEST_KINDS)
def test_mount_that_may_be_a_bucket(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = (
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        f"90 22 0:45 / /srv/media rw,relatime shared:7 - {kind} a name rw\n"
    )
    monkeypatch.setattr(Path, "read_text", lambda _path, **_options: shown)

    assert mounts.is_remote(os.makedev(0, 45)) is TEST_KINDS[kind]
    assert not mounts.is_remote(os.makedev(8, 1))
