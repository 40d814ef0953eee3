# SPDX-License-Identifier: GPL-3.0-or-later
"""From one bucket to another: what the database knows is there afterwards, and nothing was overwritten."""

from __future__ import annotations

import json
import random
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.tests.fault_proxy import (
    Exchange,
    Kind,
    Message,
    Plan,
    answer,
    cut_answer,
    cut_request,
    lose_answer,
    refuse,
    run_proxy,
    s3_error,
)
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import NONE, Homeserver, count
from ansible_collections.matrixops.synapse_s3.tests.minio_server import MinioServer
from ansible_collections.matrixops.synapse_s3.tests.soak import soak_but

MIB = 2**20
ONE_KEY, ANOTHER_KEY = "0123456789abcdef" * 2, "fedcba9876543210" * 2


class Move:
    """A homeserver whose media went to one bucket, and whose new media goes to another: the first of its providers."""

    def __init__(self, directory: Path, source: MinioServer, target: MinioServer) -> None:
        self.homeserver = Homeserver(directory, source)
        self.source = replace(self.homeserver.bucket, prefix="hs/")
        self.target = replace(target.new_bucket(), prefix="new/")
        self.servers = {self.source.bucket: source, self.target.bucket: target}
        self.homeserver.ca_bundle = source.certificate or target.certificate
        self.configure(self.target, self.source)

    def configure(self, *buckets: BucketSettings) -> None:
        """Write Synapse's configuration with these providers, of which the first stores."""
        providers = [
            {
                "module": "s3_storage_provider.S3StorageProviderBackend",
                "store_local": number == 0,
                "store_remote": number == 0,
                "config": {
                    name: value
                    for name, value in vars(bucket).items()
                    if value is not None and name != "ca_bundle_path"
                },
            }
            for number, bucket in enumerate(buckets)
        ]
        self.homeserver.configure(media_storage_providers=providers)

    def fill(self) -> dict[str, bytes]:
        """Media of all kinds, in the old bucket alone."""
        homeserver = self.homeserver
        content = homeserver.upload([0, 1, 5000, 2 * MIB, 9 * MIB]) | homeserver.fetch("example.org:8448", [10, 70_000])
        for path in list(content):
            content |= homeserver.thumbnails(path)
        # As Synapse's storage provider does: large ones in parts.
        large = {path: data for path, data in content.items() if len(data) > 8 * MIB}
        homeserver.store({path: data for path, data in content.items() if path not in large})
        homeserver.store_in_parts(large, 8 * MIB)
        for path in content:
            (homeserver.media / path).unlink()
        return content

    def content_of(self, bucket: BucketSettings) -> dict[str, bytes]:
        """What a bucket holds below its prefix, by path below the media store."""
        client = self.servers[bucket.bucket].client()
        encryption = {}
        if bucket.sse_customer_key:
            encryption = {"SSECustomerKey": bucket.sse_customer_key, "SSECustomerAlgorithm": "AES256"}
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket.bucket, Prefix=bucket.prefix)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {
            key.removeprefix(bucket.prefix): client.get_object(Bucket=bucket.bucket, Key=key, **encryption)[
                "Body"
            ].read()
            for key in keys
        }

    def copy(self, *arguments: str) -> tuple[Mapping[str, Any], str]:
        status, stdout, stderr = self.homeserver.run(
            "copy-bucket", "--json", "--state-directory", str(self.homeserver.state), *arguments
        )
        assert stdout, stderr
        result: Mapping[str, Any] = json.loads(stdout.splitlines()[-1])
        assert result["exit_code"] == status, stderr
        return result, stderr


@pytest.fixture
def move(tmp_path: Path, minio_http: MinioServer, minio_https: MinioServer) -> Move:
    return Move(tmp_path, minio_http, minio_https)


def test_copy_between_two_servers(move: Move) -> None:
    content = move.fill()

    result, stderr = move.copy()

    assert (result["copied"], result["exit_code"]) == (count(content), 0), stderr
    assert move.content_of(move.target) == content
    assert move.content_of(move.source) == content
    assert result["copied_by_reason"] == {"proven": count(content)}
    # An upload in parts is what Synapse's storage provider would have made of it, and nothing is left of it.
    assert unfinished(move, content) == []
    assert "Next: 'verify --store 1' says whether the target is whole by itself." in result["facts"]
    target = f"1: bucket {move.target.bucket!r} at {move.target.endpoint_url}, prefix 'new/'"
    source = f"2: bucket {move.source.bucket!r} at {move.source.endpoint_url}, prefix 'hs/'"
    assert f"From {source}. To {target}." in result["facts"]


def unfinished(move: Move, content: Mapping[str, bytes]) -> list[str]:
    client = move.servers[move.target.bucket].client()
    return [
        path
        for path in content
        if client.list_multipart_uploads(Bucket=move.target.bucket, Prefix=move.target.prefix + path).get("Uploads")
    ]


def test_second_run_makes_two_listings_and_looks_at_some(move: Move) -> None:
    content = move.fill()
    move.copy()

    result, _unused = move.copy()

    assert (result["already_there"], result["copied"]) == (count(content), NONE)
    assert result["requests"] == 2 + min(25, len(content))


def test_dry_run_changes_nothing(move: Move) -> None:
    content = move.fill()

    result, stderr = move.copy("--dry-run")

    assert (result["copied"], result["exit_code"]) == (count(content), 0)
    assert "Would copy" in stderr
    assert move.content_of(move.target) == {}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", "media/"),
        pytest.param("media/", "", marks=pytest.mark.soak),
        pytest.param("hs/", "new/", marks=pytest.mark.soak),
        pytest.param("hs/", "hs", marks=pytest.mark.soak),
    ],
)
def test_copy_between_two_prefixes_of_one_bucket(tmp_path: Path, minio_http: MinioServer, old: str, new: str) -> None:
    move = Move(tmp_path, minio_http, minio_http)
    content = move.fill()
    move.source = replace(move.source, prefix=old)
    move.target = replace(move.source, prefix=new)
    if old != "hs/":
        move.homeserver.configure()
        client = minio_http.client()
        for path in content:
            where = {"Bucket": move.source.bucket, "Key": old + path}
            client.copy_object(**where, CopySource={"Bucket": move.source.bucket, "Key": f"hs/{path}"})
            client.delete_object(Bucket=move.source.bucket, Key=f"hs/{path}")
    move.configure(move.target, move.source)

    first, stderr = move.copy()
    second, _unused = move.copy()

    assert (first["copied"], first["exit_code"]) == (count(content), 0), stderr
    assert (second["already_there"], second["copied"], second["exit_code"]) == (count(content), NONE, 0)
    for result in (first, second):
        assert (result["unknown_objects"], result["foreign_objects"]) == (NONE, NONE)
    expected = {old + path: data for path, data in content.items()} | {
        new + path: data for path, data in content.items()
    }
    assert move.content_of(replace(move.source, prefix="")) == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (None, ONE_KEY),
        pytest.param(ONE_KEY, None, marks=pytest.mark.soak),
        pytest.param(ONE_KEY, ANOTHER_KEY, marks=pytest.mark.soak),
    ],
)
def test_copy_to_another_encryption(tmp_path: Path, minio_https: MinioServer, old: str | None, new: str | None) -> None:
    """With a customer's key no ETag is a hash: all that is there, or was stored, is compared by reading."""
    move = Move(tmp_path, minio_https, minio_https)
    move.source = replace(move.source, sse_customer_key=old)
    move.target = replace(move.target, sse_customer_key=new)
    move.configure(move.source)
    content = move.homeserver.upload([0, 5000, 9 * MIB]) | move.homeserver.fetch("example.org", [10])
    content |= move.homeserver.thumbnails(next(iter(content)))
    assert move.homeserver.migrate()["deleted"] == count(content)
    move.configure(move.target, move.source)

    first, stderr = move.copy()
    second, _unused = move.copy()

    assert (first["copied"], first["exit_code"]) == (count(content), 0), stderr
    assert (second["already_there"], second["exit_code"]) == (count(content), 0)
    assert move.content_of(move.target) == content


def test_objects_of_another_key(tmp_path: Path, minio_https: MinioServer) -> None:
    """In the source they have failed, in the target they are conflicts; both are told in words."""
    move = Move(tmp_path, minio_https, minio_https)
    content = move.fill()
    move.configure(replace(move.target, sse_customer_key=ONE_KEY), move.source)
    assert move.copy()[0]["copied"] == count(content)

    move.configure(move.target, move.source)
    in_target, stderr = move.copy()
    empty = replace(minio_https.new_bucket(), prefix="third/")
    move.configure(empty, move.target)
    in_source, _unused = move.copy()

    assert (in_target["conflicts"], in_target["exit_code"]) == (count(content), 1), stderr
    assert "it was stored with an sse_customer_key, and none is set" in in_target["problems"][0]["reason"]
    assert (in_source["failed"], in_source["copied"], in_source["exit_code"]) == (count(content), NONE, 1)
    assert "it was stored with an sse_customer_key, and none is set" in in_source["problems"][0]["reason"]


def test_copy_to_another_storage_class(move: Move) -> None:
    content = move.fill()
    move.configure(replace(move.target, storage_class="REDUCED_REDUNDANCY"), move.source)

    assert move.copy()[0]["copied"] == count(content)

    found = move.servers[move.target.bucket].client().list_objects_v2(Bucket=move.target.bucket)["Contents"]
    assert {entry["StorageClass"] for entry in found} == {"REDUCED_REDUNDANCY"}


def test_credentials_that_may_only_what_is_needed(move: Move) -> None:
    content = move.fill()
    source = move.servers[move.source.bucket].restricted(move.source, "s3:ListBucket", "s3:GetObject")
    needed = ("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload")
    move.configure(move.servers[move.target.bucket].restricted(move.target, *needed), source)

    result, stderr = move.copy()

    assert (result["copied"], result["exit_code"]) == (count(content), 0), stderr


def test_what_is_left_and_what_is_missing(move: Move) -> None:
    content, homeserver = move.fill(), move.homeserver
    lost = homeserver.upload([3])
    local = homeserver.upload([4])
    for path in lost:
        (homeserver.media / path).unlink()
    client = move.servers[move.source.bucket].client()
    client.put_object(Bucket=move.source.bucket, Key="hs/local_content/aa/bb/orphan", Body=b"12345")
    other = {path: b"X" * len(data) for path, data in content.items() if len(data) == 5000}
    for path, data in other.items():
        move.servers[move.target.bucket].client().put_object(Bucket=move.target.bucket, Key=f"new/{path}", Body=data)

    result, stderr = move.copy()

    assert result["exit_code"] == 1
    assert (result["missing"], result["conflicts"], result["local_only"]) == (count(lost), count(other), count(local))
    assert result["unknown_objects"] == {"files": 1, "bytes": 5}
    assert {problem["path"] for problem in result["problems"]} == {*lost, *other}
    assert move.content_of(move.target) == content | other
    assert "NOT ALL DONE. What is missing, conflicts or failed is named above, and nothing of it was changed." in stderr


@pytest.mark.parametrize("arguments", [("--from", "3"), ("--from", "1"), ("--to", "2", "--from", "2")])
def test_wrong_numbers(move: Move, arguments: tuple[str, ...]) -> None:
    result, stderr = move.copy(*arguments)

    assert result["exit_code"] == 2
    assert f"2: bucket {move.source.bucket!r} at {move.source.endpoint_url}, prefix 'hs/'." in result["errors"][0]
    assert "NOTHING WAS DONE, for the reason above." in stderr
    assert str(move.source.secret_access_key) not in stderr


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(
    ("change", "status"),
    [({"endpoint_url": "http://127.0.0.1:9"}, 69), ({"secret_access_key": "wrong"}, 77), ({"bucket": "not-there"}, 69)],
    ids=["away", "refused", "missing"],
)
def test_bucket_that_can_not_be_used(move: Move, side: str, change: dict[str, str], status: int) -> None:
    move.fill()
    target, source = move.target, move.source
    if side == "source":
        source = replace(source, **change)
    else:
        target = replace(target, **change)
    move.configure(target, source)

    result, stderr = move.copy()

    assert (result["exit_code"], result["copied"]) == (status, NONE), stderr
    assert len(result["errors"]) == 1
    assert move.content_of(move.target) == {}


def test_one_place_by_two_addresses(tmp_path: Path, minio_http: MinioServer) -> None:
    """Else all would be there already, and whoever then gives up the old bucket loses it."""
    move = Move(tmp_path, minio_http, minio_http)
    content = move.fill()
    address = (move.source.endpoint_url or "").replace("127.0.0.1", "localhost")
    move.configure(replace(move.source, endpoint_url=address), move.source)

    result, stderr = move.copy()

    assert (result["already_there"], result["exit_code"]) == (NONE, 78), stderr
    (error,) = result["errors"]
    assert error.startswith("Could not copy: source and target are one place by two names, bucket ")
    assert move.content_of(move.source) == content


def test_killed_again_and_again(move: Move) -> None:
    """What a kill leaves is whole or not there, and the next run goes on from it."""
    content = move.fill() | move.homeserver.upload([9 * MIB] * 4 + [20_000] * 60)
    move.homeserver.store({path: data for path, data in content.items() if path in move.homeserver.local()})
    chance = random.Random(0)  # noqa: S311 (when to kill is no secret)
    kills = 0
    for _turn in range(8):
        process = move.homeserver.start("copy-bucket", "--json", "--bandwidth", "25M")
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.8 + chance.random() * 1.5)
        kills += process.poll() is None
        process.kill()
        process.communicate()
        left = move.content_of(move.target)
        assert left.items() <= content.items()

    result, stderr = move.copy()

    assert kills > 2
    assert result["exit_code"] == 0, stderr
    assert result["copied"]["files"] + result["already_there"]["files"] == len(content)
    assert move.content_of(move.target) == content
    assert unfinished(move, content) == []


def wait_until_it_copies(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    assert any(line.startswith("Copying from") for line in process.stderr)


def test_stopped(move: Move) -> None:
    move.fill()
    process = move.homeserver.start("copy-bucket", "--json", "--bandwidth", "1M")
    wait_until_it_copies(process)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=30)

    assert process.returncode == 128 + signal.SIGTERM, stderr
    assert json.loads(stdout.splitlines()[-1])["exit_code"] == process.returncode


def test_two_runs_at_once(move: Move) -> None:
    move.fill()
    process = move.homeserver.start("copy-bucket", "--bandwidth", "500K")
    wait_until_it_copies(process)
    result, _unused = move.copy()
    process.kill()
    process.communicate()

    assert (result["exit_code"], result["copied"]) == (75, NONE)


FAULTS: dict[str, Plan] = {
    "read cut": Plan(Kind.GET, cut_answer, 3),
    "read refused": Plan(Kind.GET, refuse(0.5)),
    "read busy": Plan(Kind.GET, answer(s3_error("503 Slow Down", "SlowDown")), 3),
    "list cut": Plan(Kind.LIST, cut_answer),
    "store lost": Plan(Kind.PUT, lose_answer, 2),
    "store cut": Plan(Kind.PUT, cut_request, 2),
    "store refused": Plan(Kind.PUT, refuse(0.5)),
    "part lost": Plan(Kind.PART, lose_answer),
    "complete lost": Plan(Kind.COMPLETE, lose_answer),
    "begin lost": Plan(Kind.CREATE, lose_answer),
}


# One of each side, and of the end of an upload in parts.
QUICK_FAULTS = ("read cut", "list cut", "store lost", "complete lost")


@pytest.mark.parametrize("name", soak_but(QUICK_FAULTS, FAULTS))
def test_faults_that_pass(tmp_path: Path, minio_http: MinioServer, name: str) -> None:
    move = Move(tmp_path, minio_http, minio_http)
    content = move.fill()
    with run_proxy(minio_http.host, FAULTS[name]) as proxy:
        # One proxy for both: a fault meets the side that makes such requests.
        move.configure(*(replace(bucket, endpoint_url=proxy.url) for bucket in (move.target, move.source)))
        result, stderr = move.copy()

    assert proxy.hits
    assert (result["copied"], result["exit_code"]) == (count(content), 0), stderr
    assert move.content_of(move.target) == content
    assert unfinished(move, content) == []


@pytest.mark.parametrize("has_sha256", soak_but([False], [True, False]))
@pytest.mark.parametrize("kind", [Kind.GET, Kind.PUT])
def test_damage_on_the_way(tmp_path: Path, minio_http: MinioServer, kind: Kind, has_sha256: bool) -> None:
    """A byte that is changed on the way, in either direction, is never taken for the file."""
    move = Move(tmp_path, minio_http, minio_http)
    content = move.homeserver.upload([500, 501, 502])
    if not has_sha256:
        move.homeserver.execute("UPDATE local_media_repository SET sha256 = NULL")
    move.homeserver.store(content)
    with run_proxy(minio_http.host, Plan(kind, flip, None)) as proxy:
        move.configure(*(replace(bucket, endpoint_url=proxy.url) for bucket in (move.target, move.source)))
        result, stderr = move.copy()

    assert proxy.hits
    assert (result["copied"], result["failed"], result["exit_code"]) == (NONE, count(content), 1), stderr
    assert move.content_of(move.target) == {}


def flip(exchange: Exchange) -> bool:
    """Change the last byte of what is sent, or of the answer to what is read."""
    request = exchange.request
    if request.body:
        exchange = replace(exchange, request=Message(request.head, _flipped(request.body)))
    given = exchange.pass_on()
    exchange.client.sendall(given.raw if request.body else given.head + _flipped(given.body))
    return True


def _flipped(body: bytes) -> bytes:
    return body[:-1] + bytes([body[-1] ^ 1]) if body else body


def test_no_room_for_large_objects(move: Move, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are copied, the cause is told once, and the next run copies the rest."""
    content = move.fill() | move.homeserver.upload([9 * MIB, 9 * MIB + 1])
    move.homeserver.store(move.homeserver.local())
    for path in move.homeserver.local():
        (move.homeserver.media / path).unlink()
    large = {path: data for path, data in content.items() if len(data) > 8 * MIB}
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "none", small], check=True)
    try:
        with monkeypatch.context() as environment:
            environment.setenv("TMPDIR", str(small))
            result, stderr = move.copy()
    finally:
        subprocess.run(["umount", small], check=True)
    rest, _unused = move.copy()

    assert (result["failed"], result["exit_code"]) == (count(large), 1), stderr
    assert result["copied"]["files"] == len(content) - len(large)
    assert {problem["reason"] for problem in result["problems"]} == {
        "It was not copied: there is no room for it in a temporary file."
    }
    assert result["errors"] == [
        f"Could not keep a large object in a temporary file in {str(small)!r}: no room is left. Make room there, or"
        " name another directory in the environment variable TMPDIR."
    ]
    assert (rest["copied"], rest["exit_code"]) == (count(large), 0)
