# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do with one local file: the rule that everything else serves.

A local file is deleted only when the bucket is proven, in this run, to hold the same content. An object
is never overwritten.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Stored(Enum):
    """What the bucket holds under the file's key."""

    NOTHING = "nothing"
    SAME = "the same content"
    OTHER = "other content"


class Known(Enum):
    """What Synapse's database says of the file."""

    COMPLETE = "the file has the length and the hash that the database gives"
    DAMAGED = "the file has another length or hash than the database gives"
    UNFINISHED = "the database gives no length yet"
    UNKNOWN = "the database does not know the file"


class Action(Enum):
    """What is to be done."""

    KEEP = "keep"
    UPLOAD = "upload"
    DELETE = "delete"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class Policy:
    """What the operator asked for: whether proven files are deleted from the local disk."""

    delete_local: bool = True


@dataclass(frozen=True)
class Decision:
    """The action, and why, in words for the operator."""

    action: Action
    reason: str


def decide(*, recent: bool, in_use: bool, known: Known, stored: Stored, policy: Policy) -> Decision:
    """Decide what to do with one local file.

    After an UPLOAD the file is looked at again: it is deleted only by a second decision, with ``stored``
    proven anew.

    :param recent: the file is younger than the minimum age, or changed while it was looked at.
    :param in_use: it was accessed within the days that the operator wants to keep on the local disk.
    """
    if recent:
        return Decision(Action.KEEP, "too recent")
    if known is Known.DAMAGED:
        return Decision(Action.CONFLICT, "the local file's length or sha256 is not the database's")
    if stored is Stored.OTHER:
        return Decision(Action.CONFLICT, "the bucket holds other content under this key")
    if stored is Stored.SAME:
        if in_use:
            return Decision(Action.KEEP, "in use")
        if not policy.delete_local:
            return Decision(Action.KEEP, "local files are kept")
        return Decision(Action.DELETE, "the bucket holds the same content")
    if known is Known.UNKNOWN:
        return Decision(Action.KEEP, "unknown to the database")
    if known is Known.UNFINISHED:
        return Decision(Action.KEEP, "its upload to Synapse is not finished")
    return Decision(Action.UPLOAD, "not in the bucket")
