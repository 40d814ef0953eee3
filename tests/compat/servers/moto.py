# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.matrixops.synapse_s3.tests.compat.server import Server, certificate_of, said_by
from ansible_collections.matrixops.synapse_s3.tests.s3_server import CACHE, S3Server, free_port, run_server

_PYTHON = CACHE / "servers" / "moto" / "bin" / "python"


@contextmanager
def _run(directory: Path, tls: bool) -> Iterator[S3Server]:
    certificate = certificate_of(directory, tls=tls)
    server = S3Server(f"127.0.0.1:{free_port()}", certificate and certificate[0])
    command: list[str | Path] = [
        _PYTHON.with_name("moto_server"),
        "-H",
        "127.0.0.1",
        "-p",
        server.host.partition(":")[2],
    ]
    if certificate:
        command += ["-s", "-c", certificate[0], "-k", certificate[1]]
    with run_server(server, command, directory, {}):
        yield server


SERVER = Server(
    name="moto",
    step="moto",
    obtained="PyPI (a simulation of AWS for tests, in memory; it lets everybody in)",
    version=lambda: said_by(_PYTHON, "-c", "import importlib.metadata as m; print(m.version('moto'))"),
    start=_run,
    lacks={
        "test_other_bytes_than_described_are_not_stored": "it does not compare Content-MD5 with what came",
    },
    notes=("It takes an encryption key (SSE-C) and passes over it, as versitygw does.",),
)
