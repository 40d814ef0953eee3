# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of values."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.kinds import Kind, kind_problems
from hypothesis import given
from hypothesis import strategies as st

TEST_GOOD = [
    (Kind.BOOLEAN, True),
    (Kind.BOOLEAN, False),
    (Kind.INTEGER, 0),
    (Kind.INTEGER, -5),
    (Kind.TEXT, ""),
    (Kind.TEXT, "yes"),
    (Kind.LIST, []),
    (Kind.LIST, ["a", ""]),
    (Kind.LIST, ("a",)),
    (Kind.RAW, None),
    (Kind.RAW, {"a": 1}),
]

TEST_BAD = [
    (
        Kind.BOOLEAN,
        "yes",
        "is the text 'yes', not true or false. Write true without quotes, and on the command line as JSON.",
    ),
    (
        Kind.BOOLEAN,
        "True",
        "is the text 'True', not true or false. Write true without quotes, and on the command line as JSON.",
    ),
    (
        Kind.BOOLEAN,
        "no",
        "is the text 'no', not true or false. Write false without quotes, and on the command line as JSON.",
    ),
    (Kind.BOOLEAN, "maybe", "is the text 'maybe', not true or false. Write true or false."),
    (Kind.BOOLEAN, 1, "is the number 1, not true or false. Write true or false."),
    (Kind.BOOLEAN, None, "has no value. Write true or false."),
    (
        Kind.INTEGER,
        "7",
        "is the text '7', not a whole number. Write 7 without quotes, and on the command line as JSON.",
    ),
    (Kind.INTEGER, "week", "is the text 'week', not a whole number. Write a whole number."),
    (Kind.INTEGER, 1.5, "is the number 1.5, not a whole number. Write a whole number."),
    (Kind.INTEGER, True, "is true, not a whole number. Write a whole number."),
    (Kind.INTEGER, None, "has no value. Write a whole number."),
    (Kind.TEXT, 1.7, "is the number 1.7, not a text. Put it in quotes."),
    (Kind.TEXT, False, "is false, not a text. Put it in quotes."),
    (Kind.TEXT, None, "has no value. Write '' to leave it empty."),
    (Kind.TEXT, ["a"], "is a list, not a text. Write a text."),
    (Kind.TEXT, {"a": 1}, "is a mapping, not a text. Write a text."),
    (Kind.LIST, "a.service", "is the text 'a.service', not a list. Write each item on a line of its own, after '- '."),
    (Kind.LIST, None, "has no value. Write a list."),
    (Kind.LIST, ["a", 5], "has a wrong item: item 2 is the number 5, not a text. Write a list of texts."),
    (Kind.LIST, [None], "has a wrong item: item 1 has no value, not a text. Write a list of texts."),
]

TEST_SECRETS = [
    (Kind.TEXT, 123456, "is a number, not a text. Put it in quotes."),
    (Kind.TEXT, True, "is a boolean, not a text. Put it in quotes."),
    (Kind.TEXT, ["hidden"], "is a list, not a text. Write a text."),
    (Kind.INTEGER, "hidden", "is a text, not a whole number. Write a whole number."),
]


@pytest.mark.parametrize(("kind", "value"), TEST_GOOD)
def test_good_kinds(kind: Kind, value: Any) -> None:
    assert kind_problems(kind, value) == []


@pytest.mark.parametrize(("kind", "value", "problem"), TEST_BAD)
def test_bad_kinds(kind: Kind, value: Any, problem: str) -> None:
    assert kind_problems(kind, value) == [problem]


@pytest.mark.parametrize(("kind", "value", "problem"), TEST_SECRETS)
def test_secrets_are_not_shown(kind: Kind, value: Any, problem: str) -> None:
    assert kind_problems(kind, value, secret=True) == [problem]


@given(st.sampled_from([Kind.TEXT, Kind.BOOLEAN]), st.integers(min_value=100000))
def test_no_secret_number_is_shown(kind: Kind, value: int) -> None:
    assert not [text for text in kind_problems(kind, value, secret=True) if str(value) in text]
