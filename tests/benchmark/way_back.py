# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmarks `verify`, `restore`, `copy-bucket` and `purge-orphans`: ours and what else does nearly the same."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ansible_collections.matrixops.synapse_s3.tests.benchmark.homeserver import Homeserver
from ansible_collections.matrixops.synapse_s3.tests.benchmark.move import Say, line, undisturbed
from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import Condition, Measurement
from ansible_collections.matrixops.synapse_s3.tests.benchmark.runner import run
from ansible_collections.matrixops.synapse_s3.tests.benchmark.server import BenchServer, base_directory, bench_server
from ansible_collections.matrixops.synapse_s3.tests.benchmark.tools import Tool
from ansible_collections.matrixops.synapse_s3.tests.benchmark.way_back_stages import STAGES, Stage
from ansible_collections.matrixops.synapse_s3.tests.benchmark.way_back_tools import contest, is_installed


@dataclass(frozen=True)
class WayBack:
    """One of the benchmarks, on so many files, behind each round trip. ``tools``: the beginnings of names."""

    name: str
    files: int
    storage: str
    round_trips_ms: Sequence[int]
    rounds: int
    tools: Sequence[str]
    engine: Path
    work: Path


def measure(task: WayBack, say: Say) -> list[Measurement]:
    """Run everything round by round, each round in another order, on a new server for each round and condition."""
    measurements: list[Measurement] = []
    entries = {rtt_ms: _entries(task, rtt_ms) for rtt_ms in task.round_trips_ms}
    for name in sorted({tool.name for tools in entries.values() for tool in tools if not is_installed(tool)}):
        say(f"{name} takes no part: it is not installed here (scripts/setup tools minio peers builds it)")
    for number in range(task.rounds):
        for rtt_ms in task.round_trips_ms:
            condition = Condition(task.storage, "http", rtt_ms)
            tools = [tool for tool in entries[rtt_ms] if is_installed(tool)]
            first = number * len(tools) // task.rounds
            base = base_directory(task.storage, task.work)
            with (
                bench_server(condition, task.work) as server,
                tempfile.TemporaryDirectory(prefix="bench-", dir=base) as directory,
            ):
                say(f"{task.name}, {condition}: making {task.files:,} files")
                stage = STAGES[task.name](server, Homeserver(Path(directory)), task.files, task.engine)
                for tool in tools[first:] + tools[:first]:
                    measurements.append(undisturbed(partial(measure_one, server, condition, stage, tool)))
                    say(f"{task.name}: {line(measurements[-1])}")
    return measurements


def measure_one(server: BenchServer, condition: Condition, stage: Stage, tool: Tool) -> Measurement:
    """Have one program do its work once, and look at the outcome."""
    job, problems = stage.prepare(), list[str]()
    if tool.prepare is not None and (prepared := run(job, tool.prepare(job))).status:
        problems.append(f"its preparation exited with {prepared.status}: {prepared.log_end()}")
    before = server.work()
    usage = run(job, tool.command(job))
    after = server.work()
    problems += stage.problems(tool.name, job, usage)
    return Measurement(
        condition=condition,
        tool=tool.name,
        connections=tool.connections,
        equal=False,
        files=stage.files,
        bytes=stage.bytes,
        seconds=usage.seconds,
        cpu_seconds=usage.cpu_seconds,
        peak_bytes=usage.peak_bytes,
        requests=after.requests - before.requests,
        server_cpu_seconds=after.cpu_seconds - before.cpu_seconds,
        busy_seconds=usage.busy_seconds,
        problems=tuple(problems),
    )


def _entries(task: WayBack, rtt_ms: int) -> list[Tool]:
    return [tool for tool in contest(task.name, rtt_ms) if tool.name.startswith(tuple(task.tools))]
