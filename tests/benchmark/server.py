# SPDX-License-Identifier: GPL-3.0-or-later
"""A MinIO server for a benchmark, reached with an added round trip, and what it says of its own work."""

from __future__ import annotations

import re
import secrets
import ssl
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.tests.benchmark.delay import delayed
from ansible_collections.matrixops.synapse_s3.tests.benchmark.results import Condition
from ansible_collections.matrixops.synapse_s3.tests.minio_server import MinioServer, run_minio

_MEMORY = Path("/dev/shm")
# MinIO reads its counters anew once a second.
_COUNTER_SECONDS = 1.1
_COUNTED = re.compile(r'^minio_api_requests_total\{.*type="s3"\} (\S+)$', re.MULTILINE)
_CPU = re.compile(r"^minio_system_process_cpu_total_seconds\{.*\} (\S+)$", re.MULTILINE)
_WARM_UP_OBJECTS = 200


@dataclass(frozen=True)
class Work:
    """What the server has done since it started."""

    requests: int
    cpu_seconds: float


@dataclass(frozen=True)
class BenchServer:
    """The server, the address under which the programs reach it, with the added round trip, and where its data is."""

    minio: MinioServer
    host: str
    data: Path

    def new_bucket(self) -> BucketSettings:
        """Make a bucket; its settings lead through the added round trip."""
        bucket = f"bench-{secrets.token_hex(8)}"
        self.client().create_bucket(Bucket=bucket)
        scheme = self.minio.url.partition(":")[0]
        return replace(self.minio.settings(bucket), endpoint_url=f"{scheme}://{self.host}")

    def client(self) -> Any:
        """A plain client that reaches the server directly."""
        return self.minio.client()

    def work(self) -> Work:
        """The S3 requests so far, of any kind, and the CPU time."""
        time.sleep(_COUNTER_SECONDS)
        requests = _COUNTED.findall(self._metrics("api/requests"))
        (cpu,) = _CPU.findall(self._metrics("system/process"))
        return Work(round(sum(map(float, requests))), float(cpu))

    def _metrics(self, name: str) -> str:
        certificate = self.minio.certificate
        context = ssl.create_default_context(cafile=str(certificate)) if certificate else None
        with urllib.request.urlopen(f"{self.minio.url}/minio/metrics/v3/{name}", context=context) as answer:
            text: str = answer.read().decode()
            return text


@contextmanager
def bench_server(condition: Condition, directory: Path) -> Iterator[BenchServer]:
    """Run a server of its own, warm; ``directory`` is where it stands when it is to be on a disk."""
    base = base_directory(condition.storage, directory)
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=base) as stand,
        run_minio(Path(stand), tls=condition.scheme == "https") as minio,
        delayed(minio.host, condition.rtt_ms) as host,
    ):
        server = BenchServer(minio, host, Path(stand, "data"))
        _warm_up(server)
        yield server


def base_directory(storage: str, directory: Path) -> Path:
    return _MEMORY if storage == "memory" else directory


def _warm_up(server: BenchServer) -> None:
    client, bucket = server.client(), server.new_bucket().bucket
    for number in range(_WARM_UP_OBJECTS):
        client.put_object(Bucket=bucket, Key=str(number), Body=b"warm" * 1000)
