# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether Synapse can serve one file that its database knows: the rule behind ``verify``, as a table."""

from __future__ import annotations

from collections.abc import Container
from enum import Enum
from functools import cache
from typing import NamedTuple

from .media_path import Root
from .table import fits


class Copy(Enum):
    """What one place holds of a file."""

    NONE = "nothing"
    RIGHT = "what the database gives, as far as it was looked at, and Synapse can read it"
    EMPTY = "nothing but the name: 0 bytes"
    OTHER_LENGTH = "another length than the database gives"
    OTHER_CONTENT = "another content than the database or the store gives"
    DIFFERENT = "the right length, but another content than the other place"
    ARCHIVED = "an object in an archive"
    OTHER_KEY = "an object that is not encrypted with the configured key"
    EXPIRING = "a right object, which a lifecycle rule of its bucket will delete"

    # There is one of each: Enum's own hash, of the name, is computed in Python.
    __hash__ = object.__hash__


class Row(Enum):
    """What the database says of the file."""

    COMPLETE = "it gives the length"
    UNFINISHED = "it gives no length: Synapse never finished it"

    __hash__ = object.__hash__


class Original(Enum):
    """Where a thumbnail is missing: what there is of the media that it was made of."""

    THERE = "Synapse can serve it"
    LOST = "it is missing or damaged"
    NOT_TOLD = "it was not looked at"

    __hash__ = object.__hash__


class Verdict(Enum):
    """What is told of a file: the name of its count in the JSON."""

    LOCAL_ONLY = "local_only"
    STORED_ONLY = "stored_only"
    BOTH = "both"
    MISSING = "missing"
    DAMAGED = "damaged"
    UNFINISHED = "unfinished"

    __hash__ = object.__hash__

    @property
    def is_well(self) -> bool:
        """Whether there is nothing to do about it."""
        return self not in (Verdict.MISSING, Verdict.DAMAGED)


class Reason(Enum):
    """Why. The value is the reason's name in the JSON; `REASONS` has the words for the operator."""

    WELL = "well"
    UNFINISHED = "unfinished"
    FILE_EMPTY = "file_empty"
    FILE_LENGTH = "file_length"
    FILE_CONTENT = "file_content"
    ARCHIVED = "archived"
    OTHER_KEY = "other_key"
    OBJECT_EMPTY = "object_empty"
    OBJECT_LENGTH = "object_length"
    OBJECT_CONTENT = "object_content"
    EXPIRING = "expiring"
    DIFFERENT = "different"
    NOT_IN_STORE = "not_in_store"
    THUMBNAIL_MADE_ANEW = "thumbnail_made_anew"
    REMOTE_THUMBNAIL = "remote_thumbnail"
    THUMBNAIL = "thumbnail"
    THUMBNAIL_WITHOUT_ORIGINAL = "thumbnail_without_original"
    REMOTE_ORIGINAL = "remote_original"
    LOCAL_ORIGINAL = "local_original"


REASONS = {
    Reason.WELL: "it is well",
    Reason.UNFINISHED: "its upload to Synapse was never finished",
    Reason.FILE_EMPTY: "the local file is empty",
    Reason.FILE_LENGTH: "the local file has another length than the database gives",
    Reason.FILE_CONTENT: "the local file has another content than the database or the bucket gives",
    Reason.ARCHIVED: "the object is in an archive, from which Synapse can't read it at once",
    Reason.OTHER_KEY: "the object is not encrypted with the configured key, so that Synapse can't read it",
    Reason.OBJECT_EMPTY: "the object is empty",
    Reason.OBJECT_LENGTH: "the object has another length than the database gives",
    Reason.OBJECT_CONTENT: "the object has another content than the database or its checksum gives",
    Reason.EXPIRING: "a lifecycle rule of the bucket will delete the object",
    Reason.DIFFERENT: "the local file and the object have the right length, but different content, and the database"
    " has no sha256 to tell which is right",
    Reason.NOT_IN_STORE: "it is not in this bucket",
    Reason.THUMBNAIL_MADE_ANEW: "a thumbnail that is nowhere; its original is there, and Synapse makes it anew when"
    " somebody wants it",
    Reason.REMOTE_THUMBNAIL: "a thumbnail of remote media that is nowhere",
    Reason.THUMBNAIL: "a thumbnail that is nowhere",
    Reason.THUMBNAIL_WITHOUT_ORIGINAL: "a thumbnail that is nowhere, and its original can't be served either",
    Reason.REMOTE_ORIGINAL: "it is nowhere; Synapse asks the homeserver that it came from when somebody wants it",
    Reason.LOCAL_ORIGINAL: "it is nowhere: nobody else has it",
}


class Case(NamedTuple):
    """Everything that a verdict rests on.

    ``stored``: what the buckets hold, as `worst` has it. ``alone``: one bucket is asked whether it is whole, and
    nothing else counts. ``dynamic``: Synapse's ``dynamic_thumbnails``.
    """

    root: Root
    row: Row
    local: Copy
    stored: Copy
    original: Original = Original.NOT_TOLD
    dynamic: bool = False
    alone: bool = False


class Judgement(NamedTuple):
    """The verdict, and why."""

    verdict: Verdict
    reason: Reason


class _Line(NamedTuple):
    """Fits a case whose every value is among those given here; what is left out may be anything."""

    verdict: Verdict
    reason: Reason
    local: Container[Copy] = frozenset(Copy)
    stored: Container[Copy] = frozenset(Copy)
    root: Container[Root] = frozenset(Root)
    row: Container[Row] = frozenset(Row)
    original: Container[Original] = frozenset(Original)
    dynamic: Container[bool] = (True, False)
    alone: Container[bool] = (True, False)

    def fits(self, case: Case) -> bool:
        return fits(self, case)


_NONE, _RIGHT = (Copy.NONE,), (Copy.RIGHT,)
_BAD = frozenset(Copy) - {Copy.NONE, Copy.RIGHT, Copy.EXPIRING}
_THUMBNAILS = frozenset(root for root in Root if root.is_thumbnail)

# The first line that fits holds.
TABLE = (
    _Line(Verdict.UNFINISHED, Reason.UNFINISHED, row=(Row.UNFINISHED,)),
    _Line(Verdict.DAMAGED, Reason.FILE_EMPTY, local=(Copy.EMPTY,)),
    _Line(Verdict.DAMAGED, Reason.FILE_LENGTH, local=(Copy.OTHER_LENGTH,)),
    _Line(Verdict.DAMAGED, Reason.FILE_CONTENT, local=(Copy.OTHER_CONTENT,)),
    _Line(Verdict.DAMAGED, Reason.ARCHIVED, stored=(Copy.ARCHIVED,)),
    _Line(Verdict.DAMAGED, Reason.OTHER_KEY, stored=(Copy.OTHER_KEY,)),
    _Line(Verdict.DAMAGED, Reason.OBJECT_EMPTY, stored=(Copy.EMPTY,)),
    _Line(Verdict.DAMAGED, Reason.OBJECT_LENGTH, stored=(Copy.OTHER_LENGTH,)),
    _Line(Verdict.DAMAGED, Reason.OBJECT_CONTENT, stored=(Copy.OTHER_CONTENT,)),
    _Line(Verdict.DAMAGED, Reason.DIFFERENT, local=(Copy.DIFFERENT,)),
    _Line(Verdict.DAMAGED, Reason.DIFFERENT, stored=(Copy.DIFFERENT,)),
    _Line(Verdict.DAMAGED, Reason.EXPIRING, stored=(Copy.EXPIRING,)),
    _Line(Verdict.MISSING, Reason.NOT_IN_STORE, stored=_NONE, alone=(True,)),
    _Line(Verdict.BOTH, Reason.WELL, local=_RIGHT, stored=_RIGHT),
    _Line(Verdict.LOCAL_ONLY, Reason.WELL, local=_RIGHT),
    _Line(Verdict.STORED_ONLY, Reason.WELL, stored=_RIGHT),
    _Line(Verdict.MISSING, Reason.THUMBNAIL_MADE_ANEW, root=_THUMBNAILS, original=(Original.THERE,), dynamic=(True,)),
    _Line(Verdict.MISSING, Reason.THUMBNAIL_WITHOUT_ORIGINAL, root=_THUMBNAILS, original=(Original.LOST,)),
    _Line(Verdict.MISSING, Reason.REMOTE_THUMBNAIL, root=(Root.REMOTE_THUMBNAIL,)),
    _Line(Verdict.MISSING, Reason.THUMBNAIL, root=_THUMBNAILS),
    _Line(Verdict.MISSING, Reason.REMOTE_ORIGINAL, root=(Root.REMOTE_CONTENT,)),
    _Line(Verdict.MISSING, Reason.LOCAL_ORIGINAL),
)


@cache
def judge(case: Case) -> Judgement:
    """The verdict on one file of the database, by the first line of `TABLE` that fits."""
    line = next(line for line in TABLE if line.fits(case))
    return Judgement(line.verdict, line.reason)


def copy_of(lengths: frozenset[int], size: int) -> Copy:
    """What a place holds whose copy has ``size`` bytes, where the database gives ``lengths``."""
    if size in lengths:
        return Copy.RIGHT
    return Copy.OTHER_LENGTH if size else Copy.EMPTY


def worst(copies: tuple[Copy, ...]) -> Copy:
    """Of several buckets' copies: one that is not right, else a right one, else one that will be deleted, else NONE."""
    best = next((copy for copy in (Copy.RIGHT, Copy.EXPIRING) if copy in copies), Copy.NONE)
    return next((copy for copy in copies if copy in _BAD), best)
