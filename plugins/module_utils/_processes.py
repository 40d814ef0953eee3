# SPDX-License-Identifier: GPL-3.0-or-later
"""What the processes of Synapse were started with, in containers too: the host sees those as well."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# Files get their times from a clock that is this much behind, at most, in seconds.
CLOCK_STEP = 0.1


@dataclass(frozen=True)
class Process:
    """A server of Synapse's.

    ``unit``: its systemd unit, '' where it is in a container; ``started``: seconds since 1970.
    """

    words: Sequence[str]
    unit: str = ""
    started: float = 0.0

    def is_given(self, *paths: PurePosixPath) -> bool:
        """Whether one of the paths is among its arguments."""
        return not {PurePosixPath(word.rpartition("=")[2]) for word in self.words}.isdisjoint(paths)


def synapse_processes(proc: Path = Path("/proc"), boot: float | None = None) -> list[Process]:
    """The host's processes that run a server of Synapse's: the main process, or a worker."""
    if boot is None:
        # /proc/uptime may tell that of a container.
        boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return [process for process in _processes(proc, boot) if any(map(_is_synapse, process.words))]


def unread_problems(
    processes: Sequence[Process],
    config_path: PurePosixPath,
    worker_path: PurePosixPath | None = None,
    *,
    all_run: bool = True,
) -> list[str]:
    """Why what serves media does not read the file: it was not given it, nor its directory.

    Where no process of Synapse's runs, nothing is known.

    :param worker_path: the configuration file that only the worker is given that serves media; None where the main
        process does.
    :param all_run: whether all of the services run that are to be restarted. One that does not may be the worker: it
        can't start with a provider whose library it does not have yet.

    https://element-hq.github.io/synapse/latest/usage/configuration/config_documentation.html#config-file-format
    """
    serving = [process for process in processes if worker_path is None or process.is_given(worker_path)]
    if worker_path is not None and processes and not serving and all_run:
        problem = f"Could not find what serves media: no process of Synapse's is started with {str(worker_path)!r}"
        return [f"{problem}. Start that worker, and name its unit in synapse_services."]
    if not serving or any(process.is_given(config_path, config_path.parent) for process in serving):
        return []
    who = "it is" if worker_path is None else f"the worker of {str(worker_path)!r}, which serves media, is"
    problem = (
        f"Could not make Synapse read {str(config_path)!r}: {who} started with neither that file nor its directory"
    )
    advice = f"Add --config-path={config_path.parent} to what starts it, and restart it."
    return [f"{problem}, and would serve nothing of what is in the bucket only. {advice}"]


def unnamed_problems(processes: Sequence[Process], worker_path: PurePosixPath, services: Sequence[str]) -> list[str]:
    """Which unit runs the worker that serves media, but is none of those that are restarted.

    A container's is not known.
    """
    units = {process.unit for process in processes if process.unit and process.is_given(worker_path)}
    return [
        f"Could not restart what serves media: the worker of {str(worker_path)!r} is run by {unit!r}, which is not"
        " among synapse_services. Add it there, after Synapse's main process."
        for unit in sorted(units.difference(services))
    ]


def is_outdated(processes: Sequence[Process], worker_path: PurePosixPath, newest: float) -> bool:
    """Whether the worker that serves media was started before the newest of its files changed."""
    return any(process.is_given(worker_path) and process.started + CLOCK_STEP < newest for process in processes)


def _is_synapse(word: str) -> bool:
    return word.startswith("synapse.app.")


def _processes(proc: Path, boot: float) -> Iterator[Process]:
    for directory in proc.glob("[0-9]*"):
        with suppress(OSError):  # It may have ended since.
            words = (directory / "cmdline").read_bytes().decode(errors="surrogateescape").rstrip("\0").split("\0")
            if not any(map(_is_synapse, words)):
                continue
            # After the name, in brackets, which may hold spaces: the 20th is the time since the boot, in ticks.
            ticks = (directory / "stat").read_text(errors="replace").rpartition(")")[2].split()[19]
            yield Process(words, _unit(directory), boot + int(ticks) / os.sysconf("SC_CLK_TCK"))


def _unit(directory: Path) -> str:
    """The system's service that the process belongs to. The last line is that of the one hierarchy of cgroup 2."""
    for line in reversed((directory / "cgroup").read_text().splitlines()):
        # A user's own services are below user@UID.service.
        found = re.search(r"/system\.slice/(?:.*/)?([^/]+\.service)(?:/|$)", line)
        if found:
            return found[1]
    return ""
