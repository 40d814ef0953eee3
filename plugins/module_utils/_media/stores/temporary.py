# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said where a temporary file, below TMPDIR, can't be made or written."""

from __future__ import annotations

import tempfile


def not_kept(what: str, cause: str) -> str:
    """The failure to keep ``what``, for the ``cause`` that the system gave, in words for an administrator."""
    # As found by tempfile; None where it found none, which is the cause then.
    place = f" in {tempfile.tempdir!r}" if tempfile.tempdir else ""
    return (
        f"Could not keep {what} in a temporary file{place}: {cause}. Make room there, or name another directory in the"
        " environment variable TMPDIR."
    )
