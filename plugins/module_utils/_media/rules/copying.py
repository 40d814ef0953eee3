# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do with one file when a bucket is copied into another: the rule of ``copy-bucket``, as a table.

Copied is what the database knows and the source holds. An object in the target is never overwritten, and what is
damaged is not carried on: it would take the place of a good copy.
"""

from __future__ import annotations

import re
from collections.abc import Container
from enum import Enum
from functools import cache
from typing import NamedTuple

from .media_path import Root
from .table import fits


class Row(Enum):
    """What Synapse's database says of the file."""

    KNOWN = "it knows the file, and its length"
    UNFINISHED = "it knows the file, and gives no length yet"
    OPTIONAL = "the file may have this name or another, of an old thumbnail"
    UNKNOWN = "it does not know the file"


class Held(Enum):
    """What a bucket lists under the file's key."""

    NOTHING = "nothing"
    RIGHT = "an object of a length that the database gives, or of any where it gives none"
    WRONG = "an object of another length than the database gives"


class Match(Enum):
    """How the two objects compare, by their listings."""

    PROVEN = "both have the same length, and the same ETag, which is a hash of the content"
    OPEN = "both have the same length, and the ETags do not tell"
    OTHER = "they have different lengths, or one is missing"


class Elsewhere(Enum):
    """Where else Synapse has the file, in its right length."""

    LOCAL = "on the local disk"
    BUCKET = "in another bucket that Synapse reads"
    NOWHERE = "nowhere"


class Action(Enum):
    """What is to be done."""

    COPY = "copy"
    ALREADY_THERE = "nothing: the target holds it"
    COMPARE = "read both objects, or one and the database's sha256"
    CONFLICT = "name it: the target holds something else"
    FAIL = "name it: the source's object is damaged"
    MISSING = "name it: nobody has it"
    LOCAL_ONLY = "leave it to migrate"
    OTHER_BUCKET = "leave it to a run from that bucket"
    UNFINISHED = "nothing: there is nothing to copy yet"
    LEAVE = "nothing: it has another name"
    ORPHAN = "leave it behind"


class Case(NamedTuple):
    """Everything that a decision rests on."""

    row: Row
    source: Held = Held.NOTHING
    target: Held = Held.NOTHING
    match: Match = Match.OTHER
    elsewhere: Elsewhere = Elsewhere.NOWHERE


class _Row(NamedTuple):
    """Fits a case whose every value is among those given here; what is left out may be anything."""

    action: Action
    row: Container[Row] = frozenset(Row)
    source: Container[Held] = frozenset(Held)
    target: Container[Held] = frozenset(Held)
    match: Container[Match] = frozenset(Match)
    elsewhere: Container[Elsewhere] = frozenset(Elsewhere)

    def fits(self, case: Case) -> bool:
        return fits(self, case)


# The first row that fits holds.
TABLE = (
    _Row(Action.ORPHAN, row=(Row.UNKNOWN,)),
    _Row(Action.CONFLICT, target=(Held.WRONG,)),
    _Row(Action.ALREADY_THERE, target=(Held.RIGHT,), source=(Held.NOTHING, Held.WRONG)),
    _Row(Action.ALREADY_THERE, target=(Held.RIGHT,), match=(Match.PROVEN,)),
    _Row(Action.COMPARE, target=(Held.RIGHT,), match=(Match.OPEN,)),
    _Row(Action.CONFLICT, target=(Held.RIGHT,)),
    _Row(Action.COPY, source=(Held.RIGHT,)),
    _Row(Action.LOCAL_ONLY, elsewhere=(Elsewhere.LOCAL,)),
    _Row(Action.OTHER_BUCKET, elsewhere=(Elsewhere.BUCKET,)),
    _Row(Action.FAIL, source=(Held.WRONG,)),
    _Row(Action.UNFINISHED, row=(Row.UNFINISHED,)),
    _Row(Action.LEAVE, row=(Row.OPTIONAL,)),
    _Row(Action.MISSING),
)


@cache
def decide(case: Case) -> Action:
    """Decide what to do with one file, by the first row of `TABLE` that fits."""
    return next(row.action for row in TABLE if row.fits(case))


# The MD5 of the content, or that of the MD5s of its parts. MinIO's former file system backend gives all that it has not
# stored itself the same: zeros and "-1".
_HASH = re.compile("(?!0{32})[0-9a-f]{32}(?:-[0-9]+)?")


def match(size: int, etag: str, other_size: int, other_etag: str, *, etags_prove: bool) -> Match:
    """Compare two objects as they are listed: sizes in bytes, ETags without quotes.

    ``etags_prove``: False where one of the two is encrypted in a way that makes its ETag no hash.
    """
    if size != other_size:
        return Match.OTHER
    return Match.PROVEN if etags_prove and etag == other_etag and _HASH.fullmatch(etag) else Match.OPEN


def lies_within_media(prefix: str, other: str) -> bool:
    """Whether one of two prefixes of a bucket goes on, behind the other, with one of Synapse's directories.

    ``remote_content/`` behind ``''`` is such: the copy ``remote_content/local_content/aa/bb/cc`` would be read as media
    of a homeserver ``local_content``, which the database does not know, and so be taken for an orphan.
    """
    longer, shorter = max(prefix, other, key=len), min(prefix, other, key=len)
    between = longer[len(shorter) :]
    return longer.startswith(shorter) and any(between.startswith(f"{root.value}/") for root in Root)
