# SPDX-License-Identifier: GPL-3.0-or-later
"""Key prefixes."""

from __future__ import annotations

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.media_path import (
    MediaPath,
    Root,
    Thumbnail,
    format_media_path,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.prefix import (
    LONGEST_PREFIX,
    prefix_obstacles,
    prefix_problems,
    prefix_warnings,
)
from hypothesis import given
from hypothesis import strategies as st

TEST_GOOD = ["", "media/", "a/b/c/", "synapse", "ümlaut/", "...", "x" * LONGEST_PREFIX]

TEST_BAD = [
    ("/media/", ["'/media/' begins with '/', which some S3 servers drop. Begin with a name, as in 'media/'."]),
    ("a//b/", ["'a//b/' has '//', which some S3 servers refuse. Use single slashes."]),
    ("a/../b/", ["'a/../b/' has a '.' or '..' between its slashes, which some S3 servers refuse. Use names."]),
    (".", ["'.' has a '.' or '..' between its slashes, which some S3 servers refuse. Use names."]),
    ("a\\b/", ["'a\\\\b/' has a backslash, which some S3 servers do not list. Use '/' to separate names."]),
    ("media/\n", ["'media/\\n' has control characters. Use only characters that can be seen."]),
    ("a\ud800/", ["'a\\ud800/' has control characters. Use only characters that can be seen."]),
    (
        "ü" * 331,
        ["has 662 bytes, but a key of 1024 has to hold a media path of 364. Use at most 660 bytes."],
    ),
    (
        "/\x00//",
        [
            "'/\\x00//' has control characters. Use only characters that can be seen.",
            "'/\\x00//' begins with '/', which some S3 servers drop. Begin with a name, as in 'media/'.",
            "'/\\x00//' has '//', which some S3 servers refuse. Use single slashes.",
        ],
    ),
]

TEST_WARNINGS = [
    ("", []),
    ("media/", []),
    (
        "synapse",
        [
            "'synapse' does not end with '/', so that keys begin with 'synapselocal_content/'. "
            "Write 'synapse/', unless the bucket already holds media under such keys."
        ],
    ),
]


@pytest.mark.parametrize("prefix", TEST_GOOD)
def test_good_prefixes(prefix: str) -> None:
    assert prefix_problems(prefix) == []


@pytest.mark.parametrize(("prefix", "problems"), TEST_BAD)
def test_bad_prefixes(prefix: str, problems: list[str]) -> None:
    assert prefix_problems(prefix) == problems


@pytest.mark.parametrize(("prefix", "warnings"), TEST_WARNINGS)
def test_warnings(prefix: str, warnings: list[str]) -> None:
    assert prefix_warnings(prefix) == warnings


@pytest.mark.parametrize("prefix", ["/media/", "a//b", "../", "a\\b"])
def test_unusual_prefixes_are_no_obstacle(prefix: str) -> None:
    assert prefix_obstacles(prefix) == []


def test_the_longest_prefix_leaves_room_for_the_longest_media_path() -> None:
    thumbnail = Thumbnail(99999, 99999, "image/vnd.microsoft.icon", "scale")
    path = format_media_path(MediaPath(Root.REMOTE_THUMBNAIL, "o" * 255, "f" * 24, thumbnail))
    assert len("x" * LONGEST_PREFIX + path) <= 1024


@given(st.text(alphabet=st.characters(codec=None, categories=None), max_size=700))
def test_rules_are_stricter_than_obstacles(prefix: str) -> None:
    assert set(prefix_obstacles(prefix)) <= set(prefix_problems(prefix))
