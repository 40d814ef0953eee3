# SPDX-License-Identifier: GPL-3.0-or-later
"""``verify``."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace

from ..engine import pace
from ..engine.places import Place, name_of
from ..engine.places import Sides as AllSides
from ..engine.progress import progress, telling, waiting
from ..engine.sides import check_sides
from ..engine.summary import Outcome
from ..engine.verification import OF_PLACES, Verification, VerifyStep
from ..engine.verification_plan import VerificationPlan
from ..engine.verify import new_verification
from ..engine.verify import verify as verify_all
from ..rules.errors import MediaError, UsageError
from ..rules.media_path import parse_media_path
from ..rules.settings import BucketSettings
from ..stores import synapse_config
from ..stores.database import KnownFile, MediaRow, connect
from ..stores.media_store import MediaStore
from ..stores.report import Report
from ..stores.retrying import FIRST_WAITS, WAITS, RetryingStore
from ..stores.s3 import FIRST_CONTACT, S3ObjectStore
from ..stores.stream import say
from .command import Command, Sides, read_sides
from .run import finish, told

# Nobody reads more names than that on a terminal: the report has all.
_NAMED = 1000


def verify(command: Command) -> int:
    """Look at every file that the database knows. Changes nothing, and takes no lock."""
    result = new_verification()
    with told(command, result) as (held, begins):
        _verify(command, result, held, begins)
    if result.errors:
        result.not_told |= OF_PLACES
    return finish(command, result)


def _verify(command: Command, result: Verification, held: ExitStack, begins: Callable[[], None]) -> None:
    options = command.options
    sides = read_sides(command)
    sides.check_serves_media()
    providers = _providers(sides, options.store)
    result.scope = {
        "deep": options.deep,
        "origin": options.origin,
        "store": options.store,
        "sample": options.sample and (options.sample.number or options.sample.fraction),
    }
    # Before any work: a place that can't be written.
    report = held.enter_context(Report(options.report)) if options.report else None
    media = sides.media(writable=False)
    places = _places(command, result, sides, providers, media, held)
    plan = VerificationPlan(
        deep=options.deep,
        sample=options.sample,
        origin=options.origin,
        # Its own media have no origin in their paths.
        is_own=options.origin is not None and options.origin == synapse_config.server_name(sides.config),
        alone=options.store is not None,
        dynamic=bool(sides.config.get("dynamic_thumbnails")),
        workers=options.workers,
        salt=os.urandom(16),
    )

    def known(skipped: Callable[[str], None]) -> Iterator[KnownFile]:
        with connect(synapse_config.database_settings(sides.config)) as database:
            # All is read by this: no connection is held while the sides are compared.
            return database.known_files(skipped)

    def ask_again(paths: Sequence[str]) -> dict[str, MediaRow]:
        parsed = {path: media_path for path in paths if (media_path := parse_media_path(path))}
        with connect(synapse_config.database_settings(sides.config)) as database:
            rows = database.media_rows(parsed.values())
        return {path: rows[media_path] for path, media_path in parsed.items() if media_path in rows}

    all_sides = AllSides(media.scan, known, places)
    tell = _teller(command, plan, result, held, report)
    begins()
    chance = random.Random()  # noqa: S311 (which objects are looked at is no secret)
    stop = command.stop.event
    verify_all(plan, all_sides, media, result, chance, ask_again=ask_again, stop=stop, report=tell)
    if report is None:
        return
    if stop.is_set() or result.errors:
        result.facts.append(f"The report {str(options.report)!r} was not written, since not all was looked at.")
    else:
        report.finish()


def _providers(sides: Sides, number: int | None) -> list[BucketSettings]:
    """The buckets to look at, in Synapse's order; with ``number``, counted from 1, that one alone."""
    providers = list(sides.providers)
    if number is None:
        return providers
    if number > len(providers):
        raise UsageError(
            f"Could not look at S3 provider {number}: Synapse's configuration has {len(providers)}. Count them from 1,"
            " in the order in which they stand below media_storage_providers."
        )
    return [providers[number - 1]]


def _places(
    command: Command,
    result: Verification,
    sides: Sides,
    providers: list[BucketSettings],
    media: MediaStore,
    held: ExitStack,
) -> list[Place]:
    """The buckets that answer. Raises a MediaError where nothing could be verified without the one that does not."""
    stop = command.stop.event
    places: list[Place] = []
    with (
        waiting(command.stderr, "the database, or a bucket's first answer"),
        connect(synapse_config.database_settings(sides.config)) as database,
    ):
        for bucket in providers:
            try:
                with closing(S3ObjectStore(bucket, 1, FIRST_CONTACT)) as first:
                    check_sides(media, RetryingStore(first, FIRST_WAITS, stop.wait), database, bucket.prefix)
            except MediaError as error:
                if len(providers) == 1 or bucket == sides.bucket:
                    raise
                # What the others have is told all the same.
                result.fail(error, OF_PLACES)
                continue
            connections = command.options.workers or pace.MOST
            store = held.enter_context(closing(S3ObjectStore(bucket, connections)))
            places.append(Place(name_of(bucket), RetryingStore(store, WAITS, stop.wait), bucket.prefix))
    return places


def _teller(
    command: Command, plan: VerificationPlan, result: Verification, held: ExitStack, report: Report | None
) -> Callable[[Outcome], None]:
    """What is told each outcome: progress, problems by name, the report."""
    named = 0

    def line() -> str:
        looked = sum(count.files for count in result.counts.values())
        wrong = sum(result.counts[step].files for step in VerifyStep if step.is_problem)
        return f"{looked:,} files and objects compared so far; {wrong:,} are not well"

    def print_problem(outcome: Outcome) -> None:
        if outcome.is_problem or outcome.is_told:
            say(command.stderr, f"{outcome.path}: {outcome.reason}")

    show: Callable[[Outcome], None] = print_problem
    if plan.deep or plan.one_by_one:
        show = held.enter_context(progress(command.stderr, tuple))
    else:
        held.enter_context(telling(command.stderr, line))

    def tell(outcome: Outcome) -> None:
        nonlocal named
        if outcome.is_problem or outcome.is_told:
            named += 1
            if report is not None:
                report.add(_report_line(outcome))
            if named == _NAMED + 1:
                say(command.stderr, f"More than {_NAMED:,} are not well: --report FILE names all.")
        show(outcome if named <= _NAMED else replace(outcome, steps=frozenset(), is_told=False))

    return tell


def _report_line(outcome: Outcome) -> dict[str, object]:
    return {
        "path": outcome.path,
        "verdict": next((step.key for step in outcome.steps), outcome.why),
        "why": outcome.why,
        "reason": outcome.reason,
        "bytes": outcome.size,
    }
