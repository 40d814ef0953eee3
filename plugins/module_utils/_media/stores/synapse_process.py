# SPDX-License-Identifier: GPL-3.0-or-later
"""Synapse itself, asked whether it accepts its configuration."""

# pylint: disable=ansible-bad-function
# This runs without Ansible, which has functions of its own for that.

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# The end of what Synapse says; before that are the lines of a traceback.
_LAST_LINES = 10


def refusal(config_paths: Sequence[Path], import_path: str) -> str:
    """What Synapse says against the configuration, '' when it accepts it.

    It reads the files as when it starts, and imports the storage providers.

    :param import_path: the ``PYTHONPATH`` that Synapse is started with; '' where it is that of this process, as in a
        container of an image that has the provider.
    """
    environment = {**os.environ, **({"PYTHONPATH": import_path} if import_path else {})}
    arguments = [word for path in config_paths for word in ("-c", str(path))]
    run = subprocess.run(
        [sys.executable, "-m", "synapse.config", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if run.returncode == 0:
        return ""
    lines = [line for line in (run.stdout + run.stderr).splitlines() if line.strip()][-_LAST_LINES:]
    return "\n".join(lines) or f"it ended with status {run.returncode}"
