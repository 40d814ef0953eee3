# SPDX-License-Identifier: GPL-3.0-or-later
"""The program as a process of its own, on a media store, a SQLite database and a real MinIO."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.lock import run_lock
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import MediaStore
from ansible_collections.matrixops.synapse_s3.tests.minio_server import MinioServer
from ansible_collections.matrixops.synapse_s3.tests.synapse_schema import SCHEMA

MODULE_UTILS = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"
PREFIX = "hs/"
NONE = {"files": 0, "bytes": 0}


class Homeserver:
    """A Synapse without Synapse: its media store, its database, its configuration and its bucket."""

    def __init__(self, directory: Path, server: MinioServer) -> None:
        self.server = server
        self.media = directory / "media"
        self.media.mkdir()
        self.database = directory / "homeserver.db"
        self.state = directory / "state"
        self.state.mkdir()
        self.configuration = directory / "homeserver.yaml"
        self.bucket = server.new_bucket()
        with sqlite3.connect(self.database) as connection:
            connection.executescript(SCHEMA)
        connection.close()
        self.configure(self.bucket)

    def configure(self, bucket: BucketSettings) -> None:
        settings = {
            "bucket": bucket.bucket,
            "prefix": PREFIX,
            "region_name": bucket.region_name,
            "endpoint_url": bucket.endpoint_url,
            "access_key_id": bucket.access_key_id,
            "secret_access_key": bucket.secret_access_key,
        }
        provider = {"module": "s3_storage_provider.S3StorageProviderBackend", "config": settings}
        configuration = {
            "media_store_path": str(self.media),
            "media_storage_providers": [provider],
            "database": {"name": "sqlite3", "args": {"database": str(self.database)}},
        }
        self.configuration.write_text(yaml.safe_dump(configuration), encoding="utf-8")

    def upload(self, sizes: list[int]) -> dict[str, bytes]:
        """Have media of these sizes, two hours old; returns the content by path below the media store."""
        numbers = random.Random(0)  # noqa: S311 (test data, the same in every run)
        added = {}
        with sqlite3.connect(self.database) as connection:
            for size in sizes:
                media_id = "".join(numbers.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", k=24))
                content = numbers.randbytes(size)
                path = f"local_content/{media_id[:2]}/{media_id[2:4]}/{media_id[4:]}"
                self.write(path, content)
                row = (media_id, size, 1, None, None, hashlib.sha256(content).hexdigest())
                connection.execute("INSERT INTO local_media_repository VALUES (?, ?, ?, ?, ?, ?)", row)
                added[path] = content
        connection.close()
        return added

    def write(self, path: str, content: bytes) -> None:
        target = self.media / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        two_hours_ago = time.time() - 7200
        os.utime(target, (two_hours_ago, two_hours_ago))

    def local(self) -> dict[str, bytes]:
        files = (path for path in self.media.rglob("*") if path.is_file())
        return {path.relative_to(self.media).as_posix(): path.read_bytes() for path in files}

    def count_local(self) -> int:
        """Also while a run deletes files."""
        return sum(len(files) for _, _, files in os.walk(self.media))

    def stored(self) -> dict[str, bytes]:
        client = self.server.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket.bucket)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {
            key.removeprefix(PREFIX): client.get_object(Bucket=self.bucket.bucket, Key=key)["Body"].read()
            for key in keys
        }

    def start(self, *arguments: str, path: Path | None = None) -> subprocess.Popen[str]:
        unwanted = ("AWS_", "PYTHON")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
        paths = [str(MODULE_UTILS), *([str(path)] if path else [])]
        return subprocess.Popen(
            [sys.executable, "-m", "_media", "--config", str(self.configuration), *arguments],
            env={**environment, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, path: Path | None = None) -> tuple[int, str, str]:
        process = self.start(*arguments, path=path)
        stdout, stderr = process.communicate(timeout=120)
        return process.returncode, stdout, stderr

    def migrate(self, *arguments: str, path: Path | None = None) -> Mapping[str, Any]:
        status, stdout, stderr = self.run("migrate", "--json", *arguments, path=path)
        result: Mapping[str, Any] = json.loads(stdout.splitlines()[-1])
        assert result["exit_code"] == status, stderr
        return result


@pytest.fixture
def homeserver(tmp_path: Path, minio_http: MinioServer) -> Homeserver:
    return Homeserver(tmp_path, minio_http)


def test_whole_way(homeserver: Homeserver) -> None:
    content = homeserver.upload([0, 1, 5000, 8 * 2**20 - 1, 8 * 2**20, 20 * 2**20])
    total = {"files": len(content), "bytes": sum(map(len, content.values()))}

    first = homeserver.migrate()
    stored = homeserver.stored()
    second = homeserver.migrate()

    assert (first["uploaded"], first["deleted"], first["exit_code"]) == (total, total, 0)
    assert stored == content
    assert homeserver.local() == {}
    assert [path.name for path in homeserver.media.iterdir()] == ["local_content"]
    assert (second["uploaded"], second["deleted"], second["already_stored"], second["exit_code"]) == (
        NONE,
        NONE,
        NONE,
        0,
    )


def test_preflight_and_status(homeserver: Homeserver) -> None:
    homeserver.upload([1, 2, 3])

    assert homeserver.run("preflight") == (
        0,
        "The bucket can be reached, listed, written, read and deleted from.\n",
        "",
    )
    status, stdout, _ = homeserver.run("status", "--json", "--unit", "no-such-unit-of-this-name")
    assert status == 0
    assert json.loads(stdout) == {
        "local": {"files": 3, "bytes": 6},
        "stored": NONE,
        "at_risk": {"files": 3, "bytes": 6},
        "last_run": None,
        "last_result": None,
        "last_exit_code": None,
        "next_run": None,
        "exit_code": 0,
    }


def test_missing_bucket(homeserver: Homeserver) -> None:
    content = homeserver.upload([10])
    homeserver.configure(homeserver.server.settings("no-such-bucket"))

    result = homeserver.migrate()

    assert result["exit_code"] == 69
    assert homeserver.local() == content


def test_no_permission_to_list(homeserver: Homeserver) -> None:
    """Without it HEAD answers 403 for a missing key on most servers: nothing can be told, so nothing is begun."""
    content = homeserver.upload([10])
    homeserver.configure(homeserver.server.restricted(homeserver.bucket, "s3:GetObject", "s3:PutObject"))

    result = homeserver.migrate()

    assert result["exit_code"] == 77
    assert homeserver.local() == content
    assert homeserver.stored() == {}


def test_every_upload_fails(homeserver: Homeserver) -> None:
    content = homeserver.upload([10, 20, 30])
    homeserver.configure(homeserver.server.restricted(homeserver.bucket, "s3:ListBucket", "s3:GetObject"))

    result = homeserver.migrate()

    assert (result["failed"], result["uploaded"], result["exit_code"]) == ({"files": 3, "bytes": 60}, NONE, 1)
    assert sorted(problem["path"] for problem in result["problems"]) == sorted(content)
    assert homeserver.local() == content


def test_two_runs_at_once(homeserver: Homeserver) -> None:
    content = homeserver.upload([10])

    with run_lock(MediaStore(homeserver.media), wait=False, stop=Event()):
        refused = homeserver.migrate()
        waiting = homeserver.start("migrate", "--json", "--wait")
        time.sleep(1.5)
        assert waiting.poll() is None
        assert homeserver.local() == content
    stdout, _ = waiting.communicate(timeout=60)

    assert refused["exit_code"] == 75
    assert refused["errors"] == [
        f"Could not start: another run is working on the media store {str(homeserver.media)!r}."
        " Wait until it has ended, or use --wait."
    ]
    assert json.loads(stdout)["deleted"] == {"files": 1, "bytes": 10}


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_stops_between_files(homeserver: Homeserver, number: int, status: int) -> None:
    content = homeserver.upload([50_000] * 3000)
    process = homeserver.start("migrate", "--json", "--workers", "2")
    while homeserver.count_local() == len(content):
        time.sleep(0.05)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)

    result = json.loads(stdout)
    assert process.returncode == result["exit_code"] == status
    assert "Stopping after the files under way; once more to stop at once." in stderr
    assert 0 < result["deleted"]["files"] < len(content)
    # Whatever is not in the bucket is on the local disk, and the counts are those of what was done.
    assert {**homeserver.stored(), **homeserver.local()} == content
    assert len(homeserver.local()) == len(content) - result["deleted"]["files"]


def test_killed_runs_lose_nothing(homeserver: Homeserver) -> None:
    content = homeserver.upload([100_000] * 400 + [9 * 2**20])
    for delay in (0.4, 0.6, 0.8, 1.0):
        process = homeserver.start("migrate")
        time.sleep(delay)
        process.kill()
        process.communicate()
        assert {**homeserver.stored(), **homeserver.local()} == content

    assert homeserver.migrate()["exit_code"] == 0
    assert homeserver.stored() == content
    assert homeserver.local() == {}


def test_metrics_file(homeserver: Homeserver, tmp_path: Path) -> None:
    homeserver.upload([10, 20])
    metrics = tmp_path / "migrate.prom"

    homeserver.migrate("--metrics-file", str(metrics))

    lines = metrics.read_text().splitlines()
    assert 'synapse_s3_migrate_files{result="uploaded"} 2' in lines
    assert 'synapse_s3_migrate_bytes{result="uploaded"} 30' in lines
    assert "synapse_s3_migrate_exit_status 0" in lines


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A strict stand-in for upstream's script, beside a stand-in for its provider; the role's tests have the real one.

    It knows the documented commands only, prints what it got, copies what it is told to and always exits 0.
    """
    library = tmp_path / "library"
    (library / "bin").mkdir(parents=True)
    (library / "s3_storage_provider.py").write_text("")
    source = Path(__file__).parent / "fake_s3_media_upload.py"
    shutil.copy(source, library / "bin" / "s3_media_upload")
    return library


def test_engine_s3_media_upload(homeserver: Homeserver, script: Path) -> None:
    content = homeserver.upload([10, 20, 30])

    result = homeserver.migrate("--engine", "s3_media_upload", "--state-directory", str(homeserver.state), path=script)

    assert homeserver.stored() == content
    assert homeserver.local() == {}
    assert (result["already_stored"], result["deleted"]) == ({"files": 3, "bytes": 60}, {"files": 3, "bytes": 60})
    assert result["exit_code"] == 0


def test_engine_s3_media_upload_that_left_something_behind(homeserver: Homeserver, script: Path) -> None:
    """Upstream's script exits 0 when uploads failed."""
    content = homeserver.upload([10, 20, 30])
    homeserver.configure(homeserver.server.restricted(homeserver.bucket, "s3:ListBucket", "s3:GetObject"))

    result = homeserver.migrate("--engine", "s3_media_upload", "--state-directory", str(homeserver.state), path=script)

    assert (result["failed"], result["exit_code"]) == ({"files": 3, "bytes": 60}, 1)
    assert result["problems"][0]["reason"] == "It is not in the bucket after s3_media_upload ran."
    assert homeserver.local() == content


def test_documented_commands_in_the_shell(homeserver: Homeserver, script: Path, tmp_path: Path) -> None:
    """As printed, with --delete: what is not proven stays all the same."""
    content = homeserver.upload([10, 20, 30])
    empty = min(content)
    homeserver.server.client().put_object(Bucket=homeserver.bucket.bucket, Key=PREFIX + empty, Body=b"")
    launcher = tmp_path / "bin" / "s3_media_upload"
    launcher.parent.mkdir()
    launcher.write_text(
        f'#!/bin/sh\nexec {sys.executable} -m _media --config {homeserver.configuration} s3_media_upload "$@"\n'
    )
    launcher.chmod(0o755)
    commands = (
        f"PATH={launcher.parent}:$PATH\n"
        "s3_media_upload update-db $UPDATE_DB_DURATION\n"
        "s3_media_upload check-deleted $MEDIA_PATH\n"
        "s3_media_upload upload $MEDIA_PATH $BUCKET --delete --storage-class $STORAGE_CLASS --endpoint-url $ENDPOINT\n"
    )

    status, _, stderr = homeserver.run(
        "shell", "--state-directory", str(homeserver.state), "sh", "-c", commands, path=script
    )

    assert status == 1, stderr
    assert homeserver.local() == {empty: content[empty]}
    assert homeserver.stored() == {**content, empty: b""}
    assert f"{empty}: Conflict, nothing was changed: the bucket holds other content under this key." in stderr
    assert not (homeserver.state / "s3_media_upload" / "database.yaml").exists()


def test_shell_passes_on_the_status(homeserver: Homeserver) -> None:
    status, stdout, _ = homeserver.run("shell", "--state-directory", str(homeserver.state), "sh", "-c", "pwd; exit 3")

    assert status == 3
    assert stdout == f"{homeserver.state / 's3_media_upload'}\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_shell_that_is_ended_leaves_no_password(homeserver: Homeserver, number: int) -> None:
    file = homeserver.state / "s3_media_upload" / "database.yaml"
    process = homeserver.start("shell", "--state-directory", str(homeserver.state), "sleep", "60")
    while not file.exists():
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(number)
    process.communicate(timeout=30)

    assert process.returncode == 128 + number
    assert not file.exists()


def test_shell_without_such_a_command(homeserver: Homeserver) -> None:
    status, _, stderr = homeserver.run("shell", "--state-directory", str(homeserver.state), "no-such-command")

    assert status == 78
    assert stderr == "Could not run 'no-such-command': No such file or directory. Give a command that is there.\n"


@pytest.mark.parametrize("command", ["migrate", "status", "preflight"])
def test_result_that_nobody_reads(homeserver: Homeserver, tmp_path: Path, command: str) -> None:
    """A pipe whose reader has gone; the metrics are written all the same."""
    homeserver.upload([10])
    metrics = tmp_path / "migrate.prom"
    options = ["--metrics-file", str(metrics)] if command == "migrate" else []
    process = homeserver.start(command, "--json", *options)
    assert process.stdout
    process.stdout.close()
    process.stdout = None
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 1
    assert stderr.splitlines()[-1] == (
        "Could not print the result: Broken pipe. See that what stdout is connected to stays open and has space."
    )
    assert metrics.exists() == (command == "migrate")


def test_engine_s3_media_upload_that_is_not_installed(homeserver: Homeserver) -> None:
    content = homeserver.upload([10])

    result = homeserver.migrate("--engine", "s3_media_upload", "--state-directory", str(homeserver.state))

    assert result["exit_code"] == 78
    assert result["errors"] == [
        f"Could not find s3_media_upload beside {sys.executable!r}: synapse-s3-storage-provider is not installed."
        " Install it, or run the role again."
    ]
    assert homeserver.local() == content
