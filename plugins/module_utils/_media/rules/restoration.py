# SPDX-License-Identifier: GPL-3.0-or-later
"""What `restore` does with one file that the database knows, as a table.

A local file is never replaced; with --repair one is that is certainly damaged, by an object that is proven to be what
the database gives.
"""

from __future__ import annotations

from collections.abc import Container
from enum import Enum
from functools import cache
from typing import NamedTuple

from .content import Content
from .table import fits


class Here(Enum):
    """The file on the local disk, beside what the database says."""

    NOTHING = "there is none"
    RIGHT = "it has the length that the database gives, and the sha256 as far as it was read"
    WRONG = "it has another length or sha256 than the database gives"
    UNTOLD = "the database gives no length"


class There(Enum):
    """The objects of all providers, beside what the database says."""

    NOTHING = "there is none"
    FITTING = "one has the length that the database gives, or the database gives none"
    WRONG = "none has the length or the sha256 that the database gives"


class Compared(Enum):
    """The content of the local file beside the object's."""

    NOT_YET = "they were not compared yet"
    SAME = "they are the same, or the database proves the local file"
    OTHER = "they differ"


class Action(Enum):
    """What is to be done."""

    RESTORE = "restore"
    REPAIR = "repair"
    COMPARE = "read the local file, then decide anew"
    LEAVE = "leave"
    MISSING = "missing"
    CONFLICT = "conflict"
    FAIL = "fail"
    SKIP = "skip"


class Reason(Enum):
    """Why, in words for the operator."""

    ONLY_STORED = "only in the bucket"
    DAMAGED_HERE = "the local file's length or sha256 is not the database's, the object's is"
    NOT_COMPARED = "there is a local file"
    IS_THERE = "on the local disk"
    UNFINISHED = "Synapse has not finished its upload"
    MISSING = "It is neither on the local disk nor in a bucket."
    MISSING_THUMBNAIL = (
        "The thumbnail is neither on the local disk nor in a bucket. Synapse makes it anew from its original, if that"
        " is there and dynamic_thumbnails is on."
    )
    NOT_LOOKED = (
        "It is not on the local disk, and not in the buckets that could be listed. One could not be, as told above."
    )
    STILL_WRITTEN = (
        "the local file's length or sha256 is not the database's. It was modified within the last hour, so it may still"
        " be written: run this again later"
    )
    REPAIRABLE = (
        "the local file's length or sha256 is not the database's. The object under its key may be: --repair puts it in"
        " the place of the local file, which is kept aside"
    )
    BOTH_WRONG = "neither the local file nor its object has the length and the sha256 that the database gives"
    ONLY_HERE_WRONG = "the local file's length or sha256 is not the database's, and there is no object under its key"
    OTHER_CONTENT = "the bucket holds other content under its key. The database does not tell which is right"
    OBJECT_WRONG_TOO = (
        "the local file has the length that the database gives, the object has not. Whether its content is right"
        " nothing tells: the database has no sha256 of it"
    )
    OBJECT_WRONG_ALONE = "the local file has the length and the sha256 that the database gives, the object has not"
    OBJECT_WRONG = "the object has not the length or the sha256 that the database gives"


class Case(NamedTuple):
    """Everything that a decision rests on.

    ``is_finished``: the database gives a length. ``has_sha256``: it gives a sha256 too. ``is_recent``: the local file
    was modified within the last hour. ``all_listed``: each provider's bucket could be listed.
    """

    here: Here
    there: There
    compared: Compared = Compared.NOT_YET
    is_finished: bool = True
    has_sha256: bool = False
    is_thumbnail: bool = False
    is_recent: bool = False
    all_listed: bool = True
    repair: bool = False


class Decision(NamedTuple):
    """The action, and why."""

    action: Action
    reason: Reason


_BOTH = (True, False)


class _Row(NamedTuple):
    """Fits a case whose every value is among those given here; what is left out may be anything."""

    action: Action
    reason: Reason
    here: Container[Here] = frozenset(Here)
    there: Container[There] = frozenset(There)
    compared: Container[Compared] = frozenset(Compared)
    is_finished: Container[bool] = _BOTH
    has_sha256: Container[bool] = _BOTH
    is_thumbnail: Container[bool] = _BOTH
    is_recent: Container[bool] = _BOTH
    all_listed: Container[bool] = _BOTH
    repair: Container[bool] = _BOTH

    def fits(self, case: Case) -> bool:
        return fits(self, case)


_ABSENT = (Here.NOTHING,)
_DAMAGED = (Here.WRONG,)
_RIGHT = (Here.RIGHT,)
_PRESENT = (Here.RIGHT, Here.UNTOLD)
_FITTING = (There.FITTING,)
_NOTHING = (There.NOTHING,)
_WRONG = (There.WRONG,)
_NOT_YET = (Compared.NOT_YET,)

# The first row that fits holds.
TABLE = (
    _Row(Action.RESTORE, Reason.ONLY_STORED, _ABSENT, _FITTING),
    _Row(Action.CONFLICT, Reason.OBJECT_WRONG, _ABSENT, _WRONG),
    _Row(Action.SKIP, Reason.UNFINISHED, _ABSENT, _NOTHING, is_finished=(False,)),
    _Row(Action.FAIL, Reason.NOT_LOOKED, _ABSENT, _NOTHING, all_listed=(False,)),
    _Row(Action.MISSING, Reason.MISSING_THUMBNAIL, _ABSENT, _NOTHING, is_thumbnail=(True,)),
    _Row(Action.MISSING, Reason.MISSING, _ABSENT, _NOTHING),
    _Row(Action.CONFLICT, Reason.STILL_WRITTEN, _DAMAGED, is_recent=(True,)),
    _Row(Action.REPAIR, Reason.DAMAGED_HERE, _DAMAGED, _FITTING, repair=(True,)),
    _Row(Action.CONFLICT, Reason.REPAIRABLE, _DAMAGED, _FITTING),
    _Row(Action.CONFLICT, Reason.BOTH_WRONG, _DAMAGED, _WRONG),
    _Row(Action.CONFLICT, Reason.ONLY_HERE_WRONG, _DAMAGED, _NOTHING),
    _Row(Action.COMPARE, Reason.NOT_COMPARED, _RIGHT, _NOTHING, _NOT_YET, has_sha256=(True,), repair=(True,)),
    _Row(Action.LEAVE, Reason.IS_THERE, _PRESENT, _NOTHING),
    # By their lengths alone a damaged local file would be called right: who then deletes the object loses both.
    _Row(Action.COMPARE, Reason.NOT_COMPARED, _RIGHT, _WRONG, _NOT_YET, has_sha256=(True,)),
    _Row(Action.CONFLICT, Reason.OBJECT_WRONG_ALONE, _PRESENT, _WRONG, has_sha256=(True,)),
    _Row(Action.CONFLICT, Reason.OBJECT_WRONG_TOO, _PRESENT, _WRONG),
    _Row(Action.COMPARE, Reason.NOT_COMPARED, _PRESENT, _FITTING, _NOT_YET),
    _Row(Action.LEAVE, Reason.IS_THERE, _PRESENT, _FITTING, (Compared.SAME,)),
    _Row(Action.CONFLICT, Reason.OTHER_CONTENT, _PRESENT, _FITTING, (Compared.OTHER,)),
)


@cache
def decide(case: Case) -> Decision:
    """Decide what to do with one file, by the first row of `TABLE` that fits.

    After COMPARE a second decision follows, with what the file's content has told.
    """
    row = next(row for row in TABLE if row.fits(case))
    return Decision(row.action, row.reason)


class Arrived(Enum):
    """What an object is that was read to its end."""

    PROVEN = "what was stored, by a hash, and of the database's length"
    OF_THE_LENGTH = "of the right length, and no hash of it is known"
    NOT_THE_DATABASES = "not of the length or the sha256 that the database gives"
    ALTERED = "not what the bucket has listed, or keeps a hash of"


def judge(
    content: Content,
    *,
    size: int,
    etag: str,
    kept_sha256: str | None,
    kept_md5: str | None,
    lengths: frozenset[int],
    sha256: str | None,
) -> Arrived:
    """Judge what came.

    :param size: of the object, in bytes, and ``etag``: by the listing.
    :param kept_sha256: that the store keeps of the whole object, and ``kept_md5``; None without.
    :param lengths: the database's, none where it gives none; ``sha256``: the database's, None where it has none.
    """
    if content.size != size:
        return Arrived.ALTERED
    if (lengths and size not in lengths) or (sha256 is not None and content.sha256 != sha256):
        return Arrived.NOT_THE_DATABASES
    if sha256 is not None or content.is_proven_by(etag):
        return Arrived.PROVEN
    is_as_kept = content.is_as_kept(kept_sha256, kept_md5)
    if is_as_kept is None:
        return Arrived.OF_THE_LENGTH
    return Arrived.PROVEN if is_as_kept else Arrived.ALTERED
