# SPDX-License-Identifier: GPL-3.0-or-later
"""Where results and progress go. A reader that goes away ends no run: what could not be written is told afterwards."""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Mapping
from typing import Any, TextIO

from ..rules.errors import MediaError
from ..stores.stream import say


class SteadyStream:
    """A text stream whose failures are kept in ``failure`` instead of being raised."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure = ""

    def write(self, text: str) -> int:
        if not self.failure:
            try:
                return self._stream.write(text)
            except (OSError, ValueError) as error:
                self._fail(error)
        return len(text)

    def flush(self) -> None:
        if not self.failure:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._fail(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _fail(self, error: OSError | ValueError) -> None:
        # ValueError: it was closed.
        self.failure = getattr(error, "strerror", None) or "it is closed"
        _turn_to_nowhere(self._stream)


class ClosedStream(io.TextIOBase):
    """In place of a stream that the process was started without."""

    def write(self, _text: str) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def isatty(self) -> bool:
        return False


def print_result(stdout: SteadyStream, text: str, as_json: Mapping[str, Any] | None) -> None:
    """Print the result for a person, or, where there is JSON, that as the last line of stdout.

    Raises a MediaError where that, or what was printed before, has not arrived.
    """
    say(stdout, text if as_json is None else json.dumps(as_json))
    check_printed(stdout)


def check_printed(stdout: SteadyStream) -> None:
    """Raise a MediaError where a part of what was printed has not arrived."""
    stdout.flush()
    if stdout.failure:
        raise MediaError(
            f"Could not print the result: {stdout.failure}. See that what stdout is connected to stays open and has"
            " space."
        )


def unexpected(error: Exception) -> str:
    """What is said of an error that nobody thought of."""
    return (
        f"Could not go on: {type(error).__name__} where none was expected. This is a fault of the program: report it"
        " with the lines above."
    )


def _turn_to_nowhere(stream: TextIO) -> None:
    """What could not be written is written again at the end of the process, unless it goes elsewhere."""
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
    except (OSError, ValueError):
        # No stream of the process's own.
        return
