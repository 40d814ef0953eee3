# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole truth table: there are few enough inputs to try every combination."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.decision import (
    REASONS,
    TABLE,
    Action,
    Case,
    Earlier,
    Known,
    Local,
    Policy,
    Reason,
    Stored,
    Uploaded,
    decide,
    known_as,
)

CASES = [Case(*values) for values in itertools.product(Local, [True, False], Known, Stored, Known, Uploaded, Earlier)]
POLICIES = [Policy(delete_local=True), Policy(delete_local=False)]
ALL = [(case, policy, decide(case, policy)) for case in CASES for policy in POLICIES]


def test_no_delete_without_proof() -> None:
    for case, policy, decision in ALL:
        if decision.action is Action.DELETE:
            assert case.stored is Stored.SAME
            assert case.known is not Known.DAMAGED
            assert case.local is Local.SETTLED
            assert policy.delete_local
            assert not case.in_use
            assert case.earlier is Earlier.WELL


def test_the_providers_before_the_bucket_are_asked_for_what_would_be_deleted_alone() -> None:
    for case, policy, decision in ALL:
        well = decide(case._replace(earlier=Earlier.WELL), policy)
        if case.earlier is Earlier.NOT_ASKED:
            assert (decision.action is Action.ASK_EARLIER) == (well.action is Action.DELETE)
        assert decision == well or well.action is Action.DELETE


def test_a_listing_alone_is_no_proof() -> None:
    for case, policy, decision in ALL:
        if case.stored in (Stored.LISTED, Stored.LISTED_APART):
            assert decision.action is not Action.DELETE
        if case.stored is Stored.LISTED:
            confirmed = decide(case._replace(stored=Stored.SAME), policy)
            assert (decision.action is Action.CONFIRM) == (confirmed.reason in (Reason.STORED, Reason.IN_THE_WAY))


def test_a_class_that_may_be_an_archive_is_looked_at_whatever_stays() -> None:
    for case, _policy, decision in ALL:
        if case.stored is Stored.LISTED_APART:
            settled_and_right = case.local is Local.SETTLED and case.known is not Known.DAMAGED
            assert (decision.action is Action.CONFIRM) == settled_and_right


def test_nothing_is_overwritten_and_nothing_uploaded_twice() -> None:
    for case, _unused, decision in ALL:
        if decision.action is Action.UPLOAD:
            assert case.stored is Stored.NOTHING
            assert case.known is Known.COMPLETE
            assert case.local is Local.SETTLED
            assert case.uploaded is Uploaded.NOT_TRIED


def test_difference_is_a_conflict() -> None:
    for case, _unused, decision in ALL:
        useless = (Stored.OTHER, Stored.UNREADABLE, Stored.EXPIRING)
        differs = case.stored in useless or case.known is Known.DAMAGED
        conflicts = decision.action is Action.CONFLICT and decision.reason is not Reason.IN_THE_WAY
        assert conflicts == (differs and case.local is Local.SETTLED)


def test_what_was_uploaded_and_is_not_there_has_failed() -> None:
    for case, _unused, decision in ALL:
        tried = case.uploaded in (Uploaded.ACCEPTED, Uploaded.TAKEN) and case.known is Known.COMPLETE
        if case.local is Local.SETTLED and tried and case.stored is Stored.NOTHING:
            assert decision.action is Action.FAIL


def test_every_row_is_reached_and_every_reason_has_its_words() -> None:
    reached = {next(row for row in TABLE if row.fits(case, policy)) for case, policy, _unused in ALL}

    assert reached == set(TABLE)
    assert {row.reason for row in TABLE} == set(REASONS) == set(Reason)


SETTLED = Case(Local.SETTLED, known=Known.COMPLETE)
DAMAGED = Case(Local.SETTLED, known=Known.DAMAGED)
UNKNOWN = Case(Local.SETTLED)
TEST_TABLE: list[tuple[Case, bool, Action, Reason]] = [
    (SETTLED._replace(local=Local.RECENT, stored=Stored.SAME), True, Action.KEEP, Reason.TOO_RECENT),
    (SETTLED._replace(local=Local.FUTURE, stored=Stored.SAME), True, Action.KEEP, Reason.IN_THE_FUTURE),
    (SETTLED._replace(local=Local.CHANGED, stored=Stored.SAME), True, Action.KEEP, Reason.CHANGED),
    (SETTLED._replace(local=Local.GONE, stored=Stored.SAME), True, Action.KEEP, Reason.GONE),
    (SETTLED, True, Action.UPLOAD, Reason.NOT_STORED),
    (SETTLED, False, Action.UPLOAD, Reason.NOT_STORED),
    (SETTLED._replace(in_use=True), True, Action.UPLOAD, Reason.NOT_STORED),
    (SETTLED._replace(stored=Stored.LISTED), True, Action.CONFIRM, Reason.NOT_CONFIRMED),
    (SETTLED._replace(stored=Stored.LISTED), False, Action.KEEP, Reason.LOCAL_FILES_ARE_KEPT),
    (SETTLED._replace(stored=Stored.LISTED, in_use=True), True, Action.KEEP, Reason.IN_USE),
    (SETTLED._replace(stored=Stored.SAME), True, Action.DELETE, Reason.STORED),
    (SETTLED._replace(stored=Stored.SAME, earlier=Earlier.NOT_ASKED), True, Action.ASK_EARLIER, Reason.STORED),
    (SETTLED._replace(stored=Stored.SAME, earlier=Earlier.IN_THE_WAY), True, Action.CONFLICT, Reason.IN_THE_WAY),
    (SETTLED._replace(stored=Stored.SAME, earlier=Earlier.NOT_ASKED), False, Action.KEEP, Reason.LOCAL_FILES_ARE_KEPT),
    (SETTLED._replace(stored=Stored.SAME), False, Action.KEEP, Reason.LOCAL_FILES_ARE_KEPT),
    (SETTLED._replace(stored=Stored.SAME, in_use=True), True, Action.KEEP, Reason.IN_USE),
    (SETTLED._replace(stored=Stored.UNREADABLE), True, Action.CONFLICT, Reason.UNREADABLE),
    (SETTLED._replace(stored=Stored.EXPIRING), True, Action.CONFLICT, Reason.EXPIRES),
    (SETTLED._replace(stored=Stored.OTHER, object_known=Known.DAMAGED), True, Action.CONFLICT, Reason.LOCAL_RIGHT),
    (SETTLED._replace(stored=Stored.OTHER, object_known=Known.COMPLETE), True, Action.CONFLICT, Reason.NOT_TOLD),
    (UNKNOWN._replace(stored=Stored.OTHER), True, Action.CONFLICT, Reason.OTHER_CONTENT),
    (DAMAGED._replace(stored=Stored.OTHER, object_known=Known.COMPLETE), True, Action.CONFLICT, Reason.OBJECT_RIGHT),
    (DAMAGED._replace(stored=Stored.OTHER, object_known=Known.DAMAGED), True, Action.CONFLICT, Reason.NEITHER_RIGHT),
    (DAMAGED._replace(stored=Stored.SAME), True, Action.CONFLICT, Reason.BOTH_DAMAGED),
    (DAMAGED, True, Action.CONFLICT, Reason.LOCAL_DAMAGED),
    (UNKNOWN, True, Action.KEEP, Reason.UNKNOWN),
    (UNKNOWN._replace(stored=Stored.SAME), True, Action.DELETE, Reason.STORED),
    (UNKNOWN._replace(known=Known.UNFINISHED), True, Action.KEEP, Reason.UNFINISHED),
    (SETTLED._replace(uploaded=Uploaded.ACCEPTED), True, Action.FAIL, Reason.VANISHED),
    (SETTLED._replace(uploaded=Uploaded.ACCEPTED, stored=Stored.SAME), True, Action.DELETE, Reason.STORED),
    (SETTLED._replace(uploaded=Uploaded.TAKEN), True, Action.FAIL, Reason.HIDDEN),
    (SETTLED._replace(uploaded=Uploaded.BY_SCRIPT), True, Action.FAIL, Reason.LEFT_BEHIND),
    (SETTLED._replace(uploaded=Uploaded.BY_SCRIPT, in_use=True), True, Action.KEEP, Reason.IN_USE),
    (UNKNOWN._replace(uploaded=Uploaded.BY_SCRIPT), True, Action.KEEP, Reason.UNKNOWN),
]


@pytest.mark.parametrize(("case", "delete_local", "action", "reason"), TEST_TABLE)
def test_decision(case: Case, delete_local: bool, action: Action, reason: Reason) -> None:
    assert decide(case, Policy(delete_local)) == (action, reason)


@pytest.mark.parametrize(
    ("lengths", "sha256", "size", "content_sha256", "known"),
    [
        (None, None, 5, "aa", Known.UNKNOWN),
        (frozenset(), None, 5, "aa", Known.UNFINISHED),
        (frozenset({5}), None, 5, "aa", Known.COMPLETE),
        (frozenset({4, 5}), None, 5, "aa", Known.COMPLETE),
        (frozenset({5}), "aa", 5, "aa", Known.COMPLETE),
        (frozenset({5}), "aa", 5, "bb", Known.DAMAGED),
        (frozenset({5}), "aa", 5, None, Known.COMPLETE),
        (frozenset({4}), None, 5, "aa", Known.DAMAGED),
        (frozenset({4}), "aa", 5, "aa", Known.DAMAGED),
    ],
)
def test_known_as(
    lengths: frozenset[int] | None, sha256: str | None, size: int, content_sha256: str | None, known: Known
) -> None:
    assert known_as(lengths, sha256, size, content_sha256) is known
