# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of JSON lines that only its owner can read, to which what is about to be done is appended, before it is."""

from __future__ import annotations

import json
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

from ..rules.errors import UnavailableError
from .new_file import sync_directory
from .temporary import keeping

_LIST = "the list for the report"


class Journal:
    """An open file, on the disk when `write` returns. Each line begins with its time, in seconds since 1970."""

    def __init__(self, path: Path, file: BinaryIO, clock: Callable[[], float]) -> None:
        self._path = path
        self._file = file
        self._clock = clock

    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Append a line for each; raises UnavailableError when that can't be done, and then perhaps some are there."""
        for record in records:
            line = json.dumps({"time": round(self._clock(), 3), **record})
            with _in_words(self._path):
                self._file.write(line.encode() + b"\n")
        with _in_words(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())


class Later:
    """Records that wait, in a temporary file, until all are known: a part of a list would pass for the whole."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def add(self, record: Mapping[str, Any]) -> None:
        """Append one. Raises UnavailableError."""
        with keeping(_LIST):
            self._file.write(json.dumps(record).encode() + b"\n")

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        with keeping(_LIST):
            self._file.seek(0)
        while True:
            with keeping(_LIST):
                line = self._file.readline()
            if not line:
                return
            yield json.loads(line)


@contextmanager
def kept_for_later() -> Iterator[Later]:
    """No record yet, below TMPDIR."""
    with keeping(_LIST):
        file = tempfile.TemporaryFile()  # noqa: SIM115 (closed below)
    try:
        yield Later(file)
    finally:
        # What could not be written is told already.
        with suppress(OSError):
            file.close()


@contextmanager
def open_journal(path: Path, clock: Callable[[], float] = time.time) -> Iterator[Journal]:
    """Open the journal at ``path``, which is made if it is not there; its directory must be.

    Raises UnavailableError, also for what is no regular file.
    """
    with _in_words(path):
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        file = os.fdopen(descriptor, "a+b")
    with file:
        with _in_words(path):
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UnavailableError(
                    f"Could not write the journal {str(path)!r}: it is not a regular file. Name another with --report."
                )
            if stat.S_IMODE(status.st_mode) != 0o600:
                os.fchmod(descriptor, 0o600)
            if status.st_size and os.pread(descriptor, 1, status.st_size - 1) != b"\n":
                # The last line of a run that was killed, or had no space left for it.
                file.write(b"\n")
            file.flush()
            os.fsync(descriptor)
            sync_directory(path.parent)
        try:
            yield Journal(path, file, clock)
        finally:
            # What could not be written is told already; closing would try again.
            with suppress(OSError):
                file.close()


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnavailableError(
            f"Could not write the journal {str(path)!r}: {error.strerror}. Nothing is deleted without it: make room,"
            " see that its directory is there and writable, or name another file with --report."
        ) from error
