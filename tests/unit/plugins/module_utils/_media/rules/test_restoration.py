# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io
from itertools import product

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.content import (
    PART_SIZE,
    content_of,
    read_content,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.restoration import (
    TABLE,
    Action,
    Arrived,
    Case,
    Compared,
    Here,
    Reason,
    There,
    decide,
    judge,
)

_BOTH = (True, False)
EVERY_CASE = [Case(*values) for values in product(Here, There, Compared, _BOTH, _BOTH, _BOTH, _BOTH, _BOTH, _BOTH)]
NOTHING = Case(Here.NOTHING, There.NOTHING)

TEST_CASES = {
    "only in the bucket": (Case(Here.NOTHING, There.FITTING), Action.RESTORE, Reason.ONLY_STORED),
    "object of another length": (Case(Here.NOTHING, There.WRONG), Action.CONFLICT, Reason.OBJECT_WRONG),
    "in neither place": (NOTHING, Action.MISSING, Reason.MISSING),
    "a thumbnail in neither place": (
        NOTHING._replace(is_thumbnail=True),
        Action.MISSING,
        Reason.MISSING_THUMBNAIL,
    ),
    "not finished": (NOTHING._replace(is_finished=False), Action.SKIP, Reason.UNFINISHED),
    "a bucket was not listed": (NOTHING._replace(all_listed=False), Action.FAIL, Reason.NOT_LOOKED),
    "only local": (Case(Here.RIGHT, There.NOTHING), Action.LEAVE, Reason.IS_THERE),
    "in both": (Case(Here.RIGHT, There.FITTING), Action.COMPARE, Reason.NOT_COMPARED),
    "the same in both": (Case(Here.RIGHT, There.FITTING, Compared.SAME), Action.LEAVE, Reason.IS_THERE),
    "other content": (Case(Here.RIGHT, There.FITTING, Compared.OTHER), Action.CONFLICT, Reason.OTHER_CONTENT),
    "the object is damaged": (Case(Here.RIGHT, There.WRONG), Action.CONFLICT, Reason.OBJECT_WRONG_TOO),
    "only local, to be repaired": (
        Case(Here.RIGHT, There.NOTHING, has_sha256=True, repair=True),
        Action.COMPARE,
        Reason.NOT_COMPARED,
    ),
    "only local, and read": (
        Case(Here.RIGHT, There.NOTHING, Compared.SAME, has_sha256=True, repair=True),
        Action.LEAVE,
        Reason.IS_THERE,
    ),
    "only local, and no hash to tell": (
        Case(Here.RIGHT, There.NOTHING, repair=True),
        Action.LEAVE,
        Reason.IS_THERE,
    ),
    "the object is damaged, the local file can be read": (
        Case(Here.RIGHT, There.WRONG, has_sha256=True),
        Action.COMPARE,
        Reason.NOT_COMPARED,
    ),
    "the object alone is damaged": (
        Case(Here.RIGHT, There.WRONG, Compared.SAME, has_sha256=True),
        Action.CONFLICT,
        Reason.OBJECT_WRONG_ALONE,
    ),
    "damaged": (Case(Here.WRONG, There.FITTING), Action.CONFLICT, Reason.REPAIRABLE),
    "damaged, to be repaired": (Case(Here.WRONG, There.FITTING, repair=True), Action.REPAIR, Reason.DAMAGED_HERE),
    "still written": (
        Case(Here.WRONG, There.FITTING, is_recent=True, repair=True),
        Action.CONFLICT,
        Reason.STILL_WRITTEN,
    ),
    "both damaged": (Case(Here.WRONG, There.WRONG, repair=True), Action.CONFLICT, Reason.BOTH_WRONG),
    "damaged, no object": (Case(Here.WRONG, There.NOTHING, repair=True), Action.CONFLICT, Reason.ONLY_HERE_WRONG),
}


@pytest.mark.parametrize("name", TEST_CASES)
def test_cases(name: str) -> None:
    case, action, reason = TEST_CASES[name]

    assert decide(case) == (action, reason)


def test_every_case_is_decided_and_every_row_is_used() -> None:
    used = {next(number for number, row in enumerate(TABLE) if row.fits(case)) for case in EVERY_CASE}

    assert used == set(range(len(TABLE)))


def test_a_local_file_is_replaced_only_if_it_is_certainly_damaged_and_that_was_asked_for() -> None:
    for case in EVERY_CASE:
        action = decide(case).action
        if action is Action.REPAIR:
            assert (case.here, case.there, case.repair, case.is_recent) == (Here.WRONG, There.FITTING, True, False)
        if action is Action.RESTORE:
            assert case.here is Here.NOTHING
        if case.here is not Here.NOTHING:
            assert action not in (Action.RESTORE, Action.MISSING, Action.SKIP)


def test_what_the_database_has_a_sha256_of_is_called_right_only_when_it_was_read() -> None:
    """Where somebody asks for a repair, and where an object says something else."""
    for case in EVERY_CASE:
        if case.here is Here.RIGHT and case.has_sha256 and (case.repair or case.there is There.WRONG):
            assert (decide(case).action is Action.COMPARE) == (case.compared is Compared.NOT_YET)


def test_nothing_is_called_missing_while_a_bucket_was_not_looked_at() -> None:
    assert all(decide(case).action is not Action.MISSING for case in EVERY_CASE if not case.all_listed)


CONTENT = content_of(b"content")
IN_PARTS = read_content(io.BytesIO(b"x" * (PART_SIZE + 1)))
NO_HASH = "0" * 32


@pytest.mark.parametrize(
    ("size", "etag", "kept", "lengths", "sha256", "expected"),
    [
        (7, CONTENT.md5.hex(), None, {7}, None, Arrived.PROVEN),
        (7, NO_HASH, None, {7}, CONTENT.sha256, Arrived.PROVEN),
        (7, NO_HASH, CONTENT.sha256, {7}, None, Arrived.PROVEN),
        (7, NO_HASH, CONTENT.sha256, set(), None, Arrived.PROVEN),
        (7, NO_HASH, None, {6, 7}, None, Arrived.OF_THE_LENGTH),
        (7, NO_HASH, "f" * 64, {7}, None, Arrived.ALTERED),
        (8, CONTENT.md5.hex(), CONTENT.sha256, {7, 8}, CONTENT.sha256, Arrived.ALTERED),
        (7, CONTENT.md5.hex(), CONTENT.sha256, {8}, None, Arrived.NOT_THE_DATABASES),
        (7, CONTENT.md5.hex(), CONTENT.sha256, {7}, "f" * 64, Arrived.NOT_THE_DATABASES),
    ],
)
def test_what_came(
    size: int, etag: str, kept: str | None, lengths: set[int], sha256: str | None, expected: Arrived
) -> None:
    told = judge(
        CONTENT, size=size, etag=etag, kept_sha256=kept, kept_md5=None, lengths=frozenset(lengths), sha256=sha256
    )

    assert told is expected


@pytest.mark.parametrize(
    ("kept_sha256", "kept_md5", "sha256", "expected"),
    [
        (None, CONTENT.md5.hex(), None, Arrived.PROVEN),
        (None, "f" * 32, None, Arrived.ALTERED),
        (CONTENT.sha256, "f" * 32, None, Arrived.PROVEN),
        (None, "f" * 32, CONTENT.sha256, Arrived.PROVEN),
    ],
)
def test_an_etag_that_is_an_md5_tells_what_was_altered(
    kept_sha256: str | None, kept_md5: str, sha256: str | None, expected: Arrived
) -> None:
    told = judge(
        CONTENT,
        size=7,
        etag=NO_HASH,
        kept_sha256=kept_sha256,
        kept_md5=kept_md5,
        lengths=frozenset({7}),
        sha256=sha256,
    )

    assert told is expected


def test_what_came_in_parts() -> None:
    etag = "".join((IN_PARTS.md5.hex(), "-2"))
    size = PART_SIZE + 1

    def told(etag: str) -> Arrived:
        return judge(
            IN_PARTS, size=size, etag=etag, kept_sha256=None, kept_md5=None, lengths=frozenset({size}), sha256=None
        )

    assert told(etag) is Arrived.OF_THE_LENGTH
    assert told(IN_PARTS.md5.hex()) is Arrived.PROVEN
