# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Synapse looks for a file, and what comparing all of these places needs, in ``status`` and in ``verify``."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

from ..rules.errors import MediaError
from ..rules.media_path import parse_media_path
from ..rules.settings import BucketSettings
from ..stores.database import KnownFile
from ..stores.media_store import LocalFile, PassedOver
from ..stores.object_store import ObjectStore
from ..stores.s3_failures import server_name
from .merge import Joined

Value = TypeVar("Value")

# So many objects of an archive class, and so many others, are looked at with the configured key: a listing does not
# tell whether Synapse can read them.
SAMPLE = 25


class Place(NamedTuple):
    """A bucket as one of the providers in Synapse's configuration names it."""

    name: str
    store: ObjectStore
    prefix: str


def name_of(settings: BucketSettings) -> str:
    """How an administrator knows a bucket; without secrets."""
    return f"bucket {settings.bucket!r} at {server_name(settings)}, prefix {settings.prefix!r}"


class Sides(NamedTuple):
    """Where to look. A side that can't be had raises its `MediaError` when it is asked for.

    ``places``: the bucket, then the other providers' from which Synapse reads too.
    """

    files: Callable[[Callable[[MediaError], None], Callable[[PassedOver], None]], Iterable[LocalFile]]
    known: Callable[[Callable[[str], None]], Iterable[KnownFile]]
    places: Sequence[Place]


class LegacyNames:
    """Old remote thumbnails lack the method in their names; one that is there stands for those with a method.

    Serves one pass over ascending paths: the old name comes before the others.
    """

    def __init__(self) -> None:
        self._last = ""

    def stand_for(self, joined: Joined) -> bool:
        """Whether the path need not be there: it is an old name, or the thumbnail is there under its old one."""
        known = joined.known
        if known is None:
            return False
        if known.legacy:
            if joined.file or any(joined.objects):
                self._last = joined.path
            return True
        return bool(self._last) and joined.path.rpartition("-")[0] == self._last


def is_media(joined: Joined) -> bool:
    """Whether the path is one of Synapse's: others may share the bucket, but neither the disk nor the database."""
    return joined.known is not None or joined.file is not None or parse_media_path(joined.path) is not None


class Drawn(Generic[Value]):
    """Some of what is offered, each as likely as any other of its kind."""

    def __init__(self, numbers: random.Random) -> None:
        self._numbers = numbers
        self._kinds: dict[bool, tuple[list[int], list[Value]]] = {True: ([0], []), False: ([0], [])}

    def offer(self, value: Value, kind: bool) -> None:
        seen, chosen = self._kinds[kind]
        seen[0] += 1
        if len(chosen) < SAMPLE:
            chosen.append(value)
        elif (place := self._numbers.randrange(seen[0])) < SAMPLE:
            chosen[place] = value

    @property
    def chosen(self) -> list[Value]:
        return [value for _unused, chosen in self._kinds.values() for value in chosen]
