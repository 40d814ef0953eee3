# SPDX-License-Identifier: GPL-3.0-or-later
"""Lifecycle rules: which of them already do what is wanted, whoever wrote them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.lifecycle import (
    OLD_VERSIONS,
    UNFINISHED_UPLOADS,
    ending_media,
    has_own,
    in_force,
    name_of,
    rule_of,
    sooner,
    with_own,
    without,
)

OWN = "matrixops-synapse-s3-unfinished-uploads"


def rule(days: int = 7, **changes: Any) -> dict[str, Any]:
    return {**rule_of(UNFINISHED_UPLOADS, "hs/", days), **changes}


TEST_RULES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "none": ([], ""),
    "the role's own": ([rule()], OWN),
    "as Ceph gives it": ([{name: value for name, value in rule(Prefix="hs/").items() if name != "Filter"}], OWN),
    "another's for all": ([rule(ID="other", Filter={"Prefix": ""})], "other"),
    "another's for all, as Ceph gives it": ([rule(ID="other", Filter=None, Prefix="")], "other"),
    "another's that is sooner": ([rule(3, ID="other")], "other"),
    "another's without a name": ([rule(3, ID="")], "without a name"),
    "another homeserver's": ([rule_of(UNFINISHED_UPLOADS, "other/", 7)], ""),
    "another's that is later": ([rule(8, ID="other")], ""),
    "another's for a part": ([rule(ID="other", Filter={"Prefix": "hs/local_content/"})], ""),
    "another's for some tags": ([rule(ID="other", Filter={"And": {"Prefix": "hs/", "Tags": []}})], ""),
    "another's that is off": ([rule(ID="other", Status="Disabled")], ""),
    "the role's own of other days": ([rule(8)], ""),
    "the role's own that is sooner": ([rule(3)], ""),
    "the role's own of other days, and another's": ([rule(ID="other"), rule(8)], ""),
    "for something else": ([rule_of(OLD_VERSIONS, "hs/", 7)], ""),
}


@pytest.mark.parametrize("name", TEST_RULES)
def test_rule_in_force(name: str) -> None:
    rules, expected = TEST_RULES[name]
    found = in_force(rules, UNFINISHED_UPLOADS, "hs/", 7)
    assert (name_of(found).strip("'") if found else "") == expected


def test_a_rule_that_keeps_the_newest_does_not_end_all() -> None:
    action = {OLD_VERSIONS.action: {OLD_VERSIONS.days: 30, "NewerNoncurrentVersions": 3}}
    assert in_force([{**rule_of(OLD_VERSIONS, "hs/", 30), "ID": "other", **action}], OLD_VERSIONS, "hs/", 30) is None


def test_what_is_not_the_role_s_stays() -> None:
    others = [rule(ID="other"), rule_of(OLD_VERSIONS, "hs/", 7)]
    assert without([*others, rule()], UNFINISHED_UPLOADS, "hs/") == others
    assert [has_own(rules, UNFINISHED_UPLOADS, "hs/") for rules in (others, [rule()])] == [False, True]


def test_homeservers_that_share_a_bucket_have_a_rule_each() -> None:
    one, two = rule(), rule_of(UNFINISHED_UPLOADS, "other/", 9)
    rules = with_own([one], UNFINISHED_UPLOADS, "other/", 9)
    assert rules == [one, {**two, "ID": f"{OWN}-184144ec39ae"}]
    assert all(
        in_force(rules, UNFINISHED_UPLOADS, prefix, days) is not None for prefix, days in (("hs/", 7), ("other/", 9))
    )
    # Of other days: each takes the place of its own.
    assert with_own(rules, UNFINISHED_UPLOADS, "hs/", 8) == [rules[1], rule(8)]
    assert without(rules, UNFINISHED_UPLOADS, "other/") == [one]


def test_a_rule_that_is_sooner() -> None:
    def found(days: int, **changes: Any) -> bool:
        other = {**rule_of(OLD_VERSIONS, "", 3), "ID": "other", **changes}
        return sooner([other], OLD_VERSIONS, "hs/", days) is not None

    assert [found(days) for days in (2, 3, 4, 0)] == [False, False, True, True]
    assert found(4, Filter={"Prefix": "hs/local_content/"})
    assert not found(4, Filter={"Prefix": "other/"})
    assert not found(4, Filter={"Prefix": "hs/backups/"})
    assert not found(4, Filter={"Tag": {"Key": "a", "Value": "b"}})
    assert not found(4, Status="Disabled")
    assert sooner([rule_of(OLD_VERSIONS, "hs/", 3)], OLD_VERSIONS, "hs/", 4) is None


TEST_ENDS: dict[str, tuple[dict[str, Any], bool]] = {
    "of all": ({"Filter": {"Prefix": ""}, "Expiration": {"Days": 90}}, True),
    "as Ceph gives it": ({"Prefix": "", "Expiration": {"Days": 90}}, True),
    "at a day": ({"Filter": {}, "Expiration": {"Date": "2030-01-01T00:00:00Z"}}, True),
    "of some sizes": (
        {"Filter": {"And": {"Prefix": "hs/", "ObjectSizeGreaterThan": 9}}, "Expiration": {"Days": 9}},
        True,
    ),
    "to an archive": ({"Filter": {"Prefix": "hs/"}, "Transitions": [{"Days": 9, "StorageClass": "GLACIER"}]}, True),
    "to another class": (
        {"Filter": {"Prefix": "hs/"}, "Transitions": [{"Days": 9, "StorageClass": "STANDARD_IA"}]},
        False,
    ),
    "of a marker": ({"Filter": {"Prefix": ""}, "Expiration": {"ExpiredObjectDeleteMarker": True}}, False),
    "of something else": ({"Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3}}, False),
    "of a part of the media": ({"Filter": {"Prefix": "hs/remote_thumbnail/a"}, "Expiration": {"Days": 3}}, True),
    "of a part of a name": ({"Filter": {"Prefix": "hs/remote_"}, "Expiration": {"Days": 3}}, True),
    "of something else beside the media": ({"Filter": {"Prefix": "hs/backups/"}, "Expiration": {"Days": 3}}, False),
    "of a neighbour": ({"Filter": {"Prefix": "hs2/"}, "Expiration": {"Days": 3}}, False),
    "of what has a tag": ({"Filter": {"And": {"Prefix": "", "Tags": [{}]}}, "Expiration": {"Days": 3}}, False),
    "that is off": ({"Filter": {"Prefix": ""}, "Expiration": {"Days": 90}, "Status": "Disabled"}, False),
    "of the role": (rule_of(OLD_VERSIONS, "hs/", 30), False),
}


@pytest.mark.parametrize("name", TEST_ENDS)
def test_a_rule_that_ends_media(name: str) -> None:
    given, ends = TEST_ENDS[name]
    assert (ending_media([{"Status": "Enabled", **given}], "hs/") is not None) is ends


TEST_BESIDE = {
    "": True,
    "local": True,
    "local_content/": True,
    "backups/": False,
    "b/": False,
    "local_content2/": False,
}


@pytest.mark.parametrize("below", TEST_BESIDE)
def test_a_rule_in_a_bucket_without_a_prefix(below: str) -> None:
    """Beside the media there may be backups in it, and another homeserver's media below a prefix."""
    place: dict[str, Any] = {"Status": "Enabled", "Filter": {"Prefix": below}}
    ending = ending_media([{**place, "Expiration": {"Days": 3}}], "")
    ended_sooner = sooner([{**rule_of(OLD_VERSIONS, below, 3), "ID": "other"}], OLD_VERSIONS, "", 30)
    assert [ending is not None, ended_sooner is not None] == [TEST_BESIDE[below]] * 2
