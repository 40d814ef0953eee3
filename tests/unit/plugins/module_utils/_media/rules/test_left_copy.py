# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from itertools import product

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.left_copy import (
    TABLE,
    Action,
    Case,
    Here,
    Owner,
    decide,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.table import fits

_BOTH = (True, False)
EVERY_CASE = [Case(*values) for values in product(Owner, Here, _BOTH, _BOTH)]


def test_every_case_is_decided_and_every_row_is_used() -> None:
    used = {next(number for number, row in enumerate(TABLE) if fits(row, case)) for case in EVERY_CASE}

    assert used == set(range(len(TABLE)))


def test_a_copy_goes_only_where_its_content_is_or_its_file_never_went() -> None:
    for case in EVERY_CASE:
        if decide(case) is Action.DISCARD:
            assert case.owner is not Owner.OTHERS
            assert case.here is Here.SAME or not case.is_complete


def test_a_file_comes_back_only_to_its_own_media_store_and_over_nothing() -> None:
    for case in EVERY_CASE:
        if decide(case) is Action.PUT_BACK:
            assert case.here is Here.NOTHING
            assert case.owner is Owner.OURS or (case.owner is Owner.UNTOLD and case.is_given)
        if case.owner is Owner.OTHERS:
            assert decide(case) is Action.IGNORE
