# SPDX-License-Identifier: GPL-3.0-or-later
"""``status``."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

from ..engine.places import Place, name_of
from ..engine.places import Sides as StatusSides
from ..engine.progress import waiting
from ..engine.status import Status
from ..engine.status import status as compare
from ..rules.errors import MediaError
from ..rules.last_runs import run_lines, runs_as_json
from ..stores import synapse_config
from ..stores.database import KnownFile, connect
from ..stores.media_store import LocalFile, PassedOver
from ..stores.retrying import FIRST_WAITS, RetryingStore
from ..stores.s3 import FIRST_CONTACT, S3ObjectStore
from ..stores.systemd import unit_properties
from .command import Command, read_sides
from .signals import stop_at_once


def status(command: Command) -> int:
    """Count what is where."""
    sides = read_sides(command)
    # First: what it counts as served from the disk would not be.
    sides.check_uses_disk()
    stop = command.stop.event

    def files(failed: Callable[[MediaError], None], passed_over: Callable[[PassedOver], None]) -> Iterator[LocalFile]:
        media = sides.media(writable=False)
        yield from media.scan(failed, passed_over)

    def known(skipped: Callable[[str], None]) -> Iterator[KnownFile]:
        with connect(synapse_config.database_settings(sides.config)) as database:
            # All is read by this: no connection is held while the sides are compared.
            return database.known_files(skipped)

    with stop_at_once(command.stop), ExitStack() as held:
        places, unusable = list[Place](), list[MediaError]()
        for bucket in (sides.bucket, *sides.others):
            try:
                store = held.enter_context(closing(S3ObjectStore(bucket, 1, FIRST_CONTACT)))
            except MediaError as error:
                if bucket is sides.bucket:
                    raise
                unusable.append(error)
                continue
            places.append(Place(name_of(bucket), RetryingStore(store, FIRST_WAITS, stop.wait), bucket.prefix))
        with waiting(command.stderr, "the disk, the bucket and the database"):
            chance = random.Random()  # noqa: S311 (which objects are looked at is no secret)
            result = compare(StatusSides(files, known, places), chance)
    for reason in unusable:
        result.leave_out(reason)
    try:
        sides.check_serves_media()
    except MediaError as error:
        result.errors.append(str(error))
    _add_runs(command, result)
    command.print_result(result.as_text(), result.as_json())
    return result.exit_status


def _add_runs(command: Command, result: Status) -> None:
    """What is known of the last runs and the next one."""
    unit = command.options.unit
    service, timer = unit_properties(f"{unit}.service"), unit_properties(f"{unit}.timer")
    try:
        recorded = command.history.last(10)
    except MediaError as error:
        result.errors.append(str(error))
        recorded = []
    # Of the bucket: those of other runs are about what they did.
    migrations = (run for run in recorded if run.command == "migrate" and run.ended is not None)
    result.facts += next((list(run.facts) for run in migrations), [])
    result.runs = runs_as_json(recorded, service, timer)
    result.run_lines = run_lines(recorded, service, timer, time.time())
