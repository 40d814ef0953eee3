# SPDX-License-Identifier: GPL-3.0-or-later
"""How each program is told to do what a command of the way back does, and the settings at which it is best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ansible_collections.matrixops.synapse_s3.tests.benchmark.peers import has_peer
from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import (
    AWS_COPY,
    RCLONE_CHECK,
    RCLONE_COPY,
    S5CMD_COPY,
    S5CMD_REMOVE,
    WAY_BACK,
)
from ansible_collections.matrixops.synapse_s3.tests.benchmark.settings import BEST_AWS
from ansible_collections.matrixops.synapse_s3.tests.benchmark.tools import (
    Command,
    Job,
    Tool,
    compile_ours,
    our_program,
    rclone_place,
    run_aws,
    run_rclone,
    run_s5cmd,
    url,
)

# Connections by round trip: several, so that the best of a machine is among them in the same run.
CONNECTIONS: Mapping[int, Sequence[int]] = {0: (16, 32), 10: (32, 64), 40: (64, 128)}

_OPTIONS = {
    "verify": (),
    "restore": (),
    # The configuration has the target first, as it stands while media moves.
    "copy_bucket": ("--from", "2", "--to", "1"),
    "purge_orphans": ("--delete", "--minimum-age", "0s", "--maximum-share", "100%"),
}
# List once instead of once a directory; times from the listing instead of by a HEAD for each; no look at the bucket.
_RCLONE = ("--fast-list", "--use-server-modtime", "--s3-no-check-bucket")


def contest(name: str, rtt_ms: int) -> list[Tool]:
    """All that take part in the benchmark of that name, ours first; who is not installed too."""
    return [ours(name), *_RIVALS[name](rtt_ms)]


def is_installed(tool: Tool) -> bool:
    """Whether the program is here; ours always is."""
    return tool.name in WAY_BACK.values() or has_peer(tool.name.partition(" ")[0])


def ours(name: str) -> Tool:
    """This project's command of that benchmark."""

    def command(job: Job) -> Command:
        state = () if name == "verify" else ("--state-directory", str(job.home.state))
        return our_program(
            job, "--config", str(job.home.configuration), WAY_BACK[name], "--json", *state, *_OPTIONS[name]
        )

    return Tool(WAY_BACK[name], None, command, compile_ours)


def rclone_check(connections: int) -> Tool:
    """It compares the bucket with the local files, by name and length."""

    def command(job: Job) -> Command:
        places = (str(job.home.media), rclone_place(job.bucket))
        return run_rclone(job, connections, "check", *places, "--size-only", "--fast-list", "--s3-no-check-bucket")

    return Tool(RCLONE_CHECK, connections, command)


def rclone_restore(connections: int) -> Tool:
    def command(job: Job) -> Command:
        places = (rclone_place(job.bucket), str(job.home.media))
        return run_rclone(job, connections, "copy", *places, *_RCLONE, "--s3-no-head-object")

    return Tool(RCLONE_COPY, connections, command)


def s5cmd_restore(connections: int) -> Tool:
    def command(job: Job) -> Command:
        return run_s5cmd(job, connections, "cp", url(job.bucket, "*"), f"{job.home.media}/")

    return Tool(S5CMD_COPY, connections, command)


def aws_restore(connections: int) -> Tool:
    def command(job: Job) -> Command:
        return run_aws(job, connections, "cp", url(job.bucket), str(job.home.media))

    return Tool(AWS_COPY, connections, command)


def rclone_copy_bucket(connections: int) -> Tool:
    """By streams: the server is not asked to copy, as it could not if the other bucket were another server's."""

    def command(job: Job) -> Command:
        assert job.source
        places = (rclone_place(job.source), rclone_place(job.bucket))
        options = ("--disable", "copy", "--s3-no-head", "--s3-no-head-object")
        return run_rclone(job, connections, "copy", *places, *_RCLONE, *options)

    return Tool(RCLONE_COPY, connections, command)


def s5cmd_remove(connections: int) -> Tool:
    """What is orphaned are the files of this homeserver's own users, so that a pattern says it."""

    def command(job: Job) -> Command:
        return run_s5cmd(job, connections, "rm", url(job.bucket, "local_*"))

    return Tool(S5CMD_REMOVE, connections, command)


def _each(*makers: Callable[[int], Tool]) -> Callable[[int], list[Tool]]:
    """Each program with each number of connections."""
    return lambda rtt_ms: [maker(number) for maker in makers for number in CONNECTIONS[rtt_ms]]


_RIVALS: Mapping[str, Callable[[int], list[Tool]]] = {
    "verify": _each(rclone_check),
    "restore": lambda rtt_ms: [*_each(rclone_restore, s5cmd_restore)(rtt_ms), aws_restore(BEST_AWS[rtt_ms])],
    "copy_bucket": _each(rclone_copy_bucket),
    "purge_orphans": _each(s5cmd_remove),
}
