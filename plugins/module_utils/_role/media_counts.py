# SPDX-License-Identifier: GPL-3.0-or-later
"""What the program counts of the media, and what that means for somebody who takes from Synapse where it finds it.

An answer is what Ansible's module ``command`` returns of ``status --json``: ``rc``, ``stdout`` and ``stderr``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._media.rules.place import place_of
from .answer import Answer, last_words, read_answer
from .variables import NAME_PREFIX

Place = Mapping[str, str]
_REPAIRABLE = "are damaged on the local disk, and whole only in the bucket"


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


def dropped_places(now: Sequence[Place], new: Sequence[Mapping[str, object]]) -> list[Place]:
    """Which of the places that Synapse reads ``now`` none of the ``new`` settings leads to."""
    kept = [place_of(settings) for settings in new]
    return [place for place in now if place_of(place) not in kept]


def move_problems(
    answer: Answer, before: Answer, dropped: Sequence[Place], new: Sequence[Mapping[str, object]]
) -> list[str]:
    """Why places that Synapse reads from can't be taken from it yet.

    :param answer: of the configuration that is to come.
    :param before: of that which Synapse has; it may be empty.
    """
    accept = f"set {NAME_PREFIX}accept_unserved_media to true"
    taken = _listed(dropped)
    try:
        absent, damaged, unreadable = (read_count(answer, name) for name in ("unserved", "damaged", "unreadable"))
    except NotCounted as cause:
        problem = f"Could not count the media that Synapse would not find any more without {taken}: {cause}"
        return [f"{problem} Correct that, or {accept}."]
    places = _listed([place_of(settings) for settings in new])
    fleeting = f"{place_in_words(place_of(new[0]))}, or will be deleted there by a lifecycle rule" if new else ""
    causes = _those(
        (absent, f"that its database knows would not be served, being neither on the local disk nor in {places}"),
        (damaged, f"that its database knows would be found damaged only, on the local disk or in {places}"),
        (unreadable, f"of those that were looked at by chance are nowhere else, and can't be read in {fleeting}"),
    )
    if not causes:
        return []
    advice = (
        f"Name what Synapse is to go on reading from in {NAME_PREFIX}previous_stores until it is copied (the playbook"
        f" matrixops.synapse_s3.move), or {accept}."
    )
    return [f"Could not take {taken} from Synapse: {causes}.{_lost_before(before)} {advice}"]


def removal_problems(answer: Answer) -> list[str]:
    """Why the provider can't be taken from Synapse yet."""
    accept = f"set {NAME_PREFIX}accept_unserved_media to true"
    try:
        count, repairable = _only_stored(answer), read_count(answer, "repairable")
    except NotCounted as cause:
        problem = f"Could not count the media that Synapse would not serve without the provider: {cause}"
        return [f"{problem} Correct that; or, to go without what may be only in the bucket, {accept}."]
    causes = _those(
        (count, "that its database knows are only in the bucket, and would not be served any more"),
        (repairable, _REPAIRABLE),
    )
    if not causes:
        return []
    restore = "Bring them back with the playbook matrixops.synapse_s3.restore and run this again"
    both = "matrixops.synapse_s3.uninstall with -e restore_first=true does both"
    repair = ", with -e restore_options=--repair for what is damaged" if repairable.files else ""
    return [f"Could not take the provider from Synapse: {causes}. {restore} ({both}){repair}, or {accept}."]


def offline_words(answer: Answer) -> str:
    """What becomes of media that only the bucket has when the provider is taken from Synapse."""
    again = "until the provider is enabled again or the media is copied back to the local disk"
    try:
        count, repairable = _only_stored(answer), read_count(answer, "repairable")
    except NotCounted as cause:
        return f"Synapse does not serve what is only there {again}. Could not count that: {cause}"
    offline = _those(
        (count, f"that Synapse's database knows are only there, and are not served {again}"), (repairable, _REPAIRABLE)
    )
    if not offline:
        return "The local disk has all of the media that Synapse's database knows and the bucket holds."
    return f"{offline}."


def place_in_words(place: Place) -> str:
    """A bucket, and what of it."""
    words = f"bucket {place['bucket']!r}"
    if place["prefix"]:
        words += f" with prefix {place['prefix']!r}"
    return f"{words} at {place['endpoint_url']}" if place["endpoint_url"] else words


def _only_stored(answer: Answer) -> Count:
    """What only S3 has, in the bucket or in another that Synapse reads."""
    return _sum(answer, "stored_only", "stored_elsewhere")


def _sum(answer: Answer, *names: str) -> Count:
    counts = [read_count(answer, name) for name in names]
    return Count(sum(count.files for count in counts), sum(count.bytes for count in counts))


def _those(*counts: tuple[Count, str]) -> str:
    """Of the counts that are not 0, what they are of; '' where all are."""
    return "; ".join(f"{count} {words}" for count, words in counts if count.files)


def _lost_before(before: Answer) -> str:
    try:
        count = _sum(before, "unserved", "damaged")
    except NotCounted:
        return ""
    return f" ({count} are missing or damaged now already.)" if count.files else ""


def _listed(places: Sequence[Place]) -> str:
    return " and ".join(map(place_in_words, places))


def _errors(told: Mapping[str, Any]) -> str:
    errors = told.get("errors")
    return " ".join(map(str, errors)) if isinstance(errors, list) else ""


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
