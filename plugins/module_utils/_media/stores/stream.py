# SPDX-License-Identifier: GPL-3.0-or-later
"""A line on a text stream. In place of print(), which Ansible's checks take for a fault of a module's."""

from __future__ import annotations

from typing import Protocol


class Stream(Protocol):
    """As much of a text stream as a line takes."""

    def write(self, text: str, /) -> int: ...

    def flush(self) -> None: ...


def say(stream: Stream, text: str) -> None:
    """Write a line, and have it arrive at once."""
    stream.write(f"{text}\n")
    stream.flush()
