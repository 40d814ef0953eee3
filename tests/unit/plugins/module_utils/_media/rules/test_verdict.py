# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from itertools import product

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import Root
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.verdict import (
    REASONS,
    Case,
    Copy,
    Original,
    Reason,
    Row,
    Verdict,
    copy_of,
    judge,
    worst,
)

# A local file is in no archive, not encrypted, and under no lifecycle rule.
ON_DISK = set(Copy) - {Copy.ARCHIVED, Copy.OTHER_KEY, Copy.EXPIRING}
ALL = [Case(*values) for values in product(Root, Row, ON_DISK, Copy, Original, (False, True), (False, True))]
BAD = set(Copy) - {Copy.NONE, Copy.RIGHT}
LOCAL, THUMBNAIL = Root.LOCAL_CONTENT, Root.LOCAL_THUMBNAILS
REMOTE, REMOTE_THUMBNAIL = Root.REMOTE_CONTENT, Root.REMOTE_THUMBNAIL
NONE, RIGHT = Copy.NONE, Copy.RIGHT
THERE, LOST = Original.THERE, Original.LOST

TEST_VERDICTS = [
    (Case(LOCAL, Row.COMPLETE, RIGHT, NONE), Verdict.LOCAL_ONLY, Reason.WELL),
    (Case(LOCAL, Row.COMPLETE, NONE, RIGHT), Verdict.STORED_ONLY, Reason.WELL),
    (Case(LOCAL, Row.COMPLETE, RIGHT, RIGHT), Verdict.BOTH, Reason.WELL),
    (Case(LOCAL, Row.COMPLETE, NONE, NONE), Verdict.MISSING, Reason.LOCAL_ORIGINAL),
    (Case(REMOTE, Row.COMPLETE, NONE, NONE), Verdict.MISSING, Reason.REMOTE_ORIGINAL),
    (Case(LOCAL, Row.UNFINISHED, NONE, NONE), Verdict.UNFINISHED, Reason.UNFINISHED),
    (Case(LOCAL, Row.COMPLETE, RIGHT, Copy.EMPTY), Verdict.DAMAGED, Reason.OBJECT_EMPTY),
    (Case(LOCAL, Row.COMPLETE, Copy.OTHER_LENGTH, RIGHT), Verdict.DAMAGED, Reason.FILE_LENGTH),
    (Case(LOCAL, Row.COMPLETE, RIGHT, Copy.ARCHIVED), Verdict.DAMAGED, Reason.ARCHIVED),
    (Case(LOCAL, Row.COMPLETE, NONE, Copy.OTHER_KEY), Verdict.DAMAGED, Reason.OTHER_KEY),
    (Case(LOCAL, Row.COMPLETE, NONE, Copy.EXPIRING), Verdict.DAMAGED, Reason.EXPIRING),
    (Case(LOCAL, Row.COMPLETE, Copy.DIFFERENT, Copy.DIFFERENT), Verdict.DAMAGED, Reason.DIFFERENT),
    (Case(THUMBNAIL, Row.COMPLETE, NONE, NONE, THERE, dynamic=True), Verdict.MISSING, Reason.THUMBNAIL_MADE_ANEW),
    (Case(THUMBNAIL, Row.COMPLETE, NONE, NONE, THERE), Verdict.MISSING, Reason.THUMBNAIL),
    (Case(REMOTE_THUMBNAIL, Row.COMPLETE, NONE, NONE, THERE), Verdict.MISSING, Reason.REMOTE_THUMBNAIL),
    (Case(REMOTE_THUMBNAIL, Row.COMPLETE, NONE, NONE, LOST), Verdict.MISSING, Reason.THUMBNAIL_WITHOUT_ORIGINAL),
    (Case(LOCAL, Row.COMPLETE, RIGHT, NONE, alone=True), Verdict.MISSING, Reason.NOT_IN_STORE),
    (Case(LOCAL, Row.COMPLETE, NONE, RIGHT, alone=True), Verdict.STORED_ONLY, Reason.WELL),
]


@pytest.mark.parametrize(("case", "verdict", "reason"), TEST_VERDICTS)
def test_verdict(case: Case, verdict: Verdict, reason: Reason) -> None:
    assert judge(case) == (verdict, reason)


def test_every_case_has_a_verdict_that_hides_nothing() -> None:
    for case in ALL:
        verdict = judge(case).verdict
        copies = {case.local, case.stored}
        if case.row is Row.UNFINISHED:
            assert verdict is Verdict.UNFINISHED
        elif copies & BAD:
            assert verdict is Verdict.DAMAGED
        elif case.stored is NONE and (case.alone or case.local is NONE):
            assert verdict is Verdict.MISSING
        else:
            assert verdict.is_well
            assert Copy.RIGHT in copies


def test_every_reason_is_given_and_has_words() -> None:
    assert {judge(case).reason for case in ALL} == set(Reason) == set(REASONS)


def test_copies_by_their_length() -> None:
    lengths = frozenset({0, 5})
    assert [copy_of(lengths, size) for size in (0, 5, 6)] == [RIGHT, RIGHT, Copy.OTHER_LENGTH]
    assert copy_of(frozenset({5}), 0) is Copy.EMPTY


def test_of_several_buckets_the_one_that_is_not_right_counts() -> None:
    assert worst(()) is NONE
    assert worst((NONE, NONE)) is NONE
    assert worst((NONE, RIGHT)) is RIGHT
    assert worst((RIGHT, Copy.EMPTY, NONE)) is Copy.EMPTY
    # A former bucket may go, once another one has the file.
    assert worst((RIGHT, Copy.EXPIRING)) is RIGHT
    assert worst((NONE, Copy.EXPIRING)) is Copy.EXPIRING
    assert worst((Copy.EXPIRING, Copy.EMPTY)) is Copy.EMPTY
