# SPDX-License-Identifier: GPL-3.0-or-later
"""A real MinIO server of its own for a test run, with a free port, an own directory and, if wanted, TLS."""

from __future__ import annotations

import os
import secrets
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.tests.certificate import write_certificate
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider

REGION = "eu-test-1"
ADMIN_KEY = "test-administrator"
ADMIN_SECRET = "test-administrator-secret"
_START_TIMEOUT = 30


@dataclass(frozen=True)
class MinioServer:
    """A running server. ``certificate`` is its own, self-signed, and None without TLS."""

    host: str
    certificate: Path | None

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://{self.host}"

    def new_bucket(self) -> BucketSettings:
        """Make a bucket of a name of its own, with the administrator's credentials."""
        bucket = f"test-{secrets.token_hex(8)}"
        self.client().create_bucket(Bucket=bucket)
        return self.settings(bucket)

    def settings(self, bucket: str) -> BucketSettings:
        return BucketSettings(
            bucket=bucket,
            region_name=REGION,
            endpoint_url=self.url,
            access_key_id=ADMIN_KEY,
            secret_access_key=ADMIN_SECRET,
            ca_bundle_path=str(self.certificate) if self.certificate else None,
        )

    def client(self) -> Any:
        """A plain boto3 client, to look at the server without the code under test."""
        return _client(self.url, self.certificate)

    def restricted(self, settings: BucketSettings, *actions: str) -> BucketSettings:
        """The same bucket for a new user who may do only these actions in it, for example s3:PutObject."""
        name, secret = f"user-{secrets.token_hex(6)}", secrets.token_hex(16)
        resources = [f"arn:aws:s3:::{settings.bucket}", f"arn:aws:s3:::{settings.bucket}/*"]
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": resources}
        admin = self._admin()
        admin.policy_add(policy_name=name, policy={"Version": "2012-10-17", "Statement": [statement]})
        admin.user_add(access_key=name, secret_key=secret)
        admin.attach_policy(policies=[name], user=name)
        return replace(settings, access_key_id=name, secret_access_key=secret)

    def _admin(self) -> MinioAdmin:
        return MinioAdmin(
            endpoint=self.host,
            credentials=StaticProvider(access_key=ADMIN_KEY, secret_key=ADMIN_SECRET),
            region=REGION,
            secure=bool(self.certificate),
            http_client=urllib3.PoolManager(ca_certs=str(self.certificate)) if self.certificate else None,
        )


# Making one takes longer than most of the requests that a test sends with it.
@cache
def _client(url: str, certificate: Path | None) -> Any:
    return boto3.session.Session().client(
        "s3",
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id=ADMIN_KEY,
        aws_secret_access_key=ADMIN_SECRET,
        verify=str(certificate) if certificate else None,
    )


@contextmanager
def run_minio(directory: Path, *, tls: bool) -> Iterator[MinioServer]:
    """Run a server in an empty directory until the block ends."""
    certificates = directory / "certs"
    if tls:
        write_certificate(certificates, ["test-server"])
    server = MinioServer(f"127.0.0.1:{free_port()}", certificates / "public.crt" if tls else None)
    log = directory / "minio.log"
    environment = {
        "HOME": str(directory),
        "PATH": os.defpath,
        "MINIO_ROOT_USER": ADMIN_KEY,
        "MINIO_ROOT_PASSWORD": ADMIN_SECRET,
        "MINIO_SITE_REGION": REGION,
        "MINIO_BROWSER": "off",
        "MINIO_PROMETHEUS_AUTH_TYPE": "public",
    }
    data = directory / "data"
    command = [str(minio_binary()), "server", "--address", server.host, "--certs-dir", str(certificates), str(data)]
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process:
        try:
            _wait_until_ready(server, process, log)
            yield server
        finally:
            process.terminate()


def minio_binary() -> Path:
    """The server's program: $MINIO_BINARY, or where scripts/setup builds it. A missing one is an error."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    binary = Path(os.environ.get("MINIO_BINARY") or cache / "matrixops-synapse-s3" / "bin" / "minio")
    if not binary.is_file():
        raise FileNotFoundError(f"MinIO's program {str(binary)!r} is missing: run scripts/setup, or set MINIO_BINARY")
    return binary


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(server: MinioServer, process: subprocess.Popen[bytes], log: Path) -> None:
    context = ssl.create_default_context(cafile=str(server.certificate)) if server.certificate else None
    end = time.monotonic() + _START_TIMEOUT
    while not _is_ready(server, context):
        if time.monotonic() > end or process.poll() is not None:
            raise RuntimeError(f"MinIO did not get ready:\n{log.read_text()}")
        time.sleep(0.1)


def _is_ready(server: MinioServer, context: ssl.SSLContext | None) -> bool:
    try:
        with urllib.request.urlopen(f"{server.url}/minio/health/ready", timeout=2, context=context):
            return True
    except OSError:
        return False


@pytest.fixture(scope="session")
def minio_http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinioServer]:
    with run_minio(tmp_path_factory.mktemp("minio-http"), tls=False) as server:
        yield server


@pytest.fixture(scope="session")
def minio_https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinioServer]:
    with run_minio(tmp_path_factory.mktemp("minio-https"), tls=True) as server:
        yield server
