# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers whose lists are not what was asked for: what is not the whole list never passes for it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import ConfigurationError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import UnsortedList
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3 import Limits, S3ObjectStore
from ansible_collections.matrixops.synapse_s3.tests.scripted_server import Answer, run_script

KEYS = [f"media/{number:04}" for number in range(2500)]
SERVERS = [
    f"media/{server}/{number}" for server in ("example.org-x", "example.org.uk", "example.org") for number in range(3)
]
WHY = "Use a server, or a version of it, that implements ListObjectsV2."

# The query of a request, and the answer to it.
Lister = Callable[[dict[str, str]], str]


def page(keys: list[str], **more: str) -> str:
    contents = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in keys)
    elements = "".join(f"<{name}>{text}</{name}>" for name, text in more.items())
    return f"<ListBucketResult>{elements}{contents}</ListBucketResult>"


def good(query: dict[str, str], keys: list[str] = KEYS, most: int | None = None) -> str:
    """As a server should."""
    start = query.get("continuation-token") or query.get("start-after", "")
    matching = [key for key in keys[bisect_right(keys, start) :] if key.startswith(query.get("prefix", ""))]
    size = most or int(query["max-keys"])
    given = matching[:size]
    if len(matching) <= size:
        return page(given, IsTruncated="false", KeyCount=str(len(given)))
    return page(given, IsTruncated="true", KeyCount=str(len(given)), NextContinuationToken=given[-1])


def only_version_1(query: dict[str, str]) -> str:
    """A server that passes over list-type, start-after and continuation-token."""
    matching = [key for key in KEYS if key.startswith(query.get("prefix", ""))]
    size = int(query["max-keys"])
    return page(matching[:size], Marker="", IsTruncated=str(len(matching) > size).lower())


def start_after_wins(query: dict[str, str]) -> str:
    if "start-after" in query:
        query = {**query, "continuation-token": ""}
    return good(query)


def passes_over_the_start(query: dict[str, str]) -> str:
    return good({**query, "start-after": ""})


def passes_over_the_token(query: dict[str, str]) -> str:
    return good({**query, "continuation-token": ""})


def passes_over_the_prefix(query: dict[str, str]) -> str:
    return good({**query, "prefix": ""}, ["another/1", *KEYS])


def of_directories(query: dict[str, str]) -> str:
    """As SeaweedFS: example.org comes before example.org.uk, whose keys come first; also where it is told to begin."""

    def order(key: str) -> list[str]:
        return key.split("/")

    start = query.get("continuation-token") or query.get("start-after", "")
    size, after = int(query["max-keys"]), order(start) if start else []
    matching = [key for key in sorted(SERVERS, key=order) if order(key) > after and key.startswith(query["prefix"])]
    more = {"NextContinuationToken": matching[size - 1]} if len(matching) > size else {}
    given = matching[:size]
    return page(given, IsTruncated=str(len(matching) > size).lower(), KeyCount=str(len(given)), **more)


def announces_more(query: dict[str, str]) -> str:
    return good(query).replace("<KeyCount>1000<", "<KeyCount>1001<")


def announces_nothing(query: dict[str, str]) -> str:
    return good(query).replace("<KeyCount>1000<", "<KeyCount>0<")


def always_a_token(query: dict[str, str]) -> str:
    """A token also at the end, where nothing follows."""
    answer = good(query)
    if "NextContinuationToken" in answer:
        return answer
    return answer.replace("</KeyCount>", "</KeyCount><NextContinuationToken>zzz</NextContinuationToken>")


def never_truncated(query: dict[str, str]) -> str:
    """A token, and the assurance that nothing follows."""
    return good(query).replace("<IsTruncated>true<", "<IsTruncated>false<")


def pages_of_1500(query: dict[str, str]) -> str:
    return good(query, most=1500)


def empty_for_ever(query: dict[str, str]) -> str:
    number = int(query.get("continuation-token") or 0)
    return page([], IsTruncated="true", KeyCount="0", NextContinuationToken=str(number + 1))


def empty_for_long(query: dict[str, str]) -> str:
    """Keys that were deleted, as many as nobody has listed for a while."""
    token = query.get("continuation-token", "")
    if not token.startswith("media") and int(token or 0) < 50:
        return page([], IsTruncated="true", KeyCount="0", NextContinuationToken=str(int(token or 0) + 1))
    return good({**query, "continuation-token": token if token.startswith("media") else ""})


def without_sizes(query: dict[str, str]) -> str:
    return good(query).replace("<Size>1</Size>", "")


def with_server(lister: Lister, look: Callable[[S3ObjectStore], list[str]]) -> tuple[list[str], int, str]:
    """What a look at such a server finds, in how many requests, and the server's address."""

    def answer(request: str) -> Answer:
        query = parse_qs(urlsplit(request).query, keep_blank_values=True)
        return Answer(200, lister({name: values[0] for name, values in query.items()}).encode())

    with run_script(otherwise=answer) as server:
        settings = BucketSettings(
            bucket="media",
            region_name="eu-test-1",
            endpoint_url=server.url,
            access_key_id="key",
            secret_access_key="secret",
        )
        return look(S3ObjectStore(settings, 1, Limits(2, 2, 1))), len(server.seen), server.url


TEST_COMPLETE: dict[str, tuple[Lister, int]] = {
    "a good server": (good, 3),
    "start-after wins over the token": (start_after_wins, 3),
    "start-after is passed over": (passes_over_the_start, 4),
    "more than 1000 keys a page": (pages_of_1500, 2),
    "a wrong number that is too small": (announces_nothing, 3),
    "a token at the end": (always_a_token, 4),
    "a token without IsTruncated": (never_truncated, 3),
    # Twice where it passes over the start.
    "many pages without a key": (empty_for_long, 104),
}


@pytest.mark.parametrize("after", ["", "media/0000", "media/1234x"])
@pytest.mark.parametrize("name", TEST_COMPLETE)
def test_a_list_that_is_complete(name: str, after: str) -> None:
    lister, requests = TEST_COMPLETE[name]
    found, made, _unused = with_server(lister, lambda store: [found.key for found in store.list("media/", after)])
    assert found == KEYS[bisect_right(KEYS, after) :]
    assert made <= requests


TEST_INCOMPLETE: dict[str, tuple[Lister, str]] = {
    "a server that knows only ListObjects of version 1": (
        only_version_1,
        "gives the beginning of a long list and no way to ask for the rest, as servers do that know only version 1 of "
        "ListObjects. " + WHY,
    ),
    "a page that is repeated for ever": (
        passes_over_the_token,
        "gives the same part of a long list again when it is asked for the next. " + WHY,
    ),
    "pages without a key for ever": (
        empty_for_ever,
        "says again and again that the list goes on, and lists nothing. " + WHY,
    ),
    "fewer keys than announced": (announces_more, "lists fewer keys than it says that it does. " + WHY),
    "keys of another prefix": (
        passes_over_the_prefix,
        "lists keys that do not begin with the prefix that was asked for. " + WHY,
    ),
}


@pytest.mark.parametrize("name", TEST_INCOMPLETE)
def test_an_incomplete_list_never_passes_for_a_complete_one(name: str) -> None:
    lister, cause = TEST_INCOMPLETE[name]
    urls: list[str] = []

    def look(store: S3ObjectStore) -> list[str]:
        urls.append(store.endpoint_url)
        return [found.key for found in store.list("media/")]

    with pytest.raises(ConfigurationError) as failure:
        with_server(lister, look)
    assert str(failure.value) == f"Could not list bucket 'media': the server {urls[0]} {cause}"


@pytest.mark.parametrize("page_size", [1, 2, 3, 4, 1000])
def test_a_list_in_another_order_is_told(page_size: int) -> None:
    def look(store: S3ObjectStore) -> list[str]:
        with pytest.raises(UnsortedList):
            list(store.list("media/", "", page_size))
        # Such a server leaves out what comes before a start in its own order. What it gives is all the rest, or told.
        for after in SERVERS:
            given = [key for key in SERVERS if key > after and key.split("/") > after.split("/")]
            with suppress(UnsortedList):
                assert [found.key for found in store.list("media/", after, page_size)] == given
        return []

    with_server(of_directories, look)


def test_a_look_at_one_object_tells_a_server_that_knows_only_version_1() -> None:
    # As every command begins.
    with pytest.raises(ConfigurationError):
        with_server(only_version_1, lambda store: [next(store.list("media/", page_size=1)).key])


def test_a_list_without_sizes_is_no_s3_servers() -> None:
    with pytest.raises(ConfigurationError) as failure:
        with_server(without_sizes, lambda store: [found.key for found in store.list("media/")])
    assert "does not speak S3" in str(failure.value)
