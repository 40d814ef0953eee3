# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one command and measure it: usage.py LOG DIRECTORY COMMAND...; prints the measurement as JSON.

A process of its own with nothing but the standard library, because the peak memory that Linux counts for a process
begins with that of the process that started it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time


def main() -> None:
    log, directory, *command = sys.argv[1:]
    with open(log, "wb") as output:
        busy, began = busy_seconds(), time.perf_counter()
        process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        # Of the command and of all its children that it waited for.
        _unused, status, used = os.wait4(process.pid, 0)
        seconds, busy = time.perf_counter() - began, busy_seconds() - busy
    result = {
        "status": os.waitstatus_to_exitcode(status),
        "seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * 1024,
        "busy_seconds": busy,
    }
    print(json.dumps(result))


def busy_seconds() -> float:
    """The CPU time that the whole machine has spent so far: user, system, interrupts, and taken by its host.

    Not that of programs of low priority: they give way.
    """
    with open("/proc/stat") as statistics:
        user, _nice, system, _idle, _waiting, irq, softirq, steal = map(int, statistics.readline().split()[1:9])
    return (user + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
