# SPDX-License-Identifier: GPL-3.0-or-later
"""What each run writes down of itself, so that it is known after a reboot: one small file a run, the last ones only.

Never in the way of a run: what can't be written is a warning. A run holds a lock on its file as long as it lives, so
that one that was killed is told from one that is running, in another container too.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from ..rules.errors import AccessError
from ..rules.last_runs import RunRecord

_KEPT = 10
# Two runs that begin at the same time, in seconds.
_TOGETHER = 600
_NAME = re.compile(r"[0-9]{15,}-[0-9]+\.(json|new)")
# What a file takes on the disk anyway: its end can be written where there is no more space.
_SIZE = 4096


class RunHistory:
    """The last runs, in ``directory``/runs.

    ``warn`` is called with what could not be written, in words. ``is_kept``: False where nothing is to be written.
    """

    def __init__(
        self, directory: Path, warn: Callable[[str], None] = lambda _text: None, *, is_kept: bool = True
    ) -> None:
        self._is_kept = is_kept
        self._directory = directory / "runs"
        self._warn = warn
        self._path: Path | None = None
        self._file: BinaryIO | None = None
        self._content: dict[str, Any] = {}

    def begin(self, began: float, command: str) -> None:
        """Write down that a run has begun, at ``began`` in seconds since 1970."""
        if not self._is_kept:
            return
        self._content = {"command": command, "began": began}
        self._path = self._directory / f"{_number(began)}-{os.getpid()}.json"
        with self._warned():
            self._directory.mkdir(mode=0o700, exist_ok=True)
            self._file = self._write(self._path)
            self._forget(began)

    def end(self, record: Mapping[str, Any], ended: float) -> None:
        """Write down how the run has ended: ``record`` is its JSON, with ``exit_code`` and its counts.

        Once more, where more is known by then: the last holds.
        """
        if self._path is None:
            return
        counts = {name: value for name, value in record.items() if isinstance(value, dict) and "files" in value}
        facts = record.get("facts", [])
        self._content.update(ended=ended, exit_status=record["exit_code"], counts=counts, facts=facts)
        with self._warned():
            try:
                self._write(self._path).close()
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or self._file is None:
                    raise
                # Into the file that is there by now: another one than that, after a first end.
                if len(self._encoded()) > _SIZE:
                    self._content["facts"] = []
                with self._path.open("r+b", buffering=0) as file:
                    os.pwrite(file.fileno(), self._encoded(), 0)
        if self._file is not None:
            self._file.close()

    def last(self, count: int) -> list[RunRecord]:
        """The last ``count`` runs, newest first; none where none has been written down.

        :raises AccessError: when they can't be read.
        """
        try:
            names = sorted((path for path in self._directory.iterdir() if path.suffix == ".json"), reverse=True)
            return [record for record in map(_read, names) if record is not None][:count]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise AccessError(
                f"Could not read what the last runs wrote down in {str(self._directory)!r}: {error.strerror}. Run this"
                " as root or as Synapse's user."
            ) from error

    def _write(self, path: Path) -> BinaryIO:
        """Put the content into the place of the file at once, and return the new file, locked."""
        temporary = path.with_suffix(".new")
        # Closed by whom it is returned to.
        file = open(temporary, "w+b", buffering=0, opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
        try:
            file.write(self._encoded())
            os.fsync(file.fileno())
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.replace(path)
        except BaseException:
            file.close()
            with suppress(OSError):
                temporary.unlink()
            raise
        return file

    def _encoded(self) -> bytes:
        return json.dumps(self._content).encode().ljust(_SIZE)

    def _forget(self, now: float) -> None:
        # What was written down while the clock was ahead: it would pass for the last run until that time comes.
        latest = _number(now + _TOGETHER)
        own = (path for path in self._directory.iterdir() if _NAME.fullmatch(path.name))
        paths = sorted(own, reverse=True)
        kept = [path for path in paths if path.name < latest][:_KEPT]
        for path in paths:
            if path not in kept:
                path.unlink(missing_ok=True)

    @contextmanager
    def _warned(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._warn(
                f"Could not write down this run in {str(self._directory)!r}: {error.strerror}. The run itself goes on;"
                " `status` will not know of it. See that the directory is there, is Synapse's user's, and has space."
            )


def _number(seconds: float) -> str:
    """A moment, since 1970, as names begin with it: they are in the order of time."""
    return f"{int(seconds * 1000):015}"


def _read(path: Path) -> RunRecord | None:
    """The run of a file; None of one that is gone, or was cut by a crash."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read())
            is_running = "ended" not in content and _is_locked(file)
        return RunRecord(**{**content, "facts": tuple(content.get("facts", ()))}, is_running=is_running)
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _is_locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
