# SPDX-License-Identifier: GPL-3.0-or-later
"""A TLS terminator, for a server that speaks none."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def terminate_tls(host: str, certificate: Path, key: Path) -> Iterator[str]:
    """Take TLS connections for the server at ``host``, and give the address at which that is done."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    name, _unused, port = host.rpartition(":")

    async def serve(near: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            far, ask = await asyncio.open_connection(name, int(port))
            await asyncio.gather(_pass(near, ask), _pass(far, answer))

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(64 * 1024):
            target.write(data)
            await target.drain()
    target.close()
