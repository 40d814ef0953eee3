# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd knows of the nightly run."""

# pylint: disable=ansible-bad-function
# This runs without Ansible, which has functions of its own for that.

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

# Where there is no systemd, as in a container, this may hold what `systemctl show` said of some units outside.
SHOWN = "MATRIX_SYNAPSE_S3_STORAGE_PROVIDER_UNITS"
# What `rules.last_runs` is to know of the service and of the timer. The role asks for the same outside of a container.
RUN_PROPERTIES = (
    "LoadState",
    "ActiveState",
    *("ExecMainStartTimestamp", "ExecMainExitTimestamp", "ExecMainCode", "ExecMainStatus", "Result"),
    "NextElapseUSecRealtime",
)

PATIENCE = 20.0  # seconds


def unit_properties(unit: str, names: Sequence[str] = RUN_PROPERTIES) -> Mapping[str, str]:
    """The properties of a unit that are set, by name; none where systemd, or the unit, is not there or not known."""
    properties = (line.partition("=") for line in _shown(unit, names).splitlines())
    return {name: value for name, _unused, value in properties if name in names and value and value != "n/a"}


def _shown(unit: str, names: Sequence[str]) -> str:
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        blocks = os.environ.get(SHOWN, "").split("\n\n")
        return next((block for block in blocks if f"Id={unit}" in block.splitlines()), "")
    command = [systemctl, "show", "--timestamp=utc", f"--property={','.join(names)}", "--", unit]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE).stdout
    except (OSError, subprocess.TimeoutExpired):
        # Nobody waits for more: the rest can be told.
        return ""
