# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole truth table: there are few enough inputs to try every combination."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.decision import (
    Action,
    Known,
    Policy,
    Stored,
    decide,
)

EVERYTHING = list(itertools.product([True, False], [True, False], Known, Stored, [True, False]))
ALL_INPUTS = pytest.mark.parametrize(("recent", "in_use", "known", "stored", "delete_local"), EVERYTHING)


@ALL_INPUTS
def test_no_delete_without_proof(recent: bool, in_use: bool, known: Known, stored: Stored, delete_local: bool) -> None:
    decision = decide(recent=recent, in_use=in_use, known=known, stored=stored, policy=Policy(delete_local))

    if decision.action is Action.DELETE:
        assert stored is Stored.SAME
        assert known is not Known.DAMAGED
        assert delete_local
        assert not recent
        assert not in_use


@ALL_INPUTS
def test_nothing_is_overwritten(recent: bool, in_use: bool, known: Known, stored: Stored, delete_local: bool) -> None:
    decision = decide(recent=recent, in_use=in_use, known=known, stored=stored, policy=Policy(delete_local))

    if decision.action is Action.UPLOAD:
        assert stored is Stored.NOTHING
        assert known is Known.COMPLETE
        assert not recent


@ALL_INPUTS
def test_difference_is_a_conflict(recent: bool, in_use: bool, known: Known, stored: Stored, delete_local: bool) -> None:
    decision = decide(recent=recent, in_use=in_use, known=known, stored=stored, policy=Policy(delete_local))

    differs = stored is Stored.OTHER or known is Known.DAMAGED
    assert (decision.action is Action.CONFLICT) == (differs and not recent)


TEST_TABLE: list[tuple[bool, bool, Known, Stored, bool, Action, str]] = [
    (True, False, Known.COMPLETE, Stored.SAME, True, Action.KEEP, "too recent"),
    (False, False, Known.COMPLETE, Stored.NOTHING, True, Action.UPLOAD, "not in the bucket"),
    (False, False, Known.COMPLETE, Stored.NOTHING, False, Action.UPLOAD, "not in the bucket"),
    (False, True, Known.COMPLETE, Stored.NOTHING, True, Action.UPLOAD, "not in the bucket"),
    (False, False, Known.COMPLETE, Stored.SAME, True, Action.DELETE, "the bucket holds the same content"),
    (False, False, Known.COMPLETE, Stored.SAME, False, Action.KEEP, "local files are kept"),
    (False, True, Known.COMPLETE, Stored.SAME, True, Action.KEEP, "in use"),
    (
        False,
        False,
        Known.COMPLETE,
        Stored.OTHER,
        True,
        Action.CONFLICT,
        "the bucket holds other content under this key",
    ),
    (
        False,
        False,
        Known.DAMAGED,
        Stored.SAME,
        True,
        Action.CONFLICT,
        "the local file's length or sha256 is not the database's",
    ),
    (False, False, Known.UNKNOWN, Stored.NOTHING, True, Action.KEEP, "unknown to the database"),
    (False, False, Known.UNKNOWN, Stored.SAME, True, Action.DELETE, "the bucket holds the same content"),
    (False, False, Known.UNFINISHED, Stored.NOTHING, True, Action.KEEP, "its upload to Synapse is not finished"),
]


@pytest.mark.parametrize(("recent", "in_use", "known", "stored", "delete_local", "action", "reason"), TEST_TABLE)
def test_decision(
    recent: bool, in_use: bool, known: Known, stored: Stored, delete_local: bool, action: Action, reason: str
) -> None:
    decision = decide(recent=recent, in_use=in_use, known=known, stored=stored, policy=Policy(delete_local))

    assert (decision.action, decision.reason) == (action, reason)
