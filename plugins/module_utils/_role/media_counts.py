# SPDX-License-Identifier: GPL-3.0-or-later
"""What the program counts of the media, and what that means for somebody who changes where Synapse finds it.

An answer is what Ansible's module ``command`` returns of ``status --json``: ``rc``, ``stdout`` and ``stderr``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .answer import Answer, last_words, read_answer
from .variables import NAME_PREFIX

Place = Mapping[str, str]


@dataclass(frozen=True)
class Count:
    """A number of files, and of their bytes."""

    files: int
    bytes: int

    def __str__(self) -> str:
        return f"{self.files:,} {'file' if self.files == 1 else 'files'} ({self.bytes:,} bytes)"


class NotCounted(Exception):
    """There is no count to rely upon; the text is the cause, a whole sentence."""


def read_count(answer: Answer, name: str) -> Count:
    """The count of that name in the program's answer.

    :raises NotCounted: the program did not run, could not look at all of it, or does not tell this count.
    """
    told = read_answer(answer)
    count = told.get(name)
    is_told = isinstance(count, Mapping) and {"files", "bytes"} <= count.keys()
    # 1 without errors: all was looked at, and something else is the matter with some media.
    is_whole = answer.get("rc") == 0 or (answer.get("rc") == 1 and is_told and not told.get("errors"))
    if not is_whole:
        raise NotCounted(_sentence(_errors(told) or last_words(answer)))
    if not isinstance(count, Mapping) or not is_told:
        raise NotCounted("the program does not tell it.")
    return Count(int(count["files"]), int(count["bytes"]))


def move_problems(answer: Answer, now: Place, new: Place) -> list[str]:
    """Why Synapse, which has its media in the place ``now``, can't be given the place ``new`` yet."""
    advice = f"set {NAME_PREFIX}accept_unserved_media to true"
    try:
        count = read_count(answer, "unserved")
    except NotCounted as cause:
        problem = f"Could not count the media that Synapse would not find in {place_in_words(new)}: {cause}"
        return [f"{problem} Correct that, or {advice}."]
    if count.files == 0:
        return []
    problem = f"Could not take Synapse from {place_in_words(now)} to {place_in_words(new)}"
    cause_ = f"{count} that its database knows would not be served, being neither on the local disk nor there"
    return [f"{problem}: {cause_}. Copy the objects first, or {advice}."]


def offline_words(answer: Answer) -> str:
    """What becomes of media that only the bucket has when the provider is taken from Synapse."""
    again = "until the provider is enabled again or the media is copied back to the local disk"
    try:
        count = read_count(answer, "stored_only")
    except NotCounted as cause:
        return f"Synapse does not serve what is only there {again}. Could not count that: {cause}"
    if count.files == 0:
        return "The local disk has all of the media that Synapse's database knows and the bucket holds."
    return f"{count} that Synapse's database knows are only there, and are not served {again}."


def place_in_words(place: Place) -> str:
    """A bucket, and what of it."""
    words = f"bucket {place['bucket']!r}"
    if place["prefix"]:
        words += f" with prefix {place['prefix']!r}"
    return f"{words} at {place['endpoint_url']}" if place["endpoint_url"] else words


def _errors(told: Mapping[str, Any]) -> str:
    errors = told.get("errors")
    return " ".join(map(str, errors)) if isinstance(errors, list) else ""


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
