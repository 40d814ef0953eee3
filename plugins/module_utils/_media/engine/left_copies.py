# SPDX-License-Identifier: GPL-3.0-or-later
"""Sees to the copies that killed runs have left, before another run begins: what they had removed is put back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from ..rules.decision import Known, known_as
from ..rules.left_copy import Action, Case, Here, Owner, decide
from ..rules.media_path import parse_media_path
from ..rules.shard import Shard
from ..stores.aside import Directory, Left, left_in, stamp
from ..stores.database import MediaDatabase
from ..stores.media_store import MediaStore
from .lock import keep_out
from .summary import Summary


def see_to_copies(
    directories: Iterable[Directory],
    media: MediaStore,
    database: MediaDatabase,
    summary: Summary,
    tell: Callable[[str], object],
    *,
    shard: Shard,
    only_looks: bool,
) -> None:
    """Put back what can be; what can't is in ``summary``. Under the lock of a run on ``shard``. Raises a MediaError.

    What is in the bucket too goes again by the decision. ``tell`` is told of each file that is back. ``only_looks``:
    nothing is changed, and what would be put back is in ``summary``.
    """
    own = stamp(media)
    for directory in directories:
        with keep_out(media, directory.shard, shard, only_looks=only_looks) as is_free:
            for left in left_in(directory.path) if is_free else ():
                case = _case(left, directory.of, own, media, database)
                _carry_out(decide(case), left, media, summary, tell, only_looks=only_looks)


def _case(left: Left, of: str | None, own: str, media: MediaStore, database: MediaDatabase) -> Case:
    case = Case(_owner(left, of, own), is_complete=left.removed is not None)
    if case.owner is Owner.OTHERS or left.removed is None:
        return case
    sha256 = left.sha256()
    return case._replace(
        here=_here(left.removed.file.path, sha256, media),
        is_given=_is_given(left.removed.file.path, left.removed.file.size, sha256, database),
    )


def _owner(left: Left, of: str | None, own: str) -> Owner:
    if of == own:
        return Owner.OURS
    if left.removed is None:
        # Of another media store it may just be written.
        return Owner.UNTOLD if of is None else Owner.OTHERS
    is_there = left.media_store is not None and Path(left.media_store).is_dir()
    return Owner.OTHERS if is_there else Owner.UNTOLD


def _here(path: str, sha256: str, media: MediaStore) -> Here:
    if not media.is_taken(path):
        return Here.NOTHING
    return Here.SAME if media.sha256(path) == sha256 else Here.OTHER


def _is_given(path: str, size: int, sha256: str, database: MediaDatabase) -> bool:
    parsed = parse_media_path(path)
    row = database.media_rows([parsed]).get(parsed) if parsed else None
    return row is not None and known_as(row.lengths, row.sha256, size, sha256) is Known.COMPLETE


def _carry_out(
    action: Action,
    left: Left,
    media: MediaStore,
    summary: Summary,
    tell: Callable[[str], object],
    *,
    only_looks: bool,
) -> None:
    path = left.removed.file.path if left.removed else ""
    if action is Action.CONFLICT:
        reason = (
            "A run that was killed has kept a copy of it, and there is something else in its place by now. See which is"
            f" right, and remove the copy, in {str(left.place)!r}."
        )
        summary.add_problem(path, reason)
        tell(f"{path}: {reason}")
    elif action is Action.TELL:
        summary.facts.append(
            f"A run that was killed has kept a copy of {path!r}, in {str(left.place)!r}. It was left there: this"
            " homeserver's database gives no file of that path and content. It is another homeserver's, or of media"
            " that Synapse has deleted."
        )
    elif action is Action.PUT_BACK and only_looks:
        summary.facts.append(
            f"A run that was killed has kept a copy of {path!r}, in {str(left.place)!r}: the next migrate or restore"
            " puts it back."
        )
    elif action is Action.PUT_BACK and left.put_back(media):
        tell(f"Put back {path!r}: an earlier run was killed while it removed it.")
    elif action is Action.DISCARD and not only_looks:
        left.discard()
