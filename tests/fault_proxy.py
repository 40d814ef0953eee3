# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy in front of a real S3 server that does to chosen requests what networks and servers do at times."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qs, urlsplit

_POLL_SECONDS = 0.02
_BACKEND_TIMEOUT = 60


class Kind(Enum):
    """What a request asks for."""

    LIST = "list the bucket"
    HEAD = "look at an object"
    GET = "read an object"
    PUT = "store an object"
    CREATE = "begin an upload in parts"
    PART = "store a part"
    COMPLETE = "complete an upload in parts"
    ABORT = "abort an upload in parts"
    UPLOADS = "list unfinished uploads"
    DELETE = "delete an object"
    OTHER = "anything else"


@dataclass(frozen=True)
class Message:
    """A request or an answer as it came over the wire; ``head`` includes the empty line."""

    head: bytes
    body: bytes

    @property
    def raw(self) -> bytes:
        return self.head + self.body

    @property
    def half(self) -> bytes:
        """Half of the body, or of the head where there is no body."""
        return self.head + self.body[: len(self.body) // 2] if self.body else self.head[: len(self.head) // 2]


@dataclass
class Exchange:
    """One request, before anything has happened to it."""

    proxy: FaultProxy
    client: socket.socket
    server: socket.socket
    answers: BinaryIO
    request: Message

    def pass_on(self) -> Message:
        """Let the server do what the request asks for, and return its answer."""
        self.server.sendall(self.request.raw)
        return _read_answer(self.answers, self.request)


# Returns whether the connection stays open.
Fault = Callable[[Exchange], bool]


@dataclass(frozen=True)
class Plan:
    """Do ``fault`` to requests of this kind: after the first ``skip`` of them, ``times`` times (None: always)."""

    kind: Kind
    fault: Fault
    times: int | None = 1
    skip: int = 0


def pass_all(exchange: Exchange) -> bool:
    """No fault."""
    exchange.client.sendall(exchange.pass_on().raw)
    return True


def close_before(_exchange: Exchange) -> bool:
    """Close the connection; the server never hears of the request."""
    return False


def lose_answer(exchange: Exchange) -> bool:
    """The server does what is asked, and the connection is closed without the answer."""
    exchange.pass_on()
    return False


def cut_request(exchange: Exchange) -> bool:
    """The server gets half of the request, then both connections are closed."""
    exchange.server.sendall(exchange.request.half)
    return False


def cut_answer(exchange: Exchange) -> bool:
    """The server does what is asked, and half of its answer arrives."""
    exchange.client.sendall(exchange.pass_on().half)
    return False


def close_after(exchange: Exchange) -> bool:
    """All goes well, and then the connection that the client would use again is closed without a word."""
    exchange.client.sendall(exchange.pass_on().raw)
    return False


def hang(exchange: Exchange) -> bool:
    """The request is not passed on, and no answer comes as long as the proxy runs."""
    exchange.proxy.ended.wait()
    return False


def delay(seconds: float) -> Fault:
    """The answer takes its time."""

    def fault(exchange: Exchange) -> bool:
        answer = exchange.pass_on()
        exchange.proxy.ended.wait(seconds)
        exchange.client.sendall(answer.raw)
        return True

    return fault


def answer(raw: bytes) -> Fault:
    """These bytes are the answer, and the server never hears of the request."""

    def fault(exchange: Exchange) -> bool:
        exchange.client.sendall(raw)
        # Without a length the end of the connection is the end of the answer.
        return b"content-length" in raw.lower()

    return fault


def replace_answer(raw: bytes) -> Fault:
    """The server does what is asked, and these bytes come back in place of its answer."""

    def fault(exchange: Exchange) -> bool:
        exchange.pass_on()
        exchange.client.sendall(raw)
        return b"content-length" in raw.lower()

    return fault


def refuse(seconds: float) -> Fault:
    """Every connection breaks, and new ones are refused for a while."""

    def fault(exchange: Exchange) -> bool:
        exchange.proxy.absence = seconds
        return False

    return fault


def http_answer(status: str, body: str = "", **headers: str) -> bytes:
    """An answer in full, for example ``http_answer("200 OK", etag="...")``."""
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    return f"HTTP/1.1 {status}\r\n{''.join(lines)}content-length: {len(body)}\r\n\r\n{body}".encode()


def s3_error(status: str, code: str) -> bytes:
    """A failure as an S3 server tells it, for example ``s3_error("503 Service Unavailable", "SlowDown")``."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>As planned.</Message></Error>"
    return http_answer(status, body, content_type="application/xml")


@dataclass
class FaultProxy:
    """A running proxy. ``seen`` counts the requests by kind, ``hits`` those that something was done to."""

    server: tuple[str, int]
    plans: tuple[Plan, ...]
    tls: ssl.SSLContext | None = None
    seen: Counter[Kind] = field(default_factory=Counter)
    hits: int = 0
    absence: float = 0
    ended: threading.Event = field(default_factory=threading.Event)
    listener: socket.socket = field(default_factory=lambda: _listen(0))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _clients: set[socket.socket] = field(default_factory=set)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port: int = self.listener.getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def serve(self) -> None:
        """Take connections until ``ended`` is set."""
        while not self.ended.is_set():
            if self.absence:
                self._be_absent()
            if select.select([self.listener], [], [], _POLL_SECONDS)[0]:
                client, _unused = self.listener.accept()
                thread = threading.Thread(target=self._serve_client, args=(client,))
                self._threads.append(thread)
                thread.start()
        self._hang_up()
        for thread in self._threads:
            thread.join()
        self.listener.close()

    def _be_absent(self) -> None:
        self.listener.close()
        self._hang_up()
        self.ended.wait(self.absence)
        self.absence = 0
        self.listener = _listen(self.port)

    def _hang_up(self) -> None:
        with self._lock:
            for client in self._clients:
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)

    def _serve_client(self, client: socket.socket) -> None:
        # A client or a server that breaks off is what this is about.
        with suppress(OSError), self.tls.wrap_socket(client, server_side=True) if self.tls else client as connection:
            with self._lock:
                self._clients.add(connection)
            try:
                self._serve_requests(connection)
            finally:
                with self._lock:
                    self._clients.discard(connection)

    def _serve_requests(self, client: socket.socket) -> None:
        with (
            client.makefile("rb") as requests,
            socket.create_connection(self.server, timeout=_BACKEND_TIMEOUT) as server,
            server.makefile("rb") as answers,
        ):
            while request := _read_request(requests, client):
                fault = self._fault(_kind(request.head))
                exchange = Exchange(self, client, server, answers, request)
                if not (fault or pass_all)(exchange):
                    return

    def _fault(self, kind: Kind) -> Fault | None:
        with self._lock:
            number = self.seen[kind]
            self.seen[kind] += 1
            for plan in self.plans:
                if (
                    plan.kind is kind
                    and plan.skip <= number
                    and (plan.times is None or number < plan.skip + plan.times)
                ):
                    self.hits += 1
                    return plan.fault
            return None


@contextmanager
def run_proxy(host: str, *plans: Plan, certificates: Path | None = None) -> Iterator[FaultProxy]:
    """Run a proxy in front of the server ``host`` ("name:port", without TLS) until the block ends.

    With ``certificates``, a directory as `write_certificate` makes it, the proxy itself speaks TLS.
    """
    name, _unused, port = host.partition(":")
    tls = None
    if certificates:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificates / "public.crt", certificates / "private.key")
    proxy = FaultProxy((name, int(port)), plans, tls)
    thread = threading.Thread(target=proxy.serve)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.ended.set()
        thread.join()


def _listen(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), backlog=128)


def _kind(head: bytes) -> Kind:
    method, target, _unused = head.split(b" ", 2)
    url = urlsplit(target.decode())
    query = parse_qs(url.query, keep_blank_values=True)
    of_the_bucket = "/" not in url.path.strip("/")
    for kind, wanted_method, parameter in _BY_PARAMETER:
        if method == wanted_method and parameter in query:
            return kind
    return Kind.OTHER if of_the_bucket else _BY_METHOD.get(method, Kind.OTHER)


_BY_PARAMETER = (
    (Kind.LIST, b"GET", "list-type"),
    (Kind.UPLOADS, b"GET", "uploads"),
    (Kind.PART, b"PUT", "partNumber"),
    (Kind.CREATE, b"POST", "uploads"),
    (Kind.COMPLETE, b"POST", "uploadId"),
    (Kind.ABORT, b"DELETE", "uploadId"),
)
_BY_METHOD = {b"HEAD": Kind.HEAD, b"GET": Kind.GET, b"PUT": Kind.PUT, b"DELETE": Kind.DELETE}


def _read_request(source: BinaryIO, client: socket.socket) -> Message | None:
    """The next request; None when the client has gone."""
    lines = _read_lines(source)
    if not lines:
        return None
    if _header(lines, b"expect"):
        # No server is asked for its consent: a fault comes before the request is passed on.
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        lines = [line for line in lines if not line.lower().startswith(b"expect:")]
    return Message(b"".join([*lines, b"\r\n"]), _read_body(source, lines))


def _read_answer(source: BinaryIO, request: Message) -> Message:
    lines = _read_lines(source)
    if not lines:
        raise ConnectionError("the server closed the connection without an answer")
    without_body = request.head.startswith(b"HEAD ") or lines[0].split()[1] in (b"204", b"304")
    return Message(b"".join([*lines, b"\r\n"]), b"" if without_body else _read_body(source, lines))


def _read_lines(source: BinaryIO) -> list[bytes]:
    """The first line and the headers; none at the end."""
    lines = []
    while (line := source.readline()) not in (b"\r\n", b""):
        lines.append(line)
    return lines


def _read_body(source: BinaryIO, lines: list[bytes]) -> bytes:
    """The body as it is on the wire, in chunks if it comes in chunks."""
    if _header(lines, b"transfer-encoding").lower() != b"chunked":
        return source.read(int(_header(lines, b"content-length") or 0))
    body = []
    while (line := source.readline()) and (size := int(line.partition(b";")[0], 16)):
        body += [line, source.read(size + len(b"\r\n"))]
    return b"".join([*body, line, source.readline()])


def _header(lines: list[bytes], name: bytes) -> bytes:
    found = (line.partition(b":")[2].strip() for line in lines[1:] if line.lower().startswith(name + b":"))
    return next(found, b"")
