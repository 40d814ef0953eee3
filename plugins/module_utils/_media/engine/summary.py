# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of any command did: counts for a person, as JSON, as Prometheus text, and as an exit status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..rules.errors import ALL_DONE, SOME_FAILED, MediaError

# Every problem is named on stderr as it comes; this many are in the JSON too.
_NAMED_IN_JSON = 1000


class Step(Enum):
    """What became of a file: the base of each command's own. One file may count under several.

    A member is made of its name in the JSON, its label, the label of a dry run ('' where it is the same), and whether
    it is a problem.
    """

    def __init__(self, key: str, label: str, dry_label: str = "", is_problem: bool = False) -> None:
        self.key = key
        self.label = label
        self.dry_label = dry_label or label
        self.is_problem = is_problem


@dataclass(frozen=True)
class Outcome:
    """What became of one file; ``size`` in bytes, ``reason`` in words for the operator.

    ``why`` is the reason's name for the counts by reason. ``is_named``: more than routine, so that the JSON names it;
    ``is_told``: it is named on stderr too.
    ``answered``: the bucket was asked about the file, and answered. ``unavailable`` tells that it failed because the
    bucket or the disk can't be used now, not because of the file. ``ends_run`` is what makes it dangerous to go on.
    """

    path: str
    size: int
    steps: frozenset[Step]
    reason: str
    why: str = ""
    is_named: bool = False
    is_told: bool = False
    answered: bool = False
    unavailable: bool = False
    ends_run: MediaError | None = None

    @property
    def is_problem(self) -> bool:
        """Whether an operator has to do something about it."""
        return any(step.is_problem for step in self.steps)


@dataclass
class Count:
    """A number of files and their bytes."""

    files: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """Count one more file of ``size`` bytes."""
        self.files += 1
        self.bytes += size

    def take(self, size: int) -> None:
        """Count one file less."""
        self.files -= 1
        self.bytes -= size

    def as_json(self) -> Mapping[str, int]:
        """The form that the contract of ``--json`` gives."""
        return {"files": self.files, "bytes": self.bytes}


@dataclass
class Summary:
    """The counts of one run of ``command``, whose steps are ``steps``. ``problems_are``: where the problems that are
    named stand, in a sentence for the last line.

    ``by_reason`` counts the files of the step ``reasons_of`` by the names of their reasons. ``passed_over`` counts what
    was not looked at; so many ``empty_directories`` from before were removed. ``errors`` are failures of the run
    itself, not of a single file; ``facts`` what was found out of the bucket. ``refused_with`` is the exit status of a
    run that could not begin, ``ended_with`` of one that had to end; ``interrupted_by`` is the number of the signal that
    ended it, which left ``abandoned`` files under way. ``problem_count`` counts the problems, named or not.
    ``not_reached`` files were left by a run that gave up.
    ``listed`` objects of the bucket were seen in listings, and it was ``asked`` for so many files, to know what it
    holds. ``details`` are the command's own entries in the JSON, by name.
    """

    command: str
    steps: type[Step]
    problems_are: str
    reasons_of: Step | None = None
    counts: dict[Step, Count] = field(default_factory=dict)
    by_reason: dict[str, Count] = field(default_factory=dict)
    problems: list[Mapping[str, str]] = field(default_factory=list)
    notices: list[Mapping[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    problem_count: int = 0
    passed_over: int = 0
    empty_directories: int = 0
    not_reached: int = 0
    abandoned: int = 0
    requests: int = 0
    listed: int = 0
    asked: int = 0
    seconds: float = 0.0
    interrupted_by: int | None = None
    refused_with: int | None = None
    ended_with: int | None = None
    dry_run: bool = False
    details: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.counts = {step: Count() for step in self.steps}

    def add(self, outcome: Outcome) -> None:
        """Count one file, and name it."""
        self.count(outcome)
        self.name(outcome)

    def count(self, outcome: Outcome) -> None:
        """Count one file under its steps."""
        for step in outcome.steps:
            self.counts[step].add(outcome.size)
        if self.reasons_of in outcome.steps:
            self.by_reason.setdefault(outcome.why, Count()).add(outcome.size)

    def name(self, outcome: Outcome) -> None:
        """Name one file where it is more than routine."""
        if outcome.is_problem:
            self.add_problem(outcome.path, outcome.reason)
        elif outcome.is_named:
            self._name(self.notices, outcome.path, outcome.reason)

    def pass_over(self, path: str, reason: str, *, is_problem: bool) -> None:
        """Count what is not looked at, and why; a problem is one that may hold media."""
        self.passed_over += 1
        if is_problem:
            self.add_problem(path, reason)
        else:
            self._name(self.notices, path, reason)

    def add_problem(self, path: str, reason: str) -> None:
        """Count a problem, and name it while there is room."""
        self.problem_count += 1
        self._name(self.problems, path, reason)

    def _name(self, named: list[Mapping[str, str]], path: str, reason: str) -> None:
        if len(named) < _NAMED_IN_JSON:
            named.append({"path": path, "reason": reason})

    def end(self, error: MediaError) -> None:
        """Note what makes it impossible to go on."""
        if self.ended_with is None:
            self.ended_with = error.exit_status
            self.errors.append(str(error))

    @property
    def exit_status(self) -> int:
        """0 all done, 1 with failures or conflicts; what interrupted, refused or ended the run goes before that."""
        if self.interrupted_by is not None:
            return 128 + self.interrupted_by
        for status in (self.refused_with, self.ended_with):
            if status is not None:
                return status
        # The counts too: what ended early has not named all that it counted.
        is_well = not any(count.files for step, count in self.counts.items() if step.is_problem)
        return ALL_DONE if is_well and not self.errors and not self.problem_count else SOME_FAILED

    def as_json(self) -> Mapping[str, Any]:
        """The object that ``--json`` prints."""
        by_reason = {name: count.as_json() for name, count in sorted(self.by_reason.items())}
        return {
            "command": self.command,
            **{step.key: count.as_json() for step, count in self.counts.items()},
            **({f"{self.reasons_of.key}_by_reason": by_reason} if self.reasons_of else {}),
            **self.details,
            "passed_over": self.passed_over,
            "empty_directories": self.empty_directories,
            "not_reached": self.not_reached,
            "requests": self.requests,
            "listed": self.listed,
            "asked": self.asked,
            "seconds": round(self.seconds, 3),
            "dry_run": self.dry_run,
            **self._words_as_json(),
        }

    def _words_as_json(self) -> Mapping[str, Any]:
        return {
            "problems": self.problems,
            "notices": self.notices,
            "facts": self.facts,
            "errors": self.errors,
            "exit_code": self.exit_status,
        }

    def as_text(self) -> str:
        """The summary that a person reads in five seconds."""
        rows = []
        if self.refused_with is None:
            for step, count in self.counts.items():
                label = step.dry_label if self.dry_run else step.label
                rows.append(f"  {label:<22}{count.files:>12,} files {format_bytes(count.bytes):>12}")
                if step is self.reasons_of:
                    rows += [
                        f"    {name.replace('_', ' '):<24}{each.files:>8,} files {format_bytes(each.bytes):>12}"
                        for name, each in sorted(self.by_reason.items())
                    ]
            if self.passed_over:
                rows.append(f"  {'Passed over':<22}{self.passed_over:>12,}")
            if self.empty_directories:
                rows.append(f"  {'Empty directories gone':<22}{self.empty_directories:>12,}")
            if self.not_reached:
                rows.append(f"  {'Not reached':<22}{self.not_reached:>12,} files")
        rows += [f"  {fact}" for fact in self.facts]
        took = f"{self.requests:,} requests to the bucket in {self.seconds:,.1f} s"
        looked = f"{self.listed:,} objects listed, {self.asked:,} files asked for"
        return "\n".join([*rows, f"{self._verdict()} ({took}; {looked})"])

    def as_metrics(self, finished: float) -> str:
        """The Prometheus text format, for node_exporter's textfile collector; ``finished`` in seconds since 1970."""
        lines: list[str] = []
        prefix = f"synapse_s3_{self.command.replace('-', '_')}"
        for unit in ("files", "bytes"):
            name = f"{prefix}_{unit}"
            lines += [f"# HELP {name} What the last run did, in {unit}.", f"# TYPE {name} gauge"]
            lines += [f'{name}{{result="{step.key}"}} {getattr(count, unit)}' for step, count in self.counts.items()]
        for name, text, value in (
            ("passed_over", "What the last run did not look at.", self.passed_over),
            ("not_reached", "Files that the last run left because it gave up.", self.not_reached),
            ("requests", "Requests that the last run sent to the bucket.", self.requests),
            ("duration_seconds", "How long the last run took.", round(self.seconds, 3)),
            ("exit_status", "Exit status of the last run; 0 means that all is done.", self.exit_status),
            ("end_timestamp_seconds", "When the last run ended, in seconds since 1970.", round(finished, 3)),
        ):
            full = f"{prefix}_{name}"
            lines += [f"# HELP {full} {text}", f"# TYPE {full} gauge", f"{full} {value}"]
        return "\n".join(lines) + "\n"

    def _verdict(self) -> str:
        if self.interrupted_by is not None:
            left = (
                f" {self.abandoned:,} files were still under way: the next run looks at them again."
                if self.abandoned
                else ""
            )
            return f"INTERRUPTED. What was not reached is untouched; the next run goes on from here.{left}"
        if self.refused_with is not None:
            return "NOTHING WAS DONE, for the reason above."
        if self.ended_with is not None:
            return "STOPPED, for the reason above. Nothing more was touched."
        if self.exit_status == ALL_DONE:
            return "Dry run: nothing was changed." if self.dry_run else "All done."
        return f"NOT ALL DONE. {self.problems_are}"


def format_bytes(size: float) -> str:
    """A size as people read it, in powers of 1000 as disks and bills have them."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:,.0f} B" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
