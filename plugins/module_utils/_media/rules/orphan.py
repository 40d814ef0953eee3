# SPDX-License-Identifier: GPL-3.0-or-later
"""What the database no longer knows, and when there is too much of it to be believed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from fractions import Fraction
from typing import NamedTuple

from .errors import ConfigurationError, MediaError, join_problems
from .media_path import format_media_path, parse_media_path
from .share import percent

# A database that knows media of which more than this is nowhere is not the one that belongs to the media.
_MISSING_AT_MOST = Fraction(1, 2)


class Kind(Enum):
    """What an object below the prefix, or a file in the media store, is to the database."""

    KNOWN = "known"
    ORPHAN = "orphan"
    TOO_RECENT = "too recent"
    FOREIGN = "foreign"


def kind_of(path: str, modified: float | None, *, is_known: bool, recent_after: float) -> Kind:
    """What is at ``path`` below the prefix or the media store; times in seconds since 1970.

    ``modified``: None where nobody says. ``recent_after``: what was stored later may be media that Synapse is about to
    write into its database. FOREIGN, which is never touched, is all that Synapse would not have written at just this
    path, its previews of URLs among it.
    """
    if is_known:
        return Kind.KNOWN
    media = parse_media_path(path)
    if media is None or format_media_path(media) != path:
        return Kind.FOREIGN
    return Kind.TOO_RECENT if modified is None or modified > recent_after else Kind.ORPHAN


class Tally(NamedTuple):
    """What one look at all sides has counted.

    ``objects``: those below the prefix that are media; ``unknown_objects`` of them are no row's, however recent.
    ``paths``: those of the bucket and of the disk that are media, each once; on the disk ``unknown_files`` are no
    row's. ``originals``: those that the database knows with their length; ``missing`` of them are in neither place.
    ``of_ourselves``: unknown objects that another homeserver has fetched from this one, ``files_of_ourselves`` such
    files on the disk.
    """

    objects: int = 0
    unknown_objects: int = 0
    paths: int = 0
    unknown_files: int = 0
    originals: int = 0
    missing: int = 0
    of_ourselves: int = 0
    files_of_ourselves: int = 0


def is_more(part: int, whole: int, share: Fraction) -> bool:
    """Whether ``part`` is more than this share of ``whole``."""
    return part > share * whole


def refusal(tally: Tally, maximum: Fraction, server_name: str) -> MediaError | None:
    """Why nothing may be deleted, with all reasons; None: no reason.

    ``server_name``: this homeserver's. The share is the one that its option allows; the other reasons are signs that
    the media is not this database's, for a share that is small enough says little where much more media is another
    homeserver's.
    """
    shares = _share_problems(tally, maximum)
    signs = _signs(tally, maximum, server_name)
    if not shares and not signs:
        return None
    kind = MediaError if shares else ConfigurationError
    return kind(f"Could not delete orphans, and nothing was changed: {join_problems([*shares, *signs])}")


def _share_problems(tally: Tally, maximum: Fraction) -> Sequence[str]:
    allowed = f"--maximum-share allows {percent(maximum)}"
    cure = (
        "See that the database is the one that Synapse uses, not an older copy, and that no other homeserver stores"
        " below this prefix. If all that is listed without --delete may go, give a larger --maximum-share."
    )
    return [
        f"{part:,} of {whole:,} {what} ({percent(Fraction(part, whole))}), and {allowed}. {cure}"
        for part, whole, what in (
            (
                tally.unknown_objects,
                tally.objects,
                "objects of media in the bucket are unknown to the database",
            ),
            (
                tally.unknown_files,
                tally.paths,
                "files of media, on the disk and in the bucket, are on the disk and unknown to the database",
            ),
        )
        if is_more(part, whole, maximum)
    ]


def _signs(tally: Tally, maximum: Fraction, server_name: str) -> Sequence[str]:
    signs = []
    if tally.of_ourselves:
        signs.append(
            f"{tally.of_ourselves:,} objects are media that another homeserver has fetched from {server_name!r}, which"
            " is this one. So another homeserver stores below the same prefix. Give each homeserver a bucket or a"
            " prefix of its own; until then the media of the other one would be deleted."
        )
    if tally.files_of_ourselves:
        signs.append(
            f"{tally.files_of_ourselves:,} files on the disk are media that another homeserver has fetched from"
            f" {server_name!r}, which is this one. So the media store is another homeserver's too. Give each homeserver"
            " a media_store_path of its own; until then the media of the other one would be deleted."
        )
    some_are_there = tally.missing < tally.originals
    missing_at_most = max(maximum, _MISSING_AT_MOST) if some_are_there else Fraction(0)
    if is_more(tally.missing, tally.originals, missing_at_most):
        signs.append(
            f"of {tally.originals:,} originals that the database knows {tally.missing:,} are neither on the disk nor in"
            " the bucket. So this is not the database of this media, or not the place where its media is. See that"
            " bucket, prefix, media_store_path and database in Synapse's configuration belong together."
            + (" If they do, and that media is lost, give a larger --maximum-share." if some_are_there else "")
        )
    return signs
