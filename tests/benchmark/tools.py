# SPDX-License-Identifier: GPL-3.0-or-later
"""How each program is told to put all files of a media store into a bucket and to remove them locally."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.tests.benchmark.homeserver import PREFIX, Homeserver
from ansible_collections.matrixops.synapse_s3.tests.benchmark.peers import peer_binary
from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import AWS, OURS, RCLONE, S5CMD, SCRIPT

MODULE_UTILS = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"


@dataclass(frozen=True)
class Job:
    """What a program is to work on. ``engine`` is the directory with our program, ``_media``.

    ``source`` is the bucket to copy from; only where there is one.
    """

    home: Homeserver
    bucket: BucketSettings
    engine: Path = MODULE_UTILS
    source: BucketSettings | None = None


@dataclass(frozen=True)
class Command:
    """A program's arguments, and what its environment has beside PATH and HOME."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tool:
    """A program with settings. ``connections`` is None where it chooses by itself or has no such setting.

    ``prepare`` is what it needs to be run once before, which is not measured.
    """

    name: str
    connections: int | None
    command: Callable[[Job], Command]
    prepare: Callable[[Job], Command] | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.connections})" if self.connections else self.name


def environment(job: Job, command: Command) -> dict[str, str]:
    """The whole environment of a command: nothing of this machine's settings of AWS, Python or rclone."""
    bucket = job.bucket
    aws = {
        "AWS_ACCESS_KEY_ID": bucket.access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": bucket.secret_access_key or "",
        "AWS_REGION": bucket.region_name or "",
        "AWS_DEFAULT_REGION": bucket.region_name or "",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if bucket.ca_bundle_path:
        aws["AWS_CA_BUNDLE"] = bucket.ca_bundle_path
    return {"PATH": os.environ["PATH"], "HOME": str(job.home.directory), **aws, **command.environment}


def our_program(job: Job, *arguments: str) -> Command:
    """This project's program, from the checkout, as the role's own commands run it."""
    return Command(
        (sys.executable, "-m", "_media", *arguments),
        {
            "PYTHONPATH": str(job.engine),
            "PYTHONPYCACHEPREFIX": sys.pycache_prefix or "",
            "MALLOC_ARENA_MAX": "2",
        },
    )


def compile_ours(job: Job) -> Command:
    """As installed by the role, it need not be compiled when it is started."""
    return our_program(job, "--help")


def ours(connections: int | None = None, *options: str) -> Tool:
    """`migrate`."""

    def command(job: Job) -> Command:
        workers = ("--workers", str(connections)) if connections else ()
        arguments = ("migrate", "--json", "--minimum-age", "0s", *workers, *options)
        return our_program(job, "--config", str(job.home.configuration), *arguments)

    return Tool(OURS, connections, command, compile_ours)


def rclone(connections: int, *options: str) -> Tool:
    def command(job: Job) -> Command:
        return run_rclone(job, connections, "move", str(job.home.media), rclone_place(job.bucket), *options)

    return Tool(RCLONE, connections, command)


def run_rclone(job: Job, connections: int, *arguments: str) -> Command:
    """With these arguments, and a remote that leads to the job's server."""
    bucket = job.bucket
    limits = ("--transfers", str(connections), "--checkers", str(connections))
    remote = {
        "TYPE": "s3",
        "PROVIDER": "Minio",
        "ACCESS_KEY_ID": bucket.access_key_id or "",
        "SECRET_ACCESS_KEY": bucket.secret_access_key or "",
        "REGION": bucket.region_name or "",
        "ENDPOINT": bucket.endpoint_url or "",
    }
    certificate = ("--ca-cert", bucket.ca_bundle_path) if bucket.ca_bundle_path else ()
    return Command(
        (str(peer_binary("rclone")), *arguments, "--config", "", *limits, *certificate),
        {f"RCLONE_CONFIG_BENCH_{name}": value for name, value in remote.items()},
    )


def rclone_place(bucket: BucketSettings) -> str:
    """The bucket's media, for rclone."""
    return f"bench:{bucket.bucket}/{PREFIX}"


def url(bucket: BucketSettings, below: str = "") -> str:
    """The bucket's media, or what is below them, for s5cmd and aws."""
    return f"s3://{bucket.bucket}/{PREFIX}{below}"


def s5cmd(connections: int) -> Tool:
    def command(job: Job) -> Command:
        return run_s5cmd(job, connections, "mv", f"{job.home.media}/", url(job.bucket))

    return Tool(S5CMD, connections, command)


def run_s5cmd(job: Job, connections: int, *arguments: str) -> Command:
    program = (str(peer_binary("s5cmd")), "--log", "error", "--numworkers", str(connections))
    return Command((*program, "--endpoint-url", job.bucket.endpoint_url or "", *arguments))


def aws(connections: int) -> Tool:
    def command(job: Job) -> Command:
        return run_aws(job, connections, "mv", str(job.home.media), url(job.bucket))

    return Tool(AWS, connections, command)


def run_aws(job: Job, connections: int, command: str, *places: str) -> Command:
    """Its number of connections stands in a file."""
    settings = job.home.directory / "aws-config"
    settings.write_text(f"[default]\ns3 =\n  max_concurrent_requests = {connections}\n", encoding="utf-8")
    program = (str(peer_binary("aws")), "--endpoint-url", job.bucket.endpoint_url or "", "s3", command)
    return Command((*program, "--recursive", "--only-show-errors", *places), {"AWS_CONFIG_FILE": str(settings)})


def s3_media_upload() -> Tool:
    """Upstream's script: one file after the other, of the media that its cache.db knows."""
    program = str(peer_binary("s3_media_upload"))

    def command(job: Job) -> Command:
        where = (str(job.home.media), job.bucket.bucket, "--prefix", PREFIX)
        endpoint = ("--endpoint-url", job.bucket.endpoint_url or "")
        return Command((program, "--no-progress", "upload", *where, "--delete", *endpoint))

    return Tool(SCRIPT, None, command, lambda _job: Command((program, "--no-progress", "update-db", "0d")))
