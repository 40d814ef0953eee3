# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``verify`` found: counts for a person, as JSON, as Prometheus text, and as an exit status."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from ..rules.errors import ALL_DONE, MediaError
from .summary import Count, Outcome, Step, Summary, format_bytes


class VerifyStep(Step):
    """What is told of a file, or of an object."""

    LOCAL_ONLY = "local_only", "On the local disk only"
    STORED_ONLY = "stored_only", "In a bucket only"
    BOTH = "both", "In both"
    MISSING = "missing", "MISSING", "", True
    DAMAGED = "damaged", "DAMAGED", "", True
    FAILED = "failed", "Could not be looked at", "", True
    UNFINISHED = "unfinished", "Never finished by Synapse"
    UNKNOWN_OBJECTS = "unknown_objects", "Objects that the database does not know"
    UNKNOWN_FILES = "unknown_files", "Local files that it does not know"
    FOREIGN_OBJECTS = "foreign_objects", "Objects below the prefix that are no media"


# Each file of the database is counted under one of these.
CHECKED = (
    VerifyStep.LOCAL_ONLY,
    VerifyStep.STORED_ONLY,
    VerifyStep.BOTH,
    VerifyStep.MISSING,
    VerifyStep.DAMAGED,
)
# What can't be told without a listing of every bucket, or of the disk.
OF_BUCKETS = frozenset({VerifyStep.UNKNOWN_OBJECTS.key, VerifyStep.FOREIGN_OBJECTS.key, "empty_objects"})
OF_THE_DISK = frozenset({VerifyStep.UNKNOWN_FILES.key, "skipped"})
# The reason of a file that is well, of which nothing but the length could be compared, though all of it was read.
LENGTH_ONLY = "length_only"
OF_PLACES = frozenset(step.key for step in CHECKED)
# All that a look counts which may end early.
OF_THE_LOOK = frozenset({*(step.key for step in VerifyStep), "skipped", "empty_objects", "all_media"})


@dataclass
class Verification(Summary):
    """The counts of one look. ``not_told``: the names of what can't be told, since a side could not be looked at.

    ``reasons``: of what is missing and damaged, by the reasons' names. ``passed_over``: rows that stand for no file,
    links and foreign things on the disk. ``media``: so many were looked at, of ``all_media`` that the database knows.
    ``opened``: objects that were looked at with the configured key, by chance. ``length_only``: files of which nothing
    is kept to compare them with but their length, though all was read. ``scope``: what was asked for.
    """

    reasons: dict[Step, dict[str, Count]] = field(default_factory=dict)
    not_told: set[str] = field(default_factory=set)
    empty_objects: int = 0
    unfinished_uploads: int | None = None
    media: int = 0
    all_media: int = 0
    opened: int = 0
    length_only: int = 0
    scope: dict[str, Any] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Count one file, and name it, but for what is missing: that is named once it is settled."""
        self.count(outcome)
        if VerifyStep.MISSING not in outcome.steps:
            self.name(outcome)

    def settle(self, outcome: Outcome) -> None:
        """Name a file that is missing for good: it is not taken back any more."""
        if VerifyStep.MISSING in outcome.steps:
            self.name(outcome)

    def count(self, outcome: Outcome) -> None:
        super().count(outcome)
        self.length_only += outcome.why == LENGTH_ONLY
        for step in outcome.steps & {VerifyStep.MISSING, VerifyStep.DAMAGED}:
            self.reasons.setdefault(step, {}).setdefault(outcome.why, Count()).add(outcome.size)

    def take_back(self, outcome: Outcome) -> None:
        """Count a file, that was not named yet, no longer as it was: more is known now."""
        for step in outcome.steps:
            self.counts[step].take(outcome.size)
            by_reason = self.reasons.get(step, {})
            if count := by_reason.get(outcome.why):
                count.take(outcome.size)
                if not count.files:
                    del by_reason[outcome.why]
        self.length_only -= outcome.why == LENGTH_ONLY

    def fail(self, error: MediaError, not_told: frozenset[str]) -> None:
        """Note that a part could not be looked at, and what can't be told without."""
        self.errors.append(str(error))
        self.not_told |= not_told

    @property
    def untold(self) -> Set[str]:
        """The names of all that can't be told: nothing, where the look was ended, or could not begin."""
        if self.interrupted_by is not None or self.refused_with is not None:
            return OF_THE_LOOK | {"checked"}
        return self.not_told | ({"checked"} if self.not_told & OF_PLACES else set())

    @property
    def checked(self) -> Count:
        """All files of the database that were looked at, each once."""
        counts = [self.counts[step] for step in CHECKED]
        return Count(sum(count.files for count in counts), sum(count.bytes for count in counts))

    def as_json(self) -> Mapping[str, Any]:
        not_told = self.untold
        counts = {
            "checked": self.checked,
            **{step.key: count for step, count in self.counts.items()},
            "skipped": Count(self.passed_over),
        }
        return {
            "command": self.command,
            **{name: None if name in not_told else count.as_json() for name, count in counts.items()},
            **{
                f"{step.key}_by_reason": None
                if step.key in not_told
                else {why: count.as_json() for why, count in sorted(self.reasons.get(step, {}).items())}
                for step in (VerifyStep.MISSING, VerifyStep.DAMAGED)
            },
            "empty_objects": None if "empty_objects" in not_told else self.empty_objects,
            "unfinished_uploads": self.unfinished_uploads,
            **self.scope,
            "media": self.media,
            "all_media": None if "all_media" in not_told else self.all_media,
            "opened": self.opened,
            "length_only": self.length_only,
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
            **self._words_as_json(),
        }

    def as_text(self) -> str:
        rows = []
        if self.refused_with is None and self.interrupted_by is None:
            rows.append(self._row("checked", "Checked", self.checked))
            for step, count in self.counts.items():
                if count.files or step in CHECKED or step.key in self.untold:
                    rows.append(self._row(step.key, ("  " if step in CHECKED else "") + step.label, count))
                rows += [
                    self._row(step.key, f"    {why.replace('_', ' ')}", each)
                    for why, each in sorted(self.reasons.get(step, {}).items())
                ]
            if self.passed_over:
                rows.append(self._number("skipped", "Skipped, as the JSON tells by name", self.passed_over))
            if self.empty_objects:
                rows.append(self._number("empty_objects", "Objects of 0 bytes", self.empty_objects))
            if self.unfinished_uploads:
                rows.append(self._number("", "Unfinished uploads in a bucket", self.unfinished_uploads))
        rows += [f"  {fact}" for fact in self.facts]
        return "\n".join([*rows, f"{self._verdict()} ({self.requests:,} requests in {self.seconds:,.1f} s)"])

    def as_metrics(self, finished: float) -> str:
        """As every run's, without what can't be told: a 0 would pass for an answer."""
        untold = [f'{{result="{name}"}}' for name in self.untold]
        if "skipped" in self.untold:
            untold.append("synapse_s3_verify_passed_over")
        lines = super().as_metrics(finished).splitlines(keepends=True)
        return "".join(line for line in lines if not any(name in line for name in untold))

    def _row(self, name: str, label: str, count: Count) -> str:
        if name in self.untold:
            return f"  {label:<44} can't be told"
        return f"  {label:<44}{count.files:>12,} files {format_bytes(count.bytes):>12}"

    def _number(self, name: str, label: str, number: int) -> str:
        return f"  {label:<44} can't be told" if name in self.untold else f"  {label:<44}{number:>12,}"

    def _verdict(self) -> str:
        if self.interrupted_by is not None:
            return "INTERRUPTED. Nothing was changed. No count can be told, since not all was looked at."
        if self.refused_with is not None:
            return "NOTHING WAS LOOKED AT, for the reason above."
        if self.exit_status == ALL_DONE:
            return "All well."
        if self.errors:
            return "NOT ALL WAS LOOKED AT, for the reasons above."
        return "NOT ALL WELL. What is not is named above."
