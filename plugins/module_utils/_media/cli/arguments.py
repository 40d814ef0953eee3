# SPDX-License-Identifier: GPL-3.0-or-later
"""What may stand on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

from ..rules.bandwidth import parse_bandwidth
from ..rules.duration import parse_duration
from ..rules.errors import UsageError
from ..rules.shard import ALL, parse_shard
from ..version import VERSION

Value = TypeVar("Value")

PROGRAM = "matrix-synapse-s3-storage-provider"
STATE_DIRECTORY = Path("/var/lib") / PROGRAM
_EXIT_STATUSES = """exit status:
  0 all done   1 ran, but some files failed or conflict, each named   2 usage
  69 bucket, database or media store not available   75 another run holds the lock
  77 no permission   78 configuration   128 + N interrupted by signal N"""


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

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=_EXIT_STATUSES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    preflight = command(
        "preflight", "Try the bucket: reach, credentials, region, list, write, read, delete, storage class."
    )
    checking = command(
        "check-config", "Ask whether Synapse accepts this configuration, has the provider in it, and serves media."
    )
    migrating = command("migrate", "Upload what is only local, prove that the bucket holds it, delete the local file.")
    looking = command("status", "Count what is on the local disk, in the bucket, and only on the local disk.")
    shell = command("shell", "Open a shell, or run a command, with all that upstream's s3_media_upload needs.")
    script = commands.add_parser(
        "s3_media_upload",
        help="Run upstream's script with the prefix and the encryption key that Synapse uses.",
        # No argument looks like an option here: all belong to the script, --help too.
        prefix_chars="\0",
        add_help=False,
    )

    for each in (preflight, checking, migrating, looking):
        each.add_argument("--json", action="store_true", help="print one JSON object as the last line of stdout")
    for each in (migrating, looking, shell):
        each.add_argument(
            "--state-directory",
            type=Path,
            default=STATE_DIRECTORY,
            metavar="PATH",
            help="where the last runs are written down, and s3_media_upload keeps its cache.db (default: %(default)s)",
        )
    for each in (migrating, shell):
        each.add_argument(
            "--unused-days",
            type=_whole_number(0),
            default=0,
            metavar="N",
            help="leave media on the local disk that was accessed within N days (default: 0, none)",
        )
    provider = checking.add_mutually_exclusive_group()
    provider.add_argument("--without-provider", action="store_true", help="look for no storage provider")
    provider.add_argument(
        "--provider-file",
        type=Path,
        metavar="FILE",
        help="the file that alone has, or is to have, the storage provider (default: any that is named)",
    )
    checking.add_argument(
        "--without-synapse", action="store_true", help="read the files only, and don't ask Synapse itself"
    )
    migrating.add_argument("--keep-local", action="store_true", help="delete nothing from the local disk")
    migrating.add_argument("--dry-run", action="store_true", help="change nothing, say what would be done")
    migrating.add_argument(
        "--minimum-age",
        type=_converted(parse_duration),
        default=parse_duration("1h"),
        metavar="DURATION",
        help="leave files alone that were modified more recently, as 90s, 30m, 1h or 2d (default: 1h)",
    )
    migrating.add_argument(
        "--workers",
        type=_whole_number(1),
        metavar="N",
        help="files under way at once (default: found by trying, from 32 on to 128, fewer when the server asks for it)",
    )
    migrating.add_argument(
        "--bandwidth",
        type=_converted(parse_bandwidth),
        metavar="RATE",
        help="send at most so many bytes a second, as 500K or 20M (default: no limit)",
    )
    migrating.add_argument(
        "--shard",
        type=_converted(parse_shard),
        default=ALL,
        metavar="I/N",
        help="work on the I-th of N shares of all files: for several hosts on one shared media store (default: all)",
    )
    migrating.add_argument("--wait", action="store_true", help="wait for another run to end instead of failing")
    migrating.add_argument(
        "--metrics-file",
        type=Path,
        metavar="FILE",
        help="write the result in Prometheus text format (not of a dry run)",
    )
    migrating.add_argument(
        "--engine",
        choices=("parallel", "s3_media_upload"),
        default="parallel",
        help="what uploads: this program, or upstream's script, whose work is then checked (default: %(default)s)",
    )
    looking.add_argument(
        "--unit", default=f"{PROGRAM}-migrate", help="the systemd unit of the nightly run (default: %(default)s)"
    )
    script.set_defaults(json=False, wait=False, state_directory=STATE_DIRECTORY)
    for each in (shell, script):
        each.add_argument("argv", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="passed on as it is")
    return parser


def _whole_number(minimum: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        # Larger numbers than these overflow where they are used.
        if not text.isdecimal() or len(text) > 9 or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {minimum} to 999999999")
        return int(text)

    return convert


def _converted(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """A rule's parser as argparse takes it: with the rule's own words for what is wrong."""

    def convert(text: str) -> Value:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert
