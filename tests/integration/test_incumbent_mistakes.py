# SPDX-License-Identifier: GPL-3.0-or-later
"""What s3_media_upload gets wrong must be right here: each known mistake of its, and what the program does."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.lock import run_lock
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import MediaStore
from ansible_collections.matrixops.synapse_s3.tests.fault_proxy import (
    Kind,
    Plan,
    answer,
    hang,
    http_answer,
    run_proxy,
    s3_error,
)
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import (
    NONE,
    Homeserver,
    assert_nothing_lost,
    count,
)
from ansible_collections.matrixops.synapse_s3.tests.minio_server import free_port
from ansible_collections.matrixops.synapse_s3.tests.soak import soak_but

MIB = 2**20
ROOTS = ["local_content", "local_thumbnails", "remote_content", "remote_thumbnail"]


def everything(homeserver: Homeserver) -> dict[str, bytes]:
    """A little of each kind of media."""
    content = {**homeserver.upload([0, 1, 70_000]), **homeserver.fetch("example.org", [1, 5000])}
    thumbnails = [homeserver.thumbnails(path) for path in content]
    return {path: data for part in (content, *thumbnails) for path, data in part.items()}


def named(result: Mapping[str, Any]) -> list[str]:
    """The files that the result names as failed or in conflict."""
    return sorted(problem["path"] for problem in result["problems"])


# --- The bucket ---


@pytest.mark.parametrize("why", soak_but(["denied", "503"], ["denied", "503", "500", "web page"]))
def test_every_upload_fails(homeserver: Homeserver, why: str) -> None:
    """The incumbent exits with 0."""
    content = everything(homeserver)
    answers = {
        "503": s3_error("503 Service Unavailable", "ServiceUnavailable"),
        "500": s3_error("500 Internal Server Error", "InternalError"),
        # A captive portal, or a server of another kind: a success by its status.
        "web page": http_answer("200 OK", "<html><p>Welcome</p></html>", content_type="text/html"),
    }
    if why == "denied":
        homeserver.configure(homeserver.server.restricted(homeserver.bucket, "s3:ListBucket", "s3:GetObject"))
        result = homeserver.migrate()
    else:
        with run_proxy(homeserver.server.host, Plan(Kind.PUT, answer(answers[why]), times=None)) as proxy:
            homeserver.configure_endpoint(proxy.url)
            result = homeserver.migrate("--workers", "32")

    assert (result["failed"], result["uploaded"], result["exit_code"]) == (count(content), NONE, 1)
    assert (result["deleted"], named(result)) == (NONE, sorted(content))
    assert homeserver.local() == content
    assert homeserver.stored() == {}


def test_the_bucket_is_missing(homeserver: Homeserver) -> None:
    """The incumbent exits with 0."""
    content = everything(homeserver)
    homeserver.configure(homeserver.server.settings("no-such-bucket"))

    result = homeserver.migrate()

    assert result["exit_code"] == 69
    assert homeserver.local() == content


def test_the_bucket_goes_missing_midway(homeserver: Homeserver) -> None:
    content = everything(homeserver)
    gone = answer(s3_error("404 Not Found", "NoSuchBucket"))

    # The first upload is sent twice, to find out whether the server does conditional writes.
    with run_proxy(homeserver.server.host, Plan(Kind.PUT, gone, times=None, skip=4)) as proxy:
        homeserver.configure_endpoint(proxy.url)
        result = homeserver.migrate("--workers", "1")

    assert (result["uploaded"]["files"], result["exit_code"]) == (3, 1)
    assert named(result) == sorted(homeserver.local())
    assert_nothing_lost(content, result, homeserver.places())


def test_403_on_head_without_the_permission_to_list(homeserver: Homeserver) -> None:
    """The incumbent ends with a traceback. HEAD of a missing key is answered with 403: nothing can be told of it."""
    content = everything(homeserver)
    homeserver.configure(homeserver.server.restricted(homeserver.bucket, "s3:GetObject", "s3:PutObject"))

    status, _unused, stderr = homeserver.run("migrate")

    assert status == 77
    assert "Traceback" not in stderr
    assert homeserver.local() == content
    assert homeserver.stored() == {}


def test_403_on_head_of_a_missing_key_alone(homeserver: Homeserver) -> None:
    """A 403 is no answer to whether an object is there: whoever asks so must not take it for a no, nor for a yes."""
    content = {**homeserver.upload([10] * 5 + [9 * MIB]), **homeserver.fetch("example.org", [10])}
    forbidden = answer(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")

    with run_proxy(homeserver.server.host, Plan(Kind.HEAD, forbidden, times=None)) as proxy:
        homeserver.configure_endpoint(proxy.url)
        result = homeserver.migrate()

    assert proxy.hits > 0
    assert_nothing_lost(content, result, homeserver.places())
    assert named(result) == sorted(homeserver.local())


@pytest.mark.parametrize("size", [pytest.param(1, marks=pytest.mark.soak), 5000, 9 * MIB])
@pytest.mark.parametrize("other", ["empty", "shorter", "longer", "same length"])
def test_empty_object_under_the_key(homeserver: Homeserver, size: int, other: str) -> None:
    """The incumbent deletes the local file. So it does for any other object that is not the file."""
    content = homeserver.upload([size])
    (path,) = content
    objects = {
        "empty": b"",
        "shorter": content[path][:-1],
        "longer": content[path] + b"\0",
        "same length": bytes(byte ^ 1 for byte in content[path][:1]) + content[path][1:],
    }
    homeserver.store({path: objects[other]})

    for _turn in range(2):
        result = homeserver.migrate()

        assert (result["conflicts"], result["deleted"], result["exit_code"]) == (count(content), NONE, 1)
        assert named(result) == [path]
        assert homeserver.local() == content
        assert homeserver.stored() == {path: objects[other]}


# --- The media store ---


@pytest.mark.parametrize("size", [5000, pytest.param(9 * MIB, marks=pytest.mark.soak)])
@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("left", [0, 1, -1])
def test_truncated_local_file(homeserver: Homeserver, size: int, stored: bool, left: int) -> None:
    """The incumbent overwrites the good object with it."""
    content = homeserver.upload([size])
    (path,) = content
    if stored:
        homeserver.store(content)
    truncated = {path: content[path][:left]}
    homeserver.write(truncated)

    result = homeserver.migrate()

    assert (result["conflicts"], result["exit_code"]) == (count(truncated), 1)
    assert homeserver.local() == truncated
    assert homeserver.stored() == (content if stored else {})


@pytest.mark.parametrize("state", ["missing", "empty", "other files", "a file"])
def test_unmounted_media_store(homeserver: Homeserver, tmp_path: Path, state: str) -> None:
    """The incumbent exits with 0, marks all media as deleted, and does nothing ever after."""
    content = everything(homeserver)
    mounted = homeserver.media.rename(tmp_path / "disk")
    if state == "a file":
        homeserver.media.write_bytes(b"")
    elif state != "missing":
        homeserver.media.mkdir()
    if state == "other files":
        (homeserver.media / "lost+found").mkdir()
        (homeserver.media / "readme").write_bytes(b"mount the disk here")

    refused = homeserver.migrate()
    left = homeserver.local()
    shutil.rmtree(homeserver.media, ignore_errors=True)
    homeserver.media.unlink(missing_ok=True)
    mounted.rename(homeserver.media)
    again = homeserver.migrate()

    assert (refused["exit_code"], refused["deleted"]) == (69, NONE)
    assert left == ({"readme": b"mount the disk here"} if state == "other files" else {})
    assert (again["exit_code"], again["deleted"]) == (0, count(content))
    assert homeserver.stored() == content


def test_wrong_media_store(homeserver: Homeserver, tmp_path: Path) -> None:
    """Another homeserver's media, which this database does not know: all of it stays, and none goes into the bucket."""
    content = everything(homeserver)
    other_directory = tmp_path / "other"
    other_directory.mkdir()
    other = Homeserver(other_directory, homeserver.server)
    other.numbers.seed(1)
    others = everything(other)
    homeserver.configure(media_store_path=str(other.media))

    result = homeserver.migrate()

    assert (result["kept"], result["deleted"], result["uploaded"]) == (count(others), NONE, NONE)
    assert other.local() == others
    assert homeserver.local() == content
    assert homeserver.stored() == {}


def test_file_fetched_again_after_it_was_deleted(homeserver: Homeserver) -> None:
    """The incumbent never cleans it up again: for it the media is deleted."""
    content = homeserver.fetch("example.org", [1, 5000, 9 * MIB])
    for path in list(content):
        content.update(homeserver.thumbnails(path))
    first = homeserver.migrate()

    for _turn in range(2):
        homeserver.write(content)
        again = homeserver.migrate()

        assert (again["already_stored"], again["uploaded"]) == (count(content), NONE)
        assert (again["deleted"], again["exit_code"]) == (count(content), 0)
        assert homeserver.local() == {}
    assert (first["uploaded"], first["exit_code"]) == (count(content), 0)
    assert homeserver.stored() == content


def test_file_fetched_again_with_other_bytes(homeserver: Homeserver) -> None:
    """What Synapse wrote in the wrong way is neither put over the good object nor deleted."""
    content = homeserver.fetch("example.org", [5000])
    homeserver.migrate()
    other = {path: data[:-1] + bytes([data[-1] ^ 1]) for path, data in content.items()}
    homeserver.write(other)

    result = homeserver.migrate()

    assert (result["conflicts"], result["exit_code"]) == (count(other), 1)
    assert homeserver.local() == other
    assert homeserver.stored() == content


@pytest.mark.parametrize("row", ["absent", "without length"])
@pytest.mark.parametrize("age", ["1h", "0s"])
def test_file_being_written(homeserver: Homeserver, row: str, age: str) -> None:
    """Synapse writes the file first and its length into the database afterwards. It may be as old as it likes."""
    content = homeserver.upload([5000, 9 * MIB])
    finished = homeserver.upload([10])
    statements = {
        "absent": "DELETE FROM local_media_repository WHERE media_length > 10",
        "without length": "UPDATE local_media_repository SET media_length = NULL WHERE media_length > 10",
    }
    homeserver.execute(statements[row])

    result = homeserver.migrate("--minimum-age", age)

    assert (result["kept"], result["deleted"], result["exit_code"]) == (count(content), count(finished), 0)
    assert homeserver.local() == content
    assert homeserver.stored() == finished


@contextmanager
def growing(homeserver: Homeserver, content: Mapping[str, bytes], piece: int) -> Iterator[None]:
    """Write these files over and over, a piece at a time, while the block runs; at its end they are whole."""
    ended = Event()

    def write() -> None:
        while not ended.is_set():
            for path, data in content.items():
                target = homeserver.media / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb", buffering=0) as file:
                    for start in range(0, len(data), piece):
                        file.write(data[start : start + piece])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("stored", [True, pytest.param(False, marks=pytest.mark.soak)])
def test_file_growing_during_the_run(homeserver: Homeserver, stored: bool) -> None:
    """No part of a file gets into the bucket, and none is taken for the whole."""
    content = homeserver.upload([200_000] * 20 + [9 * MIB])
    if stored:
        homeserver.store(content)

    with growing(homeserver, content, 4096):
        for _turn in range(5):
            homeserver.migrate("--minimum-age", "0s")
            assert homeserver.stored().items() <= content.items()
    homeserver.write({path: data for path, data in content.items() if (homeserver.media / path).exists()})
    last = homeserver.migrate()

    assert last["exit_code"] == 0
    assert homeserver.stored() == content
    assert homeserver.local() == {}


def test_removal_of_directories_above_the_media_store(homeserver: Homeserver, tmp_path: Path) -> None:
    """The incumbent goes on above it, as long as directories are empty."""
    nested = tmp_path / "var" / "lib" / "media"
    nested.parent.mkdir(parents=True)
    homeserver.media.rename(nested)
    homeserver.media = nested
    homeserver.configure(media_store_path=f"{nested}/")
    content = everything(homeserver)
    empty = nested / "remote_content" / "example.net" / "aa" / "bb"
    empty.mkdir(parents=True)

    result = homeserver.migrate()

    assert (result["deleted"], result["exit_code"]) == (count(content), 0)
    # The one that was empty before was left by somebody else.
    assert [name for name in homeserver.directories() if not name.startswith("remote_content/example.net")] == ROOTS


ORIGINS = [
    "example.org:8448",
    "[2001:db8::8a2e:370:7334]",
    "[2001:db8::8a2e:370:7334]:8448",
    "[::1]:80",
    "192.0.2.7",
    "192.0.2.7:8448",
    "xn--bcher-kva.example",
    "a-b.c_d.example",
]


@pytest.mark.parametrize("origin", soak_but(ORIGINS[2:5], ORIGINS))
def test_origins_with_ports_and_ipv6_literals(homeserver: Homeserver, origin: str) -> None:
    content = homeserver.fetch(origin, [0, 5000, 9 * MIB])
    for path in list(content):
        content.update(homeserver.thumbnails(path))

    first = homeserver.migrate()
    stored = homeserver.stored()
    homeserver.write(content)
    second = homeserver.migrate()

    assert (first["uploaded"], first["deleted"], first["exit_code"]) == (count(content), count(content), 0)
    assert stored == content
    assert (second["already_stored"], second["deleted"], second["exit_code"]) == (count(content), count(content), 0)
    assert homeserver.local() == {}


# --- Runs ---


def test_two_runs_at_once(homeserver: Homeserver) -> None:
    """The incumbent's second one crashes."""
    content = homeserver.upload([10])

    with run_lock(MediaStore(homeserver.media), wait=False, stop=Event()):
        refused = homeserver.migrate()
        waiting = homeserver.start("migrate", "--json", "--wait")
        time.sleep(1.5)
        assert waiting.poll() is None
        assert homeserver.local() == content
    stdout, _unused = waiting.communicate(timeout=60)

    assert refused["exit_code"] == 75
    assert refused["errors"] == [
        f"Could not start: another run is working on the media store {str(homeserver.media)!r}."
        " Wait until it has ended, or use --wait."
    ]
    assert json.loads(stdout)["deleted"] == {"files": 1, "bytes": 10}


def test_many_runs_at_once_that_wait(homeserver: Homeserver) -> None:
    content = homeserver.upload([1000] * 300)

    processes = [homeserver.start("migrate", "--json", "--wait") for _turn in range(4)]
    results = [json.loads(process.communicate(timeout=120)[0]) for process in processes]

    assert [result["exit_code"] for result in results] == [0] * 4
    assert sorted(result["deleted"]["files"] for result in results) == [0, 0, 0, 300]
    assert homeserver.stored() == content


def test_a_killed_run(homeserver: Homeserver) -> None:
    content = homeserver.upload([100_000] * 400 + [9 * MIB])
    for seconds in (0.4, 0.6, 0.8, 1.0):
        process = homeserver.start("migrate")
        time.sleep(seconds)
        process.kill()
        process.communicate()
        assert {**homeserver.stored(), **homeserver.local()} == content

    assert homeserver.migrate()["exit_code"] == 0
    assert homeserver.stored() == content
    assert homeserver.local() == {}


@pytest.mark.parametrize("stored_since", [False, True])
def test_a_run_killed_within_a_large_file(homeserver: Homeserver, stored_since: bool) -> None:
    """What was uploaded of it, and is paid for, is not left behind: not even when Synapse has stored the file since."""
    content = homeserver.upload([20 * MIB])
    with run_proxy(homeserver.server.host, Plan(Kind.PART, hang, skip=1)) as proxy:
        homeserver.configure_endpoint(proxy.url)
        process = homeserver.start("migrate")
        while not homeserver.unfinished_uploads(*content):
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
        process.communicate()
    homeserver.configure()
    if stored_since:
        homeserver.store(content)

    result = homeserver.migrate()

    assert (result["deleted"], result["exit_code"]) == (count(content), 0)
    assert homeserver.stored() == content
    assert homeserver.unfinished_uploads(*content) == []


# --- The database ---


@pytest.mark.parametrize("database", ["postgresql", "sqlite"])
def test_the_database_is_unreachable(homeserver: Homeserver, database: str) -> None:
    content = everything(homeserver)
    homeserver.store(dict(itertools.islice(content.items(), 3)))
    stored = homeserver.stored()
    arguments = {"user": "synapse", "host": "127.0.0.1", "port": free_port(), "cp_min": 1}
    settings = {
        "postgresql": {"name": "psycopg2", "args": arguments},
        "sqlite": {"name": "sqlite3", "args": {"database": str(homeserver.database.with_name("missing.db"))}},
    }
    homeserver.configure(database=settings[database])

    result = homeserver.migrate()

    assert (result["exit_code"], result["deleted"], result["uploaded"]) == (69, NONE, NONE)
    assert homeserver.local() == content
    assert homeserver.stored() == stored


def test_the_database_vanishes_midway(homeserver: Homeserver) -> None:
    """What is proven may go; what the database was not asked about stays, and the run says that it is not all."""
    content = homeserver.upload([100] * 6000)
    process = homeserver.start("migrate", "--json", "--workers", "2")
    while homeserver.count_local() == len(content):
        assert process.poll() is None
        time.sleep(0.02)
    homeserver.execute("DROP TABLE local_media_repository")
    stdout, stderr = process.communicate(timeout=120)
    result = json.loads(stdout)

    assert_nothing_lost(content, result, homeserver.places())
    assert result["exit_code"] == 1, stderr
    assert len(homeserver.local()) == len(content) - result["deleted"]["files"] > 0
    assert "Could not read Synapse's database" in stderr
