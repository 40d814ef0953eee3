# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said where a temporary file, below TMPDIR, can't be made or written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from ..rules.errors import UnavailableError


def not_kept(what: str, cause: str) -> str:
    """The failure to keep ``what``, for the ``cause`` that the system gave, in words for an administrator."""
    # As found by tempfile; None where it found none, which is the cause then.
    place = f" in {tempfile.tempdir!r}" if tempfile.tempdir else ""
    return (
        f"Could not keep {what} in a temporary file{place}: {cause}. Make room there, or name another directory in the"
        " environment variable TMPDIR."
    )


@contextmanager
def keeping(what: str) -> Iterator[None]:
    """Turn what the system says, while ``what`` is written or read there, into an UnavailableError in words."""
    try:
        yield
    except OSError as error:
        raise UnavailableError(not_kept(what, error.strerror or str(error))) from error
