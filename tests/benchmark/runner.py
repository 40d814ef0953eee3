# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program in a process of its own and measure it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.matrixops.synapse_s3.tests.benchmark.tools import Command, Job, environment

_TIMEOUT_SECONDS = 1800
_LOG_LINES = 15


@dataclass(frozen=True)
class Usage:
    """What a finished command took; the CPU time and the peak memory are those of its children too."""

    status: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    busy_seconds: float
    log: Path

    def log_end(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:])


def run(job: Job, command: Command) -> Usage:
    """Run the command in the homeserver's directory until it ends."""
    log = job.home.directory / "output.log"
    measured = [
        sys.executable,
        "-I",
        "-S",
        str(Path(__file__).with_name("usage.py")),
        str(log),
        str(job.home.directory),
    ]
    finished = subprocess.run(
        [*measured, *command.arguments],
        env=environment(job, command),
        stdout=subprocess.PIPE,
        timeout=_TIMEOUT_SECONDS,
        check=True,
    )
    return Usage(**json.loads(finished.stdout), log=log)
