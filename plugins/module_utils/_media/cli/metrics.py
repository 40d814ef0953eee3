# SPDX-License-Identifier: GPL-3.0-or-later
"""The file for node_exporter's textfile collector."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from ..engine.summary import Step, Summary
from ..rules.errors import MediaError


def write_metrics(path: Path, text: str) -> None:
    """Replace the file at once, so that a collector never reads half of it; world-readable for that collector."""
    temporary = path.parent / f".{path.name}.{os.getpid()}"
    try:
        # Also to look at it may be refused: in a directory of another user's.
        if path.exists() and not path.is_file():
            # Root would replace /dev/null.
            raise MediaError(
                f"Could not write the metrics file {str(path)!r}: it is not a regular file. Give the path of a file"
                " with --metrics-file."
            )
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise MediaError(
            f"Could not write the metrics file {str(path)!r}: {error.strerror}. Check its directory."
        ) from error


def write_failure(path: Path, command: str, message: str, exit_status: int) -> None:
    """Replace what an earlier run has written, after one of which nothing is known but this."""
    summary = Summary(command, Step, "", errors=[message], refused_with=exit_status)
    write_metrics(path, summary.as_metrics(time.time()))
