# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark `growth`: ours alone, on ever more files and with many connections: its memory, its time a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ansible_collections.matrixops.synapse_s3.tests.benchmark import tools
from ansible_collections.matrixops.synapse_s3.tests.benchmark.move import Say, Task, measure
from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import Condition, Measurement
from ansible_collections.matrixops.synapse_s3.tests.benchmark.settings import Contest, Entry
from ansible_collections.matrixops.synapse_s3.tests.benchmark.tree import TINY, USUAL

MANY_CONNECTIONS = 64
_USUAL_FILES = 24_000


def measure_growth(numbers: Sequence[int], storage: str, engine: Path, work: Path, say: Say) -> Iterator[Measurement]:
    """Tiny files in these numbers, and files of usual and large size with many connections."""
    condition = Condition(storage, "http", 0)
    for number in numbers:
        contest = Contest(condition, [Entry(tools.ours(), equal=False, rounds=1)])
        yield from measure([contest], 1, Task(TINY, number, engine, work), say)
    contest = Contest(condition, [Entry(tools.ours(MANY_CONNECTIONS), equal=True, rounds=1)])
    yield from measure([contest], 1, Task(USUAL, _USUAL_FILES, engine, work), say)
