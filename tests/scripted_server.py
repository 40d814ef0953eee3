# SPDX-License-Identifier: GPL-3.0-or-later
"""An HTTP server that gives the answers of a script: for what no real S3 server does when asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Answer:
    """One answer. ``missing`` bytes are announced and never sent; status 0 closes without an answer.

    Without ``has_length`` the end of the connection is the end of the content.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    missing: int = 0
    has_length: bool = True


def s3_error(status: int, code: str, message: str = "", **more: str) -> Answer:
    elements = {"Code": code, "Message": message, **more}
    body = "".join(f"<{name}>{text}</{name}>" for name, text in elements.items())
    return Answer(status, f"<?xml version='1.0'?><Error>{body}</Error>".encode())


@dataclass
class ScriptedServer:
    """``seen`` holds the requests so far, as "METHOD /path?query". A request beyond the script is for ``otherwise``."""

    url: str
    answers: list[Answer]
    otherwise: Callable[[str], Answer]
    seen: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def run_script(
    *answers: Answer, otherwise: Callable[[str], Answer] = lambda _request: Answer(599)
) -> Iterator[ScriptedServer]:
    """Run a server that gives these answers, one after the other, and then what ``otherwise`` makes of a request."""
    server = _Server(("127.0.0.1", 0), _Handler)
    script = server.script = ScriptedServer(f"http://127.0.0.1:{server.server_port}", list(answers), otherwise)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    script: ScriptedServer


class _Handler(BaseHTTPRequestHandler):
    # Without it a client that asks "Expect: 100-continue" waits a second for the go-ahead.
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        assert isinstance(self.server, _Server)
        script = self.server.script
        script.seen.append(f"{self.command} {self.path}")
        script.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = script.answers.pop(0) if script.answers else script.otherwise(script.seen[-1])
        self.close_connection = True
        if not answer.status:
            return
        self.send_response(answer.status)
        # Told, so that no client sends its next request into a connection that is just being closed.
        self.send_header("Connection", "close")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.has_length:
            self.send_header("Content-Length", str(len(answer.body) + answer.missing))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""
