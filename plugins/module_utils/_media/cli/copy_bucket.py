# SPDX-License-Identifier: GPL-3.0-or-later
"""``copy-bucket``."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import closing

from ..engine import pace
from ..engine.copy_bucket import CopyPlan, check_two_places, new_summary
from ..engine.copy_bucket import copy_bucket as copy_all
from ..engine.copy_inventory import CopySides
from ..engine.encryption import check_encryption
from ..engine.places import Place, name_of
from ..engine.preflight import connect_s3
from ..engine.progress import progress, waiting
from ..engine.summary import Summary, format_bytes
from ..rules.errors import ALL_DONE, MediaError
from ..rules.settings import BucketSettings
from ..rules.two_buckets import check_apart, choose, target_below
from ..stores.dry_run import DryRunStore
from ..stores.retrying import FIRST_WAITS, RetryingStore
from ..stores.s3 import FIRST_CONTACT, S3ObjectStore
from ..stores.spool import AT_ONCE, HELD
from ..stores.stream import say
from .command import Command, Sides
from .run import Ready, carry_out, finish

_UNCONDITIONAL = (
    "The target's server does no conditional writes: each key is looked up right before it is written, and what another"
    " program stores there just then would be overwritten."
)


def copy_bucket(command: Command) -> int:
    """Copy what the database knows from one configured bucket into another."""
    options = command.options
    summary = new_summary(dry_run=options.dry_run)

    def work(ready: Ready) -> None:
        _work(command, summary, ready)

    carry_out(command, summary, work, writes_disk=False)
    return finish(command, summary)


def _work(command: Command, summary: Summary, ready: Ready) -> None:
    options, providers, stop = command.options, ready.sides.providers, ready.stop
    names = [name_of(provider) for provider in providers]
    from_, to = choose(names, _main(ready.sides), options.from_, options.to)
    source, target = providers[from_ - 1], providers[to - 1]
    check_apart(source, target)
    with waiting(command.stderr, "the first answers of both buckets"):
        for settings in (source, target):
            # That one has answered already.
            if settings != ready.sides.bucket:
                _check(settings, ready)
        check_encryption(target, connect_s3, stop.wait, may_write=not summary.dry_run)
    say(
        command.stderr,
        f"Copying from {from_}: {names[from_ - 1]}, to {to}: {names[to - 1]}. Objects of more than"
        f" {format_bytes(HELD)} pass through {tempfile.gettempdir()!r}: there must be room for the largest"
        f" {AT_ONCE} of them.",
    )
    connections = options.workers or pace.MOST
    s3 = S3ObjectStore(target, connections, pass_on=ready.throttle(options.bandwidth), conditional=None)
    into = ready.opened(s3)
    sides = CopySides(
        ready.media,
        ready.database,
        Place(names[from_ - 1], ready.opened(S3ObjectStore(source, connections)), source.prefix),
        Place(names[to - 1], DryRunStore(into) if summary.dry_run else into, target.prefix),
        _others(summary, ready, names, (from_, to)),
        etags_prove=not (source.sse_customer_key or target.sse_customer_key),
        target_below=target_below(source, target),
    )
    if source.bucket == target.bucket and source.prefix == target.prefix and not summary.dry_run:
        with waiting(command.stderr, "the answers of both buckets"):
            summary.facts += filter(None, [check_two_places(sides.source, sides.target)])
    report = ready.held.enter_context(progress(command.stderr, tuple))
    ready.begins()
    summary.facts.append(f"From {from_}: {names[from_ - 1]}. To {to}: {names[to - 1]}.")
    copy_all(CopyPlan(dry_run=summary.dry_run, workers=options.workers), sides, summary, stop=stop, report=report)
    if s3.conditional is False:
        summary.facts.append(_UNCONDITIONAL)
    if summary.exit_status == ALL_DONE and not summary.dry_run and not stop.is_set():
        summary.facts.append(f"Next: 'verify --store {to}' says whether the target is whole by itself.")


def _others(summary: Summary, ready: Ready, names: Sequence[str], not_these: tuple[int, int]) -> list[Place]:
    """The other buckets that Synapse reads. One that can't be used is told, and holds up nothing."""
    places = []
    for number, settings in enumerate(ready.sides.providers, 1):
        if number in not_these:
            continue
        try:
            store = ready.opened(S3ObjectStore(settings, 1, FIRST_CONTACT))
        except MediaError as error:
            summary.errors.append(str(error))
            continue
        places.append(Place(names[number - 1], store, settings.prefix))
    return places


def _check(settings: BucketSettings, ready: Ready) -> None:
    with closing(S3ObjectStore(settings, 1, FIRST_CONTACT)) as first:
        store = RetryingStore(first, FIRST_WAITS, ready.stop.wait)
        next(iter(store.list(settings.prefix, page_size=1)), None)


def _main(sides: Sides) -> int:
    """The number of the provider that new media go to."""
    return sides.providers.index(sides.bucket) + 1
