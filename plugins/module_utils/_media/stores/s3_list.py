# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of a list of objects, each asked for while the one before it is read, and only believed where they can be.

Not left to boto3's paginator: it ends without a word where a server has no way to ask for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ..rules.errors import MediaError
from .ahead import begin
from .object_store import RemoteObject
from .s3_description import listed_object

# A server may look through many keys that were deleted and find none. But not without end.
_EMPTY_PAGES = 1000


def listed_objects(
    ask: Callable[..., Any], refusal: Callable[[str], MediaError], prefix: str, after: str
) -> Iterator[RemoteObject]:
    """All objects below ``prefix`` whose keys come after ``after``, ascending.

    A page is asked for when its first object is, and from the third on when the one before it is there: who wants a
    second page mostly wants all.

    ``ask`` makes the request ListObjectsV2 for a page, with the position as boto3's arguments; ``refusal`` makes the
    error to raise of a code of ``s3_failures``. What can't be the whole list raises it.
    """
    previous, empty, number = "", 0, 1
    keys: set[str] = set()
    answer: Callable[[], Any] = partial(ask, **({"StartAfter": after} if after else {}))
    while True:
        page = answer()
        if "IsTruncated" not in page:
            # Any web page with status 200 would pass for the list of an empty bucket.
            raise refusal("not_s3")
        entries, token = page.get("Contents", ()), page.get("NextContinuationToken")
        if any("Key" not in entry or "Size" not in entry for entry in entries):
            raise refusal("not_s3")
        if page["IsTruncated"] and not token:
            raise refusal("list_cut")
        if page.get("KeyCount", 0) > len(entries):
            raise refusal("list_count")
        if entries and entries[0]["Key"] in keys:
            raise refusal("list_repeated")
        if after and entries and not previous and entries[0]["Key"] <= after:
            # The server knows no start, or sorts in another way, and then leaves out what comes before in its own.
            # From the start on either shows.
            yield from (found for found in listed_objects(ask, refusal, prefix, "") if found.key > after)
            return
        keys = {entry["Key"] for entry in entries}
        is_last = not token or not (entries or page["IsTruncated"])
        if not is_last:
            # By the token alone: some servers would begin at the start again if they were told that too.
            answer = partial(ask, ContinuationToken=token)
            answer = begin(answer) if number > 1 else answer
        for entry in entries:
            key = entry["Key"]
            if key <= previous:
                raise refusal("list_order")
            if not key.startswith(prefix):
                raise refusal("list_foreign")
            previous = key
            yield listed_object(entry)
        empty = 0 if entries else empty + 1
        if is_last:
            return
        if empty > _EMPTY_PAGES:
            raise refusal("list_endless")
        number += 1
