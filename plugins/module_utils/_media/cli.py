# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: parse, wire, print. The one place where an error becomes an exit status."""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any, TextIO

from .arguments import EarlyExit, parse_arguments
from .engine import pace, upstream
from .engine.inventory import local_files
from .engine.lock import run_lock
from .engine.migrate import Plan, check_sides, migrate
from .engine.patience import Patience
from .engine.preflight import check_bucket
from .engine.progress import progress
from .engine.status import status
from .engine.summary import Summary
from .engine.throttle import Throttle
from .rules.decision import Policy
from .rules.errors import ALL_DONE, MediaError, UsageError
from .rules.settings import BucketSettings
from .stores import synapse_config
from .stores.database import connect
from .stores.media_store import LocalFile, MediaStore
from .stores.s3 import S3ObjectStore

_DAY_SECONDS = 24 * 3600


@dataclass
class _Run:
    """What every subcommand gets: its options, where to print, and how it learns that it is to stop."""

    options: argparse.Namespace
    stdout: TextIO
    stderr: TextIO
    stop: Event = field(default_factory=Event)
    stopped_by: int | None = None

    def print_result(self, text: str, as_json: Mapping[str, Any]) -> None:
        """Print the result for a person, or with --json as the last line of stdout."""
        if self.options.json:
            print(text, file=self.stderr)
        try:
            print(json.dumps(as_json) if self.options.json else text, file=self.stdout, flush=True)
        except OSError as error:
            # What could not be written is written again at the end of the process, unless it goes elsewhere.
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), self.stdout.fileno())
            raise MediaError(
                f"Could not print the result: {error.strerror}. See that what stdout is connected to stays open and has"
                " space."
            ) from error


@dataclass(frozen=True)
class _Sides:
    """What Synapse's configuration leads to."""

    config: Mapping[str, Any]
    bucket: BucketSettings

    def media(self) -> MediaStore:
        return MediaStore(synapse_config.media_store_path(self.config))

    def store(self, connections: int = 1, pass_on: Callable[[int], None] | None = None) -> S3ObjectStore:
        return S3ObjectStore(self.bucket, connections, pass_on=pass_on)


def main(argv: Sequence[str], stdout: TextIO, stderr: TextIO) -> int:
    """Run the program and return its exit status; ``argv`` is without the program's name."""
    try:
        run = _Run(parse_arguments(argv), stdout, stderr)
    except EarlyExit as exit_:
        print(exit_.text, end="", file=stderr if exit_.status else stdout)
        return exit_.status
    try:
        return _COMMANDS[run.options.command](run)
    except MediaError as error:
        print(error, file=stderr)
        if getattr(run.options, "json", False):
            print(json.dumps({"errors": [str(error)], "exit_code": error.exit_status}), file=stdout, flush=True)
        return error.exit_status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _preflight(run: _Run) -> int:
    problems = check_bucket(_sides(run).bucket)
    exit_code = problems[0].exit_status if problems else ALL_DONE
    text = (
        "\n".join(problem.message for problem in problems)
        or "The bucket can be reached, listed, written, read and deleted from."
    )
    run.print_result(text, {"problems": [problem.message for problem in problems], "exit_code": exit_code})
    return exit_code


def _migrate(run: _Run) -> int:
    options, began = run.options, time.time()
    plan = Plan(
        policy=Policy(delete_local=not options.keep_local),
        recent_after_ns=int((began - options.minimum_age) * 1e9),
        in_use_after_ms=int((began - options.unused_days * _DAY_SECONDS) * 1000) if options.unused_days else None,
        workers=options.workers,
        shard=options.shard,
        bandwidth=options.bandwidth,
        dry_run=options.dry_run,
    )
    if options.engine == "s3_media_upload" and not options.dry_run:
        summary = _carry_out(run, replace(plan, upload=False), began, before=partial(_upload_with_script, run))
    else:
        summary = _carry_out(run, plan, began)
    # A dry run did nothing, so what the last run did remains true.
    if options.metrics_file and not options.dry_run:
        try:
            _write_metrics(options.metrics_file, summary)
        except MediaError as error:
            summary.errors.append(str(error))
            print(error, file=run.stderr)
    run.print_result(summary.as_text(), summary.as_json())
    return summary.exit_status


def _s3_media_upload(run: _Run) -> int:
    """Run upstream's script, but with --delete only what is proven is deleted, by this program."""
    arguments = [argument for argument in run.options.argv if not _means_delete(argument)]
    if arguments == run.options.argv:
        sides = _sides(run)
        with run_lock(sides.media(), wait=False, stop=run.stop):
            return upstream.run_script(arguments, sides.bucket)

    def upload(sides: _Sides, _store: S3ObjectStore) -> list[str]:
        # It has no clean stop: a signal ends it at once, and with it this program.
        with _handlers(signal.SIG_DFL):
            status = upstream.run_script(arguments, sides.bucket)
        return [f"s3_media_upload ended with status {status}: see its output above."] if status else []

    began = time.time()
    plan = Plan(policy=Policy(), recent_after_ns=int(began * 1e9), upload=False)
    summary = _carry_out(run, plan, began, before=upload)
    run.print_result(summary.as_text(), summary.as_json())
    return summary.exit_status


def _means_delete(argument: str) -> bool:
    """Whether upstream's script, which takes shortened options, would read the argument as --delete."""
    return len(argument) > len("--") and "--delete".startswith(argument)


def _carry_out(
    run: _Run,
    plan: Plan,
    began: float,
    before: Callable[[_Sides, S3ObjectStore], list[str]] | None = None,
) -> Summary:
    """Do what ``plan`` says, under the lock.

    ``before`` is called first, once all sides are known to be there; it returns its failures.
    """
    summary = Summary(dry_run=plan.dry_run)
    try:
        with _signals(run), ExitStack() as held:
            sides = _sides(run)
            media = sides.media()
            # A stop is not held up by what was to be sent slowly.
            throttle = Throttle(plan.bandwidth, sleep=run.stop.wait) if plan.bandwidth else None
            store = held.enter_context(closing(sides.store(plan.workers or pace.MOST, throttle)))
            held.enter_context(run_lock(media, wait=run.options.wait, stop=run.stop, shard=plan.shard))
            database = held.enter_context(connect(synapse_config.database_settings(sides.config)))
            check_sides(media, store, database, sides.bucket.prefix, Patience(plan.retries, run.stop.wait))
            if before is not None:
                summary.errors += before(sides, store)
            report = held.enter_context(progress(run.stderr, partial(_files, media, plan)))
            migrate(plan, sides.bucket.prefix, media, store, database, summary, stop=run.stop, report=report)
    except MediaError as error:
        # Counted, not raised: a run that could not begin must replace the metrics of an earlier, better one.
        summary.errors.append(str(error))
        summary.refused_with = error.exit_status
    summary.seconds = time.time() - began
    summary.interrupted_by = run.stopped_by
    for message in summary.errors:
        print(message, file=run.stderr)
    return summary


def _files(media: MediaStore, plan: Plan) -> Iterator[LocalFile]:
    """The files of a run, to be counted: what can't be read is met, and told, by the run itself."""
    return local_files(media, plan.shard, lambda _error: None)


def _upload_with_script(run: _Run, sides: _Sides, store: S3ObjectStore) -> list[str]:
    # Before it begins, so that a run without the script has touched nothing.
    upstream.find_script()
    with _script_surroundings(run, sides, store.endpoint_url) as (environment, directory):
        try:
            upstream.run_all(sides.bucket, environment, directory, show_progress=run.stderr.isatty(), stop=run.stop)
        except MediaError as error:
            return [str(error)]
    return []


def _status(run: _Run) -> int:
    sides = _sides(run)
    with closing(sides.store()) as store:
        result = status(sides.media(), store, sides.bucket.prefix, run.options.unit)
    run.print_result(result.as_text(), result.as_json())
    return ALL_DONE


def _shell(run: _Run) -> int:
    sides = _sides(run)
    with closing(sides.store()) as store:
        endpoint_url = store.endpoint_url
    with _script_surroundings(run, sides, endpoint_url) as (environment, directory):
        return upstream.open_shell(run.options.argv, environment, directory)


_COMMANDS: Mapping[str, Callable[[_Run], int]] = {
    "preflight": _preflight,
    "migrate": _migrate,
    "status": _status,
    "shell": _shell,
    "s3_media_upload": _s3_media_upload,
}


def _sides(run: _Run) -> _Sides:
    if not run.options.config:
        raise UsageError("Could not start: no configuration was named. Give Synapse's with --config.")
    config = synapse_config.read_config(run.options.config)
    bucket = replace(synapse_config.s3_provider(config), ca_bundle_path=os.environ.get("AWS_CA_BUNDLE"))
    return _Sides(config, bucket)


@contextmanager
def _script_surroundings(run: _Run, sides: _Sides, endpoint_url: str) -> Iterator[tuple[Mapping[str, str], Path]]:
    database = synapse_config.database_settings(sides.config)
    media_store = synapse_config.media_store_path(sides.config)
    environment = upstream.shell_environment(sides.bucket, endpoint_url, media_store, run.options.unused_days)
    with upstream.work_directory(run.options.state_directory, database) as directory:
        yield environment, directory


def _write_metrics(path: Path, summary: Summary) -> None:
    """Replace the file at once, so that a collector never reads half of it; world-readable for that collector."""
    if path.exists() and not path.is_file():
        # Root would replace /dev/null.
        raise MediaError(
            f"Could not write the metrics file {str(path)!r}: it is not a regular file. Give the path of a file with"
            " --metrics-file."
        )
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(summary.as_metrics(time.time()), encoding="utf-8")
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise MediaError(
            f"Could not write the metrics file {str(path)!r}: {error.strerror}. Check its directory."
        ) from error


@contextmanager
def _signals(run: _Run) -> Iterator[None]:
    """SIGINT and SIGTERM ask for a clean stop; the same signal once more ends the program at once."""

    def stop(number: int, _frame: FrameType | None) -> None:
        run.stopped_by = number
        run.stop.set()
        signal.signal(number, signal.SIG_DFL)
        # Not print(): the signal may have come in the middle of one.
        os.write(run.stderr.fileno(), b"Stopping after the files under way; once more to stop at once.\n")

    with _handlers(stop):
        yield


@contextmanager
def _handlers(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> Iterator[None]:
    previous = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, earlier in previous.items():
            signal.signal(number, earlier)
