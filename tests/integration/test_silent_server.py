# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that accepts connections and never answers: it is given up, what is waited for is told, and a stop ends it.

The limits are the contract's: 90 seconds before the first file, 30 seconds for a stop, and for silence.
"""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from ansible_collections.matrixops.synapse_s3.tests.fault_proxy import Exchange, Kind, Plan, run_proxy
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import NONE, Homeserver
from ansible_collections.matrixops.synapse_s3.tests.soak import soak_but

GIVEN_UP_WITHIN = 90
STOPPED_WITHIN = 30


@dataclass(frozen=True)
class Silent:
    url: str


@pytest.fixture
def silent() -> Iterator[Silent]:
    """Takes connections and requests."""
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            with suppress(OSError):
                while True:
                    kept.append(server.accept()[0])

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield Silent(f"http://127.0.0.1:{server.getsockname()[1]}")
        server.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


@pytest.mark.parametrize(
    ("command", "exit_status", "what"),
    [
        ("migrate", 69, "another run, the database, or the bucket's first answer"),
        pytest.param("status", 1, "the disk, the bucket and the database", marks=pytest.mark.soak),
        pytest.param("preflight", 69, "the bucket", marks=pytest.mark.soak),
    ],
)
def test_server_that_never_answers(
    homeserver: Homeserver, silent: Silent, command: str, exit_status: int, what: str
) -> None:
    """It said nothing for 905 seconds."""
    content = homeserver.upload([10, 20])
    homeserver.configure_endpoint(silent.url)

    process = homeserver.start(command, "--json")
    stdout, stderr = process.communicate(timeout=GIVEN_UP_WITHIN)

    result = json.loads(stdout.splitlines()[-1])
    assert process.returncode == result["exit_code"] == exit_status
    assert f"Still waiting for {what} (30 s)" in stderr.splitlines()
    assert "took the request and did not answer in time" in stdout
    assert homeserver.local() == content
    if command == "status":
        assert result["local"] == {"files": 2, "bytes": 30}


def hang(_exchange: Exchange) -> bool:
    time.sleep(STOPPED_WITHIN)
    return False


@pytest.mark.parametrize("kind", soak_but([Kind.PUT], [Kind.LIST, Kind.PUT, Kind.PART]))
def test_stop_while_the_bucket_hangs(homeserver: Homeserver, kind: Kind) -> None:
    """It took all of systemd's five minutes."""
    content = homeserver.upload([10_000_000 if kind is Kind.PART else 10] * 3)

    with run_proxy(homeserver.server.host, Plan(kind, hang, times=None)) as proxy:
        homeserver.configure_endpoint(proxy.url)
        process = homeserver.start("migrate", "--json")
        while not proxy.hits:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=STOPPED_WITHIN)

    result = json.loads(stdout.splitlines()[-1])
    assert process.returncode == result["exit_code"] == 143, stderr
    assert result["deleted"] == NONE
    assert "Stopping after the files under way" in stderr
    assert homeserver.local() == content
