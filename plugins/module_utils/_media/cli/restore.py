# SPDX-License-Identifier: GPL-3.0-or-later
"""``restore``."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing

from ..engine import pace
from ..engine.places import Place, name_of
from ..engine.progress import progress, waiting
from ..engine.restore import RestorePlan, RestoreStep, Told, new_summary
from ..engine.restore import restore as restore_all
from ..engine.restore_apart import check_apart
from ..engine.restore_survey import Survey, survey
from ..engine.space import check_space
from ..engine.summary import Summary, format_bytes
from ..rules.errors import MediaError, UnavailableError, UsageError
from ..rules.selection import MediaKey, MediaUri, Selection, parse_media_uri, select_origins
from ..stores import synapse_config
from ..stores.arrivals import KEPT, Arrivals
from ..stores.database import SynapseDatabase
from ..stores.media_store import MediaStore, PassedOver
from ..stores.s3 import S3ObjectStore
from ..stores.stream import say
from ..stores.systemd import unit_properties
from .command import Command
from .run import Ready, carry_out, finish
from .signals import stop_at_once

_DAY_MS = 24 * 3600 * 1000
_NONE = {"files": 0, "bytes": 0}
_VARIABLE = "matrix_synapse_ext_synapse_s3_storage_provider"
_NO_ORIGIN = "The database knows no media of this homeserver. Write its name as it stands in the media's addresses."
_TIMER = ("LoadState", "ActiveState", "NextElapseUSecRealtime")


def restore(command: Command) -> int:
    """Bring back what is only in the bucket."""
    options = command.options
    summary = new_summary(dry_run=options.dry_run)
    # Before the lock: a list may be typed.
    with stop_at_once(command.stop):
        given = [text for each in options.media for text in (_listed(command) if each == "-" else [each])]

    def work(ready: Ready) -> None:
        now_ns = time.time_ns()
        plan = RestorePlan(
            now_ns,
            options.minimum_free,
            repair=options.repair,
            dry_run=options.dry_run,
            workers=options.workers,
            pass_on=ready.throttle(options.bandwidth),
        )

        def unknown(text: str, reason: str) -> None:
            summary.add_problem(text, reason)
            say(command.stderr, f"{text}: {reason}")

        selection = _selection(command, ready, given, now_ns, unknown)
        arrivals = ready.held.enter_context(closing(Arrivals(ready.media)))
        summary.details["free_bytes"] = _free_bytes(arrivals)
        if not options.dry_run:
            arrivals.clear()
        with waiting(command.stderr, "the listings of the buckets, the disk and the database"):
            found = _survey(command, ready, plan, selection, arrivals, summary)
        ready.held.enter_context(closing(found.spool))
        if found.listed and not ready.database.has_media():
            raise UnavailableError(
                f"Could not begin: Synapse's database knows no media, and {found.listed:,} objects are in the buckets."
                " Only what the database knows is brought back. Check 'database' in Synapse's configuration."
            )
        if not ready.stop.is_set():
            for origin in sorted(selection.origins - found.origins):
                unknown(origin, _NO_ORIGIN)
        check_space(found.coming, plan.minimum_free)
        report = ready.held.enter_context(progress(command.stderr, lambda: range(found.count)))
        ready.begins()
        told = restore_all(plan, found, ready.media, arrivals, summary, stop=ready.stop, report=report)
        summary.details["free_bytes"] = _free_bytes(arrivals)
        summary.details["repaired"] = told.repaired.as_json()
        summary.details["unproven"] = told.unproven.as_json()
        summary.details["unknown_objects"] = found.unknown.as_json()
        if found.unknown.files and selection == Selection():
            summary.facts.append(
                f"{found.unknown.files:,} objects of media ({format_bytes(found.unknown.bytes)}) are unknown to the"
                " database, and stay in the buckets alone: Synapse has deleted that media, or the database is an older"
                " copy. Keep the buckets until you know which."
            )
        summary.facts += _facts(told, arrivals.kept, ready.media, dry_run=options.dry_run)
        if summary.counts[RestoreStep.RESTORED].files:
            summary.facts.append(_nightly_job(options.unit))

    summary.details = {
        "free_bytes": None,
        "unfinished": 0,
        "rows_skipped": 0,
        "repaired": _NONE,
        "unproven": _NONE,
        "unknown_objects": _NONE,
    }
    carry_out(command, summary, work, writes_disk=not options.dry_run, new_disk=options.new_disk)
    return finish(command, summary)


def _free_bytes(arrivals: Arrivals) -> int:
    return arrivals.disk_of("file").usage()[1]


def _facts(told: Told, kept: int, media: MediaStore, *, dry_run: bool) -> list[str]:
    facts = []
    if told.unproven.files:
        facts.append(
            f"{told.unproven.files:,} files of {format_bytes(told.unproven.bytes)} were accepted by their length, read"
            " to their end: neither Synapse's database nor the bucket has a hash of them."
        )
    if kept and not dry_run:
        facts.append(
            f"{kept:,} damaged files were replaced. What they held is below {str(media.path / KEPT)!r} (or, where a"
            f" directory is a mount of its own, in {KEPT!r} there): look at it, and remove it."
        )
    return facts


def _nightly_job(unit: str) -> str:
    """What frees the disk of it again."""
    timer = unit_properties(f"{unit}.timer", _TIMER)
    way_out = (
        f"unless {_VARIABLE}_migration_delete_local is false. To keep the files, set that and run the role, or stop the"
        f" timer: systemctl disable --now {unit}.timer"
    )
    if timer.get("ActiveState") == "active":
        following = timer.get("NextElapseUSecRealtime", "")
        when = f", next {following}" if following else ""
        return (
            f"The nightly job ({unit}.timer{when}) removes from the local disk again what the bucket holds, {way_out}"
        )
    if timer.get("LoadState") == "loaded":
        return f"The timer of the nightly job ({unit}.timer) is off: nothing frees the disk again until it runs."
    return f"A nightly job (`migrate`, {unit}.timer) would remove again what the bucket holds, {way_out}"


def _listed(command: Command) -> list[str]:
    if isinstance(sys.stdin, io.TextIOWrapper):
        # A line that is no text is told as no media URI, and the others still come.
        sys.stdin.reconfigure(errors="surrogateescape")
    with waiting(command.stderr, "the list of media on stdin"):
        # None: whoever started this has closed it.
        lines = [line.strip() for line in sys.stdin or () if line.strip()]
    if not lines:
        # What was to write the list has failed, or found nothing: that all is done would be no answer.
        raise UsageError(
            "Could not restore anything: the list of media on stdin is empty. Write one media URI a line, as"
            " 'mxc://SERVER/ID'."
        )
    return lines


def _selection(
    command: Command, ready: Ready, given: Sequence[str], now_ns: int, unknown: Callable[[str, str], None]
) -> Selection:
    """What the options select. ``unknown`` is told of media that is not known; the others still come."""
    options = command.options
    days = options.accessed_within
    accessed_after_ms = None if days is None else now_ns // 10**6 - days * _DAY_MS
    if not options.media and not options.origin:
        return Selection(local=options.local, accessed_after_ms=accessed_after_ms)
    server_name = synapse_config.server_name(ready.sides.config)
    own, origins = select_origins(options.origin, server_name)
    media = _media(ready.database, given, server_name, unknown) if options.media else None
    return Selection(options.local or own, origins, media, accessed_after_ms)


def _media(
    database: SynapseDatabase, given: Sequence[str], server_name: str, unknown: Callable[[str, str], None]
) -> frozenset[MediaKey]:
    wanted: dict[tuple[str | None, str], MediaUri] = {}
    for text in given:
        try:
            uri = parse_media_uri(text)
        except ValueError as error:
            unknown(text, str(error))
            continue
        wanted[None if uri.server == server_name else uri.server, uri.media_id] = uri
    known = database.file_ids(wanted)
    for key, uri in wanted.items():
        if key not in known:
            unknown(str(uri), "The database does not know this media. Synapse may have deleted it.")
    return frozenset(MediaKey(origin, file_id) for (origin, _unused), file_id in known.items())


def _survey(
    command: Command, ready: Ready, plan: RestorePlan, selection: Selection, arrivals: Arrivals, summary: Summary
) -> Survey:
    places, unusable = list[Place](), list[MediaError]()
    for bucket in dict.fromkeys(ready.sides.providers):
        try:
            store = ready.opened(S3ObjectStore(bucket, plan.workers or pace.MOST))
        except MediaError as error:
            unusable.append(error)
            continue
        places.append(Place(name_of(bucket), store, bucket.prefix))

    if not plan.dry_run:
        check_apart(arrivals, places, ready.stop.wait)

    def failed(error: MediaError) -> None:
        summary.errors.append(str(error))

    def passed_over(what: PassedOver) -> None:
        summary.pass_over(what.path, what.reason, is_problem=what.is_problem)
        if what.is_problem:
            say(command.stderr, f"{what.path}: Passed over: {what.reason}.")

    def skipped(_path: str) -> None:
        summary.details["rows_skipped"] += 1

    known = ready.database.known_files(skipped)
    found = survey(
        known,
        ready.media.scan(failed, passed_over),
        places,
        selection,
        lambda root: arrivals.disk_of(f"{root.value}/file"),
        repair=plan.repair,
        unusable=unusable,
        stopped=ready.stop.is_set,
    )
    summary.errors += found.errors
    summary.counts[RestoreStep.NOT_SELECTED] = found.not_selected
    summary.counts[RestoreStep.ALREADY_LOCAL] = found.already_local
    summary.listed = found.listed
    summary.details["unfinished"] = found.unfinished
    return found
