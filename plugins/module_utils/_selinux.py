# SPDX-License-Identifier: GPL-3.0-or-later
"""The SELinux contexts of files, ``user:role:type:level``. Their type decides which programs may use a file.

Where SELinux is off, nothing is read and nothing is set.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ATTRIBUTE = "security.selinux"
TYPE = 2
DefaultType = Callable[[Path, int], str]


def read_context(path: Path) -> str:
    """The context of what is at ``path``, a link's own; '' where there is none."""
    try:
        return os.getxattr(path, ATTRIBUTE, follow_symlinks=False).rstrip(b"\0").decode()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENODATA, errno.ENOTSUP):
            return ""
        raise


def write_context(path: Path, context: str) -> None:
    """Set the context of what is at ``path``."""
    try:
        os.setxattr(path, ATTRIBUTE, context.encode() + b"\0", follow_symlinks=False)
    except OSError as error:
        # A file system that keeps none, such as most NFS, has one context for all that is on it.
        if error.errno != errno.ENOTSUP:
            raise


@dataclass(frozen=True)
class SELinux:
    """The contexts of a host.

    ``default_type``: the type that the host's policy has for a path and a kind of file (as in ``st_mode``), '' for
    none; None where SELinux is off.
    """

    default_type: DefaultType | None = None
    read: Callable[[Path], str] = read_context
    write: Callable[[Path, str], None] = write_context

    def context(self, path: Path) -> str:
        """The context of what is at ``path``; '' where nothing is there, or SELinux is off."""
        return "" if self.default_type is None else self.read(path)

    def give(self, made: Path, place: Path, context: str) -> None:
        """Give ``made``, which is for ``place``, the context, or where that is '', the one that is due there."""
        if self.default_type is None:
            return
        now = self.read(made)
        wanted = context or self._due(made, place, now, self.default_type)
        if wanted != now:
            self.write(made, wanted)

    def _due(self, made: Path, place: Path, now: str, default_type: DefaultType) -> str:
        """As `restorecon` has it: the policy's type, and what else of the context is there ``now``."""
        directory = place.parent.resolve()
        # A directory that somebody has labelled otherwise, as for a container: what has another type isn't read there.
        if _type(self.read(directory)) != default_type(directory, stat.S_IFDIR):
            return now
        due = default_type(directory / place.name, stat.S_IFMT(made.lstat().st_mode))
        parts = now.split(":")
        return ":".join([*parts[:TYPE], due, *parts[TYPE + 1 :]]) if due and _type(now) else now


def selinux_of(module: Any) -> SELinux:
    """The host's, by the helpers of an `AnsibleModule`."""
    if not module.selinux_enabled():
        return SELinux()
    return SELinux(lambda path, kind: module.selinux_default_context(str(path), kind)[TYPE] or "")


def _type(context: str) -> str:
    parts = context.split(":")
    return parts[TYPE] if len(parts) > TYPE else ""
