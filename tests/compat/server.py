# SPDX-License-Identifier: GPL-3.0-or-later
"""What the table has to know of a kind of S3 server."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.matrixops.synapse_s3.tests.certificate import write_certificate
from ansible_collections.matrixops.synapse_s3.tests.s3_server import S3Server

ROOT = Path(__file__).resolve().parents[2]

# An empty directory, and whether by https
Start = Callable[[Path, bool], AbstractContextManager[S3Server]]


@dataclass(frozen=True)
class Server:
    """A kind of server: one file in ``servers``.

    ``step``: of scripts/setup, which brings it. ``version``: asks the program that is there.
    ``lacks``: tests of the contract suite, by name or name[case], that are known to fail on it, each with the reason.
    ``notes``: what an administrator should know of it that no cell tells.
    """

    name: str
    step: str
    obtained: str
    version: Callable[[], str]
    start: Start
    lacks: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def certificate_of(directory: Path, *, tls: bool) -> tuple[Path, Path] | None:
    """A new certificate for 127.0.0.1 and its private key, in PEM; None without TLS."""
    if not tls:
        return None
    write_certificate(directory / "certs", ["test-server"])
    return directory / "certs" / "public.crt", directory / "certs" / "private.key"


def pinned(step: str) -> str:
    """The version of the Go module that a step of scripts/setup builds."""
    text = (ROOT / "scripts" / "steps" / step).read_text(encoding="utf-8")
    (version,) = re.findall(r"^module=\S+@(\S+)$", text, re.MULTILINE)
    return str(version)


def said_by(*command: str | Path) -> str:
    """What a command prints."""
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout.strip()
