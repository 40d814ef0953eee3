# SPDX-License-Identifier: GPL-3.0-or-later
"""Synapse's relative media paths <-> what they stand for.

The rules are those of ``synapse/media/filepath.py``: an ID is split as ``aa/bb/rest``; a thumbnail's
name is ``W-H-type-subtype-method``, and old remote thumbnails lack the method. URL previews
(``url_cache*``) are no media of ours: Synapse never reads them from a storage provider.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

# Also in filepath.py: whatever holds another character was not written by Synapse.
_ALLOWED = re.compile(r"[A-Za-z0-9_.\[\]:-]+(?:/[A-Za-z0-9_.\[\]:-]+)*")
_THUMBNAIL_NAME = re.compile(r"(\d+)-(\d+)-([^-]+)-(.+?)(?:-(crop|scale))?")


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


_ROOTS = {root.value: root for root in Root}


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


def parse_media_path(path: str) -> MediaPath | None:
    """Tell what ``path`` (relative, with ``/``) stands for; None when Synapse would not have written it."""
    components = path.split("/")
    if not _ALLOWED.fullmatch(path) or "." in components or ".." in components:
        return None
    root = _ROOTS.get(components.pop(0))
    if root is None:
        return None
    origin = components.pop(0) if root.is_remote and components else None
    thumbnail = None
    if root.is_thumbnail:
        thumbnail = _parse_thumbnail(components.pop()) if components else None
        if thumbnail is None or (thumbnail.method is None and not root.is_remote):
            return None
    if len(components) != 3 or [len(part) for part in components[:2]] != [2, 2]:
        return None
    return MediaPath(root, origin, "".join(components), thumbnail)


def format_media_path(media: MediaPath) -> str:
    """The path below the media store, relative, with ``/``: the inverse of `parse_media_path`."""
    components = [media.root.value]
    if media.origin is not None:
        components.append(media.origin)
    components += [media.file_id[:2], media.file_id[2:4], media.file_id[4:]]
    if media.thumbnail is not None:
        components.append(_format_thumbnail(media.thumbnail))
    return "/".join(components)


def _parse_thumbnail(name: str) -> Thumbnail | None:
    match = _THUMBNAIL_NAME.fullmatch(name)
    if match is None:
        return None
    width, height, main_type, sub_type, method = match.groups()
    return Thumbnail(int(width), int(height), f"{main_type}/{sub_type}", method)


def _format_thumbnail(thumbnail: Thumbnail) -> str:
    parts = [str(thumbnail.width), str(thumbnail.height), *thumbnail.media_type.split("/", 1)]
    return "-".join(parts if thumbnail.method is None else [*parts, thumbnail.method])
