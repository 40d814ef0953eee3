# SPDX-License-Identifier: GPL-3.0-or-later
"""What the measurements were made on and with."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from ansible_collections.matrixops.synapse_s3.tests.benchmark.peers import has_peer, peer_binary


def describe() -> dict[str, str]:
    """In words, for a reader who wants to compare."""
    memory = re.search(r"^MemTotal:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": f"{os.cpu_count()} cores ({model[1] if model else platform.machine()}),"
        f" {int(memory[1]) / 2**20 if memory else 0:.0f} GiB, Linux {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
        **{name: _peer(name) for name in ("rclone", "s5cmd", "aws", "s3_media_upload")},
    }


def _peer(name: str) -> str:
    if not has_peer(name):
        return "(not installed)"
    program = peer_binary(name)
    if name == "s3_media_upload":
        return _version(program.resolve().with_name("pip"), "show", "synapse-s3-storage-provider")
    return _version(program, "--version" if name == "aws" else "version")


def _version(*command: str | Path) -> str:
    """The first version number that the program prints."""
    printed = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout
    found = re.search(r"\d+(\.\d+)+", printed)
    if found is None:
        raise ValueError(f"{command[0]} printed no version: {printed!r}")
    return found[0]
