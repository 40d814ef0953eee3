# SPDX-License-Identifier: GPL-3.0-or-later
"""What is compared in which condition: each program at its best settings, and all at equal connections.

`make bench BENCH=sweep` tries others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from ansible_collections.matrixops.synapse_s3.tests.benchmark import tools
from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import (
    AWS,
    BY_AWS,
    BY_RCLONE,
    BY_S5CMD,
    SCRIPT,
    Condition,
)
from ansible_collections.matrixops.synapse_s3.tests.benchmark.tools import Tool

STORAGES, SCHEMES, ROUND_TRIPS_MS = ("memory", "disk"), ("http", "https"), (0, 10, 40)
TOOLS = ("migrate", "rclone", "s5cmd", "aws", "s3_media_upload")

# Connections by round trip for the comparison at equal numbers.
EQUAL = {0: 16, 10: 32, 40: 64}

# Connections by round trip. At 0 ms, 8 to 64 differ by less than two runs of one number do, so the least CPU time a
# file decided; s5cmd's own default of 256 was slower at 0 and at 40 ms.
BEST_RCLONE = {0: 16, 10: 32, 40: 64}
# The target at 40 ms is set for this number, which is not its best.
ALSO_RCLONE: Mapping[int, Sequence[int]] = {0: [], 10: [], 40: [32]}
BEST_S5CMD = {0: 16, 10: 64, 40: 64}
BEST_AWS = {0: 10, 10: 10, 40: 16}

# List the bucket once instead of once a directory; no HEAD after each upload (it is sent with its MD5 anyway).
RCLONE_OPTIONS = ("--fast-list", "--s3-no-head", "--s3-no-check-bucket")

_ROUNDS_ELSEWHERE = 2

# Slow programs get the beginning of the tree, so that a run ends: files by program and round trip.
SLICES = {
    SCRIPT: {0: 600, 10: 200, 40: 80},
    AWS: {0: 1200, 10: 1200, 40: 600},
    # The script asks for each file, one after the other.
    **{tool: {0: 1200, 10: 600, 40: 300} for tool in (BY_RCLONE, BY_S5CMD, BY_AWS)},
}


@dataclass(frozen=True)
class Entry:
    """A program that takes part in the first ``rounds`` rounds; ``equal``: at equal connections, not at its best."""

    tool: Tool
    equal: bool
    rounds: int


@dataclass(frozen=True)
class Contest:
    """One condition with the programs that run in it."""

    condition: Condition
    entries: Sequence[Entry]


def contests(
    storages: Iterable[str], schemes: Iterable[str], round_trips_ms: Iterable[int], rounds: int, names: Sequence[str]
) -> Iterator[Contest]:
    """The matrix, with the programs whose names begin with one of these.

    On the fast server all run in each round. Elsewhere, where no target is set, in fewer rounds, the slowest once,
    and none at equal connections.
    """
    for condition in (Condition(*each) for each in product(storages, schemes, round_trips_ms)):
        rtt_ms, fast = condition.rtt_ms, condition.is_fast_server
        entries = [Entry(tool, False, rounds if fast else _ROUNDS_ELSEWHERE) for tool in _fast_ones(rtt_ms)]
        entries += [Entry(tool, False, rounds if fast else 1) for tool in _slow_ones(rtt_ms)]
        if fast:
            entries += [Entry(tools.rclone(number, *RCLONE_OPTIONS), False, rounds) for number in ALSO_RCLONE[rtt_ms]]
            entries += [Entry(tool, True, rounds) for tool in _at_equal_connections(rtt_ms)]
        yield Contest(condition, [entry for entry in entries if entry.tool.name.startswith(tuple(names))])


def files_for(tool: Tool, rtt_ms: int, files: int) -> int:
    """How many of the files this program gets."""
    return min(files, SLICES.get(tool.name, {}).get(rtt_ms, files))


def _fast_ones(rtt_ms: int) -> list[Tool]:
    return [tools.ours(), tools.rclone(BEST_RCLONE[rtt_ms], *RCLONE_OPTIONS), tools.s5cmd(BEST_S5CMD[rtt_ms])]


def _slow_ones(rtt_ms: int) -> list[Tool]:
    return [tools.aws(BEST_AWS[rtt_ms]), tools.s3_media_upload()]


def _at_equal_connections(rtt_ms: int) -> list[Tool]:
    """Without aws, which more do not make faster, and s3_media_upload, which has one."""
    number = EQUAL[rtt_ms]
    return [tools.ours(number), tools.rclone(number, *RCLONE_OPTIONS), tools.s5cmd(number)]
