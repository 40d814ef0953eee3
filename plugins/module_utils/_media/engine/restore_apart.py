# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the media store is the bucket itself, mounted: all seems to be on the local disk then, and nothing is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..rules.errors import ConfigurationError, MediaError
from ..rules.media_path import Root
from ..stores.arrivals import Arrivals
from ..stores.mounts import is_remote
from .places import Place
from .removal import LOOKS_REMOTE


def check_apart(
    arrivals: Arrivals,
    places: Iterable[Place],
    wait: Callable[[float], object],
    is_mount: Callable[[int], bool] = is_remote,
) -> None:
    """Refuse a media store that is one of the buckets. Raises a MediaError.

    On each FUSE or network mount a file is written, and looked for in the buckets. ``wait`` waits so many seconds.
    """
    disks = {arrivals.disk_of(path): path for path in (f"{root.value}/file" for root in Root)}
    for disk, of_disk in disks.items():
        if not is_mount(disk.device):
            continue
        with arrivals.trial(of_disk) as path:
            for seconds in LOOKS_REMOTE:
                if seconds:
                    wait(seconds)
                if found := next((place for place in places if _has(place, path)), None):
                    raise ConfigurationError(
                        f"Could not restore: the media store is the bucket itself: what was written to {disk.path!r}"
                        f" became an object of {found.name}. Unmount the bucket there, and give Synapse a"
                        " media_store_path on a disk of this host."
                    )


def _has(place: Place, path: str) -> bool:
    try:
        return place.store.head(place.prefix + path) is not None
    except MediaError:
        # What can't be asked is told by the survey.
        return False
