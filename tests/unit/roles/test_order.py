# SPDX-License-Identifier: GPL-3.0-or-later
"""What an administrator wrote in an order is stopped, started and told in it, on every run the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PLAYS = sorted(path for name in ("roles", "playbooks") for path in (ROOT / name).rglob("*") if path.is_file())
# They give a set's order, which differs from one process to the next. select('in', …) keeps that of the list.
UNORDERED = re.compile(r"\|\s*(?:difference|intersect|symmetric_difference|union)\b")


@pytest.mark.parametrize("text", ["{{ a | difference(b) }}", "{{ a|union(b) }}"])
def test_it_would_be_seen(text: str) -> None:
    assert UNORDERED.search(text)


def test_no_filter_that_loses_the_order() -> None:
    assert len(PLAYS) > 50
    assert [path.relative_to(ROOT) for path in PLAYS if UNORDERED.search(path.read_text())] == []
