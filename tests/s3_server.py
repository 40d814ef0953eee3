# SPDX-License-Identifier: GPL-3.0-or-later
"""Real S3 servers of their own for a test run: what all kinds of them share."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import botocore.loaders
import botocore.session
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings

REGION = "eu-test-1"
ADMIN_KEY = "test-administrator"
ADMIN_SECRET = "test-administrator-secret"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matrixops-synapse-s3"
# Ceph 16 takes no upload over https whose checksum comes behind it, as boto3 makes them.
PLAIN = botocore.config.Config(request_checksum_calculation="when_required")
# To read what botocore knows of S3 takes each client half a second otherwise. Those of one session share it anyway.
botocore.session.create_loader = cache(botocore.loaders.create_loader)
_START_TIMEOUT = 120
_STOP_TIMEOUT = 5


@dataclass(frozen=True)
class S3Server:
    """A running server, and the secret it is used with. ``certificate`` is its own, self-signed; None without TLS."""

    host: str
    certificate: Path | None = None
    secret: str = ADMIN_SECRET

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://{self.host}"

    def new_bucket(self, **arguments: object) -> BucketSettings:
        """Make a bucket of a name of its own, with the administrator's credentials. ``arguments``: of boto3."""
        bucket = f"test-{secrets.token_hex(8)}"
        self.client().create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}, **arguments
        )
        return self.settings(bucket)

    def settings(self, bucket: str) -> BucketSettings:
        return BucketSettings(
            bucket=bucket,
            region_name=REGION,
            endpoint_url=self.url,
            access_key_id=ADMIN_KEY,
            secret_access_key=self.secret,
            ca_bundle_path=str(self.certificate) if self.certificate else None,
        )

    def restricted(self, settings: BucketSettings, *actions: str) -> BucketSettings:
        """The same bucket for a new user who may do only these actions in it, for example s3:PutObject."""
        raise NotImplementedError(f"{type(self).__name__} has no users")

    def client(self, user: BucketSettings | None = None) -> Any:
        """A plain boto3 client, to look at the server without the code under test, by the key of ``user`` if given."""
        key = (user.access_key_id, user.secret_access_key) if user else (ADMIN_KEY, self.secret)
        return _client(self.url, self.certificate, *key)

    def write_down(self, path: Path, lacks: Mapping[str, str]) -> None:
        """For `given_server` of another process. ``lacks``: names of tests that fail here, with the reason."""
        server = {**asdict(self), "certificate": str(self.certificate) if self.certificate else None}
        path.write_text(json.dumps({"server": server, "lacks": lacks}), encoding="utf-8")


# Making one takes longer than most of the requests that a test sends with it.
@cache
def _client(url: str, certificate: Path | None, key: str | None, secret: str | None) -> Any:
    return boto3.session.Session().client(
        "s3",
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        verify=str(certificate) if certificate else None,
        config=PLAIN,
    )


def given_server() -> tuple[S3Server, Mapping[str, str]] | None:
    """The server of $SYNAPSE_S3_SERVER, a file of `write_down`, and what it lacks; None without the variable."""
    path = os.environ.get("SYNAPSE_S3_SERVER")
    if not path:
        return None
    given = json.loads(Path(path).read_text(encoding="utf-8"))
    certificate = given["server"]["certificate"]
    return S3Server(given["server"]["host"], Path(certificate) if certificate else None), given["lacks"]


@contextmanager
def run_server(
    server: S3Server,
    command: Sequence[str | Path],
    directory: Path,
    environment: Mapping[str, str],
    start_timeout: float = _START_TIMEOUT,
) -> Iterator[None]:
    """Run a server's program until the block ends; the block begins when it answers to the administrator."""
    log = directory / f"server-{server.host.rpartition(':')[2]}.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [str(word) for word in command],
            env={"HOME": str(directory), "PATH": os.defpath, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=directory,
        ) as process,
    ):
        try:
            wait_until_ready(server, process, log, start_timeout)
            yield
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_TIMEOUT)
            process.kill()


def wait_until_ready(
    server: S3Server, process: subprocess.Popen[bytes], log: Path, timeout: float = _START_TIMEOUT
) -> None:
    end = time.monotonic() + timeout
    while not _answers(server):
        if time.monotonic() > end or process.poll() is not None:
            raise RuntimeError(
                f"The server at {server.url} did not get ready:\n{log.read_text(errors='replace')[-3000:]}"
            )
        time.sleep(0.2)


def _answers(server: S3Server) -> bool:
    host, _unused, port = server.host.rpartition(":")
    try:
        with closing(socket.create_connection((host, int(port)), 2)):
            pass
        server.client().list_buckets()
    except (OSError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
        return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def built(name: str, step: str) -> Path:
    """A program where scripts/setup builds it. A missing one is an error."""
    binary = Path(os.environ.get(f"{name.upper()}_BINARY") or CACHE / "bin" / name)
    if not binary.is_file():
        raise FileNotFoundError(f"The program {str(binary)!r} is missing: run scripts/setup {step}")
    return binary
