# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the rows on one server."""

from __future__ import annotations

import datetime as dt
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from ansible_collections.matrixops.synapse_s3.tests.compat.results import Cell, Column, Outcome
from ansible_collections.matrixops.synapse_s3.tests.compat.scenarios import SCENARIOS, Unsupported
from ansible_collections.matrixops.synapse_s3.tests.compat.server import ROOT, Server
from ansible_collections.matrixops.synapse_s3.tests.compat.site import Failed, Site, Synapse
from ansible_collections.matrixops.synapse_s3.tests.s3_server import CACHE, S3Server

CONTRACT = "contract suite"
SCHEMES = ("http", "https")
_STILL_AT_IT_EVERY = 30  # seconds


def run_column(server: Server, rows: Sequence[str], schemes: Sequence[str], say: Callable[[str], None]) -> Column:
    """Bring the server, start it, and run the rows on it."""
    date = dt.datetime.now(dt.timezone.utc).date().isoformat()
    if missing := _bring(server.step):
        say(f"{server.name}: could not be had: {missing}")
        return Column(server.name, "", date, server.obtained, missing=missing)
    cells: dict[str, dict[str, Cell]] = {row: {} for row in rows}
    try:
        for scheme in schemes:
            with (
                tempfile.TemporaryDirectory(prefix="compat-", ignore_cleanup_errors=True) as directory,
                server.start(Path(directory), scheme == "https") as running,
                Synapse(running.certificate) as synapse,
            ):
                for row in rows:
                    began = time.monotonic()
                    with _still_at_it(f"{server.name}, {scheme}, {row}", say):
                        cell = _contract(server, running) if row == CONTRACT else _scenario(row, running, synapse)
                    cells[row][scheme] = cell
                    said = f": {cell.said}" if cell.said else ""
                    word = cell.text or cell.outcome.value
                    say(f"{server.name}, {scheme}, {row}: {word}, {time.monotonic() - began:.0f} s{said}")
    except (OSError, RuntimeError) as error:
        # One that does not start holds up no other.
        say(f"{server.name}: {error}")
        return Column(server.name, "", date, server.obtained, missing=f"It did not start: {str(error).splitlines()[0]}")
    return Column(server.name, server.version(), date, server.obtained, server.notes, cells=cells)


@contextmanager
def _still_at_it(what: str, say: Callable[[str], None]) -> Iterator[None]:
    """Say now and then how long it has taken by now."""
    is_over, began = Event(), time.monotonic()

    def tell() -> None:
        while not is_over.wait(_STILL_AT_IT_EVERY):
            say(f"{what}: still at it ({time.monotonic() - began:.0f} s)")

    thread = Thread(target=tell)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _bring(step: str) -> str:
    """Run a step of scripts/setup; return why it failed, '' when it did not."""
    done = subprocess.run([ROOT / "scripts" / "setup", step], stdout=sys.stderr, check=False)
    if done.returncode == 0:
        return ""
    log = (CACHE / "logs" / f"{step}.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return log[-1] if log else f"scripts/setup {step} failed"


def _scenario(row: str, server: S3Server, synapse: Synapse) -> Cell:
    with tempfile.TemporaryDirectory(prefix="compat-site-") as directory:
        try:
            said = SCENARIOS[row](Site(Path(directory), server, synapse))
        except Unsupported as error:
            return Cell(Outcome.LACKS, f"The server's answer: {error}")
        except Failed as error:
            return Cell(Outcome.FAILED, _settled(str(error), server))
        except Exception as error:  # noqa: BLE001 (a cell tells whatever happened in it)
            traceback.print_exc()
            return Cell(Outcome.FAILED, _settled(f"{type(error).__name__}: {error}", server))
        return Cell(Outcome.TOLD if said else Outcome.OK, _settled(said, server))


def _contract(server: Server, running: S3Server) -> Cell:
    with tempfile.TemporaryDirectory(prefix="compat-contract-") as directory:
        given = Path(directory, "server.json")
        running.write_down(given, server.lacks)
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", str(ROOT / "tests" / "contract")]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "SYNAPSE_S3_SERVER": str(given)},
            capture_output=True,
            text=True,
            check=False,
        )
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|xfailed|errors?)", done.stdout)}
    passed, lacked = counts.get("passed", 0), counts.get("xfailed", 0)
    if done.returncode != 0:
        failed = re.findall(r"^(?:FAILED|ERROR) \S+?::(\S+)", done.stdout, re.MULTILINE)
        print(done.stdout[-6000:], file=sys.stderr)
        return Cell(Outcome.FAILED, f"These tests failed: {', '.join(failed) or done.stdout[-300:]}")
    if lacked:
        reasons = "; ".join(dict.fromkeys(server.lacks.values()))
        return Cell(Outcome.TOLD, f"Of the contract suite: {reasons}.", f"{passed} of {passed + lacked}")
    return Cell(Outcome.OK, text=f"{passed} of {passed}")


def _settled(said: str, server: S3Server) -> str:
    """What was said, without what differs from run to run."""
    for pattern, name in (
        (re.escape(server.url), "SERVER"),
        (r"test-[0-9a-f]{16}", "BUCKET"),
        (r"(preflight-)[0-9a-f]{16}", r"\g<1>…"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "DATE"),
        (r"\s+", " "),
    ):
        said = re.sub(pattern, name, said)
    return said.strip()
