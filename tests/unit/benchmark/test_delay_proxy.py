# SPDX-License-Identifier: GPL-3.0-or-later
"""The proxy that adds a round trip: everything arrives, whole and in order."""

from __future__ import annotations

import random
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from ansible_collections.matrixops.synapse_s3.tests.benchmark.delay import delayed

TIMEOUT = 30


class Echo(socketserver.ThreadingTCPServer):
    """A server that sends back what it gets and ends a connection when its client does; it counts them."""

    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _EchoHandler)
        self.address = f"127.0.0.1:{self.server_address[1]}"
        self.ended = threading.Semaphore(0)


class _EchoHandler(socketserver.BaseRequestHandler):
    server: Echo

    def handle(self) -> None:
        with suppress(ConnectionError):
            while part := self.request.recv(65536):
                self.request.sendall(part)
        self.server.ended.release()


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join(TIMEOUT)


def connect(address: str) -> socket.socket:
    host, port = address.split(":")
    return socket.create_connection((host, int(port)), timeout=TIMEOUT)


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_no_round_trip_needs_no_proxy() -> None:
    with delayed("127.0.0.1:1", 0) as address:
        assert address == "127.0.0.1:1"


def test_much_at_once_arrives_whole(echo: Echo) -> None:
    data = random.Random(1).randbytes(20 * 2**20)  # noqa: S311
    with delayed(echo.address, 10) as address, connect(address) as connection:

        def send() -> None:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        received = read_all(connection)
        sender.join(TIMEOUT)

    assert received == data


def test_several_connections_are_kept_apart(echo: Echo) -> None:
    with delayed(echo.address, 10) as address:
        connections = [connect(address) for _turn in range(50)]
        for number, each in enumerate(connections):
            each.sendall(b"%d" % number)
            each.shutdown(socket.SHUT_WR)
        received = [read_all(each) for each in connections]
        for each in connections:
            each.close()

    assert received == [b"%d" % number for number in range(50)]


def test_a_client_that_goes_away_ends_the_server_s_connection(echo: Echo) -> None:
    with delayed(echo.address, 10) as address:
        with connect(address) as connection:
            connection.sendall(b"x")
            connection.recv(1)

        assert echo.ended.acquire(timeout=TIMEOUT)
