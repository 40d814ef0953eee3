# SPDX-License-Identifier: GPL-3.0-or-later
"""What the system said of a file or a directory, in an administrator's words, and what to do about it."""

from __future__ import annotations

import errno

from ..rules.errors import AccessError, MediaError, UnavailableError

RUN_AS = "Run this as root or as Synapse's user."
# What to do where more is known than that the disk is to be looked at. Nothing else on that file system can go either.
_CURES = {
    errno.EROFS: "Mount it writable (the volume of a container too). A disk with errors is made read-only by the"
    " kernel, whose log tells.",
    errno.ENOSPC: "Free some.",
    errno.EDQUOT: "Free some space, or raise the quota.",
    errno.ESTALE: "The NFS server does not know it any more: mount it again.",
    errno.ENOTCONN: "The program that serves this file system has ended: mount it again.",
}


class LocalFileError(MediaError):
    """One local file can't be read or removed, for a reason on its own side.

    ``concerns_all``: nor can any other of its file system, as far as that can be told.
    """

    def __init__(self, message: str, concerns_all: bool = False) -> None:
        super().__init__(message)
        self.concerns_all = concerns_all


def in_words(what: str, error: OSError, permission: str, otherwise: str = "Check its disk.") -> MediaError:
    """What the system said, for an administrator; ``permission`` and ``otherwise`` say what to do.

    PermissionError is told from a file system that nobody may write to.
    """
    kind = AccessError if isinstance(error, PermissionError) else UnavailableError
    return kind(f"{what}: {_cause(error, permission, otherwise)}")


def _cause(error: OSError, permission: str, otherwise: str = "Check its disk.") -> str:
    if isinstance(error, PermissionError):
        return f"permission denied. {permission}"
    return f"{error.strerror}. {_CURES.get(error.errno or 0, otherwise)}"


def file_error(verb: str, error: OSError, permission: str) -> LocalFileError:
    return LocalFileError(f"Could not {verb} the local file: {_cause(error, permission)}", error.errno in _CURES)
