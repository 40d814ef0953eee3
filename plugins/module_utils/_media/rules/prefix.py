# SPDX-License-Identifier: GPL-3.0-or-later
"""The prefix of every object key, which Synapse's storage provider puts before the media path without a slash."""

from __future__ import annotations

import unicodedata

_KEY_LIMIT = 1024
# The longest path below the media store: remote_thumbnail/ORIGIN/aa/bb/REST/NAME, with an origin of 255 bytes,
# a filesystem ID of 24 and a thumbnail's name of at most 64.
_LONGEST_MEDIA_PATH = len("remote_thumbnail/") + 255 + len("/aa/bb/") + 20 + len("/") + 64
LONGEST_PREFIX = _KEY_LIMIT - _LONGEST_MEDIA_PATH


def prefix_problems(prefix: str) -> list[str]:
    """What is wrong with ``prefix``, on one S3 server or another: several refuse or misplace unusual keys."""
    problems = prefix_obstacles(prefix)
    if prefix.startswith("/"):
        problems.append(f"{prefix!r} begins with '/', which some S3 servers drop. Begin with a name, as in 'media/'.")
    if "//" in prefix:
        problems.append(f"{prefix!r} has '//', which some S3 servers refuse. Use single slashes.")
    if {".", ".."} & set(prefix.split("/")):
        problems.append(f"{prefix!r} has a '.' or '..' between its slashes, which some S3 servers refuse. Use names.")
    if "\\" in prefix:
        problems.append(f"{prefix!r} has a backslash, which some S3 servers do not list. Use '/' to separate names.")
    return problems


def prefix_warnings(prefix: str) -> list[str]:
    """What works, but is probably not meant.

    No problem, because media may be stored under this prefix already: with the slash, it would not be found any more.
    """
    if not prefix or prefix.endswith("/"):
        return []
    cause = f"{prefix!r} does not end with '/', so that keys begin with '{prefix}local_content/'"
    return [f"{cause}. Write '{prefix}/', unless the bucket already holds media under such keys."]


def prefix_obstacles(prefix: str) -> list[str]:
    """What makes it impossible to use ``prefix``."""
    problems = []
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in prefix):
        problems.append(f"{prefix!r} has control characters. Use only characters that can be seen.")
    length = len(prefix.encode("utf-8", "surrogatepass"))
    if length > LONGEST_PREFIX:
        cause = f"has {length} bytes, but a key of {_KEY_LIMIT} has to hold a media path of {_LONGEST_MEDIA_PATH}"
        problems.append(f"{cause}. Use at most {LONGEST_PREFIX} bytes.")
    return problems
