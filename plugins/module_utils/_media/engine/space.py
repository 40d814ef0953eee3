# SPDX-License-Identifier: GPL-3.0-or-later
"""How much may still come to a disk of which some is to stay free, with what is under way counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock

from ..rules.free_space import MinimumFree
from ..stores.arrivals import Disk, DiskFullError
from .summary import Count, format_bytes

# What file systems give space in, as a rule.
_BLOCK = 4096


def on_disk(size: int) -> int:
    """The bytes that a file of ``size`` bytes takes."""
    return -(-size // _BLOCK) * _BLOCK


def check_space(coming: Mapping[Disk, Count], minimum: MinimumFree) -> None:
    """Refuse to begin where a disk would fall below the minimum. Raises a MediaError; nothing is touched.

    :param coming: how much is to come to each disk, in files and in bytes as `on_disk` tells them.
    """
    by_device: dict[int, tuple[Disk, Count]] = {}
    for disk, count in coming.items():
        _unused, sum_of = by_device.setdefault(disk.device, (disk, Count()))
        sum_of.files, sum_of.bytes = sum_of.files + count.files, sum_of.bytes + count.bytes
    for disk, count in by_device.values():
        total, free = disk.usage()
        left = free - count.bytes
        if count.files and left < minimum.of(total):
            would = f"leave {format_bytes(left)}" if left >= 0 else f"need {format_bytes(-left)} more than are"
            raise DiskFullError(
                f"Could not begin: {count.files:,} files of {format_bytes(count.bytes)} would {would} free of"
                f" {format_bytes(total)} on the disk of {disk.path!r}, and {_least(minimum, total)} are to stay free."
                " Make room there, select less (--local, --origin, --media, --accessed-within), or give a smaller"
                " --minimum-free."
            )


class Space:
    """Sees for many threads that a disk keeps its minimum."""

    def __init__(self, minimum: MinimumFree) -> None:
        self._minimum = minimum
        self._lock = Lock()
        self._under_way: dict[int, int] = defaultdict(int)

    @contextmanager
    def reserved(self, disk: Disk, size: int) -> Iterator[Callable[[int], None]]:
        """Count a file of ``size`` bytes while it is written. What is given is told how many bytes of it were.

        Raises DiskFullError when it would take the disk below the minimum.
        """
        left = on_disk(size)

        def wrote(written: int) -> None:
            nonlocal left
            with self._lock:
                less = min(written, left)
                left -= less
                self._under_way[disk.device] -= less

        with self._lock:
            self._under_way[disk.device] += left
            under_way = self._under_way[disk.device]
        try:
            # Asked without the lock, for which all would wait, and after what it is compared with: what others write
            # meanwhile makes it too little, never too much.
            total, free = disk.usage()
            if free - under_way < self._minimum.of(total):
                raise DiskFullError(
                    f"Could not go on: the disk of {disk.path!r} has {format_bytes(free)} free of"
                    f" {format_bytes(total)}, and {_least(self._minimum, total)} are to stay free. Others have taken"
                    " some since this began. Make room there, and run this again: what was restored stays."
                )
            yield wrote
        finally:
            wrote(left)


def _least(minimum: MinimumFree, total: int) -> str:
    return f"{format_bytes(minimum.of(total))} (--minimum-free {minimum.text})"
