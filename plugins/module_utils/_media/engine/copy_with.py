# SPDX-License-Identifier: GPL-3.0-or-later
"""The subcommand ``copy-with``: another program copies the media store into the bucket."""

# pylint: disable=ansible-bad-function
# This runs without Ansible, which has functions of its own for that.

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from threading import Event
from typing import TextIO

from ..rules.copy_with import OF_TOOLS, OTHER_CREDENTIALS, Call, Copy, Secret
from ..rules.errors import MediaError, UnavailableError
from ..stores.media_store import MediaStore
from ..stores.object_store import ObjectStore
from ..stores.stream import say
from ..stores.temporary import keeping
from .merge import Bucket, join
from .progress import telling
from .summary import Step, Summary

# So many files that differ from their objects are left out by name; the system limits a command's length.
MOST_LEFT_OUT = 200
_NEEDED = "what the tool needs"
_POLL_SECONDS = 0.2
# For a tool that was asked to end; the program itself is given a little longer.
_END_SECONDS = 12.0
NEXT = (
    "Nothing was deleted, and nothing is proven yet: 'migrate' compares what is in the bucket, uploads what is missing,"
    " and frees the disk."
)


class CopySummary(Summary):
    """Of a run whose files are counted by nobody: the tool tells of them."""

    def as_text(self) -> str:
        """The words for a person."""
        return "\n".join([*(f"  {fact}" for fact in self.facts), self._copied()])

    def _copied(self) -> str:
        tool, took = self.details["tool"], f"({self.seconds:,.1f} s)"
        if self.interrupted_by is not None:
            return f"INTERRUPTED. {tool} was ended; what it has copied stays in the bucket {took}. {NEXT}"
        if self.refused_with is not None:
            return f"NOTHING WAS COPIED, for the reason above {took}."
        if self.exit_status:
            return f"NOT ALL COPIED, for the reason above {took}. {NEXT}"
        return f"{tool} has copied, and told of no failure {took}. {NEXT}"


def new_summary(tool: str) -> CopySummary:
    """A summary of a copy that has not begun."""
    return CopySummary("copy-with", Step, "", details={"tool": tool})


def find_program(tool: str) -> str:
    """Where the tool is. UnavailableError when it is not installed."""
    program = shutil.which(tool)
    if program is None:
        raise UnavailableError(
            f"Could not find {tool}: no directory in PATH has it. Install it on this host. Where this runs in a"
            f" container, or the tool is to: 'copy-with {tool} --print --image' prints the command for that."
        )
    return program


def differing(
    media: MediaStore, store: ObjectStore, prefix: str, failed: Callable[[MediaError], None]
) -> Sequence[str]:
    """The files, by their paths below the media store, under whose keys the bucket lists another length.

    MediaError when there are more than `MOST_LEFT_OUT`.
    """
    found = (
        each.path
        for each in join(media.scan(failed), (), [Bucket(prefix, store.list(prefix))])
        if each.file is not None and each.objects[0] is not None and each.file.size != each.objects[0].size
    )
    paths = list(islice(found, MOST_LEFT_OUT + 1))
    if len(paths) > MOST_LEFT_OUT:
        raise MediaError(
            f"Could not use aws: more than {MOST_LEFT_OUT} local files have another length than their objects, such as"
            f" {paths[0]!r}, and aws would overwrite these. Use rclone, s5cmd or b2, which leave them alone, or"
            " 'migrate', which names them."
        )
    return paths


def list_free(media: MediaStore, store: ObjectStore, copy: Copy, failed: Callable[[MediaError], None]) -> None:
    """For a tool that takes a list: write down the files whose keys are free, without those that are too young.

    Each root's are in a file by its name in the copy's directory.
    """
    before_ns = (copy.now - copy.minimum_age) * 10**9
    joined = join(media.scan(failed), (), [Bucket(copy.bucket.prefix, store.list(copy.bucket.prefix))])
    with keeping(_NEEDED), ExitStack() as opened:
        lists = {root: opened.enter_context(_new_file(Path(copy.directory, root))) for root in copy.roots}
        for each in joined:
            root, _unused, path = each.path.partition("/")
            is_free = root in lists and each.objects[0] is None
            if is_free and each.file is not None and each.file.modified_ns <= before_ns:
                lists[root].write(f"{path}\n")


@contextmanager
def private_directory() -> Iterator[str]:
    """A directory for the tool's files, which goes with all that is in it."""
    with keeping(_NEEDED):
        directory = tempfile.TemporaryDirectory(prefix="copy-with-")
    with directory as path:
        yield path


def copy_all(
    call: Call, program: str, directory: str, summary: Summary, *, lock: int, stop: Event, stderr: TextIO
) -> None:
    """Run each command of the call in turn, its output on stderr, and note in ``summary`` how they ended.

    ``stop`` ends the tool. ``directory``: the one that the call was built for. ``lock``: a descriptor that the tool
    inherits, so that no other run begins as long as it copies, also where this one was killed.
    """
    _write(Path(directory), call.files)
    environment = tool_environment(os.environ, call)
    ends: dict[str, int] = {}
    summary.details["directories"] = ends

    def start(command: Sequence[str]) -> subprocess.Popen[bytes]:
        # Stdout is for the result.
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=2, pass_fds=[lock])

    for command in call.commands:
        if stop.is_set():
            return
        # Of the source: a prefix need not end with a slash.
        name = command[-2].rstrip("/").rpartition("/")[2]
        say(stderr, f"{call.tool}: {command[-2]} to {command[-1]}")
        status = _run(start, [program, *command[1:]], f"{call.tool} copies to {command[-1]}", stop, stderr)
        ends[name] = status
        if status and not stop.is_set():
            ended = f"it ended with status {status}" if status > 0 else f"signal {-status} has ended it"
            summary.errors.append(f"Could not finish {call.tool} to {command[-1]}: {ended}. See its output above.")


def tool_environment(environment: Mapping[str, str], call: Call) -> Mapping[str, str]:
    """The whole environment of the tool, secrets in it: this program's, without what is for a tool, and the call's."""
    # Debian's rclone does not start with the variable for a certificate, which it gets as an option.
    dropped = ("AWS_CA_BUNDLE", *(OTHER_CREDENTIALS if call.secrets else ()))
    kept = {name: value for name, value in environment.items() if not name.startswith(OF_TOOLS) and name not in dropped}
    return {**kept, **call.environment, **{name: secret.value for name, secret in call.secrets.items()}}


def _write(directory: Path, files: Mapping[str, Secret]) -> None:
    with keeping(_NEEDED):
        for name, secret in files.items():
            with _new_file(directory / name) as target:
                target.write(secret.value)


def _new_file(path: Path) -> TextIO:
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8")


def _run(
    start: Callable[[Sequence[str]], subprocess.Popen[bytes]],
    command: Sequence[str],
    what: str,
    stop: Event,
    stderr: TextIO,
) -> int:
    """Run a command and return its exit status; below zero is the number of the signal that ended it."""
    began = time.monotonic()
    try:
        child = start(command)
    except OSError as error:
        raise UnavailableError(
            f"Could not run {command[0]!r}: {error.strerror}. Install it anew, and see that Synapse's user may run it."
        ) from error

    def line() -> str:
        return f"Still running: {what} ({time.monotonic() - began:,.0f} s)"

    if stderr.isatty():
        return _wait(child, stop)
    with telling(stderr, line):
        return _wait(child, stop)


def _wait(child: subprocess.Popen[bytes], stop: Event) -> int:
    try:
        while child.poll() is None:
            if stop.wait(_POLL_SECONDS):
                child.terminate()
                try:
                    return child.wait(_END_SECONDS)
                except subprocess.TimeoutExpired:
                    break
        return child.returncode if child.returncode is not None else -9
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
