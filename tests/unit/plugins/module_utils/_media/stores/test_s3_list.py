# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from threading import Event
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import MediaError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3_list import listed_objects


class Server:
    """Pages of one key each, of which one fails."""

    def __init__(self, pages: int, fails: int = 0) -> None:
        self._pages, self._fails = pages, fails
        self.asked: list[int] = []
        self.third = Event()

    def ask(self, ContinuationToken: str = "1") -> Any:  # noqa: N803 (boto3's name)
        number = int(ContinuationToken)
        self.asked.append(number)
        if number == 3:
            self.third.set()
        if number == self._fails:
            raise MediaError("gone")
        more = {"NextContinuationToken": str(number + 1)} if number < self._pages else {}
        return {"IsTruncated": bool(more), "Contents": [{"Key": str(number), "Size": 0}], **more}


def test_from_the_third_page_on_one_is_asked_for_ahead() -> None:
    server = Server(4)
    listed = listed_objects(server.ask, MediaError, "", "")
    assert (next(listed).key, server.asked) == ("1", [1])
    assert next(listed).key == "2"
    assert server.third.wait(10)
    assert server.asked == [1, 2, 3]
    assert [found.key for found in listed] == ["3", "4"]
    assert server.asked == [1, 2, 3, 4]


def test_a_page_asked_for_ahead_fails_where_it_is_needed() -> None:
    server = Server(4, fails=3)
    listed = listed_objects(server.ask, MediaError, "", "")
    assert [next(listed).key, next(listed).key] == ["1", "2"]
    with pytest.raises(MediaError, match=r"^gone$"):
        next(listed)
