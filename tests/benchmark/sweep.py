# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark `sweep`: the other programs with one setting after the other, to find the best for settings.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ansible_collections.matrixops.synapse_s3.tests.benchmark import tools
from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import Condition
from ansible_collections.matrixops.synapse_s3.tests.benchmark.settings import EQUAL, RCLONE_OPTIONS, Contest, Entry
from ansible_collections.matrixops.synapse_s3.tests.benchmark.tools import Tool

_RCLONE_OPTIONS = (
    (),
    ("--fast-list",),
    ("--no-traverse",),
    ("--s3-no-head",),
    RCLONE_OPTIONS,
    (*RCLONE_OPTIONS, "--ignore-checksum"),
    (*RCLONE_OPTIONS, "--s3-use-unsigned-payload=true"),
    (*RCLONE_OPTIONS, "--buffer-size", "0"),
    (*RCLONE_OPTIONS, "--s3-chunk-size", "16M", "--s3-upload-concurrency", "8"),
)
_RCLONE_CONNECTIONS = (8, 16, 32, 64, 128)
_S5CMD_CONNECTIONS = (8, 16, 32, 64, 128, 256)
_AWS_CONNECTIONS = (4, 10, 16)


def sweep(condition: Condition, rounds: int, names: tuple[str, ...]) -> Contest:
    """All settings that are tried in one condition."""
    entries = [Entry(tool, equal=False, rounds=rounds) for tool in _candidates(EQUAL[condition.rtt_ms])]
    return Contest(condition, [entry for entry in entries if entry.tool.name.startswith(tuple(names))])


def _candidates(connections: int) -> Iterator[Tool]:
    for options in _RCLONE_OPTIONS:
        tool = tools.rclone(connections, *options)
        yield replace(tool, name=" ".join((tool.name, *options)))
    yield from (tools.rclone(number, *RCLONE_OPTIONS) for number in _RCLONE_CONNECTIONS)
    yield from (tools.s5cmd(number) for number in _S5CMD_CONNECTIONS)
    yield from (tools.aws(number) for number in _AWS_CONNECTIONS)
