# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import (
    MediaPath,
    Root,
    Thumbnail,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.selection import (
    MediaKey,
    MediaUri,
    Selection,
    parse_media_uri,
    select_origins,
)

THUMBNAIL = Thumbnail(32, 32, "image/png", "crop")
OWN = MediaPath(Root.LOCAL_CONTENT, None, "own", None)
OWN_THUMBNAIL = MediaPath(Root.LOCAL_THUMBNAILS, None, "own", THUMBNAIL)
THEIRS = MediaPath(Root.REMOTE_CONTENT, "a.example", "file1", None)
THEIR_THUMBNAIL = MediaPath(Root.REMOTE_THUMBNAIL, "a.example", "file1", THUMBNAIL)
OTHERS = MediaPath(Root.REMOTE_CONTENT, "b.example:8448", "file1", None)
ALL = {OWN, OWN_THUMBNAIL, THEIRS, THEIR_THUMBNAIL, OTHERS}

TEST_SELECTIONS = {
    "all": (Selection(), ALL),
    "own": (Selection(local=True), {OWN, OWN_THUMBNAIL}),
    "an origin": (Selection(origins=frozenset({"a.example"})), {THEIRS, THEIR_THUMBNAIL}),
    "own and an origin": (
        Selection(local=True, origins=frozenset({"b.example:8448"})),
        {OWN, OWN_THUMBNAIL, OTHERS},
    ),
    "a media with its thumbnails": (
        Selection(media=frozenset({MediaKey("a.example", "file1")})),
        {THEIRS, THEIR_THUMBNAIL},
    ),
    "a media and an origin": (
        Selection(origins=frozenset({"b.example:8448"}), media=frozenset({MediaKey(None, "own")})),
        {OWN, OWN_THUMBNAIL, OTHERS},
    ),
    "media of which none is known": (Selection(media=frozenset()), set()),
}


@pytest.mark.parametrize("name", TEST_SELECTIONS)
def test_selections(name: str) -> None:
    selection, expected = TEST_SELECTIONS[name]

    assert {media for media in ALL if selection.has(media, None)} == expected


@pytest.mark.parametrize("selection", [Selection(accessed_after_ms=1000), Selection(True, accessed_after_ms=1000)])
@pytest.mark.parametrize(("accessed_ms", "expected"), [(None, False), (999, False), (1000, False), (1001, True)])
def test_time_of_last_use_narrows(selection: Selection, accessed_ms: int | None, expected: bool) -> None:
    assert selection.has(OWN, accessed_ms) == expected


def test_own_server_is_no_origin() -> None:
    assert select_origins(["a.example", "own.example"], "own.example") == (True, frozenset({"a.example"}))
    assert select_origins([], "own.example") == (False, frozenset())


@pytest.mark.parametrize(
    ("text", "server", "media_id"),
    [
        ("mxc://example.org/AbC_d-1", "example.org", "AbC_d-1"),
        ("mxc://example.org:8448/x", "example.org:8448", "x"),
        ("mxc://[2001:db8::1]:8448/x", "[2001:db8::1]:8448", "x"),
        ("mxc://example.org/an.odd~id", "example.org", "an.odd~id"),
    ],
)
def test_uris(text: str, server: str, media_id: str) -> None:
    assert parse_media_uri(text) == MediaUri(server, media_id)
    assert str(parse_media_uri(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AbC",
        "http://example.org/AbC",
        "mxc://example.org",
        "mxc://example.org/",
        "mxc:///AbC",
        "mxc://example.org/a/b",
        "mxc://example.org/a b",
        "mxc://example.org/a?b",
        "mxc://example.org/a\n",
        "MXC://example.org/a",
        "mxc://example.org/" + "a" * 1001,
        "mxc://example.org/a\udcff",
    ],
)
def test_no_uris(text: str) -> None:
    message = f"{text!r} is not a media URI. Write it as clients do: 'mxc://SERVER/ID'."

    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_media_uri(text)
