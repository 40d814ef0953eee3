# SPDX-License-Identifier: GPL-3.0-or-later
"""An added round trip on the way to a server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PROXY = Path(__file__).with_name("delay_proxy.py")


@contextmanager
def delayed(address: str, rtt_ms: int) -> Iterator[str]:
    """The address under which the server is reached with the added round trip; without one, its own."""
    if rtt_ms == 0:
        yield address
        return
    command = [sys.executable, "-I", "-S", str(_PROXY), *address.split(":"), str(rtt_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()
