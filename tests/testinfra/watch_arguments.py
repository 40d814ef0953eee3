# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command; print, as JSON, its exit status and every command line that any process showed meanwhile.

Runs on the host, with its own Python: standard library only.
"""

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path


def command_lines() -> set[str]:
    """The command line of each process that runs now."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            found.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip())
    return found


def main() -> None:
    seen: set[str] = set()
    process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
    while process.poll() is None:
        seen |= command_lines()
        time.sleep(0.001)
    print(json.dumps({"status": process.returncode, "command_lines": sorted(seen)}))


if __name__ == "__main__":
    main()
