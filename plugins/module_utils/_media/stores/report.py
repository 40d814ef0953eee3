# SPDX-License-Identifier: GPL-3.0-or-later
"""A report: JSON lines in a file that only its owner can read, which appears complete or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from ..rules.errors import MediaError
from .new_file import sync_directory


class Report:
    """What is written to ``path``, replacing what is there, once `finish` is called; without that, nothing stays."""

    def __init__(self, path: Path) -> None:
        """Begin at once, so that a place that can't be written is told before any work. Raises a MediaError."""
        self._path = path
        self._temporary = path.parent / f".{path.name}.{os.getpid()}"
        with self._in_words():
            if path.exists() and not path.is_file():
                # Root would replace /dev/null.
                raise MediaError(
                    f"Could not write the report {str(path)!r}: it is not a regular file. Give the path of a file with"
                    " --report."
                )
            self._temporary.unlink(missing_ok=True)
            descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._file: TextIO = open(descriptor, "w", encoding="utf-8")  # noqa: SIM115 (closed by __exit__)

    def add(self, line: Mapping[str, Any]) -> None:
        """Add a line. Raises a MediaError when it can't be written."""
        with self._in_words():
            self._file.write(json.dumps(line) + "\n")

    def finish(self) -> None:
        """Give it its name. Raises a MediaError when that can't be done: then nothing has changed."""
        with self._in_words():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._temporary.replace(self._path)
            sync_directory(self._path.parent)

    def __enter__(self) -> Report:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise MediaError(
                f"Could not write the report {str(self._path)!r}: {error.strerror}. Check its directory, and that its"
                " disk has space."
            ) from error
