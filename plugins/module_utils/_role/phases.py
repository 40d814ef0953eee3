# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's phases, when only those of some tags are run: a phase must not come before what it rests upon is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# In their order
PHASES = ("install", "configure", "wrappers", "units")


def left_out(run_tags: Sequence[str], skip_tags: Sequence[str], pending: Mapping[str, bool]) -> list[str]:
    """One problem for each phase that has something to do, is not run, and comes before one that is.

    :param run_tags: Ansible's ``ansible_run_tags``, "all" among them where none was given.
    :param pending: which of the phases has something to do.
    """

    def runs(phase: str) -> bool:
        tag = f"storage_provider_{phase}"
        return tag not in skip_tags and ("all" in run_tags or tag in run_tags)

    return [
        f"Could not run a part of the role: storage_provider_{phase} has something to do first, and is not among the"
        " tags. Run all of the role, or name that tag too."
        for number, phase in enumerate(PHASES)
        if pending.get(phase) and not runs(phase) and any(runs(later) for later in PHASES[number + 1 :])
    ]
