# SPDX-License-Identifier: GPL-3.0-or-later
"""A real versitygw of its own for a test run, on a directory of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.tests.certificate import write_certificate
from ansible_collections.matrixops.synapse_s3.tests.s3_server import (
    ADMIN_KEY,
    ADMIN_SECRET,
    REGION,
    S3Server,
    built,
    free_port,
    run_server,
)


def versitygw_binary() -> Path:
    """The server's program: $VERSITYGW_BINARY, or where scripts/setup builds it. A missing one is an error."""
    return built("versitygw", "versitygw")


@contextmanager
def run_versitygw(directory: Path, *, tls: bool) -> Iterator[S3Server]:
    """Run a server in a directory until the block ends. Its buckets can keep versions.

    Two of them, with TLS and without, can share a directory, and are one service then.
    """
    certificates = directory / "certs"
    certificate = certificates / "public.crt" if tls else None
    if tls:
        write_certificate(certificates, ["test-server"])
    for name in ("iam", "versions", "data"):
        (directory / name).mkdir(exist_ok=True)
    server = S3Server(f"127.0.0.1:{free_port()}", certificate)
    command: list[str | Path] = [
        versitygw_binary(),
        "--port",
        server.host,
        "--region",
        REGION,
        "--iam-dir",
        directory / "iam",
        "--quiet",
    ]
    if certificate:
        command += ["--cert", certificate, "--key", certificates / "private.key"]
    # It changes its directory.
    command += ["posix", "--versioning-dir", directory / "versions", directory / "data"]
    environment = {"ROOT_ACCESS_KEY": ADMIN_KEY, "ROOT_SECRET_KEY": ADMIN_SECRET}
    with run_server(server, command, directory, environment):
        yield server


@pytest.fixture(scope="session")
def versitygw_http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with run_versitygw(tmp_path_factory.mktemp("versitygw-http"), tls=False) as server:
        yield server
