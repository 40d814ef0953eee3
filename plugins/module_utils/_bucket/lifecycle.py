# SPDX-License-Identifier: GPL-3.0-or-later
"""Lifecycle rules of a bucket: those of this collection among those of others. Pure.

A rule is a dictionary as boto3 has it. Servers write the same rule in different ways: Ceph gives ``Prefix`` in place of
``Filter``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from .._media.rules.media_path import Root
from .._media.stores.s3_description import archived_as

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


def with_own(rules: Sequence[Rule], expiry: Expiry, prefix: str, days: int) -> list[Rule]:
    """The rules with the collection's own for the prefix, in place of that of other days."""
    others, own = without(rules, expiry, prefix), rule_of(expiry, prefix, days)
    if any(rule.get("ID") == expiry.rule_id for rule in others):
        # The one of that name is another homeserver's, which has another prefix in the bucket.
        own["ID"] += f"-{hashlib.sha256(prefix.encode()).hexdigest()[:12]}"
    return [*others, own]


def in_force(rules: Sequence[Rule], expiry: Expiry, prefix: str, days: int) -> Rule | None:
    """The rule that does this for all below the prefix after at most so many days.

    The collection's own counts only with exactly so many days.
    """
    for rule in rules:
        found = days_of(rule, expiry)
        # With NewerNoncurrentVersions some stay.
        is_limited = any(value for name, value in rule.get(expiry.action, {}).items() if name != expiry.days)
        if found == 0 or is_limited or not _covers(rule, prefix):
            continue
        is_own = _is_own(rule, expiry, prefix)
        if (found == days) if is_own else (found <= days and not has_own(rules, expiry, prefix)):
            return rule
    return None


def sooner(rules: Sequence[Rule], expiry: Expiry, prefix: str, days: int) -> Rule | None:
    """The rule of somebody else that does this to some of the media before so many days; 0 is never."""
    for rule in rules:
        found = days_of(rule, expiry)
        if found > 0 and (found < days or not days) and _meets(rule, prefix) and not _is_own(rule, expiry, prefix):
            return rule
    return None


def ending_media(rules: Sequence[Rule], prefix: str) -> Rule | None:
    """The rule that deletes media which is in use, or moves it to an archive."""
    for rule in rules:
        expiration = rule.get("Expiration") or {}
        ends = "Days" in expiration or "Date" in expiration
        archives = any(archived_as(each.get("StorageClass", "")) for each in rule.get("Transitions") or ())
        if rule.get("Status") == "Enabled" and (ends or archives) and _meets(rule, prefix):
            return rule
    return None


def name_of(rule: Rule) -> str:
    """How a message calls a rule."""
    return repr(rule["ID"]) if rule.get("ID") else "without a name"


def days_of(rule: Rule, expiry: Expiry) -> int:
    """After how many days a rule does this; 0 where it does not."""
    return int(rule.get(expiry.action, {}).get(expiry.days) or 0) if rule.get("Status") == "Enabled" else 0


def unknown_in_rules(answer: bytes, known: Collection[str]) -> list[str]:
    """The elements in a server's answer, within its rules, that are none of the known ones."""
    try:
        # It comes from the server that the administrator has named.
        root = ET.fromstring(answer)  # noqa: S314 (the administrator's own server, and boto3 reads its answers so too)
    except ET.ParseError:
        return []
    rules = [element for element in root.iter() if _local(element) == "Rule"]
    return sorted({_local(element) for rule in rules for element in rule.iter()} - set(known))


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def own_of(rules: Sequence[Rule], expiry: Expiry, prefix: str) -> list[Rule]:
    """The collection's own rules for the prefix."""
    return [rule for rule in rules if _is_own(rule, expiry, prefix)]


def has_own(rules: Sequence[Rule], expiry: Expiry, prefix: str) -> bool:
    return bool(own_of(rules, expiry, prefix))


def without(rules: Sequence[Rule], expiry: Expiry, prefix: str) -> list[Rule]:
    """The rules but for the collection's own for the prefix."""
    return [rule for rule in rules if not _is_own(rule, expiry, prefix)]


def _is_own(rule: Rule, expiry: Expiry, prefix: str) -> bool:
    return str(rule.get("ID", "")).startswith(expiry.rule_id) and _prefix_of(rule) == prefix


def _prefix_of(rule: Rule) -> str:
    condition = rule.get("Filter") or {}
    return str(condition.get("Prefix") or condition.get("And", {}).get("Prefix") or rule.get("Prefix") or "")


def _covers(rule: Rule, prefix: str) -> bool:
    """Whether a rule is for all below the prefix. One for some sizes or tags leaves others."""
    return not set(rule.get("Filter") or {}) - {"Prefix"} and prefix.startswith(_prefix_of(rule))


def _meets(rule: Rule, prefix: str) -> bool:
    """Whether a rule is for any of the media below the prefix, which may be empty. Synapse's objects have no tags."""
    condition, below = rule.get("Filter") or {}, _prefix_of(rule)
    has_tags = "Tag" in condition or bool(condition.get("And", {}).get("Tags"))
    places = [f"{prefix}{root.value}/" for root in Root]
    return not has_tags and any(place.startswith(below) or below.startswith(place) for place in places)
