# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a copy that a killed run has kept of a file whose removal it had not seen to its end, as a table.

It may be the last there is: it goes only where its content is on the local disk, or its file never went.
"""

from __future__ import annotations

from collections.abc import Container
from enum import Enum
from typing import NamedTuple

from .table import fits


class Owner(Enum):
    """Whose copy it is."""

    OURS = "by its name it is of this media store"
    OTHERS = "it is of another media store, which is there"
    UNTOLD = "it does not tell: an older version has kept it, or its media store is there no more"


class Here(Enum):
    """What has its path in this media store."""

    NOTHING = "nothing"
    SAME = "a file of the same content"
    OTHER = "something else"


class Action(Enum):
    """What is to be done with it."""

    PUT_BACK = "put its file back"
    DISCARD = "throw it away"
    IGNORE = "leave it to the runs on its own media store"
    TELL = "leave it, and say that it is there"
    CONFLICT = "leave it, as a problem"


class Case(NamedTuple):
    """Everything that a decision rests on.

    ``is_complete``: it was, before its file was removed. ``is_given``: the database knows a file of its path, with its
    length and its sha256.
    """

    owner: Owner
    here: Here = Here.NOTHING
    is_complete: bool = True
    is_given: bool = False


_BOTH = (True, False)


class _Row(NamedTuple):
    """Fits a case whose every value is among those given here; what is left out may be anything."""

    action: Action
    owner: Container[Owner] = frozenset(Owner)
    here: Container[Here] = frozenset(Here)
    is_complete: Container[bool] = _BOTH
    is_given: Container[bool] = _BOTH


# The first row that fits holds.
TABLE = (
    _Row(Action.IGNORE, owner=(Owner.OTHERS,)),
    _Row(Action.DISCARD, is_complete=(False,)),
    _Row(Action.DISCARD, here=(Here.SAME,)),
    _Row(Action.PUT_BACK, owner=(Owner.OURS,), here=(Here.NOTHING,)),
    _Row(Action.PUT_BACK, here=(Here.NOTHING,), is_given=(True,)),
    # Another homeserver's, for all that is known.
    _Row(Action.TELL, owner=(Owner.UNTOLD,), is_given=(False,)),
    _Row(Action.CONFLICT),
)


def decide(case: Case) -> Action:
    """Decide what to do with one copy, by the first row of `TABLE` that fits."""
    return next(row.action for row in TABLE if fits(row, case))
