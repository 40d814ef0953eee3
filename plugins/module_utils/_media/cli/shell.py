# SPDX-License-Identifier: GPL-3.0-or-later
"""``shell``, and ``s3_media_upload`` in it."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import closing

from ..engine import upstream
from ..engine.lock import run_lock
from ..engine.migrate import MigrationPlan, new_summary
from ..rules.decision import Policy
from ..stores.stream import say
from .command import Command, Sides, read_sides, script_surroundings
from .migrate import run_plan
from .signals import handlers


def shell(command: Command) -> int:
    """Open a shell, or run a command, with all that upstream's script needs."""
    sides = read_sides(command)
    with closing(sides.store()) as store:
        endpoint_url = store.endpoint_url
    with script_surroundings(command, sides, endpoint_url) as (environment, directory):
        if not command.options.argv and sys.stdin.isatty():
            say(command.stderr, upstream.greeting(environment))
        return upstream.open_shell(command.options.argv, environment, directory)


def s3_media_upload(command: Command) -> int:
    """Run upstream's script, but with --delete only what is proven is deleted, by this program."""
    arguments = [argument for argument in command.options.argv if not _means_delete(argument)]

    def run_script(sides: Sides) -> int:
        # Whatever the shell's are by now: the script goes where Synapse goes.
        os.environ.update(upstream.credentials(sides.bucket))
        return upstream.run_script(arguments, sides.bucket)

    if arguments == command.options.argv:
        sides = read_sides(command)
        with run_lock(sides.media(), wait=False, stop=command.stop.event):
            return run_script(sides)

    def upload(sides: Sides, _endpoint_url: str) -> list[str]:
        # It has no clean stop: a signal ends it at once, and with it this program.
        with handlers({signal.SIGINT: signal.SIG_DFL, signal.SIGTERM: signal.SIG_DFL}):
            status = run_script(sides)
        return [f"s3_media_upload ended with status {status}: see its output above."] if status else []

    now_ns = time.time_ns()
    # As `shell` has set it: what the script is not to take is in use.
    days = os.environ.get("UPDATE_DB_DAYS", "")
    in_use_after_ms = now_ns // 10**6 - int(days) * 24 * 3600 * 1000 if days.isdecimal() and int(days) else None
    plan = MigrationPlan(Policy(), now_ns, recent_after_ns=now_ns, in_use_after_ms=in_use_after_ms, upload=False)
    return run_plan(command, plan, new_summary(), before=upload)


def _means_delete(argument: str) -> bool:
    """Whether upstream's script, which takes shortened options, would read the argument as --delete."""
    return len(argument) > len("--") and "--delete".startswith(argument)
