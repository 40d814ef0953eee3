# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole truth table: there are few enough inputs to try every combination."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.copying import (
    TABLE,
    Action,
    Case,
    Elsewhere,
    Held,
    Match,
    Row,
    decide,
    lies_within_media,
    match,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import parse_media_path
from hypothesis import given
from hypothesis import strategies as st

ALL = [
    (case, decide(case))
    for case in itertools.starmap(Case, itertools.product(Row, Held, Held, Match, Elsewhere))
    # What is in one bucket only matches nothing.
    if case.match is Match.OTHER or Held.NOTHING not in (case.source, case.target)
]


def test_nothing_is_copied_but_what_the_database_knows_and_the_source_holds_in_full() -> None:
    for case, action in ALL:
        if action is Action.COPY:
            assert case.row is not Row.UNKNOWN
            assert case.source is Held.RIGHT
            assert case.target is Held.NOTHING


def test_all_that_the_source_holds_in_full_is_copied_unless_the_target_has_something() -> None:
    for case, action in ALL:
        if case.row is not Row.UNKNOWN and case.source is Held.RIGHT and case.target is Held.NOTHING:
            assert action is Action.COPY


def test_nothing_counts_as_there_without_proof() -> None:
    for case, action in ALL:
        if action is Action.ALREADY_THERE:
            assert case.target is Held.RIGHT
            assert case.match is Match.PROVEN or case.source is not Held.RIGHT


def test_what_synapse_can_not_serve_from_anywhere_is_named() -> None:
    for case, action in ALL:
        nowhere = (case.source, case.target, case.elsewhere) == (Held.NOTHING, Held.NOTHING, Elsewhere.NOWHERE)
        if case.row is Row.KNOWN and nowhere:
            assert action is Action.MISSING
        if action is Action.MISSING:
            assert nowhere
            assert case.row is Row.KNOWN


def test_damage_is_named_unless_synapse_has_the_file_in_full() -> None:
    for case, action in ALL:
        if case.row is Row.KNOWN and Held.WRONG in (case.source, case.target):
            assert action in (
                {Action.CONFLICT}
                if case.target is Held.WRONG
                else {Action.ALREADY_THERE}
                if case.target is Held.RIGHT
                else {Action.FAIL}
                if case.elsewhere is Elsewhere.NOWHERE
                else {Action.LOCAL_ONLY, Action.OTHER_BUCKET}
            )


def test_every_row_of_the_table_is_of_use() -> None:
    assert {row.action for row in TABLE} == {action for _unused, action in ALL} == set(Action)


HASH = "d41d8cd98f00b204e9800998ecf8427e"


@pytest.mark.parametrize(
    ("size", "etag", "other_size", "other_etag", "etags_prove", "expected"),
    [
        (5, HASH, 5, HASH, True, Match.PROVEN),
        (5, f"{HASH}-2", 5, f"{HASH}-2", True, Match.PROVEN),
        (5, HASH, 5, HASH, False, Match.OPEN),
        (5, HASH, 5, f"{HASH}-2", True, Match.OPEN),
        # What is no hash may be the same for everything.
        (5, "", 5, "", True, Match.OPEN),
        (5, "1-2", 5, "1-2", True, Match.OPEN),
        (5, f"{'0' * 32}-1", 5, f"{'0' * 32}-1", True, Match.OPEN),
        (5, HASH, 6, HASH, True, Match.OTHER),
    ],
)
def test_match(size: int, etag: str, other_size: int, other_etag: str, etags_prove: bool, expected: Match) -> None:
    assert match(size, etag, other_size, other_etag, etags_prove=etags_prove) is expected


@pytest.mark.parametrize(
    ("prefix", "other", "expected"),
    [
        ("", "media/", False),
        ("", "", False),
        ("hs/", "new/", False),
        ("hs", "hs/", False),
        ("hs/", "hs/local_content", False),
        ("", "remote_content/", True),
        ("hs/", "hs/remote_thumbnail/example.org/", True),
    ],
)
def test_prefix_within_the_media_of_another(prefix: str, other: str, expected: bool) -> None:
    assert all(lies_within_media(*both) is expected for both in itertools.permutations((prefix, other)))


NAMES = st.text("ab_-./:[]0", min_size=1, max_size=12)
PARTS = st.lists(st.one_of(NAMES, st.sampled_from(["local_content", "remote_content", "remote_thumbnail"])), max_size=3)
PATHS = st.sampled_from(
    [
        "local_content/aa/bb/cc",
        "local_thumbnails/aa/bb/cc/32-32-image-png-crop",
        "remote_content/example.org/aa/bb/cc",
        "remote_thumbnail/example.org/aa/bb/cc/32-32-image-png",
    ]
)


@given(PARTS.map("/".join), st.booleans(), PATHS)
def test_copy_below_an_allowed_prefix_is_no_media_of_the_prefix_above(between: str, slash: bool, path: str) -> None:
    """Else a copy would be copied again, or be taken for an orphan."""
    between += "/" if slash else ""
    if between and not lies_within_media("hs/", f"hs/{between}"):
        assert parse_media_path(between + path) is None
