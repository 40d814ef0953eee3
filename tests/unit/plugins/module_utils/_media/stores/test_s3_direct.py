# SPDX-License-Identifier: GPL-3.0-or-later
"""The short way to S3, on sockets whose other end answers with given bytes."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timezone

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.content import content_of
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import RemoteObject
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3_direct import (
    Address,
    Credentials,
    DirectClient,
    SourceChanged,
    Taken,
    Unrecognised,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3_direct_body import Cut
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

STORED = b'HTTP/1.1 200 OK\r\nETag: "e1"\r\nContent-Length: 0\r\n\r\n'
FOUND = b'HTTP/1.1 200 OK\r\nETag: "e1"\r\nContent-Length: 7\r\n\r\n'
TAKEN = b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 5\r\n\r\nTaken"
CLOSING = STORED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


class Server:
    """Answers each request with the next bytes; None closes the connection instead. ``seen``: connection, request."""

    def __init__(self, answers: list[bytes | None]) -> None:
        self.answers = answers
        self.seen: list[tuple[int, bytes]] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address("http", "127.0.0.1", self.listener.getsockname()[1], "/media/", "eu-test-1")

    def serve(self) -> None:
        number = 0
        while self.answers:
            try:
                connection, _unused = self.listener.accept()
            except OSError:
                return
            number += 1
            with connection:
                connection.settimeout(5)
                while self.answers and (request := _read_request(connection)):
                    self.seen.append((number, request))
                    answer = self.answers.pop(0)
                    if answer is None:
                        break
                    with suppress(ConnectionError):
                        connection.sendall(answer)
                    if b"Connection: close" in answer:
                        break


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            chunk = connection.recv(65536)
        except ConnectionError:
            return b""
        if not chunk:
            return b""
        data += chunk
    head, _unused, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"content-length:(\d+)", head)
    missing = (int(length[1]) if length else 0) - len(body)
    while missing > 0:
        chunk = connection.recv(65536)
        if not chunk:
            return b""
        data += chunk
        missing -= len(chunk)
    return data


@contextmanager
def serving(*answers: bytes | None) -> Iterator[Server]:
    server = Server(list(answers))
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.answers.clear()
        # A listener that is only closed goes on waiting.
        server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()
        thread.join()


def client(
    address: Address, token: str | None = None, pass_on: Callable[[int], None] = lambda _size: None
) -> DirectClient:
    return DirectClient(
        address,
        lambda: Credentials("key", "secret", token),
        None,
        storage_class="STANDARD",
        connect_timeout=2,
        read_timeout=2,
        count=lambda: None,
        pass_on=pass_on,
    )


def put(direct: DirectClient, content: bytes = b"content") -> str:
    return direct.put("key", io.BytesIO(content), content_of(content)).etag


def test_put_and_head_over_one_connection() -> None:
    with serving(STORED, FOUND, TAKEN, b"HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\n") as server:
        direct = client(server.address)
        assert put(direct) == "e1"
        assert direct.head("key") == RemoteObject("key", 7, "e1")
        with pytest.raises(Taken):
            put(direct)
        assert direct.head("key") is None
        direct.close()
    assert [number for number, _unused in server.seen] == [1, 1, 1, 1]


def test_an_object_whose_date_is_none_is_for_boto3() -> None:
    answer = FOUND.replace(b"\r\n\r\n", b"\r\nLast-Modified: yesterday\r\n\r\n")
    with serving(answer) as server, pytest.raises(Unrecognised):
        client(server.address).head("key")


def test_an_answer_may_come_in_pieces() -> None:
    class Trickling(Server):
        def serve(self) -> None:
            connection, _unused = self.listener.accept()
            with connection:
                _read_request(connection)
                for byte in STORED:
                    connection.sendall(bytes([byte]))

    server = Trickling([STORED])
    thread = threading.Thread(target=server.serve)
    thread.start()
    direct = client(server.address)
    assert put(direct) == "e1"
    thread.join()
    direct.close()
    server.listener.close()


TEST_STRANGE: dict[str, bytes] = {
    "another protocol": b'HTTP/1.0 200 OK\r\nETag: "e1"\r\nContent-Length: 0\r\n\r\n',
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "a redirect": b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
    "a refusal": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
    "a failure": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
    "created": b'HTTP/1.1 201 Created\r\nETag: "e1"\r\nContent-Length: 0\r\n\r\n',
    "go on": b"HTTP/1.1 100 Continue\r\n\r\n",
    "no ETag": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "an empty ETag": b'HTTP/1.1 200 OK\r\nETag: ""\r\nContent-Length: 0\r\n\r\n',
    "two ETags": b'HTTP/1.1 200 OK\r\nETag: "e1"\r\nETag: "e2"\r\nContent-Length: 0\r\n\r\n',
    "no length": b'HTTP/1.1 200 OK\r\nETag: "e1"\r\n\r\n',
    "two lengths": b'HTTP/1.1 200 OK\r\nETag: "e1"\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n',
    "a negative length": b'HTTP/1.1 200 OK\r\nETag: "e1"\r\nContent-Length: -1\r\n\r\n',
    "a web page": b'HTTP/1.1 200 OK\r\nETag: "e1"\r\nContent-Length: 4\r\n\r\n<htm',
    "in chunks": b'HTTP/1.1 200 OK\r\nETag: "e1"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    "in chunks, with a length": STORED.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "more than the answer": STORED + b"HTTP/1.1 200 OK\r\n",
    "a folded field": b'HTTP/1.1 200 OK\r\nETag: "e1"\r\nContent-Length: 0\r\nX: a\r\n b\r\n\r\n',
    "a space before the colon": b'HTTP/1.1 200 OK\r\nETag : "e1"\r\nContent-Length: 0\r\n\r\n',
    "bare line ends": STORED.replace(b"\r\n", b"\n") + b"\r\n\r\n",
    "an endless head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    "a head that stops": b'HTTP/1.1 200 OK\r\nETag: "e1"\r\nConnection: close\r\n',
}


@pytest.mark.parametrize("name", TEST_STRANGE)
def test_a_strange_answer_is_for_boto3(name: str) -> None:
    answer = TEST_STRANGE[name]
    with serving(answer, STORED) as server:
        direct = client(server.address)
        with pytest.raises(Unrecognised) as caught:
            put(direct)
        # What is left on that connection is never taken for the next answer.
        assert put(direct) == "e1"
        direct.close()
    assert not caught.value.busy
    assert [number for number, _unused in server.seen] == [1, 2]


@pytest.mark.parametrize("status", [b"503 Slow Down", b"429 Too Many Requests"])
def test_a_server_that_asks_for_fewer_requests(status: bytes) -> None:
    with serving(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n") as server:
        with pytest.raises(Unrecognised) as caught:
            put(client(server.address))
        assert caught.value.busy


def test_a_server_that_stays_strange_is_left_to_boto3() -> None:
    with serving(*[TEST_STRANGE["created"]] * 5) as server:
        direct = client(server.address)
        for number in range(5):
            assert direct.is_understood, number
            with pytest.raises(Unrecognised):
                put(direct)
        assert not direct.is_understood


def test_one_good_answer_makes_up_for_strange_ones() -> None:
    with serving(*[TEST_STRANGE["created"]] * 4, STORED, *[TEST_STRANGE["created"]] * 4) as server:
        direct = client(server.address)
        for _turn in range(4):
            with pytest.raises(Unrecognised):
                put(direct)
        put(direct)
        for _turn in range(4):
            with pytest.raises(Unrecognised):
                put(direct)
        assert direct.is_understood


def test_a_connection_that_the_server_closes_is_not_used_again() -> None:
    with serving(CLOSING, STORED) as server:
        direct = client(server.address)
        put(direct)
        put(direct)
        direct.close()
    assert [number for number, _unused in server.seen] == [1, 2]


def test_a_connection_that_was_closed_meanwhile_is_replaced() -> None:
    with serving(STORED, None, STORED) as server:
        direct = client(server.address)
        put(direct)
        assert put(direct, b"x" * 600_000) == "e1"
        direct.close()
    bodies = [request.partition(b"\r\n\r\n")[2] for _unused, request in server.seen]
    assert [number for number, _unused in server.seen] == [1, 1, 2]
    assert bodies == [b"content", b"x" * 600_000, b"x" * 600_000]


def test_a_new_connection_that_is_closed_is_for_boto3() -> None:
    with serving(None) as server, pytest.raises(Unrecognised):
        put(client(server.address))


def test_no_server_is_for_boto3() -> None:
    with serving() as server:
        address = server.address
    with pytest.raises(Unrecognised):
        put(client(address))


def test_a_source_of_another_length_is_not_stored() -> None:
    with serving(STORED, STORED, STORED, STORED) as server:
        direct = client(server.address)
        for source in (b"conten", b"content!"):
            with pytest.raises(SourceChanged):
                direct.put("key", io.BytesIO(source), content_of(b"content"))
        for size in (599_999, 600_001):
            with pytest.raises(SourceChanged):
                direct.put("key", io.BytesIO(b"x" * size), content_of(b"x" * 600_000))
    assert server.seen == []


def test_all_that_is_sent_is_passed_on() -> None:
    sizes: list[int] = []
    with serving(STORED) as server:
        direct = client(server.address, pass_on=sizes.append)
        put(direct, b"x" * 600_000)
        direct.close()
    assert sum(sizes) == 600_000
    assert max(sizes) <= 128 * 1024 + 1


TEST_KEYS = ["key", "a b/c+d%e&f=g?h#i", "媒体/😀", "remote_content/[::1]:8448/aa", "~!*()'"]


@pytest.mark.parametrize("token", [None, "a/token+with=signs"])
@pytest.mark.parametrize("key", TEST_KEYS)
def test_requests_are_signed_as_boto3_signs_them(key: str, token: str | None) -> None:
    content = b"some content"
    with serving(STORED, FOUND) as server:
        direct = client(server.address, token)
        direct.put(key, io.BytesIO(content), content_of(content))
        direct.head(key)
        direct.close()
    for (_number, request), body in zip(server.seen, (content, b""), strict=True):
        head, _unused, sent = request.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        method, path, protocol = first.split(" ")
        fields = dict(line.split(":", 1) for line in lines)
        assert (protocol, sent) == ("HTTP/1.1", body)
        assert fields["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest()
        assert fields.get("x-amz-security-token") == token
        # Not signed: a proxy may take it away.
        assert fields.get("cache-control") == (None if method == "PUT" else "no-cache")
        if method == "PUT":
            assert fields["if-none-match"] == "*"
            assert fields["content-md5"] == base64.b64encode(hashlib.md5(content).digest()).decode()
            assert fields["content-length"] == str(len(content))
            assert "expect" not in fields
        assert fields["authorization"] == _boto3_authorization(server.address, method, path, fields, body, token)


def _boto3_authorization(
    address: Address, method: str, path: str, fields: dict[str, str], body: bytes, token: str | None
) -> str:
    """What botocore's own signer makes of the same request at the same time."""
    kept = {
        name: value
        for name, value in fields.items()
        if name
        not in ("authorization", "host", "content-length", "cache-control", "x-amz-date", "x-amz-security-token")
    }
    request = AWSRequest(method, f"http://{address.host_header}{path}", kept, body)
    request.context["timestamp"] = fields["x-amz-date"]
    signer = S3SigV4Auth(BotocoreCredentials("key", "secret", token), "s3", address.region)
    signer._modify_request_before_signing(request)  # type: ignore[attr-defined]  # what its add_auth() calls
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    signed = signer.signed_headers(signer.headers_to_sign(request))
    moment = datetime.strptime(fields["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    scope = f"{moment:%Y%m%d}/{address.region}/s3/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential=key/{scope}, SignedHeaders={signed}, Signature={signature}"


TEST_ADDRESSES = [
    (Address("http", "example.org", 80, "/", "r"), "example.org"),
    (Address("https", "example.org", 443, "/", "r"), "example.org"),
    (Address("https", "example.org", 80, "/", "r"), "example.org:80"),
    (Address("http", "::1", 9000, "/", "r"), "[::1]:9000"),
]


@pytest.mark.parametrize(("address", "host"), TEST_ADDRESSES)
def test_host(address: Address, host: str) -> None:
    assert address.host_header == host


CONTENT = FOUND + b"content"
MD5 = hashlib.md5(b"content").hexdigest().encode()
SHA256 = base64.b64encode(hashlib.sha256(b"content").digest())


def read_all(direct: DirectClient, size: int = 3) -> bytes:
    with closing(direct.open("key")) as body:
        return b"".join(iter(lambda: body.read(size), b""))


def test_get_reads_to_the_end_and_keeps_the_connection() -> None:
    with serving(CONTENT, CONTENT, CONTENT.replace(b": 7", b": 0").removesuffix(b"content"), STORED) as server:
        direct = client(server.address)

        assert [read_all(direct), read_all(direct, 100), read_all(direct)] == [b"content", b"content", b""]
        assert [number for number, _unused in server.seen] == [1, 1, 1]
        assert server.seen[0][1].startswith(b"GET /media/key HTTP/1.1\r\n")
        assert b"x-amz-checksum-mode:ENABLED\r\n" in server.seen[0][1]
        direct.close()


def test_get_that_is_not_read_to_the_end_gives_up_its_connection() -> None:
    with serving(CONTENT, CONTENT) as server:
        direct = client(server.address)
        with closing(direct.open("key")) as body:
            assert body.read(2) == b"co"

        assert read_all(direct) == b"content"
        assert [number for number, _unused in server.seen] == [1, 2]
        direct.close()


def test_get_that_stops_early_is_cut() -> None:
    with serving(FOUND.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + b"cont") as server:
        direct = client(server.address)
        with closing(direct.open("key")) as body:
            assert body.read(4) == b"cont"
            with pytest.raises(Cut):
                body.read(4)


def test_more_than_the_answer_to_get_is_not_taken_for_the_next_one() -> None:
    with serving(CONTENT + CONTENT, FOUND + b"CONTENT") as server:
        direct = client(server.address)

        assert [read_all(direct), read_all(direct)] == [b"content", b"CONTENT"]
        direct.close()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (b"", None),
        (b"x-amz-checksum-sha256: " + SHA256 + b"\r\n", hashlib.sha256(b"content").hexdigest()),
        (b"x-amz-checksum-sha256: " + SHA256 + b"-2\r\n", None),
        (b"x-amz-checksum-sha256: " + SHA256 + b"\r\nx-amz-checksum-type: COMPOSITE\r\n", None),
    ],
)
def test_get_tells_the_hash_that_the_store_keeps(fields: bytes, expected: str | None) -> None:
    answer = CONTENT.replace(b"Content-Length", fields + b"Content-Length")

    with serving(answer) as server, closing(client(server.address).open("key")) as body:
        assert body.sha256 == expected


@pytest.mark.parametrize(
    ("etag", "fields", "expected"),
    [
        (MD5, b"", MD5.decode()),
        (MD5, b"x-amz-server-side-encryption: AES256\r\n", MD5.decode()),
        (MD5, b"x-amz-server-side-encryption: aws:kms\r\n", None),
        (MD5, b"x-amz-storage-class: EXPRESS_ONEZONE\r\n", None),
        (MD5.upper(), b"", MD5.decode()),
        (MD5 + b"-1", b"", None),
        (b"e1", b"", None),
    ],
)
def test_get_tells_the_etag_where_it_is_an_md5(etag: bytes, fields: bytes, expected: str | None) -> None:
    answer = b'HTTP/1.1 200 OK\r\nETag: "' + etag + b'"\r\n' + fields + b"Content-Length: 7\r\n\r\ncontent"
    with serving(answer) as server, closing(client(server.address).open("key")) as body:
        assert body.md5 == expected


@pytest.mark.parametrize("status", [b"403 Forbidden", b"404 Not Found", b"416 Range Not Satisfiable"])
def test_what_get_is_refused_is_for_boto3_and_nothing_strange(status: bytes) -> None:
    answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"
    with serving(*[answer] * 7) as server:
        direct = client(server.address)
        for _turn in range(7):
            with pytest.raises(Unrecognised):
                direct.open("key")

        assert direct.is_understood


@pytest.mark.parametrize(
    "answer",
    [
        CONTENT.replace(b"200 OK", b"206 Partial Content"),
        CONTENT.replace(b"Content-Length: 7", b"Transfer-Encoding: chunked"),
        CONTENT.replace(b"Content-Length: 7\r\n", b""),
        CONTENT.replace(b'ETag: "e1"\r\n', b""),
        b"HTTP/1.0 200 OK\r\n\r\ncontent",
    ],
)
def test_strange_answers_to_get_are_for_boto3(answer: bytes) -> None:
    with serving(*[answer] * 5) as server:
        direct = client(server.address)
        for _turn in range(5):
            with pytest.raises(Unrecognised):
                direct.open("key")

        assert not direct.is_understood
