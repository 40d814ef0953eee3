# SPDX-License-Identifier: GPL-3.0-or-later
"""Synapse's relative media paths <-> what they stand for.

The rules are those of ``synapse/media/filepath.py``: an ID is split as ``aa/bb/rest``; a thumbnail's
name is ``W-H-type-subtype-method``, and old remote thumbnails lack the method. URL previews
(``url_cache*``) are no media of ours: Synapse never reads them from a storage provider.

So each level below one of the four directories holds one thing: directories, or at the last level files. What has
another name or stands at another level was not written by Synapse.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple


class Root(Enum):
    """The four directories below the media store that are migrated."""

    LOCAL_CONTENT = "local_content"
    LOCAL_THUMBNAILS = "local_thumbnails"
    REMOTE_CONTENT = "remote_content"
    REMOTE_THUMBNAIL = "remote_thumbnail"

    # There is one of each: Enum's own hash, of the name, is computed in Python.
    __hash__ = object.__hash__

    @property
    def is_remote(self) -> bool:
        """Whether the media came from another homeserver."""
        return self in (Root.REMOTE_CONTENT, Root.REMOTE_THUMBNAIL)

    @property
    def is_thumbnail(self) -> bool:
        """Whether files below this directory are thumbnails."""
        return self in (Root.LOCAL_THUMBNAILS, Root.REMOTE_THUMBNAIL)


class Thumbnail(NamedTuple):
    """One thumbnail of a media file; sizes in pixels. ``method`` is None in old remote names."""

    width: int
    height: int
    media_type: str
    method: str | None


class MediaPath(NamedTuple):
    """What a path below the media store stands for.

    ``file_id`` is the media ID of local media and the filesystem ID of remote media; ``origin`` is the
    other homeserver's name (it may hold a port or an IPv6 literal), None for local media.
    """

    root: Root
    origin: str | None
    file_id: str
    thumbnail: Thumbnail | None


# Also in filepath.py: a name of other characters was not written by Synapse, nor "." and "..". No server's name and no
# ID (random letters) begins with a dot: what does is a snapshot, or the temporary file of another program.
_FIRST = r"[A-Za-z0-9_\[\]:-]"
_CHARACTER = r"[A-Za-z0-9_.\[\]:-]"
_ORIGIN = rf"(?P<origin>{_FIRST}{_CHARACTER}*)"
_ID = (rf"(?P<first>{_FIRST}{_CHARACTER})", rf"(?P<second>{_FIRST}{_CHARACTER})", rf"(?P<rest>{_FIRST}{_CHARACTER}*)")
_NUMBER = "(?:0|[1-9][0-9]*)"
_SIZE_AND_TYPE = rf"(?P<width>{_NUMBER})-(?P<height>{_NUMBER})-(?P<main>[A-Za-z0-9_.\[\]:]+)-(?P<sub>{_CHARACTER}+?)"
_METHOD = "-(?P<method>crop|scale)"

_LEVELS: Mapping[Root, tuple[str, ...]] = {
    Root.LOCAL_CONTENT: _ID,
    Root.LOCAL_THUMBNAILS: (*_ID, _SIZE_AND_TYPE + _METHOD),
    Root.REMOTE_CONTENT: (_ORIGIN, *_ID),
    Root.REMOTE_THUMBNAIL: (_ORIGIN, *_ID, f"{_SIZE_AND_TYPE}(?:{_METHOD})?"),
}
# For each of the four directories, what names Synapse gives at each level below it. All levels but the last hold
# directories only, the last one files only.
LEVELS: Mapping[Root, tuple[re.Pattern[str], ...]] = {
    root: tuple(re.compile(level) for level in levels) for root, levels in _LEVELS.items()
}
_PATHS = {root.value: (root, re.compile("/".join((root.value, *levels)))) for root, levels in _LEVELS.items()}


def parse_media_path(path: str) -> MediaPath | None:
    """Tell what ``path`` (relative, with ``/``) stands for; None when Synapse would not have written it."""
    root, pattern = _PATHS.get(path.partition("/")[0], (None, None))
    match = pattern.fullmatch(path) if pattern else None
    if root is None or match is None:
        return None
    thumbnail = None
    if root.is_thumbnail:
        width, height, main_type, sub_type, method = match.group("width", "height", "main", "sub", "method")
        thumbnail = Thumbnail(int(width), int(height), f"{main_type}/{sub_type}", method)
    first, second, rest = match.group("first", "second", "rest")
    return MediaPath(root, match["origin"] if root.is_remote else None, first + second + rest, thumbnail)


def format_media_path(media: MediaPath) -> str:
    """The path below the media store, relative, with ``/``: the inverse of `parse_media_path`."""
    components = [media.root.value]
    if media.origin is not None:
        components.append(media.origin)
    components += [media.file_id[:2], media.file_id[2:4], media.file_id[4:]]
    if media.thumbnail is not None:
        components.append(_format_thumbnail(media.thumbnail))
    return "/".join(components)


def _format_thumbnail(thumbnail: Thumbnail) -> str:
    parts = [str(thumbnail.width), str(thumbnail.height), *thumbnail.media_type.split("/", 1)]
    return "-".join(parts if thumbnail.method is None else [*parts, thumbnail.method])
