# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do with one local file: the rule that everything else serves, as a table.

A local file is deleted only when the bucket is proven, in this run, to hold the same content in a form that Synapse can
read back at once. An object is never overwritten.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import NamedTuple

from .table import fits


class Local(Enum):
    """How the file looks on the local disk."""

    SETTLED = "older than the minimum age, and as it was seen"
    RECENT = "modified within the minimum age"
    FUTURE = "its modification time has not come yet"
    CHANGED = "changed while it was looked at"
    GONE = "gone since it was seen"


class Known(Enum):
    """What Synapse's database says of some content."""

    COMPLETE = "it has the length and the hash that the database gives"
    DAMAGED = "it has another length or hash than the database gives"
    UNFINISHED = "the database gives no length yet"
    UNKNOWN = "the database does not know the file"


class Stored(Enum):
    """What the bucket holds under the file's key."""

    NOTHING = "nothing"
    LISTED = "the same content, by a listing: whether Synapse can read it is not known yet"
    LISTED_APART = "the same content, by a listing, in a class whose objects may have to be brought back first"
    SAME = "the same content, and Synapse can read it at once"
    UNREADABLE = "an object that Synapse can't read at once, with the configured key"
    EXPIRING = "the same content, which a lifecycle rule of the bucket will delete"
    OTHER = "other content"


class Earlier(Enum):
    """What the providers hold under the file's key that Synapse asks before the bucket: the first that has it serves.

    Only one that has nothing is passed over: where one fails, Synapse fails.
    """

    NOT_ASKED = "not known yet"
    WELL = "nothing, or the same content"
    IN_THE_WAY = "other content, or an object that Synapse can't read at once"


class Uploaded(Enum):
    """What became of an upload of the file, before the bucket was looked at."""

    NOT_TRIED = "there was none in this run"
    ACCEPTED = "the server accepted it"
    TAKEN = "the server said that the key is taken"
    BY_SCRIPT = "s3_media_upload has uploaded what it could"


class Action(Enum):
    """What is to be done."""

    KEEP = "keep"
    UPLOAD = "upload"
    CONFIRM = "see that Synapse can read the object, then decide anew"
    ASK_EARLIER = "see what the providers hold that Synapse asks before the bucket, then decide anew"
    DELETE = "delete"
    CONFLICT = "conflict"
    FAIL = "fail"


class Reason(Enum):
    """Why. The value is the name in ``kept_by_reason`` of the JSON; `REASONS` has the words for the operator."""

    TOO_RECENT = "too_recent"
    IN_THE_FUTURE = "in_the_future"
    CHANGED = "changed"
    GONE = "gone"
    UNREADABLE = "unreadable"
    EXPIRES = "expires"
    BOTH_DAMAGED = "both_damaged"
    LOCAL_DAMAGED = "local_damaged"
    NEITHER_RIGHT = "neither_right"
    OBJECT_RIGHT = "object_right"
    LOCAL_RIGHT = "local_right"
    NOT_TOLD = "not_told"
    OTHER_CONTENT = "other_content"
    IN_USE = "in_use"
    LOCAL_FILES_ARE_KEPT = "local_files_are_kept"
    NOT_CONFIRMED = "not_confirmed"
    STORED = "stored"
    IN_THE_WAY = "in_the_way"
    UNKNOWN = "unknown_to_the_database"
    UNFINISHED = "unfinished"
    VANISHED = "vanished"
    HIDDEN = "hidden"
    LEFT_BEHIND = "left_behind"
    NOT_STORED = "not_stored"


_NOT_THE_DATABASES = "the local file's length or sha256 is not the database's"
_OTHER_CONTENT = "the bucket holds other content under this key"

REASONS = {
    Reason.TOO_RECENT: "too recent",
    Reason.IN_THE_FUTURE: "its modification time is in the future, so it never gets old enough. Set the clock right,"
    " and touch the file",
    Reason.CHANGED: "it changed while it was looked at",
    Reason.GONE: "it is gone since it was seen",
    Reason.UNREADABLE: "the bucket holds an object under this key that Synapse can't read at once",
    Reason.EXPIRES: "a lifecycle rule of the bucket will delete what it holds under this key. Take that rule from the"
    " bucket, or keep it from Synapse's prefix",
    Reason.BOTH_DAMAGED: f"{_NOT_THE_DATABASES}. The bucket holds the same content",
    Reason.LOCAL_DAMAGED: f"{_NOT_THE_DATABASES}. The bucket holds nothing under its key",
    Reason.OBJECT_RIGHT: f"{_NOT_THE_DATABASES}. The object under its key is what the database gives",
    Reason.NEITHER_RIGHT: f"{_NOT_THE_DATABASES}. The object under its key is not what the database gives either",
    Reason.LOCAL_RIGHT: f"{_OTHER_CONTENT}. The local file is what the database gives, the object is not",
    Reason.NOT_TOLD: f"{_OTHER_CONTENT}. Both have the length that the database gives, and it has no sha256 to tell"
    " which is right",
    Reason.OTHER_CONTENT: f"{_OTHER_CONTENT}. The database does not tell which is right",
    Reason.IN_USE: "in use",
    Reason.LOCAL_FILES_ARE_KEPT: "local files are kept",
    Reason.NOT_CONFIRMED: "the bucket lists the same content",
    Reason.STORED: "the bucket holds the same content",
    Reason.IN_THE_WAY: "the bucket holds the same content, but Synapse asks another provider first, which holds"
    " something else under this key. Write the one that stores first below media_storage_providers",
    Reason.UNKNOWN: "unknown to the database",
    Reason.UNFINISHED: "its upload to Synapse is not finished",
    Reason.VANISHED: "It is not in the bucket, although its upload was accepted.",
    Reason.HIDDEN: "The server says that its key is taken, and shows no object there. In a bucket with versions a"
    " delete marker can do that: remove the marker, or all versions of the key.",
    Reason.LEFT_BEHIND: "It is not in the bucket after s3_media_upload ran.",
    Reason.NOT_STORED: "not in the bucket",
}


@dataclass(frozen=True)
class Policy:
    """What the operator asked for: whether proven files are deleted from the local disk."""

    delete_local: bool = True


class Case(NamedTuple):
    """Everything that a decision rests on.

    ``in_use``: the media was accessed within the days that the operator wants to keep on the local disk.
    ``known``: what the database says of the local file; ``object_known``: of the object, where it holds other content.
    ``earlier`` is well where there is no provider before the bucket's.
    """

    local: Local
    in_use: bool = False
    known: Known = Known.UNKNOWN
    stored: Stored = Stored.NOTHING
    object_known: Known = Known.UNKNOWN
    uploaded: Uploaded = Uploaded.NOT_TRIED
    earlier: Earlier = Earlier.WELL


class Decision(NamedTuple):
    """The action, and why."""

    action: Action
    reason: Reason


class _Row(NamedTuple):
    """Fits a case whose every value is among those given here; what is left out may be anything."""

    action: Action
    reason: Reason
    local: Container[Local] = frozenset(Local)
    known: Container[Known] = frozenset(Known)
    stored: Container[Stored] = frozenset(Stored)
    object_known: Container[Known] = frozenset(Known)
    uploaded: Container[Uploaded] = frozenset(Uploaded)
    earlier: Container[Earlier] = frozenset(Earlier)
    in_use: Container[bool] = (True, False)
    delete_local: Container[bool] = (True, False)

    def fits(self, case: Case, policy: Policy) -> bool:
        return fits(self, case) and policy.delete_local in self.delete_local


_EQUAL = (Stored.LISTED, Stored.LISTED_APART, Stored.SAME)
_OTHER = (Stored.OTHER,)


# The first row that fits holds.
TABLE = (
    _Row(Action.KEEP, Reason.TOO_RECENT, local=(Local.RECENT,)),
    _Row(Action.KEEP, Reason.IN_THE_FUTURE, local=(Local.FUTURE,)),
    _Row(Action.KEEP, Reason.CHANGED, local=(Local.CHANGED,)),
    _Row(Action.KEEP, Reason.GONE, local=(Local.GONE,)),
    _Row(Action.CONFLICT, Reason.UNREADABLE, stored=(Stored.UNREADABLE,)),
    _Row(Action.CONFLICT, Reason.EXPIRES, stored=(Stored.EXPIRING,)),
    _Row(Action.CONFLICT, Reason.BOTH_DAMAGED, known=(Known.DAMAGED,), stored=_EQUAL),
    _Row(Action.CONFLICT, Reason.LOCAL_DAMAGED, known=(Known.DAMAGED,), stored=(Stored.NOTHING,)),
    _Row(Action.CONFLICT, Reason.OBJECT_RIGHT, known=(Known.DAMAGED,), stored=_OTHER, object_known=(Known.COMPLETE,)),
    _Row(Action.CONFLICT, Reason.NEITHER_RIGHT, known=(Known.DAMAGED,), stored=_OTHER),
    _Row(Action.CONFLICT, Reason.LOCAL_RIGHT, known=(Known.COMPLETE,), stored=_OTHER, object_known=(Known.DAMAGED,)),
    _Row(Action.CONFLICT, Reason.NOT_TOLD, known=(Known.COMPLETE,), stored=_OTHER, object_known=(Known.COMPLETE,)),
    _Row(Action.CONFLICT, Reason.OTHER_CONTENT, stored=_OTHER),
    # Before what stays anyway: that it is stored shall be true.
    _Row(Action.CONFIRM, Reason.NOT_CONFIRMED, stored=(Stored.LISTED_APART,)),
    _Row(Action.KEEP, Reason.IN_USE, stored=_EQUAL, in_use=(True,)),
    _Row(Action.KEEP, Reason.LOCAL_FILES_ARE_KEPT, stored=_EQUAL, delete_local=(False,)),
    _Row(Action.CONFIRM, Reason.NOT_CONFIRMED, stored=(Stored.LISTED,)),
    _Row(Action.ASK_EARLIER, Reason.STORED, stored=(Stored.SAME,), earlier=(Earlier.NOT_ASKED,)),
    _Row(Action.CONFLICT, Reason.IN_THE_WAY, stored=(Stored.SAME,), earlier=(Earlier.IN_THE_WAY,)),
    _Row(Action.DELETE, Reason.STORED, stored=(Stored.SAME,)),
    _Row(Action.KEEP, Reason.UNKNOWN, known=(Known.UNKNOWN,)),
    _Row(Action.KEEP, Reason.UNFINISHED, known=(Known.UNFINISHED,)),
    _Row(Action.FAIL, Reason.VANISHED, uploaded=(Uploaded.ACCEPTED,)),
    _Row(Action.FAIL, Reason.HIDDEN, uploaded=(Uploaded.TAKEN,)),
    _Row(Action.KEEP, Reason.IN_USE, uploaded=(Uploaded.BY_SCRIPT,), in_use=(True,)),
    _Row(Action.FAIL, Reason.LEFT_BEHIND, uploaded=(Uploaded.BY_SCRIPT,)),
    _Row(Action.UPLOAD, Reason.NOT_STORED),
)


@cache
def decide(case: Case, policy: Policy) -> Decision:
    """Decide what to do with one local file, by the first row of `TABLE` that fits.

    After UPLOAD and CONFIRM the bucket is looked at again, after ASK_EARLIER the providers before it, and a further
    decision follows: nothing is deleted by the first one.
    """
    row = next(row for row in TABLE if row.fits(case, policy))
    return Decision(row.action, row.reason)


def known_as(lengths: frozenset[int] | None, sha256: str | None, size: int, content_sha256: str | None) -> Known:
    """What the database says of content of ``size`` bytes.

    :param lengths: the lengths that the database gives, in bytes; None: it does not know the file.
    :param sha256: the hash that it gives, in hexadecimal digits; None where it has none.
    :param content_sha256: the content's; None where it is not known, so that the length alone decides.
    """
    if lengths is None:
        return Known.UNKNOWN
    if not lengths:
        return Known.UNFINISHED
    same_hash = sha256 is None or content_sha256 is None or sha256 == content_sha256
    return Known.COMPLETE if size in lengths and same_hash else Known.DAMAGED
