# SPDX-License-Identifier: GPL-3.0-or-later
"""Measurements, and what follows from them: medians, spreads, ratios, targets. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

OURS = "migrate"
RCLONE, S5CMD, AWS, SCRIPT = "rclone move", "s5cmd mv", "aws s3 mv", "s3_media_upload"
# The page's own way: one of these copies, then the script checks what is in the bucket, and deletes.
BY_RCLONE, BY_S5CMD, BY_AWS = (f"{tool}, then {SCRIPT}" for tool in ("rclone copy", "s5cmd cp", "aws s3 cp"))

# How many times faster than each program, by round trip, on a fast server.
TARGETS = {
    0: {RCLONE: 1.5, S5CMD: 1.2, SCRIPT: 12.0, BY_RCLONE: 5.0, BY_S5CMD: 5.0, BY_AWS: 5.0},
    10: {RCLONE: 1.5, S5CMD: 1.3, SCRIPT: 50.0, BY_RCLONE: 20.0, BY_S5CMD: 20.0, BY_AWS: 20.0},
    40: {RCLONE: 2.5, S5CMD: 1.2, SCRIPT: 100.0, BY_RCLONE: 45.0, BY_S5CMD: 45.0, BY_AWS: 45.0},
}
NIGHTLY_TARGET = 20.0
# Our commands of the way back, by the name of their benchmark, and what each is measured against.
WAY_BACK = {"verify": "verify", "restore": "restore", "copy_bucket": "copy-bucket", "purge_orphans": "purge-orphans"}
RCLONE_CHECK, RCLONE_COPY, S5CMD_COPY, AWS_COPY = "rclone check", "rclone copy", "s5cmd cp", "aws s3 cp"
S5CMD_REMOVE = "s5cmd rm"
# At least as fast as each of them, and so as the best.
WAY_BACK_TARGET = 1.0
VERIFY_BYTES = 200_000_000
VERIFY_FILES, VERIFY_REQUESTS = 1_000_000, 1_100
MANY_CONNECTIONS_BYTES = 100_000_000
MANY_FILES_BYTES = 200_000_000


@dataclass(frozen=True)
class Condition:
    """What the server is like. ``rtt_ms`` is the round trip that is added to that of the loopback interface."""

    storage: str
    scheme: str
    rtt_ms: int

    def __str__(self) -> str:
        return f"{self.rtt_ms} ms, {self.scheme}, {self.storage}"

    @property
    def is_fast_server(self) -> bool:
        """Whether the targets are meant for it."""
        return (self.storage, self.scheme) == ("memory", "http")


@dataclass(frozen=True)
class Measurement:
    """One run of one program. ``problems``: what was wrong afterwards; a run with any has failed, however fast.

    ``connections`` is None where the program chooses by itself or has no such setting. ``equal``: it is one of those
    at equal connections, not of those at their best settings. ``busy_seconds``: the CPU time that the whole machine
    spent meanwhile, on whatever.
    """

    condition: Condition
    tool: str
    connections: int | None
    equal: bool
    files: int
    bytes: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    requests: int
    server_cpu_seconds: float
    busy_seconds: float
    problems: tuple[str, ...] = ()

    @property
    def other_cpu_seconds(self) -> float:
        """What neither the program nor the server used: toxiproxy, and whatever else ran on the machine."""
        return max(0.0, self.busy_seconds - self.cpu_seconds - self.server_cpu_seconds)


@dataclass(frozen=True)
class NightlyRun:
    """One night: all commands of one program together."""

    condition: Condition
    tool: str
    objects: int
    local_files: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    requests: int
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """All runs of one program with the same settings in one condition: medians, and the spread of the rate."""

    condition: Condition
    tool: str
    connections: int | None
    equal: bool
    files: int
    runs: int
    failed: int
    files_per_second: float
    slowest: float
    fastest: float
    cpu_ms_per_file: float
    peak_bytes: int
    requests_per_file: float
    server_cpu_ms_per_file: float
    other_cpu_ms_per_file: float

    @property
    def name(self) -> str:
        return f"{self.tool} ({self.connections})" if self.connections else self.tool

    @property
    def is_ours(self) -> bool:
        return self.tool == OURS or self.tool in WAY_BACK.values()

    @property
    def seconds(self) -> float:
        """The median."""
        return self.files / self.files_per_second

    @property
    def requests(self) -> int:
        """The median."""
        return round(self.requests_per_file * self.files)


@dataclass(frozen=True)
class NightlyRow:
    """All nights of one program: medians, and the spread of the time."""

    condition: Condition
    tool: str
    objects: int
    local_files: int
    failed: int
    seconds: float
    fastest: float
    slowest: float
    cpu_seconds: float
    peak_bytes: int
    requests: int


@dataclass(frozen=True)
class Ratio:
    """How many times faster ours is. ``value`` is None where either failed, ``target`` where none is set."""

    condition: Condition
    ours: str
    rival: str
    equal: bool
    value: float | None
    target: float | None

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "failed"
        if self.target is None:
            return ""
        return "met" if self.value >= self.target else "NOT MET"


def summarise(measurements: Iterable[Measurement]) -> list[Row]:
    """One row for each condition, program with its settings and number of files, in the order of the measurements."""
    groups: dict[tuple[object, ...], list[Measurement]] = {}
    for each in measurements:
        groups.setdefault((each.condition, each.tool, each.connections, each.equal, each.files), []).append(each)
    return [_row(group) for group in groups.values()]


def ratios(rows: Sequence[Row]) -> list[Ratio]:
    """Ours against each rival in the same condition: both at their best, and both at equal connections."""
    found = []
    for ours in rows:
        if not ours.is_ours:
            continue
        for rival in rows:
            if not rival.is_ours and (rival.condition, rival.equal) == (ours.condition, ours.equal):
                value = None if ours.failed or rival.failed else ours.files_per_second / rival.files_per_second
                found.append(Ratio(ours.condition, ours.name, rival.name, ours.equal, value, _target(ours, rival)))
    return found


def verify_verdict(row: Row) -> str:
    """Whether `verify` keeps to its memory and, where it looked at so many files as they are meant for, requests."""
    if row.failed:
        return "failed"
    too_many = row.files >= VERIFY_FILES and row.requests * VERIFY_FILES > VERIFY_REQUESTS * row.files
    return "NOT MET" if too_many or row.peak_bytes > VERIFY_BYTES else "met"


def _target(ours: Row, rival: Row) -> float | None:
    if not ours.condition.is_fast_server:
        return None
    if ours.tool != OURS:
        return WAY_BACK_TARGET
    return TARGETS.get(ours.condition.rtt_ms, {}).get(rival.tool)


def summarise_nights(nights: Iterable[NightlyRun]) -> list[NightlyRow]:
    """One row for each program."""
    groups: dict[str, list[NightlyRun]] = {}
    for each in nights:
        groups.setdefault(each.tool, []).append(each)
    return [_nightly_row(group) for group in groups.values()]


def nightly_ratio(rows: Iterable[NightlyRow]) -> float | None:
    """How many times fewer seconds ours takes; None where either failed or did not run."""
    seconds = {row.tool: row.seconds for row in rows if not row.failed}
    return seconds[SCRIPT] / seconds[OURS] if seconds.keys() >= {SCRIPT, OURS} else None


def _nightly_row(group: Sequence[NightlyRun]) -> NightlyRow:
    first, seconds = group[0], [each.seconds for each in group]
    return NightlyRow(
        condition=first.condition,
        tool=first.tool,
        objects=first.objects,
        local_files=first.local_files,
        failed=sum(bool(each.problems) for each in group),
        seconds=median(seconds),
        fastest=min(seconds),
        slowest=max(seconds),
        cpu_seconds=median(each.cpu_seconds for each in group),
        peak_bytes=max(each.peak_bytes for each in group),
        requests=round(median(each.requests for each in group)),
    )


def _row(group: Sequence[Measurement]) -> Row:
    first, rates = group[0], [each.files / each.seconds for each in group]
    return Row(
        condition=first.condition,
        tool=first.tool,
        connections=first.connections,
        equal=first.equal,
        files=first.files,
        runs=len(group),
        failed=sum(bool(each.problems) for each in group),
        files_per_second=median(rates),
        slowest=min(rates),
        fastest=max(rates),
        cpu_ms_per_file=median(1000 * each.cpu_seconds / each.files for each in group),
        peak_bytes=max(each.peak_bytes for each in group),
        requests_per_file=median(each.requests / each.files for each in group),
        server_cpu_ms_per_file=median(1000 * each.server_cpu_seconds / each.files for each in group),
        other_cpu_ms_per_file=median(1000 * each.other_cpu_seconds / each.files for each in group),
    )
