# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures that an administrator reads, each with the exit status it leads to.

The numbers are those of sysexits.h, so that systemd shows them by name. ``cli`` is the only place
that turns an error into an exit status.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

ALL_DONE = 0
SOME_FAILED = 1


class MediaError(Exception):
    """A failure told in plain words: "Could not <verb> <object>: <cause>. <what to do>."

    Never holds a secret.
    """

    exit_status: ClassVar[int] = SOME_FAILED


class UsageError(MediaError):
    """The command line can't be carried out as given."""

    exit_status = 2


class UnavailableError(MediaError):
    """The bucket, the database or the media store can't be used now."""

    exit_status = 69


class LockedError(MediaError):
    """Another run holds the lock."""

    exit_status = 75


class AccessError(MediaError):
    """The credentials, or the user that runs the program, lack a permission."""

    exit_status = 77


class ConfigurationError(MediaError):
    """Synapse's configuration, or a setting in it, is wrong."""

    exit_status = 78


def join_problems(problems: Sequence[str]) -> str:
    """Put several problems into one message, one a line; a single problem stays as it is."""
    if len(problems) == 1:
        return problems[0]
    return "\n".join([f"{len(problems)} problems were found:", *(f"- {problem}" for problem in problems)])
