# SPDX-License-Identifier: GPL-3.0-or-later
"""Synapse's relative media paths <-> what they stand for.

The rules are those of ``synapse/media/filepath.py``: an ID is split as ``aa/bb/rest``; a thumbnail's
name is ``W-H-type-subtype-method``, and old remote thumbnails lack the method. URL previews
(``url_cache*``) are no media of ours: Synapse never reads them from a storage provider.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

# Also in filepath.py: whatever holds another character was not written by Synapse.
_ALLOWED_COMPONENT = re.compile(r"[A-Za-z0-9_.\[\]:-]+")
_THUMBNAIL_NAME = re.compile(r"(\d+)-(\d+)-([^-]+)-(.+?)(?:-(crop|scale))?")


class Root(Enum):
    """The four directories below the media store that are migrated."""

    LOCAL_CONTENT = "local_content"
    LOCAL_THUMBNAILS = "local_thumbnails"
    REMOTE_CONTENT = "remote_content"
    REMOTE_THUMBNAIL = "remote_thumbnail"

    @property
    def is_remote(self) -> bool:
        """Whether the media came from another homeserver."""
        return self in (Root.REMOTE_CONTENT, Root.REMOTE_THUMBNAIL)

    @property
    def is_thumbnail(self) -> bool:
        """Whether files below this directory are thumbnails."""
        return self in (Root.LOCAL_THUMBNAILS, Root.REMOTE_THUMBNAIL)


@dataclass(frozen=True)
class Thumbnail:
    """One thumbnail of a media file; sizes in pixels. ``method`` is None in old remote names."""

    width: int
    height: int
    media_type: str
    method: str | None


@dataclass(frozen=True)
class MediaPath:
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
    if not all(_is_component(component) for component in components):
        return None
    try:
        root = Root(components.pop(0))
    except ValueError:
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


def _is_component(component: str) -> bool:
    return component not in (".", "..") and _ALLOWED_COMPONENT.fullmatch(component) is not None


def _parse_thumbnail(name: str) -> Thumbnail | None:
    match = _THUMBNAIL_NAME.fullmatch(name)
    if match is None:
        return None
    width, height, main_type, sub_type, method = match.groups()
    return Thumbnail(int(width), int(height), f"{main_type}/{sub_type}", method)


def _format_thumbnail(thumbnail: Thumbnail) -> str:
    parts = [str(thumbnail.width), str(thumbnail.height), *thumbnail.media_type.split("/", 1)]
    return "-".join(parts if thumbnail.method is None else [*parts, thumbnail.method])
