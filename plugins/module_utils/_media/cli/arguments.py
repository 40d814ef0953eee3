# SPDX-License-Identifier: GPL-3.0-or-later
"""What may stand on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from ..rules.errors import UsageError
from ..version import VERSION
from .options import check_config, copy_bucket, copy_with, migrate, purge_orphans, restore, shell, status, verify
from .options.common import PROGRAM, add_json

_EXIT_STATUSES = """exit status:
  0 all done   1 ran, but some files failed or conflict, each named   2 usage
  69 bucket, database or media store not available   75 another run holds the lock
  77 no permission   78 configuration   128 + N interrupted by signal N"""
# What each command does, and what adds its options.
_COMMANDS: Mapping[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "preflight": (
        "Try the bucket: reach, credentials, region, list, write, read, delete, storage class.",
        add_json,
    ),
    "check-config": (
        "Ask whether Synapse accepts this configuration, has the provider in it, and serves media.",
        check_config.add,
    ),
    "migrate": (
        "Upload what is only local, prove that the bucket holds it, delete the local file.",
        migrate.add,
    ),
    "status": ("Count what is on the local disk, in the bucket, and only on the local disk.", status.add),
    "verify": ("See that every file of the database is there, in full, where Synapse finds it.", verify.add),
    "restore": ("Bring media that is only in the bucket back to the local disk, proven.", restore.add),
    "purge-orphans": (
        "List, or delete, objects and local files whose media Synapse's database no longer knows.",
        purge_orphans.add,
    ),
    "copy-bucket": (
        "Copy what the database knows from one bucket of Synapse's configuration into another, and prove it.",
        copy_bucket.add,
    ),
    "copy-with": (
        "Let another program (aws, rclone, s5cmd, b2) copy the media store into the bucket; migrate then proves it.",
        copy_with.add,
    ),
    "shell": ("Open a shell, or run a command, with all that upstream's s3_media_upload needs.", shell.add),
}


class EarlyExit(Exception):
    """argparse wants to end the program: with help, or with a complaint."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser that prints nothing and does not end the process."""

    def print_help(self, _file: object = None) -> None:
        raise EarlyExit(0, self.format_help())

    def error(self, message: str) -> NoReturn:
        raise EarlyExit(UsageError.exit_status, f"{self.format_usage()}{self.prog}: {message}\n")


class _Version(argparse.Action):
    """Ends with the version."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:  # noqa: A002 (argparse's name)
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, *_arguments: object) -> NoReturn:
        raise EarlyExit(0, f"{PROGRAM} {VERSION}\n")


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line, without the program's name. EarlyExit when there is nothing to do, or it is wrong."""
    return _parser().parse_args(argv)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        description="Keeps the media of a Matrix Synapse homeserver in an S3 bucket, by Synapse's own configuration.",
        epilog=_EXIT_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="a configuration file of Synapse's, or a directory of them; repeat it in Synapse's order",
    )
    parser.add_argument(
        "--synapse-service",
        action="append",
        default=[],
        metavar="UNIT",
        help="a systemd unit of Synapse's, whose environment is used in place of the caller's; may be repeated",
    )
    parser.add_argument(
        "--synapse-environment",
        action="store_true",
        help="the environment is Synapse's own already, as in a container of its image",
    )
    parser.add_argument(
        "--import-path",
        default="",
        metavar="PATH",
        help="the PYTHONPATH with which Synapse is started, where it finds the storage provider (default: this one's)",
    )
    parser.add_argument("--version", action=_Version, help="print the version, and end")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (text, add_options) in _COMMANDS.items():
        add_options(
            commands.add_parser(
                name,
                help=text,
                description=text,
                epilog=_EXIT_STATUSES,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
        )
    script = commands.add_parser(
        "s3_media_upload",
        help="Run upstream's script with the prefix and the encryption key that Synapse uses.",
        # No argument looks like an option here: all belong to the script, --help too.
        prefix_chars="\0",
        add_help=False,
    )
    shell.add_of_script(script)
    return parser
