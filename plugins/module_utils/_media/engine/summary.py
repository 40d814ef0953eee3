# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run did: counts for a person, as JSON, as Prometheus text, and as an exit status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..rules.errors import ALL_DONE, SOME_FAILED

# Every problem is named on stderr as it comes; this many are in the JSON too.
_PROBLEMS_IN_JSON = 1000


class Step(Enum):
    """What became of a file. One file may count under several, as in "uploaded and deleted"."""

    UPLOADED = "uploaded"
    ALREADY_STORED = "already_stored"
    DELETED = "deleted"
    KEPT = "kept"
    CONFLICT = "conflicts"
    FAILED = "failed"


PROBLEMS = frozenset({Step.CONFLICT, Step.FAILED})


@dataclass(frozen=True)
class Outcome:
    """What became of one file; ``size`` in bytes, ``reason`` in words for the operator.

    ``unavailable`` tells that it failed because the bucket can't be used now, not because of the file.
    """

    path: str
    size: int
    steps: frozenset[Step]
    reason: str
    unavailable: bool = False


@dataclass
class Count:
    """A number of files and their bytes."""

    files: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """Count one more file of ``size`` bytes."""
        self.files += 1
        self.bytes += size

    def as_json(self) -> Mapping[str, int]:
        """The form that the contract of ``--json`` gives."""
        return {"files": self.files, "bytes": self.bytes}


@dataclass
class Summary:
    """The counts of one run.

    ``errors`` are failures of the run itself, not of a single file; ``refused_with`` is the exit status of
    a run that could not begin; ``interrupted_by`` is the number of the signal that ended it. ``listed`` objects of the
    bucket were seen in listings, and it was ``asked`` for so many files, to know what it holds.
    """

    counts: dict[Step, Count] = field(default_factory=lambda: {step: Count() for step in Step})
    problems: list[Mapping[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    requests: int = 0
    listed: int = 0
    asked: int = 0
    seconds: float = 0.0
    interrupted_by: int | None = None
    refused_with: int | None = None
    dry_run: bool = False

    def add(self, outcome: Outcome) -> None:
        """Count one file."""
        for step in outcome.steps:
            self.counts[step].add(outcome.size)
        if outcome.steps & PROBLEMS and len(self.problems) < _PROBLEMS_IN_JSON:
            self.problems.append({"path": outcome.path, "reason": outcome.reason})

    @property
    def exit_status(self) -> int:
        """0 all done, 1 with failures or conflicts; what refused or interrupted the run goes before that."""
        if self.interrupted_by is not None:
            return 128 + self.interrupted_by
        if self.refused_with is not None:
            return self.refused_with
        if self.errors or any(self.counts[step].files for step in PROBLEMS):
            return SOME_FAILED
        return ALL_DONE

    def as_json(self) -> Mapping[str, Any]:
        """The object that ``--json`` prints."""
        return {
            **{step.value: count.as_json() for step, count in self.counts.items()},
            "requests": self.requests,
            "listed": self.listed,
            "asked": self.asked,
            "seconds": round(self.seconds, 3),
            "dry_run": self.dry_run,
            "problems": self.problems,
            "errors": self.errors,
            "exit_code": self.exit_status,
        }

    def as_text(self) -> str:
        """The summary that a person reads in five seconds."""
        labels = _DRY_LABELS if self.dry_run else _LABELS
        rows = [
            f"  {label:<22}{self.counts[step].files:>12,} files {format_bytes(self.counts[step].bytes):>12}"
            for step, label in labels.items()
            if self.refused_with is None
        ]
        took = f"{self.requests:,} requests to the bucket in {self.seconds:,.1f} s"
        looked = f"{self.listed:,} objects listed, {self.asked:,} files asked for"
        return "\n".join([*rows, f"{self._verdict()} ({took}; {looked})"])

    def as_metrics(self, finished: float) -> str:
        """The Prometheus text format, for node_exporter's textfile collector; ``finished`` in seconds since 1970."""
        lines: list[str] = []
        for unit in ("files", "bytes"):
            name = f"synapse_s3_migrate_{unit}"
            lines += [f"# HELP {name} What the last run did, in {unit}.", f"# TYPE {name} gauge"]
            lines += [f'{name}{{result="{step.value}"}} {getattr(count, unit)}' for step, count in self.counts.items()]
        for name, text, value in (
            ("requests", "Requests that the last run sent to the bucket.", self.requests),
            ("duration_seconds", "How long the last run took.", round(self.seconds, 3)),
            ("exit_status", "Exit status of the last run; 0 means that all is done.", self.exit_status),
            ("end_timestamp_seconds", "When the last run ended, in seconds since 1970.", round(finished, 3)),
        ):
            full = f"synapse_s3_migrate_{name}"
            lines += [f"# HELP {full} {text}", f"# TYPE {full} gauge", f"{full} {value}"]
        return "\n".join(lines) + "\n"

    def _verdict(self) -> str:
        if self.interrupted_by is not None:
            return "INTERRUPTED. What was not reached is untouched; the next run goes on from here."
        if self.refused_with is not None:
            return "NOTHING WAS DONE, for the reason above."
        if self.exit_status == ALL_DONE:
            return "Dry run: nothing was changed." if self.dry_run else "All done."
        return "NOT ALL DONE. What failed or conflicts is named above and still on the local disk."


_LABELS = {
    Step.UPLOADED: "Uploaded",
    Step.ALREADY_STORED: "Already in the bucket",
    Step.DELETED: "Deleted locally",
    Step.KEPT: "Kept locally",
    Step.CONFLICT: "Conflicts",
    Step.FAILED: "Failed",
}
_DRY_LABELS = {**_LABELS, Step.UPLOADED: "Would upload", Step.DELETED: "Would delete locally"}


def format_bytes(size: float) -> str:
    """A size as people read it, in powers of 1000 as disks and bills have them."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:,.0f} B" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
