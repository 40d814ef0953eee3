# SPDX-License-Identifier: GPL-3.0-or-later
"""A part of the role, run by its tags."""

from __future__ import annotations

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.filter.phases_left_out import phases_left_out

MESSAGE = (
    "Could not run a part of the role: storage_provider_{} has something to do first, and is not among the tags."
    " Run all of the role, or name that tag too."
)
ALL = {"install": True, "configure": True, "wrappers": True, "units": True}


@pytest.mark.parametrize(
    ("pending", "tags", "skipped", "left_out"),
    [
        (ALL, ["all"], [], []),
        (ALL, ["storage_provider_install"], [], []),
        # Synapse would look for a library that is not there.
        (ALL, ["storage_provider_configure"], [], ["install"]),
        # The nightly job would begin without a program, and without a provider.
        (ALL, ["storage_provider_units"], [], ["install", "configure", "wrappers"]),
        (ALL, ["all"], ["storage_provider_configure"], ["configure"]),
        ({**ALL, "install": False}, ["storage_provider_configure"], [], []),
        ({"units": True}, ["storage_provider_units"], [], []),
        (ALL, ["storage_provider_install", "storage_provider_configure"], [], []),
    ],
)
def test_left_out(pending: dict[str, bool], tags: list[str], skipped: list[str], left_out: list[str]) -> None:
    assert phases_left_out(pending, tags, skipped) == [MESSAGE.format(phase) for phase in left_out]
