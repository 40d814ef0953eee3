# SPDX-License-Identifier: GPL-3.0-or-later
"""The program as a process of its own, forked from one that has imported it: a start takes a second of CPU otherwise.

Nothing but imports is shared, and what botocore reads of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

MODULE_UTILS = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([f"{__package__}.warm_imports"])
_START = threading.Lock()


def run_warm(arguments: Sequence[str], environment: Mapping[str, str], timeout: float) -> tuple[int, str, str]:
    """The exit status (less than 0: the signal that killed it), standard output and standard error.

    ``timeout`` is in seconds.
    """
    with tempfile.TemporaryDirectory() as directory:
        outputs = [Path(directory, name) for name in ("stdout", "stderr")]
        process = _CONTEXT.Process(target=_become, args=(list(arguments), dict(environment), Path.cwd(), outputs))
        # A start asks all processes that it knows whether they have ended, and the thread that waits for one gets 255.
        with _START:
            process.start()
            multiprocessing.process._children.discard(process)  # type: ignore[attr-defined]
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(arguments), timeout, *(output.read_text() for output in outputs))
        stdout, stderr = (output.read_text(encoding="utf-8") for output in outputs)
        return process.exitcode, stdout, stderr


def end_ignoring_signals() -> None:
    """Whoever runs the tests, as with nohup, may have some ignored, and a new process ignores them too."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def _become(arguments: list[str], environment: dict[str, str], directory: Path, outputs: list[Path]) -> NoReturn:
    end_ignoring_signals()
    for number, output in enumerate(outputs, start=1):
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["_media", *arguments]
    import_module("_media.cli").run_process()
    raise AssertionError
