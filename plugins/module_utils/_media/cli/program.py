# SPDX-License-Identifier: GPL-3.0-or-later
"""The program: which command is meant, and the one place where an error becomes an exit status."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import NoReturn, TextIO, cast

from ..rules.errors import ALL_DONE, SOME_FAILED, ConfigurationError, MediaError
from ..stores import environment
from ..stores.libraries import missing_library
from ..stores.stream import say
from .arguments import EarlyExit, parse_arguments
from .command import Adopt, Command, leave_environment
from .metrics import write_failure
from .output import ClosedStream, SteadyStream, print_result, unexpected
from .signals import StoppedHard

# The file and the function of each. A command is imported when it is run: not each needs every library.
_COMMANDS: Mapping[str, tuple[str, str]] = {
    "preflight": ("preflight", "preflight"),
    "check-config": ("check_config", "check_config"),
    "migrate": ("migrate", "migrate"),
    "status": ("status", "status"),
    "verify": ("verify", "verify"),
    "restore": ("restore", "restore"),
    "purge-orphans": ("purge_orphans", "purge_orphans"),
    "copy-bucket": ("copy_bucket", "copy_bucket"),
    "copy-with": ("copy_with", "copy_with"),
    "shell": ("shell", "shell"),
    "s3_media_upload": ("shell", "s3_media_upload"),
}


def run_process() -> NoReturn:
    """Run the program as this process, whose environment becomes Synapse's, and end it."""
    # Where one of these is closed, a file or a connection would get its number, and what is printed.
    while os.open(os.devnull, os.O_RDWR) <= 2:
        pass
    stdout, stderr = (cast("TextIO", stream or ClosedStream()) for stream in (sys.stdout, sys.stderr))
    status = main(sys.argv[1:], stdout, stderr, adopt_environment)
    if threading.active_count() > 1:
        # What still waits for an answer, after a stop, must not hold up the end.
        for stream in (stdout, stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)
    raise SystemExit(status)


def adopt_environment(services: Sequence[str], is_synapses: bool) -> environment.Adopted:
    """Make this process's environment Synapse's."""
    return environment.adopt(services, is_synapses=is_synapses)


def main(
    argv: Sequence[str],
    stdout: TextIO,
    stderr: TextIO,
    adopt: Adopt = leave_environment,
) -> int:
    """Run the program and return its exit status; ``argv`` is without the program's name."""
    try:
        options = parse_arguments(argv)
    except EarlyExit as exit_:
        return _end_early(exit_, argv, SteadyStream(stdout), SteadyStream(stderr))
    command = Command(options, SteadyStream(stdout), cast("TextIO", SteadyStream(stderr)), adopt=adopt)
    try:
        return _load(options.command)(command)
    except MediaError as error:
        _print_failure(command, str(error), error.exit_status)
        return error.exit_status
    except Exception as error:  # noqa: BLE001 (whatever ends a command is told in words and in the JSON)
        command.stderr.write(traceback.format_exc())
        _print_failure(command, unexpected(error), SOME_FAILED)
        return SOME_FAILED
    except (StoppedHard, KeyboardInterrupt):
        status = 128 + (command.stop.number or signal.SIGINT)
        _print_failure(command, "Interrupted: nothing more is known.", status)
        return status


def _load(command: str) -> Callable[[Command], int]:
    file, function = _COMMANDS[command]
    module = import_module(f".{file}", __package__)
    if library := missing_library():
        raise ConfigurationError(
            f"Could not start: this Python ({sys.executable}) has no {library}. Run the program by the command that"
            " the role has installed, or with a Python that has it."
        )
    run: Callable[[Command], int] = getattr(module, function)
    return run


def _changes_nothing(options: argparse.Namespace) -> bool:
    """Whether what the last run did remains true, whatever becomes of this one."""
    given = vars(options)
    lists = options.command == "purge-orphans" and not (given["delete"] or given["delete_versions"])
    return lists or given.get("dry_run", False) or given.get("prints", False)


def _end_early(exit_: EarlyExit, argv: Sequence[str], stdout: SteadyStream, stderr: SteadyStream) -> int:
    if exit_.status:
        say(stderr, exit_.text.rstrip())
        _tell_usage_error(argv, exit_.text.splitlines()[-1], exit_.status, stdout)
        return exit_.status
    try:
        print_result(stdout, exit_.text.rstrip(), None)
    except MediaError as error:
        say(stderr, str(error))
        return error.exit_status
    return ALL_DONE


def _tell_usage_error(argv: Sequence[str], message: str, exit_status: int, stdout: SteadyStream) -> None:
    """What was asked for is not known for sure, but whoever watches is to hear of it."""
    if "--json" in argv:
        say(stdout, json.dumps({"errors": [message], "exit_code": exit_status}))
    command = next((argument for argument in argv if argument in _COMMANDS), "")
    path = _metrics_file(argv)
    if command and path is not None:
        with suppress(MediaError):
            write_failure(path, command, message, exit_status)


def _metrics_file(argv: Sequence[str]) -> Path | None:
    """Where the metrics go, in each form that argparse takes: two words or one, shortened, the last of several."""
    path = None
    for argument, following in pairwise([*argv, ""]):
        option, is_one_word, value = argument.partition("=")
        # What is shorter may be another option.
        if option.startswith("--met") and "--metrics-file".startswith(option):
            path = value if is_one_word else following
    return Path(path) if path else None


def _print_failure(command: Command, message: str, exit_status: int) -> None:
    say(command.stderr, message)
    errors = [message]
    path = getattr(command.options, "metrics_file", None)
    if path is not None and not _changes_nothing(command.options):
        try:
            write_failure(path, command.options.command, message, exit_status)
        except MediaError as error:
            errors.append(str(error))
            say(command.stderr, str(error))
    if getattr(command.options, "json", False):
        failure = {"command": command.options.command, "errors": errors, "exit_code": exit_status}
        say(command.stdout, json.dumps(failure))
