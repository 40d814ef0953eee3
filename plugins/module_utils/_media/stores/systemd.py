# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd knows of the nightly run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

# Where there is no systemd, as in a container, this may hold what `systemctl show` said of some units outside.
SHOWN = "MATRIX_SYNAPSE_S3_STORAGE_PROVIDER_UNITS"


def unit_properties(unit: str, names: Sequence[str]) -> Mapping[str, str]:
    """The properties of a unit that are set, by name; none where systemd or the unit is not there."""
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        blocks = os.environ.get(SHOWN, "").split("\n\n")
        shown = next((block for block in blocks if f"Id={unit}" in block.splitlines()), "")
    else:
        command = [systemctl, "show", "--timestamp=utc", f"--property={','.join(names)}", unit]
        shown = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout
    properties = (line.partition("=") for line in shown.splitlines())
    return {name: value for name, _, value in properties if name in names and value and value != "n/a"}
