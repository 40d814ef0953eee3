# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark `nightly`: a bucket of many objects, a database that knows them all, and few files on the local disk.

Half of those files are in the bucket already. Ours runs once; the script's three commands run one after the other, as
its documentation has them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ansible_collections.matrixops.synapse_s3.tests.benchmark import tools
from ansible_collections.matrixops.synapse_s3.tests.benchmark.fill import fill
from ansible_collections.matrixops.synapse_s3.tests.benchmark.homeserver import PREFIX, Homeserver
from ansible_collections.matrixops.synapse_s3.tests.benchmark.move import Say
from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import OURS, SCRIPT, Condition, NightlyRun
from ansible_collections.matrixops.synapse_s3.tests.benchmark.runner import run
from ansible_collections.matrixops.synapse_s3.tests.benchmark.server import BenchServer, base_directory, bench_server
from ansible_collections.matrixops.synapse_s3.tests.benchmark.tools import Command, Job
from ansible_collections.matrixops.synapse_s3.tests.benchmark.tree import TINY, USUAL, Media, content, plan
from ansible_collections.matrixops.synapse_s3.tests.benchmark.verification import find_problems

# The numbers of the media that are on the local disk begin here, so that none is one of the others.
_FIRST_NEW = 100_000_000
_WRITERS = 8
_CACHE = "cache.db"


@dataclass(frozen=True)
class Night:
    """How many objects and local files, behind which round trip."""

    condition: Condition
    objects: int
    local_files: int
    rounds: int
    engine: Path
    work: Path


@dataclass(frozen=True)
class _Stage:
    """Everything that stays the same between the runs. ``cache``: the script's state after the nights before."""

    server: BenchServer
    job: Job
    old: Sequence[Media]
    new: Sequence[Media]
    cache: Path


def measure(night: Night, say: Say) -> list[NightlyRun]:
    """Run both in turn, each time from the same state."""
    with _stage(night, say) as stage:
        results = []
        for _turn in range(night.rounds):
            for tool, commands in ((OURS, [tools.ours().command(stage.job)]), (SCRIPT, _three_commands(stage.job))):
                results.append(_measure_one(night, stage, tool, commands))
                say(f"nightly, {night.condition}: {_line(results[-1])}")
        return results


@contextmanager
def _stage(night: Night, say: Say) -> Iterator[_Stage]:
    old = list(plan(TINY, night.objects))
    new = list(plan(USUAL, night.local_files, _FIRST_NEW))
    base = base_directory(night.condition.storage, night.work)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=base) as directory:
        home = Homeserver(Path(directory))
        with bench_server(night.condition, night.work) as server:
            bucket = server.new_bucket()
            home.configure(bucket)
            say(f"nightly: filling the bucket with {night.objects:,} objects")
            fill(server, bucket.bucket, [PREFIX + file.path for each in old for file in each.files])
            job = Job(home, bucket, night.engine)
            home.write_database(old)
            cache = _earlier_nights(job)
            home.write_database(chain(old, new))
            yield _Stage(server, job, old, new, cache)


def _earlier_nights(job: Job) -> Path:
    """What the script keeps after it has seen the database's media, and that none of it is local any more."""
    for command in _three_commands(job)[:2]:
        if (usage := run(job, command)).status:
            raise RuntimeError(f"s3_media_upload exited with {usage.status}: {usage.log_end()}")
    return (job.home.directory / _CACHE).rename(job.home.directory / "earlier-nights.db")


def _three_commands(job: Job) -> list[Command]:
    script = tools.s3_media_upload()
    assert script.prepare
    update = script.prepare(job)
    check = Command((update.arguments[0], "--no-progress", "check-deleted", str(job.home.media)))
    return [update, check, script.command(job)]


def _measure_one(night: Night, stage: _Stage, tool: str, commands: Sequence[Command]) -> NightlyRun:
    home, client, problems = stage.job.home, stage.server.client(), list[str]()
    files = list(chain.from_iterable(each.files for each in stage.new))
    _evening(stage, tool)
    before = stage.server.work()
    used = [run(stage.job, command) for command in commands]
    after = stage.server.work()
    problems += [f"it exited with {usage.status}: {usage.log_end()}" for usage in used if usage.status]
    others = {file.path for each in stage.old for file in each.files}
    problems += find_problems(client, stage.job.bucket.bucket, files, home, others)
    return NightlyRun(
        condition=night.condition,
        tool=tool,
        objects=night.objects,
        local_files=len(files),
        seconds=sum(usage.seconds for usage in used),
        cpu_seconds=sum(usage.cpu_seconds for usage in used),
        peak_bytes=max(usage.peak_bytes for usage in used),
        requests=after.requests - before.requests,
        problems=tuple(problems),
    )


def _evening(stage: _Stage, tool: str) -> None:
    """The state before a night: new media have come, half of them are in the bucket."""
    home, client, bucket = stage.job.home, stage.server.client(), stage.job.bucket.bucket
    home.clear()
    (home.directory / _CACHE).unlink(missing_ok=True)
    if tool == SCRIPT:
        shutil.copyfile(stage.cache, home.directory / _CACHE)

    def restore(number_and_media: tuple[int, Media]) -> None:
        number, media = number_and_media
        for file in media.files:
            if number % 2:
                client.put_object(Bucket=bucket, Key=PREFIX + file.path, Body=content(file))
            else:
                client.delete_object(Bucket=bucket, Key=PREFIX + file.path)

    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(restore, enumerate(stage.new)))
    home.write_media(chain.from_iterable(each.files for each in stage.new))


def _line(result: NightlyRun) -> str:
    outcome = f"; FAILED: {'; '.join(result.problems)}" if result.problems else ""
    return (
        f"{result.tool}: {result.seconds:.1f} s, CPU {result.cpu_seconds:.1f} s, {result.requests:,} requests{outcome}"
    )
