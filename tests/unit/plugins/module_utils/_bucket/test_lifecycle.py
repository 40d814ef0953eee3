# SPDX-License-Identifier: GPL-3.0-or-later
"""Lifecycle rules: which of them already do what is wanted, whoever wrote them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.lifecycle import (
    OLD_VERSIONS,
    UNFINISHED_UPLOADS,
    has_own,
    in_force,
    rule_of,
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
    assert in_force(rules, UNFINISHED_UPLOADS, "hs/", 7) == expected


def test_what_is_not_the_role_s_stays() -> None:
    others = [rule(ID="other"), rule_of(OLD_VERSIONS, "hs/", 7)]
    assert without([*others, rule()], UNFINISHED_UPLOADS) == others
    assert [has_own(rules, UNFINISHED_UPLOADS) for rules in (others, [rule()])] == [False, True]
