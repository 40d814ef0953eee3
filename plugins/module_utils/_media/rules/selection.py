# SPDX-License-Identifier: GPL-3.0-or-later
"""Which media a command is to work on: all, or what is named by whose it is, by its URI and by when it was used."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from .media_path import MediaPath

# https://spec.matrix.org/latest/client-server-api/#matrix-content-mxc-uris. The ID is opaque to other homeservers. What
# is no UTF-8, which Python has as surrogates, no database knows.
_URI = re.compile(r"mxc://(?P<server>[A-Za-z0-9_.\[\]:-]+)/(?P<media_id>[^/?#\s\x00-\x1f\x7f\ud800-\udfff]+)")
_LONGEST_ID = 1000


class MediaUri(NamedTuple):
    """A media as clients name it: ``server`` is the name of the homeserver that it came from."""

    server: str
    media_id: str

    def __str__(self) -> str:
        return f"mxc://{self.server}/{self.media_id}"


class MediaKey(NamedTuple):
    """A media as its paths name it: ``origin`` is None for this homeserver's own."""

    origin: str | None
    file_id: str


def parse_media_uri(text: str) -> MediaUri:
    """The media of a URI such as ``mxc://example.org/AbCdEf``.

    :raises ValueError: with a text for the administrator, when it is none.
    """
    match = _URI.fullmatch(text)
    if match is None or len(match["media_id"]) > _LONGEST_ID:
        message = f"{text!r} is not a media URI. Write it as clients do: 'mxc://SERVER/ID'."
        raise ValueError(message)
    return MediaUri(match["server"], match["media_id"])


@dataclass(frozen=True)
class Selection:
    """The media whose ``local`` (this homeserver's own), ``origins`` or ``media`` name them: one of these is enough.

    Where none of the three is given, all media. ``accessed_after_ms``, in milliseconds since 1970, narrows that to what
    was used later: what was never used as far as the database knows is not among it. A thumbnail goes with its media.
    """

    local: bool = False
    origins: frozenset[str] = frozenset()
    media: frozenset[MediaKey] | None = None
    accessed_after_ms: int | None = None

    def has(self, media: MediaPath, accessed_ms: int | None) -> bool:
        """Whether a file is selected. ``accessed_ms``: when its media was used last; None where that is not known."""
        if self.accessed_after_ms is not None and (accessed_ms is None or accessed_ms <= self.accessed_after_ms):
            return False
        if not self.local and not self.origins and self.media is None:
            return True
        if media.origin is None and self.local:
            return True
        if media.origin in self.origins:
            return True
        return self.media is not None and MediaKey(media.origin, media.file_id) in self.media


def select_origins(origins: Iterable[str], server_name: str) -> tuple[bool, frozenset[str]]:
    """Whether the homeserver's own media are among those of these ``origins``; and the other ones."""
    named = frozenset(origins)
    return server_name in named, named - {server_name}
