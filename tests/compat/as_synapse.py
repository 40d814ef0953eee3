# SPDX-License-Identifier: GPL-3.0-or-later
"""Store and fetch files by synapse-s3-storage-provider itself; run by the Python of the step "provider".

Each line of standard input is an order, as JSON: {"media": directory, "config": the provider's, "store": [path ...],
"fetch": [path ...]}. Each line of standard output is its result: what came of each path. Of a file that was stored
null, of one that was fetched the SHA-256 in hexadecimal digits, or null when the provider found none; of a failure
{"error": text}.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from types import SimpleNamespace
from typing import Any

from s3_storage_provider import S3StorageProviderBackend
from twisted.internet import defer, reactor, threads


class Hash:
    """What Synapse streams a download to."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def registerProducer(self, _producer: object, streaming: bool) -> None:  # noqa: N802 (Twisted's)
        assert streaming

    def unregisterProducer(self) -> None:  # noqa: N802 (Twisted's)
        pass

    def write(self, data: bytes) -> None:
        self.sha256.update(data)


class Api:
    """Of Synapse's ModuleApi what the provider calls."""

    def defer_to_threadpool(self, pool: object, function: Callable[..., object], *args: object, **named: object) -> Any:
        return threads.deferToThreadPool(reactor, pool, function, *args, **named)


async def told(work: Awaitable[Any]) -> Any:
    try:
        return await work
    except Exception as error:  # noqa: BLE001 (it is the result)
        return {"error": f"{type(error).__name__}: {error}"}


async def fetch(provider: Any, path: str) -> str | None:
    responder = await provider.fetch(path, None)
    if responder is None:
        return None
    consumer = Hash()
    with responder:
        await responder.write_to_consumer(consumer)
    return consumer.sha256.hexdigest()


async def carry_out(order: Mapping[str, Any]) -> Mapping[str, Any]:
    config = SimpleNamespace(media=SimpleNamespace(media_store_path=order["media"]))
    homeserver = SimpleNamespace(config=config, get_module_api=Api)
    provider = S3StorageProviderBackend(homeserver, S3StorageProviderBackend.parse_config(order["config"]))
    results = {path: await told(provider.store_file(path, None)) for path in order["store"]}
    return results | {path: await told(fetch(provider, path)) for path in order["fetch"]}


async def serve() -> None:
    while line := await threads.deferToThread(sys.stdin.readline):
        print(json.dumps(await carry_out(json.loads(line))), flush=True)


def begin() -> None:
    def failed(failure: Any) -> None:
        failure.printTraceback(sys.stderr)

    defer.ensureDeferred(serve()).addErrback(failed).addBoth(lambda _result: reactor.stop())


reactor.callWhenRunning(begin)
reactor.run()
