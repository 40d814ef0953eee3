# SPDX-License-Identifier: GPL-3.0-or-later
"""Synapse is asked whether it serves before anything is changed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._health import TRIES, health_problems

PROBLEM = "Could not see that Synapse serves, although its services run: at"
ADVICE = (
    "Correct synapse_health_url: it is /health of a listener of Synapse's, as this host reaches it. If it is right, and"
    " Synapse itself is the matter, stop Synapse: one that does not run is not asked."
)


@contextmanager
def serving(*statuses: int) -> Iterator[str]:
    """A server that answers with these in turn, and with the last from then on; its URL."""
    left = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/health"
        finally:
            server.shutdown()
            thread.join()


def look(url: str, *, all_run: bool = True) -> tuple[list[str], list[float]]:
    waited: list[float] = []
    return health_problems(url, all_run=all_run, wait=waited.append), waited


def test_synapse_that_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with serving(200) as url:
        assert look(url) == ([], [])


def test_synapse_that_was_just_started() -> None:
    with serving(503, 503, 200) as url:
        assert look(url) == ([], [1, 1])


def test_another_page_of_the_server_s() -> None:
    with serving(404) as url:
        problem = (
            f"Could not see that Synapse serves, although its services run: at {url!r} the answer has the status 404."
        )
        assert look(url) == ([f"{problem} {ADVICE}"], [1] * (TRIES - 1))


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/health"
    assert look(url)[0] == [f"{PROBLEM} {url!r} there is no answer ([Errno 111] Connection refused). {ADVICE}"]


def test_a_url_that_cannot_be_asked() -> None:
    problems, _waited = look("http://127.0.0.1:9/he\u00e4lth")
    assert problems[0].startswith(f"{PROBLEM} 'http://127.0.0.1:9/he\u00e4lth' there is no answer ('ascii' codec can't")


def test_not_asked_where_nothing_is_known() -> None:
    assert look("http://127.0.0.1:9/health", all_run=False) == ([], [])
    assert look("") == ([], [])
