# SPDX-License-Identifier: GPL-3.0-or-later
"""Lifecycle rules of a bucket: those of this collection among those of others. Pure.

A rule is a dictionary as boto3 has it. Servers write the same rule in different ways: Ceph gives ``Prefix`` in place of
``Filter``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Rule = Mapping[str, Any]


@dataclass(frozen=True)
class Expiry:
    """One thing that a rule can end after some days: ``action`` and ``days`` are S3's names."""

    rule_id: str
    action: str
    days: str


UNFINISHED_UPLOADS = Expiry(
    "matrixops-synapse-s3-unfinished-uploads", "AbortIncompleteMultipartUpload", "DaysAfterInitiation"
)
OLD_VERSIONS = Expiry("matrixops-synapse-s3-old-versions", "NoncurrentVersionExpiration", "NoncurrentDays")


def rule_of(expiry: Expiry, prefix: str, days: int) -> dict[str, Any]:
    """The collection's own rule."""
    return {
        "ID": expiry.rule_id,
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        expiry.action: {expiry.days: days},
    }


def in_force(rules: Sequence[Rule], expiry: Expiry, prefix: str, days: int) -> str:
    """The name of the rule that does this for all below the prefix after at most so many days; '' for none.

    The collection's own counts only with exactly so many days.
    """
    for rule in rules:
        found = rule.get(expiry.action, {}).get(expiry.days)
        if rule.get("Status") != "Enabled" or found is None or not _covers(rule, prefix):
            continue
        is_own = rule.get("ID") == expiry.rule_id
        if (found == days) if is_own else (found <= days and not has_own(rules, expiry)):
            return str(rule.get("ID", "")) or "without a name"
    return ""


def has_own(rules: Sequence[Rule], expiry: Expiry) -> bool:
    return any(rule.get("ID") == expiry.rule_id for rule in rules)


def without(rules: Sequence[Rule], expiry: Expiry) -> list[Rule]:
    """The rules but for the collection's own."""
    return [rule for rule in rules if rule.get("ID") != expiry.rule_id]


def _covers(rule: Rule, prefix: str) -> bool:
    """Whether a rule is for all below the prefix. One for some sizes or tags leaves others."""
    condition = rule.get("Filter") or {}
    below = str(condition.get("Prefix") or rule.get("Prefix") or "")
    return not set(condition) - {"Prefix"} and prefix.startswith(below)
