# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark `page-way`: a tool copies all files, then upstream's script checks and deletes; beside `migrate` alone.

It is what the page that this project comes from recommends for much data. Measured as `move` is.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence

from ansible_collections.matrixops.synapse_s3.tests.benchmark import tools
from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import BY_AWS, BY_RCLONE, BY_S5CMD, Condition
from ansible_collections.matrixops.synapse_s3.tests.benchmark.settings import (
    BEST_AWS,
    BEST_RCLONE,
    BEST_S5CMD,
    RCLONE_OPTIONS,
    Contest,
    Entry,
)
from ansible_collections.matrixops.synapse_s3.tests.benchmark.tools import Command, Job, Tool

PAGE_TOOLS = ("migrate", "rclone", "s5cmd", "aws")


def contests(round_trips_ms: Iterable[int], rounds: int, names: Sequence[str]) -> Iterator[Contest]:
    """Ours and each tool at its best, of those whose names begin with one of these, behind each round trip."""
    for rtt_ms in round_trips_ms:
        entrants = [
            tools.ours(),
            _then_script(BY_RCLONE, BEST_RCLONE[rtt_ms], _rclone),
            _then_script(BY_S5CMD, BEST_S5CMD[rtt_ms], _s5cmd),
            _then_script(BY_AWS, BEST_AWS[rtt_ms], _aws),
        ]
        entries = [Entry(tool, False, rounds) for tool in entrants if tool.name.startswith(tuple(names))]
        yield Contest(Condition("memory", "http", rtt_ms), entries)


def _rclone(job: Job, connections: int) -> Command:
    places = (str(job.home.media), tools.rclone_place(job.bucket))
    return tools.run_rclone(job, connections, "copy", *places, *RCLONE_OPTIONS)


def _s5cmd(job: Job, connections: int) -> Command:
    return tools.run_s5cmd(job, connections, "cp", f"{job.home.media}/", tools.url(job.bucket))


def _aws(job: Job, connections: int) -> Command:
    return tools.run_aws(job, connections, "cp", str(job.home.media), tools.url(job.bucket))


def _then_script(name: str, connections: int, copy: Callable[[Job, int], Command]) -> Tool:
    """All in one command, so that it is measured as one: the copy, and the three commands of the page."""
    script = tools.s3_media_upload()

    def command(job: Job) -> Command:
        assert script.prepare
        copying, update, upload = copy(job, connections), script.prepare(job), script.command(job)
        check = (update.arguments[0], "--no-progress", "check-deleted", str(job.home.media))
        steps = (copying.arguments, update.arguments, check, upload.arguments)
        return Command(("sh", "-c", " && ".join(map(shlex.join, steps))), copying.environment)

    return Tool(name, connections, command)
