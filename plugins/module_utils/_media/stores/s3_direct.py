# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests that a run makes for nearly every file, spoken directly over a socket: PUT, HEAD and GET of one object.

boto3 spends ten times as much of the processor on them. Here only the answers are understood that a healthy server
gives; anything else raises `Unrecognised`, and the caller asks again by way of boto3, which knows all the rest:
redirects, retries, errors. Uses the standard library only.

The signature is AWS Signature Version 4 of a request in one piece:
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple
from urllib.parse import quote
from weakref import finalize

from ..rules.content import Content
from .object_store import RemoteObject
from .s3_description import Receipt, described_object, http_date, md5_of, plain_etag
from .s3_direct_body import DirectBody, hexadecimal

_SEND_SIZE = 128 * 1024
_RECEIVE_SIZE = 16 * 1024
# More than any server writes in front of, or as, the short answers that are understood.
_LARGEST_ANSWER = 64 * 1024
# A server or proxy that gives so many strange answers in a row is left to boto3 for good.
_STRANGE_ANSWERS = 5
_NO_CONTENT = hashlib.sha256(b"").hexdigest()
# An answer's first line and its fields, to the letter of RFC 9112; and those of its fields that are looked at.
_HEAD = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [^\r\n]*(?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*)*")
_FIELDS = re.compile(
    rb"\r\n(etag|content-length|transfer-encoding|connection|last-modified"
    rb"|x-amz-(?:storage-class|archive-status|restore|expiration|checksum-sha256|checksum-type"
    rb"|server-side-encryption))"
    rb":[ \t]*([^\r\n]*?)[ \t]*(?=\r\n|\Z)",
    re.IGNORECASE,
)
# What needs no escape in a path.
_PLAIN = re.compile(r"[A-Za-z0-9/_.~-]*")


class Credentials(NamedTuple):
    """What a request is signed with."""

    access_key: str
    secret_key: str
    token: str | None


@dataclass(frozen=True)
class Address:
    """Where a bucket is: ``path`` is what comes before the key in the request; ``region`` goes into the signature."""

    scheme: str
    host: str
    port: int
    path: str
    region: str

    @property
    def host_header(self) -> str:
        """The host as the request names it: without the port that goes without saying."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _DEFAULT_PORTS[self.scheme] else f"{name}:{self.port}"


_DEFAULT_PORTS = {"http": 80, "https": 443}
# Beside 200.
_UNDERSTOOD: Mapping[str, tuple[int, ...]] = {"HEAD": (404,), "PUT": (412,)}


class Unrecognised(Exception):
    """This is for boto3: what was asked may or may not have been done. ``busy``: the server asks for fewer requests."""

    def __init__(self, why: str, *, busy: bool = False) -> None:
        super().__init__(why)
        self.busy = busy


class Taken(Exception):
    """The key is taken (412): its object was not touched."""


class SourceChanged(Exception):
    """The source has another length than it was said to have. Nothing was stored."""


class _Closed(Exception):
    """A connection from earlier turned out to be closed, before a byte of the answer."""


class _Answer(NamedTuple):
    status: int
    fields: Mapping[bytes, bytes]


class DirectClient:
    """Serves many threads at once. ``count`` is called before each request, ``pass_on`` before bytes are sent."""

    def __init__(
        self,
        address: Address,
        credentials: Callable[[], Credentials],
        tls: ssl.SSLContext | None,
        *,
        storage_class: str,
        connect_timeout: float,
        read_timeout: float,
        count: Callable[[], None],
        pass_on: Callable[[int], None],
    ) -> None:
        self._address = address
        self._host = address.host_header
        self._credentials = credentials
        self._tls = tls
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._count = count
        self._pass_on = pass_on
        self._storage_class = storage_class
        self._idle: deque[socket.socket] = deque()
        # Also when nobody calls it.
        self.close = finalize(self, _close_all, self._idle)
        self._strange = 0
        # The signing key of a day, with what it was made from.
        self._day_key: tuple[tuple[str, str], bytes] = (("", ""), b"")

    @property
    def is_understood(self) -> bool:
        """False once the server has given too many answers in a row that only boto3 can make sense of."""
        return self._strange < _STRANGE_ANSWERS

    def put(self, key: str, source: BinaryIO, content: Content, *, conditional: bool = True) -> Receipt:
        """Store ``content`` under a free key. Raises Taken, SourceChanged or Unrecognised.

        Without ``conditional`` whatever is under the key is overwritten.
        """
        start = source.read(min(content.size, _SEND_SIZE) + 1)
        if len(start) > content.size or (len(start) < content.size and len(start) <= _SEND_SIZE):
            raise SourceChanged
        fields = {
            "content-md5": base64.b64encode(content.md5).decode(),
            "x-amz-storage-class": self._storage_class,
        }
        if conditional:
            fields["if-none-match"] = "*"

        def send(connection: socket.socket, head: bytes) -> None:
            self._pass_on(len(start))
            connection.sendall(head + start)
            missing = content.size - len(start)
            while missing:
                # One more than is missing, to see that there is no more.
                chunk = source.read(min(missing, _SEND_SIZE) + 1)
                if not chunk or len(chunk) > missing:
                    raise SourceChanged
                self._pass_on(len(chunk))
                connection.sendall(chunk)
                missing -= len(chunk)

        def rewind() -> None:
            source.seek(len(start))

        answer = self._request("PUT", key, fields, content.sha256, content.size, send, rewind)
        if answer.status == 412:
            raise Taken
        etag, expires = answer.fields[b"etag"], answer.fields.get(b"x-amz-expiration", b"")
        return Receipt(plain_etag(etag.decode("latin-1")), expires.decode("latin-1"))

    def head(self, key: str) -> RemoteObject | None:
        """Describe an object, None when there is none. Raises Unrecognised."""

        def send(connection: socket.socket, head: bytes) -> None:
            connection.sendall(head)

        answer = self._request("HEAD", key, {}, _NO_CONTENT, None, send, lambda: None)
        if answer.status == 404:
            return None
        told = {name.decode(): value.decode("latin-1") for name, value in answer.fields.items()}
        try:
            modified = http_date(told.get("last-modified", ""))
        except ValueError as error:
            raise self._stranger("a date that is none") from error
        return described_object(
            key,
            int(told["content-length"]),
            told["etag"],
            storage_class=told.get("x-amz-storage-class"),
            modified=modified,
            archive_status=told.get("x-amz-archive-status"),
            restore=told.get("x-amz-restore"),
            expires=told.get("x-amz-expiration"),
        )

    def open(self, key: str) -> DirectBody:
        """Open an object for reading; the caller closes it. Raises Unrecognised, also where there is none."""

        def send(connection: socket.socket, head: bytes) -> None:
            connection.sendall(head)

        fields = {"x-amz-checksum-mode": "ENABLED"}
        opened: list[DirectBody] = []

        def exchange(connection: socket.socket, head: bytes) -> _Answer:
            answer, start = self._begin(connection, head, "GET", send)
            told = {name: value.decode("latin-1") for name, value in answer.fields.items()}
            composite = told.get(b"x-amz-checksum-type", "").upper() == "COMPOSITE"
            kept = None if composite else hexadecimal(told.get(b"x-amz-checksum-sha256", ""))
            encryption = told.get(b"x-amz-server-side-encryption", "")
            md5 = md5_of(told[b"etag"], encryption, told.get(b"x-amz-storage-class", ""))
            size = int(told[b"content-length"])
            opened.append(DirectBody(connection, size, start, kept, md5, lambda: self._give_back(connection, answer)))
            return answer

        self._converse("GET", key, fields, _NO_CONTENT, None, exchange, lambda: None)
        return opened[0]

    def _give_back(self, connection: socket.socket, answer: _Answer) -> None:
        """Keep a connection whose answer was read to its end, if the server does."""
        if answer.fields.get(b"connection", b"").lower() == b"close":
            connection.close()
        else:
            self._idle.append(connection)
        self._strange = 0

    def _stranger(self, why: str) -> Unrecognised:
        self._strange += 1
        return Unrecognised(why)

    def _request(
        self,
        method: str,
        key: str,
        fields: dict[str, str],
        sha256: str,
        length: int | None,
        send: Callable[[socket.socket, bytes], None],
        rewind: Callable[[], None],
    ) -> _Answer:
        """Make one request, and read the answer to its end."""

        def exchange(connection: socket.socket, head: bytes) -> _Answer:
            return self._exchange(connection, head, method, send)

        return self._converse(method, key, fields, sha256, length, exchange, rewind)

    def _converse(
        self,
        method: str,
        key: str,
        fields: dict[str, str],
        sha256: str,
        length: int | None,
        exchange: Callable[[socket.socket, bytes], _Answer],
        rewind: Callable[[], None],
    ) -> _Answer:
        """Make one request; once more on a new connection when one from earlier turns out to be closed."""
        head = self._head(method, key, fields, sha256, length)
        while True:
            connection, is_new = self._connection()
            try:
                self._count()
                return exchange(connection, head)
            except (_Closed, ConnectionError) as error:
                connection.close()
                if is_new:
                    raise Unrecognised("the connection broke off") from error
                rewind()
            except OSError as error:
                connection.close()
                raise Unrecognised("the connection failed") from error
            except BaseException:
                # Whatever is under way on it belongs to this request.
                connection.close()
                raise

    def _exchange(
        self, connection: socket.socket, head: bytes, method: str, send: Callable[[socket.socket, bytes], None]
    ) -> _Answer:
        answer, body = self._begin(connection, head, method, send)
        length = 0 if method == "HEAD" else int(answer.fields[b"content-length"])
        while len(body) < length:
            chunk = connection.recv(_RECEIVE_SIZE)
            if not chunk:
                raise self._stranger("an answer that stops early")
            body += chunk
        if len(body) > length:
            raise self._stranger("more than the answer")
        self._give_back(connection, answer)
        return answer

    def _begin(
        self, connection: socket.socket, head: bytes, method: str, send: Callable[[socket.socket, bytes], None]
    ) -> tuple[_Answer, bytes]:
        """Send a request; return the head of the answer, and what came behind it."""
        send(connection, head)
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            chunk = connection.recv(_RECEIVE_SIZE)
            if not chunk and not received:
                raise _Closed
            if not chunk or len(received) > _LARGEST_ANSWER:
                raise self._stranger("an answer without an end")
            received += chunk
        return self._parse(received[:end], method), received[end + 4 :]

    def _parse(self, head: bytes, method: str) -> _Answer:
        """Read the status and the fields; everything but a plain success or a plain "no" is for boto3."""
        found = _HEAD.fullmatch(head)
        if found is None:
            raise self._stranger("no HTTP/1.1 answer")
        status = int(found[1])
        if status in (429, 503):
            raise Unrecognised(f"HTTP {status}", busy=True)
        if method == "GET" and 400 <= status < 500:
            # An object that is not there, or can't be read, is nothing strange; boto3 has the words for it.
            raise Unrecognised(f"HTTP {status}")
        if status not in (200, *_UNDERSTOOD.get(method, ())):
            raise self._stranger(f"HTTP {status}")
        pairs = _FIELDS.findall(head)
        fields = {name.lower(): value for name, value in pairs}
        if len(fields) < len(pairs) or b"transfer-encoding" in fields:
            raise self._stranger("a field given twice, or a coded answer")
        if status == 200 and not fields.get(b"etag", b"").strip(b'"'):
            raise self._stranger("no ETag")
        # A success of PUT has nothing to say; an error's text is read, to keep the connection. For a HEAD it is the
        # length of what is not sent: the object, or an error's text that need not have one.
        length = fields.get(b"content-length", b"0" if status == 404 else b"")
        if not length.isdigit() or (method == "PUT" and int(length) > (0 if status == 200 else _LARGEST_ANSWER)):
            raise self._stranger("no length, or a body where none is expected")
        return _Answer(status, fields)

    def _connection(self) -> tuple[socket.socket, bool]:
        """A connection, and whether it is new."""
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                if not _has_something(connection):
                    return connection, False
                connection.close()
        address = self._address
        try:
            connection = socket.create_connection((address.host, address.port), self._connect_timeout)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_hostname=address.host)
            connection.settimeout(self._read_timeout)
        except OSError as error:
            # boto3 will meet it too, and tell it.
            raise Unrecognised("no connection") from error
        return connection, True

    def _head(self, method: str, key: str, fields: dict[str, str], sha256: str, length: int | None) -> bytes:
        """The request line and the fields, signed."""
        address, credentials = self._address, self._credentials()
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        path = f"{address.path}{key}"
        if not _PLAIN.fullmatch(path):
            path = quote(path, safe="/-_.~")
        signed = {**fields, "host": self._host, "x-amz-content-sha256": sha256, "x-amz-date": now}
        if credentials.token:
            signed["x-amz-security-token"] = credentials.token
        # Their order is part of what is signed.
        lines = "\r\n".join([f"{name}:{signed[name]}" for name in sorted(signed)])
        listed = ";".join(sorted(signed))
        canonical = "\n".join((method, path, "", lines.replace("\r", ""), "", listed, sha256))
        scope = f"{now[:8]}/{address.region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._signing_key(credentials.secret_key, now[:8]), text.encode(), "sha256").hex()
        # What a cache on the way remembers of a deleted object is no answer.
        rest = "cache-control:no-cache\r\n" if length is None else f"content-length:{length}\r\n"
        return (
            f"{method} {path} HTTP/1.1\r\n{lines}\r\n{rest}authorization:AWS4-HMAC-SHA256 "
            f"Credential={credentials.access_key}/{scope}, SignedHeaders={listed}, Signature={signature}\r\n\r\n"
        ).encode()

    def _signing_key(self, secret: str, day: str) -> bytes:
        made_from, key = self._day_key
        if made_from != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self._address.region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._day_key = ((secret, day), key)
        return key


def _close_all(connections: deque[socket.socket]) -> None:
    while connections:
        connections.pop().close()


def _has_something(connection: socket.socket) -> bool:
    """Whether an idle connection is closed, or holds bytes that are an answer to nothing."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
