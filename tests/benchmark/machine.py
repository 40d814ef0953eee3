# SPDX-License-Identifier: GPL-3.0-or-later
"""What the measurements were made on and with."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from ansible_collections.matrixops.synapse_s3.tests.benchmark.peers import peer_binary


def describe() -> dict[str, str]:
    """In words, for a reader who wants to compare."""
    memory = re.search(r"^MemTotal:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    script = peer_binary("s3_media_upload").resolve()
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": f"{os.cpu_count()} cores ({model[1] if model else platform.machine()}),"
        f" {int(memory[1]) / 2**20 if memory else 0:.0f} GiB, Linux {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
        "rclone": _version(peer_binary("rclone"), "version"),
        "s5cmd": _version(peer_binary("s5cmd"), "version"),
        "aws": _version(peer_binary("aws"), "--version"),
        "s3_media_upload": _version(script.with_name("pip"), "show", "synapse-s3-storage-provider"),
    }


def _version(*command: str | Path) -> str:
    """The first version number that the program prints."""
    printed = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout
    found = re.search(r"\d+(\.\d+)+", printed)
    if found is None:
        raise ValueError(f"{command[0]} printed no version: {printed!r}")
    return found[0]
