# SPDX-License-Identifier: GPL-3.0-or-later
"""The subcommand ``verify``: is every file of the database there, in full, where Synapse finds it?"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from threading import Event

from ..rules.errors import MediaError
from ..rules.media_path import MediaPath, Root, parse_media_path
from ..rules.sample import highest_lot
from ..rules.verdict import Original
from ..stores.database import KnownFile, MediaRow
from ..stores.media_store import LocalFile, MediaStore, PassedOver
from ..stores.object_store import ObjectFailure, PermissionDenied, RemoteObject
from ..stores.s3_description import must_be_opened
from .draw import draw, draw_part, media_of
from .judged import outcome_of, step_of_well
from .look import Facts, Item, Looker, by_listings
from .merge import Bucket, Joined, join
from .pace import PaceKeeper
from .places import Drawn, LegacyNames, Place, Sides, is_media
from .run import is_unavailable, run
from .summary import Outcome
from .verification import OF_BUCKETS, OF_PLACES, OF_THE_DISK, OF_THE_LOOK, Verification, VerifyStep
from .verification_plan import VerificationPlan

# So many missing files are asked for at once. For remote media the database goes over many rows, however few are asked.
_ASKED_AGAIN = 4000
_NO_ROW = "a row of the database that stands for no file of Synapse's"

Report = Callable[[Outcome], None]
# Paths -> the rows of those that the database knows now.
AskAgain = Callable[[Sequence[str]], Mapping[str, MediaRow]]


def new_verification() -> Verification:
    """A result without any file yet."""
    return Verification("verify", VerifyStep, "What is not well is named above.")


def verify(
    plan: VerificationPlan,
    sides: Sides,
    media: MediaStore,
    result: Verification,
    numbers: random.Random,
    *,
    ask_again: AskAgain,
    stop: Event,
    report: Report,
) -> None:
    """Look at every file of the plan and add it to ``result``; ``report`` is told each outcome that was looked at.

    ``ask_again``: what is missing may have been deleted by Synapse since the database was read. It is asked of the
    original of a missing thumbnail too: one that is damaged is none to make it anew of.
    Raises nothing for what a side answers, or does not: ``result`` says what can't be told then.
    """
    pace = PaceKeeper(sides.places[0].store, plan.workers, time.monotonic)
    looking = _Verification(plan, sides, media, result, numbers, ask_again, stop, report)
    try:
        items = looking.drawn_items() if plan.one_by_one else looking.listed_items()
        run(
            looking.work,
            items,
            result,
            workers=pace.workers,
            stop=stop,
            report=looking.looked,
            endurance=plan.endurance,
        )
        looking.look_at_drawn()
    finally:
        looking.settle()
        if result.errors:
            # A file that was not reached is in no count.
            result.not_told |= OF_PLACES
        if not looking.is_complete:
            result.not_told |= OF_THE_LOOK
        looking.count_unfinished()
        looking.tell_scope()
        result.requests = sum(place.store.requests for place in sides.places)


class _Verification:
    """One pass over the sides."""

    def __init__(
        self,
        plan: VerificationPlan,
        sides: Sides,
        media: MediaStore,
        result: Verification,
        numbers: random.Random,
        ask_again: AskAgain,
        stop: Event,
        report: Report,
    ) -> None:
        self._plan = plan
        self._sides = sides
        self._result = result
        self._media = media
        self._ask_again = ask_again
        self._stop = stop
        self._report = report
        self._looker = Looker(media, sides.places, deep=plan.deep, alone=plan.alone)
        self._drawn = Drawn[Item](numbers)
        self._missing: list[Outcome] = []
        # By the paths of missing thumbnails whose originals are there.
        self._sources: dict[str, tuple[Item, Facts]] = {}
        self._is_blind = False
        # Whether all sides were seen to their ends.
        self.is_complete = False
        self._knows_any = False
        self._again = 0
        self._believed = 0
        fraction = plan.sample.fraction if plan.sample is not None else None
        self._highest = None if fraction is None else highest_lot(fraction)

    def drawn_items(self) -> Iterator[Item]:
        """The files of the media that were drawn: nothing is listed, unless the database knows none."""
        result, sample = self._result, self._plan.sample
        result.not_told |= OF_BUCKETS | OF_THE_DISK
        known: Iterable[KnownFile] = self._finished()
        if sample is not None and sample.number is not None:
            known = draw(known, sample.number, self._plan.salt)
        elif self._highest is not None:
            known = draw_part(known, media_of, self._highest, self._plan.salt)
        for each in known:
            self._count_media(each)
            yield Item(each.path, each.row)
        if not self._knows_any and not result.errors and self._plan.origin is None:
            # There is nothing to draw of: either there is no media at all, or this is not its database.
            result.not_told -= OF_BUCKETS | OF_THE_DISK
            yield from self.listed_items()
        else:
            self.is_complete = not self._is_blind

    def listed_items(self) -> Iterator[Item]:
        """All sides joined: what is well by the listings is counted, the rest is given, to be looked at."""
        plan, legacy = self._plan, LegacyNames()
        buckets = [Bucket(place.prefix, self._objects(place)) for place in self._sides.places]
        joins: Iterator[tuple[Joined, bool]]
        joins = ((joined, legacy.stand_for(joined)) for joined in join(self._files(), self._known(), buckets))
        if self._highest is not None:
            joins = draw_part(joins, _media_to_draw, self._highest, plan.salt)
        for joined, may_be_absent in joins:
            if self._stop.is_set() or self._is_blind:
                return
            known, is_there = joined.known, joined.file is not None or any(joined.objects)
            if known is None:
                self._count_unknown(joined)
                continue
            if may_be_absent and not is_there:
                continue
            if not known.row.lengths:
                self._unfinished(joined.path)
                continue
            self._count_media(known)
            item = Item(joined.path, known.row, joined.file, joined.objects)
            if not plan.deep and self._is_readable(item) and (step := step_of_well(item, alone=plan.alone)):
                self._count_well(item, step)
                continue
            if plan.deep or self._again < plan.looked_again:
                self._again += 1
                yield item
                continue
            self._believed += 1
            outcome = self._outcome(item, by_listings(item))
            self._result.add(outcome)
            self._settled(outcome)
        self.is_complete = not self._is_blind

    def _is_readable(self, item: Item) -> bool:
        return item.file is None or self._media.is_readable(item.path)

    def _count_well(self, item: Item, step: VerifyStep) -> None:
        remote = next((each for each in item.objects if each is not None), None)
        if remote is not None:
            self._drawn.offer(item, must_be_opened(remote))
        one = item.file or remote
        self._result.counts[step].add(one.size if one is not None else 0)

    def work(self, item: Item) -> Outcome:
        """Look at one file. A failure is an outcome; nothing is raised."""
        try:
            facts = self._looker.look(item.path, item.row)
            if facts.source is not None:
                self._sources[item.path] = item, facts
            return self._outcome(item, facts)
        except MediaError as error:
            steps = frozenset({VerifyStep.FAILED})
            return Outcome(
                item.path, min(item.row.lengths), steps, str(error), "failed", unavailable=is_unavailable(error)
            )

    def looked(self, outcome: Outcome) -> None:
        """Take note of what was looked at; what is missing waits for the database's word."""
        if VerifyStep.MISSING not in outcome.steps:
            self._report(outcome)
            return
        self._missing.append(outcome)
        if len(self._missing) == _ASKED_AGAIN:
            self.settle()

    def settle(self) -> None:
        """Ask the database once more for what is missing: Synapse may have deleted it meanwhile."""
        missing, self._missing = self._missing, []
        if not missing:
            return
        of_thumbnails = {outcome.path: self._sources.pop(outcome.path, None) for outcome in missing}
        originals = {
            facts.source.path for _unused, facts in filter(None, of_thumbnails.values()) if facts.source is not None
        }
        try:
            rows = self._ask_again([*of_thumbnails, *sorted(originals)])
        except MediaError as error:
            self._result.fail(error, OF_PLACES)
            for outcome in missing:
                self._settled(outcome)
            return
        for outcome in missing:
            if outcome.path not in rows:
                self._result.take_back(outcome)
                continue
            if (looked := of_thumbnails[outcome.path]) and not _is_whole(looked[1], rows):
                item, facts = looked
                self._result.take_back(outcome)
                outcome = self._outcome(item, facts._replace(original=Original.LOST))  # noqa: PLW2901 (more is known)
                self._result.add(outcome)
            self._settled(outcome)

    def _settled(self, outcome: Outcome) -> None:
        self._result.settle(outcome)
        self._report(outcome)

    def look_at_drawn(self) -> None:
        """See of some objects that seem to be well that Synapse can read them: a listing does not tell the key."""
        result, not_well = self._result, 0
        for item in self._drawn.chosen:
            if self._stop.is_set() or result.errors:
                return
            now = self.work(item)
            if now.unavailable:
                result.fail(MediaError(now.reason), OF_PLACES)
                return
            result.opened += 1
            before = self._outcome(item, by_listings(item))
            if now.steps != before.steps:
                result.take_back(before)
                result.add(now)
                self.looked(now)
            not_well += VerifyStep.DAMAGED in now.steps
        if not_well:
            result.facts.append(
                f"Of {result.opened:,} objects that were opened by chance {not_well:,} are not well: with --deep every"
                " object is opened."
            )

    def count_unfinished(self) -> None:
        """Count the uploads in parts that nobody ended: they cost space, and no listing shows them."""
        if self._stop.is_set() or self._result.errors:
            return
        total = 0
        for place in self._sides.places:
            try:
                found = place.store.unfinished_uploads(place.prefix)
            except (PermissionDenied, ObjectFailure) as error:
                self._result.facts.append(f"Unfinished uploads can't be told. {error}")
                return
            except MediaError as error:
                self._result.fail(error, frozenset())
                return
            if found is None:
                self._result.facts.append(
                    f"Unfinished uploads can't be told: the server of {place.name} does not list them."
                )
                return
            total += found
        self._result.unfinished_uploads = total

    def tell_scope(self) -> None:
        """Say what was not looked at, so that nobody takes a part for the whole."""
        result, plan = self._result, self._plan
        is_over = not result.errors and not self._stop.is_set()
        if plan.sample is not None:
            part = f" ({result.media / result.all_media:.2%})" if result.all_media else ""
            of_all = f" of {result.all_media:,} media{part}" if self.is_complete else " media"
            result.facts.append(f"Looked at {result.media:,}{of_all}, drawn by chance.")
        if plan.origin is not None:
            result.facts.append(f"Looked at media of {plan.origin} only.")
            if not result.all_media and is_over:
                result.errors.append(
                    f"Could not verify media of {plan.origin!r}: the database knows none. Write the name of the"
                    " homeserver as it stands in the media's addresses."
                )
        if plan.sample is not None and self._knows_any and not result.media and is_over:
            result.errors.append(
                "Could not look at a sample: the database knows no media that Synapse has finished. Run `verify`"
                " without --sample."
            )
        if plan.alone:
            result.facts.append(f"Looked at {self._sides.places[0].name} alone.")
        if self._believed:
            result.facts.append(
                f"{plan.looked_again:,} files that were not well by the listings were looked at once more;"
                f" {self._believed:,} further ones were not."
            )
        if result.length_only:
            result.facts.append(
                f"{result.length_only:,} files were read to their end and have the right length; no hash is kept to"
                " compare them with."
            )
        strays = sum(result.counts[step].files for step in (VerifyStep.UNKNOWN_FILES, VerifyStep.UNKNOWN_OBJECTS))
        if strays and not result.all_media and plan.origin is None and is_over:
            result.errors.append(
                "Could not verify anything: the database knows no media at all, but there are files of media. Check"
                " that 'database' in Synapse's configuration is Synapse's own."
            )

    def _outcome(self, item: Item, facts: Facts) -> Outcome:
        return outcome_of(item, facts, dynamic=self._plan.dynamic, alone=self._plan.alone, deep=self._plan.deep)

    def _unfinished(self, path: str) -> None:
        self._result.add(Outcome(path, 0, frozenset({VerifyStep.UNFINISHED}), ""))

    def _count_unknown(self, joined: Joined) -> None:
        counts = self._result.counts
        if joined.file is not None:
            counts[VerifyStep.UNKNOWN_FILES].add(joined.file.size)
        step = VerifyStep.UNKNOWN_OBJECTS if is_media(joined) else VerifyStep.FOREIGN_OBJECTS
        for remote in joined.objects:
            if remote is not None:
                counts[step].add(remote.size)

    def _count_media(self, known: KnownFile) -> None:
        self._result.media += known.path.startswith(_ORIGINALS)

    def _finished(self) -> Iterator[KnownFile]:
        """What can be drawn: of a row without a length there is nothing to look at."""
        for each in self._known():
            # An old thumbnail's file is looked for where it is missing under its new name.
            if each.legacy:
                continue
            if each.row.lengths:
                yield each
            else:
                self._unfinished(each.path)

    def _known(self) -> Iterator[KnownFile]:
        try:
            for each in self._sides.known(self._skip_row):
                self._knows_any = True
                if self._plan.is_of_origin(each.path):
                    self._result.all_media += each.path.startswith(_ORIGINALS)
                    yield each
        except MediaError as error:
            self._result.fail(error, OF_PLACES | OF_BUCKETS | OF_THE_DISK)
            self._is_blind = True

    def _files(self) -> Iterator[LocalFile]:
        if self._plan.alone:
            self._result.not_told |= OF_THE_DISK
            return
        try:
            for file in self._sides.files(self._disk_failed, self._passed_over):
                if self._plan.is_of_origin(file.path):
                    yield file
        except MediaError as error:
            self._result.fail(error, OF_PLACES | OF_THE_DISK)
            self._is_blind = True

    def _objects(self, place: Place) -> Iterator[RemoteObject]:
        for remote in self._listed(place):
            if not remote.size and parse_media_path(remote.key[len(place.prefix) :]):
                self._result.empty_objects += 1
            yield remote

    def _listed(self, place: Place) -> Iterator[RemoteObject]:
        try:
            for folder in self._plan.folders:
                yield from place.store.list(place.prefix + folder)
        except MediaError as error:
            # Without the rest of it all that follows would pass for missing.
            self._result.fail(error, OF_PLACES | OF_BUCKETS | OF_THE_DISK)
            self._is_blind = True

    def _disk_failed(self, error: MediaError) -> None:
        self._result.fail(error, OF_PLACES | OF_THE_DISK)

    def _passed_over(self, what: PassedOver) -> None:
        if self._plan.is_of_origin(f"{what.path}/"):
            self._result.pass_over(what.path, what.reason, is_problem=what.is_problem)
            if what.is_problem:
                self._report(Outcome(what.path, 0, frozenset(), f"{what.reason}.", "skipped", is_told=True))

    def _skip_row(self, path: str) -> None:
        if self._plan.is_of_origin(path):
            self._result.pass_over(path, _NO_ROW, is_problem=False)


def _media_to_draw(joined_and_legacy: tuple[Joined, bool]) -> MediaPath | None:
    known = joined_and_legacy[0].known
    return media_of(known) if known is not None and known.row.lengths else None


def _is_whole(facts: Facts, rows: Mapping[str, MediaRow]) -> bool:
    """Whether Synapse can make a thumbnail of its original, as far as the database's length tells."""
    row = rows.get(facts.source.path) if facts.source is not None else None
    return row is not None and facts.source is not None and (not row.lengths or facts.source.size in row.lengths)


_ORIGINALS = tuple(f"{root.value}/" for root in Root if not root.is_thumbnail)
