# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands of the way back work on, and whether afterwards all is as it should be."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import Root
from ansible_collections.matrixops.synapse_s3.tests.benchmark.fill import fill
from ansible_collections.matrixops.synapse_s3.tests.benchmark.homeserver import PREFIX, Homeserver
from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import RCLONE_CHECK, WAY_BACK
from ansible_collections.matrixops.synapse_s3.tests.benchmark.runner import Usage
from ansible_collections.matrixops.synapse_s3.tests.benchmark.server import BenchServer
from ansible_collections.matrixops.synapse_s3.tests.benchmark.tools import Job
from ansible_collections.matrixops.synapse_s3.tests.benchmark.tree import (
    TINY,
    USUAL,
    Media,
    Profile,
    TreeFile,
    content,
    plan,
)
from ansible_collections.matrixops.synapse_s3.tests.benchmark.verification import (
    find_key_problems,
    find_local_problems,
    find_problems,
)

ONE_BYTE = Profile((1, 1), (1, 1))
_WRITERS = 8
# An object and a local file are four inodes with their directories, nearly.
_INODES_A_FILE = 4.5
_KNOWN_MEDIA_FILES = 1000


@dataclass(frozen=True)
class Stage:
    """What stays the same between the runs on one server.

    ``files`` and ``bytes`` are what a run has to do. ``prepare`` makes the state before a run. ``problems`` tells, by
    the program's name, what it did and what its run left, all that is wrong then.
    """

    files: int
    bytes: int
    prepare: Callable[[], Job]
    problems: Callable[[str, Job, Usage], list[str]]


def verify_stage(server: BenchServer, home: Homeserver, files: int, engine: Path) -> Stage:
    """All files of the database are local and in the bucket, of 1 byte; one object is of another length.

    Each program must have looked at all, and must name that one.
    """
    check_inodes(home.directory, files)
    media = list(plan(ONE_BYTE, files))
    paths = [file.path for each in media for file in each.files]
    bucket, wrong = server.new_bucket(), paths[len(paths) // 2]
    home.configure(bucket)
    home.write_database(media)
    home.link_media(paths)
    fill(server, bucket.bucket, [PREFIX + path for path in paths])
    client: Any = server.client()
    client.put_object(Bucket=bucket.bucket, Key=PREFIX + wrong, Body=b"longer")

    def problems(tool: str, _job: Job, usage: Usage) -> list[str]:
        return find_verify_problems(tool, usage.status, usage.log.read_text(errors="replace"), len(paths), wrong)

    return Stage(len(paths), len(paths), lambda: Job(home, bucket, engine), problems)


def find_verify_problems(tool: str, status: int, output: str, files: int, wrong: str) -> list[str]:
    """What is wrong with what a program printed that was to look at ``files`` files, of which ``wrong`` is damaged."""
    looked_at = {
        WAY_BACK["verify"]: f'"checked": {{"files": {files},',
        RCLONE_CHECK: f"{files - 1} matching files",
    }[tool]
    problems = [] if status == 1 else [f"it exited with {status} instead of 1"]
    problems += [] if wrong in output else [f"it does not name {wrong!r}, which is damaged"]
    problems += [] if looked_at in output else [f"it does not say {looked_at!r}"]
    return [*problems, *([f"its output ends with {output[-1000:]}"] if problems else [])]


def check_inodes(directory: Path, files: int) -> None:
    """Say at once what otherwise would be seen after minutes."""
    free, needed = os.statvfs(directory).f_favail, int(_INODES_A_FILE * files)
    if free < needed:
        raise SystemExit(
            f"Could not begin: {str(directory)!r} has room for {free:,} files and directories, and {needed:,} are"
            " needed. Give it more, as with: mount -o remount,nr_inodes=12000000 /dev/shm"
        )


def restore_stage(server: BenchServer, home: Homeserver, files: int, engine: Path) -> Stage:
    """Files of usual size are in the bucket, and none is local."""
    media = list(plan(USUAL, files))
    all_files = _files(media)
    bucket = server.new_bucket()
    home.configure(bucket)
    home.write_database(media)
    _upload(server, bucket.bucket, all_files)

    def prepare() -> Job:
        _clear(home)
        return Job(home, bucket, engine)

    def problems(_tool: str, _job: Job, usage: Usage) -> list[str]:
        return [*_exit_problems(usage), *find_local_problems(all_files, home)]

    return Stage(len(all_files), _bytes(all_files), prepare, problems)


def copy_bucket_stage(server: BenchServer, home: Homeserver, files: int, engine: Path) -> Stage:
    """Files of usual size are in one bucket; each run gets another one, which is empty."""
    media = list(plan(USUAL, files))
    all_files = _files(media)
    source = server.new_bucket()
    home.write_database(media)
    _upload(server, source.bucket, all_files)

    def prepare() -> Job:
        _clear(home)
        target = server.new_bucket()
        home.configure(target, source)
        return Job(home, target, engine, source)

    def problems(_tool: str, job: Job, usage: Usage) -> list[str]:
        return [*_exit_problems(usage), *find_problems(server.client(), job.bucket.bucket, all_files, home)]

    return Stage(len(all_files), _bytes(all_files), prepare, problems)


def purge_orphans_stage(server: BenchServer, home: Homeserver, files: int, engine: Path) -> Stage:
    """All local users' media are unknown to the database; of other homeservers' there are few, and all are known."""
    orphans = [file.path for file in _own_files(files)]
    known = [each for each in plan(TINY, 2 * _KNOWN_MEDIA_FILES) if each.origin is not None]
    kept = [file.path for file in _files(known)]
    home.write_database(known)

    def prepare() -> Job:
        _clear(home)
        bucket = server.new_bucket()
        home.configure(bucket)
        fill(server, bucket.bucket, [PREFIX + path for path in (*orphans, *kept)])
        return Job(home, bucket, engine)

    def problems(_tool: str, job: Job, usage: Usage) -> list[str]:
        return [*_exit_problems(usage), *find_key_problems(server.client(), job.bucket.bucket, kept)]

    return Stage(len(orphans), len(orphans), prepare, problems)


STAGES: Mapping[str, Callable[[BenchServer, Homeserver, int, Path], Stage]] = {
    "verify": verify_stage,
    "restore": restore_stage,
    "copy_bucket": copy_bucket_stage,
    "purge_orphans": purge_orphans_stage,
}


def _own_files(number: int) -> list[TreeFile]:
    """So many files of local media."""
    own = (file for each in plan(TINY, 3 * number) if each.origin is None for file in each.files)
    return [file for file, _unused in zip(own, range(number), strict=False)]


def _files(media: Sequence[Media]) -> list[TreeFile]:
    return list(chain.from_iterable(each.files for each in media))


def _bytes(files: Sequence[TreeFile]) -> int:
    return sum(file.size for file in files)


def _upload(server: BenchServer, bucket: str, files: Sequence[TreeFile]) -> None:
    """As Synapse's storage provider does: large ones in parts."""
    client: Any = server.client()

    def put(file: TreeFile) -> None:
        client.upload_fileobj(io.BytesIO(content(file)), bucket, PREFIX + file.path)

    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(put, files))


def _clear(home: Homeserver) -> None:
    """As if no program had run: a media store without files, and nothing written down."""
    home.clear()
    for root in Root:
        (home.media / root.value).mkdir(parents=True)
    if home.state.exists():
        shutil.rmtree(home.state)
    home.state.mkdir()


def _exit_problems(usage: Usage) -> list[str]:
    return [f"it exited with {usage.status}: {usage.log_end()}"] if usage.status else []
