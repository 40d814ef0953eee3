# SPDX-License-Identifier: GPL-3.0-or-later
"""A real MinIO server of its own for a test run, with a free port, an own directory and, if wanted, TLS."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import urllib3
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.tests.certificate import write_certificate
from ansible_collections.matrixops.synapse_s3.tests.s3_server import (
    ADMIN_KEY,
    ADMIN_SECRET,
    REGION,
    S3Server,
    built,
    free_port,
    run_server,
)
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider

__all__ = [
    "ADMIN_KEY",
    "ADMIN_SECRET",
    "REGION",
    "MinioServer",
    "free_port",
    "minio_binary",
    "minio_http",
    "minio_https",
    "run_minio",
]


@dataclass(frozen=True)
class MinioServer(S3Server):
    """A running MinIO."""

    def restricted(self, settings: BucketSettings, *actions: str) -> BucketSettings:
        """The same bucket for a new user who may do only these actions in it, for example s3:PutObject."""
        resources = [f"arn:aws:s3:::{settings.bucket}", f"arn:aws:s3:::{settings.bucket}/*"]
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": resources}
        return self.with_policy(settings, {"Version": "2012-10-17", "Statement": [statement]})

    def with_policy(self, settings: BucketSettings, policy: dict[str, Any]) -> BucketSettings:
        """The same bucket for a new user who has this policy alone."""
        name, secret = f"user-{secrets.token_hex(6)}", secrets.token_hex(16)
        admin = self.admin()
        admin.policy_add(policy_name=name, policy=policy)
        admin.user_add(access_key=name, secret_key=secret)
        admin.attach_policy(policies=[name], user=name)
        return replace(settings, access_key_id=name, secret_access_key=secret)

    def admin(self) -> MinioAdmin:
        """Who administers its users."""
        return MinioAdmin(
            endpoint=self.host,
            credentials=StaticProvider(access_key=ADMIN_KEY, secret_key=ADMIN_SECRET),
            region=REGION,
            secure=bool(self.certificate),
            http_client=urllib3.PoolManager(ca_certs=str(self.certificate)) if self.certificate else None,
        )


@contextmanager
def run_minio(directory: Path, *, tls: bool, variables: Mapping[str, str] | None = None) -> Iterator[MinioServer]:
    """Run a server in an empty directory until the block ends; with these ``variables`` in its environment too."""
    certificates = directory / "certs"
    if tls:
        write_certificate(certificates, ["test-server"])
    server = MinioServer(f"127.0.0.1:{free_port()}", certificates / "public.crt" if tls else None)
    environment = {
        "MINIO_ROOT_USER": ADMIN_KEY,
        "MINIO_ROOT_PASSWORD": ADMIN_SECRET,
        "MINIO_SITE_REGION": REGION,
        "MINIO_BROWSER": "off",
        "MINIO_PROMETHEUS_AUTH_TYPE": "public",
        **(variables or {}),
    }
    command: list[str | Path] = [
        minio_binary(),
        "server",
        "--address",
        server.host,
        "--certs-dir",
        certificates,
        directory / "data",
    ]
    with run_server(server, command, directory, environment):
        yield server


def minio_binary() -> Path:
    """The server's program: $MINIO_BINARY, or where scripts/setup builds it. A missing one is an error."""
    return built("minio", "minio")


@pytest.fixture(scope="session")
def minio_http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinioServer]:
    with run_minio(tmp_path_factory.mktemp("minio-http"), tls=False) as server:
        yield server


@pytest.fixture(scope="session")
def minio_https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinioServer]:
    with run_minio(tmp_path_factory.mktemp("minio-https"), tls=True) as server:
        yield server
