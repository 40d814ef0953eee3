# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from fractions import Fraction
from threading import Event, Thread

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.space import Space
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.free_space import MinimumFree
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.arrivals import Disk, DiskFullError

BLOCK = 4096


class Disks(Disk):
    """A disk of 100 blocks, half of which are free; asked how many, it may take its time."""

    def usage(self) -> tuple[int, int]:
        asked.set()
        assert answers.wait(10)
        return 100 * BLOCK, 50 * BLOCK


asked, answers = Event(), Event()


@pytest.fixture
def space() -> Space:
    asked.clear()
    answers.set()
    return Space(MinimumFree("10%", share=Fraction(1, 10)))


def test_what_is_under_way_counts_until_it_is_written(space: Space) -> None:
    disk = Disks(1, "/media")
    with space.reserved(disk, 30 * BLOCK) as wrote:
        with pytest.raises(DiskFullError), space.reserved(disk, 11 * BLOCK):
            pass
        wrote(20 * BLOCK)
        with space.reserved(disk, 30 * BLOCK):
            pass
    with space.reserved(disk, 40 * BLOCK):
        pass


def test_a_disk_that_answers_slowly_holds_up_nobody_who_writes(space: Space) -> None:
    def reserve() -> None:
        with space.reserved(Disks(1, "/media"), 1):
            pass

    with space.reserved(Disks(1, "/media"), BLOCK) as wrote:
        asked.clear()
        answers.clear()
        other = Thread(target=reserve)
        other.start()
        assert asked.wait(10)
        writer = Thread(target=wrote, args=(BLOCK,))
        writer.start()
        writer.join(10)
        assert not writer.is_alive()
        answers.set()
        other.join(10)
