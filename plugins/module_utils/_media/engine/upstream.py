# SPDX-License-Identifier: GPL-3.0-or-later
"""Upstream's own script ``s3_media_upload``, and the environment that its commands are documented with."""

# pylint: disable=ansible-bad-function
# This runs without Ansible, which has functions of its own for that.

from __future__ import annotations

import importlib.util
import os
import runpy
import shlex
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event
from types import FrameType

from ..rules.aws_environment import SAFE
from ..rules.endpoint import without_user
from ..rules.errors import ConfigurationError, MediaError, UnavailableError
from ..rules.settings import BucketSettings
from ..stores.synapse_config import DatabaseSettings, write_private_yaml

_POLL_SECONDS = 0.2
# The commands as upstream documents them, as they work in the shell.
# https://github.com/matrix-org/synapse-s3-storage-provider#regular-cleanup-job
_COMMANDS = (
    "s3_media_upload update-db $UPDATE_DB_DURATION",
    "s3_media_upload check-deleted $MEDIA_PATH",
    "s3_media_upload upload $MEDIA_PATH $BUCKET --delete --storage-class $STORAGE_CLASS --endpoint-url $ENDPOINT",
)
_GREETED = ("MEDIA_PATH", "BUCKET", "PREFIX", "ENDPOINT", "STORAGE_CLASS", "UPDATE_DB_DURATION")


def shell_environment(
    bucket: BucketSettings, endpoint_url: str, media_store: Path, unused_days: int
) -> Mapping[str, str]:
    """The variables that the three documented commands need, credentials among them.

    ``endpoint_url`` is never empty (Amazon's own is spelt out), because the commands use it unquoted.
    """
    variables = {
        "MEDIA_PATH": str(media_store),
        "BUCKET": bucket.bucket,
        "ENDPOINT": endpoint_url,
        "STORAGE_CLASS": bucket.storage_class,
        "PREFIX": bucket.prefix,
        "UPDATE_DB_DAYS": str(unused_days),
        "UPDATE_DB_DURATION": f"{unused_days}d",
    }
    return {**variables, **credentials(bucket)}


def greeting(environment: Mapping[str, str]) -> str:
    """What is set in the shell, without a secret, and what to do with it."""
    shown = {**environment, "ENDPOINT": without_user(environment["ENDPOINT"])}
    lines = [
        "This shell is Synapse's user's. Set from Synapse's configuration, beside the credentials:",
        *(f"  {name}={shlex.quote(shown[name])}" for name in _GREETED),
        "The three commands, with Synapse's prefix and encryption key; --delete removes only what is proven stored:",
        *(f"  {command}" for command in _COMMANDS),
    ]
    return "\n".join(lines)


def credentials(bucket: BucketSettings) -> Mapping[str, str]:
    """The variables that boto3 needs in the script, secrets among them."""
    variables = {
        "AWS_ACCESS_KEY_ID": bucket.access_key_id,
        "AWS_SECRET_ACCESS_KEY": bucket.secret_access_key,
        "AWS_SESSION_TOKEN": bucket.session_token,
        "AWS_DEFAULT_REGION": bucket.region_name,
        "AWS_CA_BUNDLE": bucket.ca_bundle_path,
        **SAFE,
    }
    return {name: value for name, value in variables.items() if value is not None}


@contextmanager
def work_directory(state_directory: Path, database: DatabaseSettings) -> Iterator[Path]:
    """A private directory where the script finds ``database.yaml`` and keeps its ``cache.db``.

    ``database.yaml`` holds the database's password: it is there only as long as it is needed.
    """
    directory = state_directory / "s3_media_upload"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UnavailableError(
            f"Could not create {str(directory)!r}: {error.strerror}. Create its parent directory, owned by Synapse's"
            " user, or name another with --state-directory."
        ) from error
    engine = "sqlite" if database.engine == "sqlite3" else "postgres"
    file = directory / "database.yaml"
    try:
        write_private_yaml(file, {engine: dict(database.arguments)})
    except OSError as error:
        # Not even a part of the password stays.
        with suppress(OSError):
            file.unlink(missing_ok=True)
        raise UnavailableError(
            f"Could not write {str(file)!r}: {error.strerror}. Give its directory to Synapse's user and see that there"
            " is space, or name another with --state-directory."
        ) from error
    try:
        yield directory
    finally:
        file.unlink(missing_ok=True)


def script_arguments(arguments: Sequence[str], bucket: BucketSettings) -> list[str]:
    """The arguments with what ``upload`` needs to use the keys and the encryption that Synapse uses.

    What the caller gave comes later, so that it wins.
    """
    if "upload" not in arguments:
        return list(arguments)
    place = list(arguments).index("upload") + 1
    added = ["--prefix", bucket.prefix] if bucket.prefix else []
    if bucket.sse_customer_key:
        added += ["--sse-customer-key", bucket.sse_customer_key, "--sse-customer-algo", bucket.sse_customer_algo]
    return [*arguments[:place], *added, *arguments[place:]]


def run_script(arguments: Sequence[str], bucket: BucketSettings) -> int:
    """Run the script in this process and return its exit status.

    In this process, so that an encryption key never stands in a process's argument list.
    """
    script = find_script()
    sys.argv = [script.name, *script_arguments(arguments, bucket)]
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return 0


def run_all(
    bucket: BucketSettings, environment: Mapping[str, str], directory: Path, *, show_progress: bool, stop: Event
) -> None:
    """Run the three documented commands in turn, without ``--delete``; a `MediaError` when one fails.

    The script exits 0 even when uploads failed, and it deletes a local file as soon as a key of that
    name exists. So what it left behind is looked for, and files are deleted, by `migrate` afterwards.
    """
    upload = ["upload", environment["MEDIA_PATH"], bucket.bucket, "--storage-class", bucket.storage_class]
    for command in (
        ["update-db", environment["UPDATE_DB_DURATION"]],
        ["check-deleted", environment["MEDIA_PATH"]],
        [*upload, "--endpoint-url", environment["ENDPOINT"]],
    ):
        arguments = command if show_progress else ["--no-progress", *command]
        status = _run_in_child(partial(run_script, arguments, bucket), environment, directory, stop)
        if stop.is_set():
            return
        if status:
            raise MediaError(
                f"Could not finish s3_media_upload {command[0]}: it ended with status {status}. See its output above."
            )


def open_shell(command: Sequence[str], environment: Mapping[str, str], directory: Path) -> int:
    """Run ``command``, or an interactive shell, in ``directory`` and return its exit status."""
    argv = list(command) or [os.environ.get("SHELL") or "/bin/bash", "-i"]
    try:
        child = subprocess.Popen(argv, cwd=directory, env={**os.environ, **environment})
    except OSError as error:
        raise ConfigurationError(
            f"Could not run {argv[0]!r}: {error.strerror}. Give a command that is there."
        ) from error

    def end_command(number: int, _frame: FrameType | None) -> None:
        """End the command in place of this program, so that what was written for it is cleaned up."""
        child.send_signal(number)
        child.send_signal(signal.SIGHUP)  # Nothing else ends an interactive shell.

    # Ctrl+C is for the command, which shares the terminal.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_command)
    status = child.wait()
    return status if status >= 0 else 128 - status


def _run_in_child(function: Callable[[], int], environment: Mapping[str, str], directory: Path, stop: Event) -> int:
    """Run ``function`` in a process of its own, its output on stderr; ``stop`` ends it."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            os.dup2(2, 1)
            os.chdir(directory)
            os.environ.update(environment)
            status = function()
        except BaseException:  # noqa: BLE001 (whatever it is, this process must end here, as a failure)
            traceback.print_exc()
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                # Whatever became of the output: the parent's work is not for this process.
                os._exit(status)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if stop.wait(_POLL_SECONDS):
            os.kill(child, signal.SIGTERM)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def find_script() -> Path:
    """The script stands beside the provider (``pip install --target``) or beside Python (a virtual environment)."""
    provider = importlib.util.find_spec("s3_storage_provider")
    places = [Path(sys.executable).parent / "s3_media_upload"]
    if provider is not None and provider.origin is not None:
        places.insert(0, Path(provider.origin).parent / "bin" / "s3_media_upload")
    for place in places:
        if place.is_file():
            return place
    raise ConfigurationError(
        f"Could not find s3_media_upload beside {sys.executable!r}: synapse-s3-storage-provider is not installed."
        " Install it, or run the role again."
    )
