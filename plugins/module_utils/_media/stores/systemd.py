# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd knows of the nightly run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence


def unit_properties(unit: str, names: Sequence[str]) -> Mapping[str, str]:
    """The properties of a unit that are set, by name; none where systemd or the unit is not there."""
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return {}
    command = [systemctl, "show", "--timestamp=utc", f"--property={','.join(names)}", unit]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    properties = (line.partition("=") for line in answer.stdout.splitlines())
    return {name: value for name, _, value in properties if value and value != "n/a"}
