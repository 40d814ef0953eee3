# SPDX-License-Identifier: GPL-3.0-or-later
"""What the processes of Synapse were started with, in containers too: the host sees those as well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath


def synapse_commands(proc: Path = Path("/proc")) -> list[list[str]]:
    """The words of the command lines of the host's processes that run a server of Synapse's."""
    return [words for words in _commands(proc) if any(word.startswith("synapse.app.") for word in words)]


def unread_problems(commands: Sequence[Sequence[str]], config_path: PurePosixPath) -> list[str]:
    """Why Synapse does not read the file: no server that runs was given it, or its directory.

    Where none runs, nothing is known.
    https://element-hq.github.io/synapse/latest/usage/configuration/config_documentation.html#config-file-format
    """
    read = {PurePosixPath(word.rpartition("=")[2]) for words in commands for word in words}
    if not commands or {config_path, config_path.parent} & read:
        return []
    problem = (
        f"Could not make Synapse read {str(config_path)!r}: it is started with neither that file nor its directory"
    )
    advice = f"Add --config-path={config_path.parent} to what starts it, and restart it."
    return [f"{problem}, and would serve nothing of what is in the bucket only. {advice}"]


def _commands(proc: Path) -> Iterator[list[str]]:
    for path in proc.glob("[0-9]*/cmdline"):
        with suppress(OSError):  # It may have ended since.
            yield path.read_bytes().decode(errors="surrogateescape").rstrip("\0").split("\0")
