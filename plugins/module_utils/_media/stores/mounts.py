# SPDX-License-Identifier: GPL-3.0-or-later
"""What Linux knows of mounted file systems (proc_pid_mountinfo(5))."""

from __future__ import annotations

import os
from pathlib import Path

# Where others change files too, or are told late what is changed here. With virtiofs, 9p and vboxsf a virtual machine
# sees a directory of its host: that may be a mount of a bucket.
_NETWORK = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "orangefs"),
        *("prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs"),
    }
)


def is_remote(device: int) -> bool:
    """Whether a file system, by the ``st_dev`` of its files, is a FUSE or a network mount."""
    return any(kind.startswith("fuse") or kind in _NETWORK for kind in _kinds(device))


def _kinds(device: int) -> list[str]:
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    rows = (line.partition(" - ") for line in lines)
    return [kind.split()[0] for mount, _unused, kind in rows if kind and mount.split()[2] == number]
