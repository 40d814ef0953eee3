# SPDX-License-Identifier: GPL-3.0-or-later
"""Media stores on mounted buckets, with the real s3fs and rclone: who keeps the bucket loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.tests.fault_proxy import Exchange, Kind, pass_all, run_proxy
from ansible_collections.matrixops.synapse_s3.tests.fault_proxy import Plan as Fault
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import NONE, PREFIX, Homeserver, count
from ansible_collections.matrixops.synapse_s3.tests.soak import soak_but

_MOUNT_TIMEOUT = 30


@dataclass(frozen=True)
class Mount:
    """How a program is started, in the foreground, to show the objects below PREFIX of a bucket as files."""

    command: Callable[[BucketSettings, Path, Path], list[str]]
    environment: Callable[[BucketSettings], dict[str, str]]


def s3fs(bucket: BucketSettings, place: Path, state: Path) -> list[str]:
    password = state / "passwd-s3fs"
    password.write_text(f"{bucket.access_key_id}:{bucket.secret_access_key}\n")
    password.chmod(0o600)
    options = f"url={bucket.endpoint_url},use_path_request_style,endpoint={bucket.region_name},passwd_file={password}"
    return ["s3fs", f"{bucket.bucket}:/{PREFIX.rstrip('/')}", str(place), "-f", "-o", options]


def rclone(bucket: BucketSettings, place: Path, state: Path) -> list[str]:
    cache = ["--vfs-cache-mode", "writes", "--cache-dir", str(state / "rclone"), "--vfs-write-back", "100ms"]
    return ["rclone", "mount", f"bucket:{bucket.bucket}/{PREFIX.rstrip('/')}", str(place), *cache]


def rclone_environment(bucket: BucketSettings) -> dict[str, str]:
    settings = {
        "TYPE": "s3",
        "PROVIDER": "Minio",
        "ENDPOINT": bucket.endpoint_url,
        "REGION": bucket.region_name,
        "ACCESS_KEY_ID": bucket.access_key_id,
        "SECRET_ACCESS_KEY": bucket.secret_access_key,
    }
    return {f"RCLONE_CONFIG_BUCKET_{name}": str(value) for name, value in settings.items()}


MOUNTS = {"s3fs": Mount(s3fs, lambda _bucket: {}), "rclone": Mount(rclone, rclone_environment)}


@contextmanager
def mounted(name: str, bucket: BucketSettings, homeserver: Homeserver) -> Iterator[None]:
    """Show a bucket at the place of the media store."""
    mount = MOUNTS[name]
    # s3fs mounts nothing that is not there.
    homeserver.server.client().put_object(Bucket=bucket.bucket, Key=PREFIX, Body=b"")
    command = mount.command(bucket, homeserver.media, homeserver.state)
    with fuse(command, mount.environment(bucket), homeserver):
        yield


@contextmanager
def fuse(command: list[str], environment: dict[str, str], homeserver: Homeserver) -> Iterator[None]:
    """Run a program that mounts something at the place of the media store."""
    place, log = homeserver.media, homeserver.state / "mount.log"
    surroundings = {"PATH": os.environ["PATH"], "HOME": str(homeserver.state), **environment}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=surroundings, stdout=output, stderr=output)
    try:
        end = time.monotonic() + _MOUNT_TIMEOUT
        while not place.is_mount():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        subprocess.run(["fusermount3", "-u", "-z", str(place)], check=False)
        process.terminate()
        process.wait(timeout=30)


def fill(homeserver: Homeserver, bucket: BucketSettings) -> dict[str, bytes]:
    content = {**homeserver.upload([0, 10, 5000]), **homeserver.fetch("example.org", [9 * 2**20])}
    return written_back(homeserver, bucket, content)


def written_back(homeserver: Homeserver, bucket: BucketSettings, content: dict[str, bytes]) -> dict[str, bytes]:
    """Wait until the mount has stored what was written into it: until then it changes its files."""
    end = time.monotonic() + _MOUNT_TIMEOUT
    while objects(homeserver, bucket) != content:
        assert time.monotonic() < end
        time.sleep(0.2)
    time.sleep(1)
    return content


def objects(homeserver: Homeserver, bucket: BucketSettings) -> dict[str, bytes]:
    """The media in a bucket; s3fs keeps directories as objects beside it."""
    client = homeserver.server.client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket.bucket)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", []) if not entry["Key"].endswith("/")]
    return {key.removeprefix(PREFIX): client.get_object(Bucket=bucket.bucket, Key=key)["Body"].read() for key in keys}


@pytest.mark.parametrize("name", MOUNTS)
def test_nothing_is_restored_to_the_bucket_itself(homeserver: Homeserver, name: str) -> None:
    """All is on the local disk, as it seems, and whoever then gives up the bucket loses it."""
    with mounted(name, homeserver.bucket, homeserver):
        content = fill(homeserver, homeserver.bucket)
        status, stdout, stderr = homeserver.run("restore", "--json", "--minimum-free", "0")

    result = json.loads(stdout.splitlines()[-1])
    assert (status, result["already_local"], result["restored"]) == (78, NONE, NONE), stderr
    assert result["errors"] == [
        f"Could not restore: the media store is the bucket itself: what was written to {str(homeserver.media)!r} became"
        f" an object of bucket {homeserver.bucket.bucket!r} at {homeserver.bucket.endpoint_url}, prefix {PREFIX!r}."
        " Unmount the bucket there, and give Synapse a media_store_path on a disk of this host."
    ]
    assert objects(homeserver, homeserver.bucket) == content


@pytest.mark.parametrize("name", MOUNTS)
def test_media_store_that_is_the_bucket_itself(homeserver: Homeserver, name: str) -> None:
    """The provider's keys are just those below the mount: each file would be proven by itself, and go with itself."""
    with mounted(name, homeserver.bucket, homeserver):
        content = fill(homeserver, homeserver.bucket)
        result = homeserver.migrate("--minimum-age", "0s")
        left = homeserver.local()

    assert result["exit_code"] == 78
    assert result["deleted"] == NONE
    (error,) = result["errors"]
    assert error.startswith("Could not free the local disk: the media store is the bucket itself. When '")
    assert left == content
    assert objects(homeserver, homeserver.bucket) == content


@pytest.mark.parametrize("name", soak_but(["rclone"], MOUNTS))
def test_mount_of_another_bucket_is_a_good_source(homeserver: Homeserver, name: str) -> None:
    other = homeserver.server.new_bucket()
    with mounted(name, other, homeserver):
        content = fill(homeserver, other)
        result = homeserver.migrate("--minimum-age", "0s")
        left = homeserver.local()

    assert (result["exit_code"], result["deleted"]) == (0, count(content)), result
    assert left == {}
    assert objects(homeserver, homeserver.bucket) == content


def test_mount_of_a_disk_and_the_bucket_together(homeserver: Homeserver, tmp_path: Path) -> None:
    """As mergerfs and rclone's union have it: that one file stays tells nothing of the next one."""
    old = homeserver.upload([100, 200, 5000])
    homeserver.store(old)
    disk = tmp_path / "disk"
    disk.mkdir()
    for path in old:
        (homeserver.media / path).unlink()
    new = homeserver.upload([1234])
    subprocess.run(["cp", "-a", f"{homeserver.media}/.", disk], check=True)
    subprocess.run(["find", homeserver.media, "-mindepth", "1", "-delete"], check=True)
    upstreams = f"{disk} bucket:{homeserver.bucket.bucket}/{PREFIX.rstrip('/')}"
    union = {"RCLONE_CONFIG_UNION_TYPE": "union", "RCLONE_CONFIG_UNION_UPSTREAMS": upstreams}
    command = ["rclone", "mount", "union:", str(homeserver.media), "--vfs-cache-mode", "off"]

    with fuse(command, {**rclone_environment(homeserver.bucket), **union}, homeserver):
        assert homeserver.local() == {**old, **new}
        result = homeserver.migrate("--minimum-age", "0s", "--workers", "1")
        left = homeserver.local()

    assert result["exit_code"] == 78
    assert {**left, **objects(homeserver, homeserver.bucket)} == {**old, **new}


@pytest.mark.parametrize("kind", [Kind.HEAD, Kind.PUT])
def test_run_that_is_killed_before_it_has_put_back(homeserver: Homeserver, kind: Kind) -> None:
    """What was removed with its object comes back with the next run: killed when it looks, and when it puts back."""
    with mounted("s3fs", homeserver.bucket, homeserver):
        content = fill(homeserver, homeserver.bucket)

        def kill_once_one_is_gone(exchange: Exchange) -> bool:
            if homeserver.count_local() < len(content):
                process.kill()
                return False
            return pass_all(exchange)

        with run_proxy(homeserver.server.host, Fault(kind, kill_once_one_is_gone, times=None)) as proxy:
            homeserver.configure_endpoint(proxy.url)
            process = homeserver.start("migrate", "--minimum-age", "0s")
            process.communicate()
            assert process.returncode == -signal.SIGKILL
        assert len(objects(homeserver, homeserver.bucket)) == len(content) - 1
        homeserver.configure()

        result = homeserver.migrate("--minimum-age", "0s")

    assert result["exit_code"] == 78
    # Compared by name first: what differs is printed whole, which takes its time with files of this size.
    found = objects(homeserver, homeserver.bucket)
    assert sorted(found) == sorted(content)
    assert all(found[path] == content[path] for path in content)
