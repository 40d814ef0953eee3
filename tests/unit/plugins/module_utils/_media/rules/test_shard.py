# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.shard import ALL, Shard, parse_shard
from hypothesis import given
from hypothesis import strategies as st

TEST_SHARDS = [("1/1", ALL), ("2/3", Shard(2, 3)), ("16/16", Shard(16, 16))]
TEST_NONE = ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "1 / 2", "a/b", "10000/10000"]


@pytest.mark.parametrize(("text", "shard"), TEST_SHARDS)
def test_shards(text: str, shard: Shard) -> None:
    assert parse_shard(text) == shard


@pytest.mark.parametrize("text", TEST_NONE)
def test_no_shards(text: str) -> None:
    message = (
        f"{text!r} is not a share. Write its number and how many there are, such as '2/3' for the second of three."
    )

    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_shard(text)


@given(st.text(st.characters(codec=None)), st.integers(1, 20))
def test_every_file_is_in_exactly_one(path: str, count: int) -> None:
    assert sum(Shard(number, count).has(path) for number in range(1, count + 1)) == 1


def test_all_hosts_agree() -> None:
    """Hosts with other versions of the program or of Python must never share out anew."""
    paths = [f"local_content/aa/bb/{number}" for number in range(12)]

    found = [[shard.number for shard in (Shard(1, 3), Shard(2, 3), Shard(3, 3)) if shard.has(path)] for path in paths]

    assert found == [[2], [2], [1], [3], [2], [3], [1], [1], [3], [1], [3], [3]]
