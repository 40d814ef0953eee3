# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to copy from one bucket into another: the sides joined, and all settled that listings settle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from ..rules.copying import Action, Case, Elsewhere, Held, Match, Row, decide, match
from ..rules.errors import MediaError
from ..rules.media_path import MediaPath, parse_media_path
from ..stores.database import KnownFile, MediaRow
from ..stores.media_store import LocalFile, MediaStore
from ..stores.object_store import RemoteObject
from ..stores.s3_description import must_be_opened
from .merge import Bucket, Joined, join
from .places import Place
from .summary import Count, Outcome, Step

# What seems to be missing is asked for again, so many at once: Synapse may have deleted it meanwhile.
_ASKED_AGAIN = 1000


class CopyStep(Step):
    """What became of a file."""

    COPIED = "copied", "Copied", "Would copy"
    ALREADY_THERE = "already_there", "Already there"
    MISSING = "missing", "Missing", "", True
    CONFLICT = "conflicts", "Conflicts", "", True
    FAILED = "failed", "Failed", "", True


class KnownMedia(Protocol):
    """What is asked of the database."""

    def known_files(self, passed_over: Callable[[str], None], /) -> Iterator[KnownFile]:
        """Every file that the database knows, ascending as S3 lists keys."""

    def media_rows(self, paths: Iterable[MediaPath]) -> Mapping[MediaPath, MediaRow]:
        """The rows of these files, as the database has them now."""


@dataclass(frozen=True)
class CopySides:
    """What is compared. ``others``: the other buckets that Synapse reads.

    ``etags_prove``: whether no object of the two is encrypted with a customer's key, so that an ETag may be a hash.
    ``target_below``: what paths below the source's prefix begin with that are the target's, in the same bucket; '' for
    none.
    """

    media: MediaStore
    database: KnownMedia
    source: Place
    target: Place
    others: Sequence[Place] = ()
    etags_prove: bool = True
    target_below: str = ""


class Item(NamedTuple):
    """A file of which a bucket has to be asked. ``action``: COPY, COMPARE, or ALREADY_THERE if it can be read at once.

    ``source`` is there to be copied or compared, ``target`` to be compared or looked at.
    """

    path: str
    row: MediaRow
    action: Action
    source: RemoteObject | None
    target: RemoteObject | None

    @property
    def size(self) -> int:
        """In bytes, as listed."""
        listed = self.source or self.target
        return listed.size if listed else 0


@dataclass
class Left:
    """What is not copied, and is no failure.

    ``local_only``: migrate will upload it; ``other_bucket``: a run from there would copy it; ``unfinished`` rows have
    no file yet; ``unknown_objects``: media in the source that the database does not know, ``foreign_objects``: what is
    no media of Synapse's at all.
    """

    local_only: Count = field(default_factory=Count)
    other_bucket: Count = field(default_factory=Count)
    unfinished: int = 0
    unknown_objects: Count = field(default_factory=Count)
    foreign_objects: Count = field(default_factory=Count)


class CopyInventory:
    """Goes through all sides once, in constant memory.

    ``settled`` is told the outcome of each file that needs no request, ``there`` each that is so called already there;
    ``failed`` what could not be looked at, ``passed_over`` the path and the reason of what is no file of Synapse's. All
    in the thread that takes the items.
    """

    def __init__(
        self,
        sides: CopySides,
        *,
        dry_run: bool,
        settled: Callable[[Outcome], None],
        there: Callable[[Item], None],
        failed: Callable[[MediaError], None],
        passed_over: Callable[[str, str], None],
        stopped: Callable[[], bool],
    ) -> None:
        self._sides = sides
        self._dry_run = dry_run
        self._settled = settled
        self._there = there
        self._failed = failed
        self._passed_over = passed_over
        self._stopped = stopped
        self._known: Iterator[KnownFile] = iter(())
        self._rows = self._met = self._given = 0
        self._legacy = ""
        self._missing: list[tuple[str, MediaRow]] = []
        self._in_both = self._twins = 0
        self.left = Left()
        self.listed = 0

    def items(self) -> Iterator[Item]:
        """Every file of which a bucket has to be asked. Raises a MediaError when a side can't be read to its end."""
        sides = self._sides
        self._known = self._counted(
            sides.database.known_files(lambda path: self._passed_over(path, "a row that stands for no file"))
        )
        files = sides.media.scan(self._failed, lambda what: self._passed_over(what.path, what.reason))
        buckets = [self._bucket(sides.source), self._bucket(sides.target)]
        buckets += [Bucket(other.prefix, self._until_failure(other)) for other in sides.others]
        for joined in join(files, self._known, buckets):
            if self._stopped():
                return
            if (item := self._settle(joined)) is not None:
                self._given += 1
                yield item
        self._tell_missing()
        if not self._rows and self.left.unknown_objects.files:
            self._failed(
                MediaError(
                    "Could not tell what to copy: Synapse's database knows no media at all, and the source holds some."
                    " Check 'database' in Synapse's configuration."
                )
            )

    @property
    def may_be_one_place(self) -> bool:
        """Whether most of what both buckets hold was stored at the same time: a copy is younger than what it is of."""
        return self._twins * 2 > self._in_both

    def not_reached(self, worked: int) -> int:
        """How many files that the database knows were left, when ``worked`` items came to an end."""
        for _turn in self._known:
            pass
        return self._rows - self._met + self._given - worked + len(self._missing)

    def _counted(self, known: Iterable[KnownFile]) -> Iterator[KnownFile]:
        for each in known:
            self._rows += not each.legacy
            yield each

    def _bucket(self, place: Place) -> Bucket:
        def objects() -> Iterator[RemoteObject]:
            for found in place.store.list(place.prefix):
                self.listed += 1
                yield found

        return Bucket(place.prefix, objects())

    def _until_failure(self, place: Place) -> Iterator[RemoteObject]:
        try:
            yield from self._bucket(place).objects
        except MediaError as error:
            self._failed(error)

    def _settle(self, joined: Joined) -> Item | None:
        known, (source, target, *others) = joined.known, joined.objects
        if known is None:
            if source is not None:
                self._leave_unknown(joined.path, source)
            return None
        self._met += not known.legacy
        if known.legacy and (joined.file is not None or any(joined.objects)):
            self._legacy = joined.path
        row = known.row
        if source is not None and target is not None:
            self._in_both += 1
            self._twins += source.modified is not None and source.modified == target.modified
        case = Case(
            self._row(known),
            _held(source, row),
            _held(target, row),
            Match.OTHER
            if source is None or target is None
            else match(source.size, source.etag, target.size, target.etag, etags_prove=self._sides.etags_prove),
            _elsewhere(joined.file, others, row),
        )
        action = decide(case)
        item = Item(joined.path, row, action, source, target)
        if action is Action.COPY:
            if not self._dry_run:
                return item
            self._settle_as(item, CopyStep.COPIED, "it is in the source", why="not_read")
        elif action is Action.COMPARE:
            return item
        elif action is Action.ALREADY_THERE:
            if target is not None and must_be_opened(target):
                return item
            self._there(item)
            self._settle_as(item, CopyStep.ALREADY_THERE, "the target holds it")
        elif action is Action.CONFLICT:
            self._settle_as(item, CopyStep.CONFLICT, f"{CONFLICT}{_difference(item, case)}")
        elif action is Action.FAIL:
            self._settle_as(
                item,
                CopyStep.FAILED,
                f"It was not copied: the object in the source has {item.size:,} bytes, which is not the length that the"
                " database gives.",
            )
        elif action is Action.MISSING:
            self._missing.append((joined.path, row))
            if len(self._missing) == _ASKED_AGAIN:
                self._tell_missing()
        else:
            self._leave(action, joined)
        return None

    def _leave_unknown(self, path: str, source: RemoteObject) -> None:
        if parse_media_path(path) is not None:
            self.left.unknown_objects.add(source.size)
        elif not (self._sides.target_below and path.startswith(self._sides.target_below)):
            self.left.foreign_objects.add(source.size)

    def _row(self, known: KnownFile) -> Row:
        if known.legacy or (self._legacy and known.path.rpartition("-")[0] == self._legacy):
            return Row.OPTIONAL
        return Row.KNOWN if known.row.lengths else Row.UNFINISHED

    def _settle_as(self, item: Item, step: CopyStep, reason: str, why: str = "") -> None:
        self._settled(Outcome(item.path, item.size, frozenset({step}), reason, why=why))

    def _leave(self, action: Action, joined: Joined) -> None:
        if action is Action.LOCAL_ONLY and joined.file is not None:
            self.left.local_only.add(joined.file.size)
        elif action is Action.OTHER_BUCKET:
            self.left.other_bucket.add(next(found.size for found in joined.objects[2:] if found is not None))
        elif action is Action.UNFINISHED:
            self.left.unfinished += 1

    def _tell_missing(self) -> None:
        paths = {path: media for path, _unused in self._missing if (media := parse_media_path(path)) is not None}
        rows = self._sides.database.media_rows(paths.values()) if paths else {}
        missing, self._missing = self._missing, []
        for path, row in missing:
            if paths.get(path) in rows:
                self._settled(Outcome(path, min(row.lengths), frozenset({CopyStep.MISSING}), _MISSING))


CONFLICT = "Conflict, nothing was changed: "
_MISSING = (
    "It is in neither bucket, and in its full length neither on the local disk nor in another bucket that Synapse"
    " reads."
)


def _held(found: RemoteObject | None, row: MediaRow) -> Held:
    if found is None:
        return Held.NOTHING
    return Held.RIGHT if not row.lengths or found.size in row.lengths else Held.WRONG


def _elsewhere(file: LocalFile | None, others: Sequence[RemoteObject | None], row: MediaRow) -> Elsewhere:
    if file is not None and (not row.lengths or file.size in row.lengths):
        return Elsewhere.LOCAL
    return Elsewhere.BUCKET if any(_held(found, row) is Held.RIGHT for found in others) else Elsewhere.NOWHERE


def _difference(item: Item, case: Case) -> str:
    size = item.target.size if item.target else 0
    if case.target is Held.WRONG:
        return f"the target holds an object of {size:,} bytes, which is not the length that the database gives."
    return f"the target holds an object of {size:,} bytes, the source one of {item.size:,}."
