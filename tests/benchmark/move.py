# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark `move`: all local files into the bucket and away from the local disk, by each program in turn."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from ansible_collections.matrixops.synapse_s3.tests.benchmark import settings
from ansible_collections.matrixops.synapse_s3.tests.benchmark.homeserver import Homeserver
from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import Condition, Measurement
from ansible_collections.matrixops.synapse_s3.tests.benchmark.runner import run
from ansible_collections.matrixops.synapse_s3.tests.benchmark.server import BenchServer, base_directory, bench_server
from ansible_collections.matrixops.synapse_s3.tests.benchmark.settings import Contest, Entry
from ansible_collections.matrixops.synapse_s3.tests.benchmark.tools import Job
from ansible_collections.matrixops.synapse_s3.tests.benchmark.tree import Profile, plan
from ansible_collections.matrixops.synapse_s3.tests.benchmark.verification import find_problems

Say = Callable[[str], None]
# A run is disturbed when other programs had more than this share of all cores. The proxy alone stays below it.
_DISTURBED = 0.25
_TRIES = 3


@dataclass(frozen=True)
class Task:
    """What is moved, by which version of our program, and where there is room to work."""

    profile: Profile
    files: int
    engine: Path
    work: Path


def measure(contests: Sequence[Contest], rounds: int, task: Task, say: Say) -> list[Measurement]:
    """Run everything round by round, each round in another order, on a new server for each round and condition."""
    measurements: list[Measurement] = []
    total = sum(min(entry.rounds, rounds) for contest in contests for entry in contest.entries)
    for number in range(rounds):
        for contest in contests:
            entries = [entry for entry in contest.entries if number < entry.rounds]
            first = number * len(entries) // rounds
            with bench_server(contest.condition, task.work) as server:
                for entry in entries[first:] + entries[:first]:
                    measurements.append(undisturbed(partial(measure_one, server, contest.condition, entry, task)))
                    say(f"{len(measurements)} of {total}: {line(measurements[-1])}")
    return measurements


def undisturbed(measure_once: Callable[[], Measurement]) -> Measurement:
    """Measure, and anew when something else kept the machine busy meanwhile; of several tries the least disturbed one.

    A run that failed is never repeated.
    """
    tries: list[Measurement] = []
    while len(tries) < _TRIES:
        tries.append(measure_once())
        if tries[-1].problems or _others_share(tries[-1]) <= _DISTURBED:
            return tries[-1]
    return min(tries, key=_others_share)


def measure_one(server: BenchServer, condition: Condition, entry: Entry, task: Task) -> Measurement:
    """Have one program move a new tree into a new bucket, and look at the outcome."""
    tool, problems = entry.tool, []
    media = list(plan(task.profile, settings.files_for(tool, condition.rtt_ms, task.files)))
    files = list(chain.from_iterable(each.files for each in media))
    with tempfile.TemporaryDirectory(prefix="bench-", dir=base_directory(condition.storage, task.work)) as directory:
        home, bucket = Homeserver(Path(directory)), server.new_bucket()
        home.configure(bucket)
        home.write_database(media)
        home.write_media(files)
        job = Job(home, bucket, task.engine)
        if tool.prepare is not None and (prepared := run(job, tool.prepare(job))).status:
            problems.append(f"its preparation exited with {prepared.status}: {prepared.log_end()}")
        before = server.work()
        usage = run(job, tool.command(job))
        after = server.work()
        if usage.status:
            problems.append(f"it exited with {usage.status}: {usage.log_end()}")
        problems += find_problems(server.client(), bucket.bucket, files, home)
    return Measurement(
        condition=condition,
        tool=tool.name,
        connections=tool.connections,
        equal=entry.equal,
        files=len(files),
        bytes=sum(file.size for file in files),
        seconds=usage.seconds,
        cpu_seconds=usage.cpu_seconds,
        peak_bytes=usage.peak_bytes,
        requests=after.requests - before.requests,
        server_cpu_seconds=after.cpu_seconds - before.cpu_seconds,
        busy_seconds=usage.busy_seconds,
        problems=tuple(problems),
    )


def _others_share(result: Measurement) -> float:
    """Of what all cores together could have done meanwhile."""
    return result.other_cpu_seconds / (result.seconds * (os.cpu_count() or 1))


def line(result: Measurement) -> str:
    name = f"{result.tool} ({result.connections})" if result.connections else result.tool
    numbers = (
        f"{result.files / result.seconds:,.0f} files/s ({result.files:,} in {result.seconds:.2f} s)",
        f"CPU {1000 * result.cpu_seconds / result.files:.2f} ms/file",
        f"{result.peak_bytes / 1e6:.0f} MB",
        f"{result.requests:,} requests ({result.requests / result.files:.2f}/file)",
        f"server CPU {1000 * result.server_cpu_seconds / result.files:.2f} ms/file",
        f"others {1000 * result.other_cpu_seconds / result.files:.2f} ms/file",
    )
    outcome = f"; FAILED: {'; '.join(result.problems)}" if result.problems else ""
    return f"{result.condition}: {name}: {', '.join(numbers)}{outcome}"
