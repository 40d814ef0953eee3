# SPDX-License-Identifier: GPL-3.0-or-later
"""`restore` as a process of its own, on a media store, a SQLite database and a real MinIO."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.tests.fault_proxy import Exchange, Kind, Plan, pass_all, run_proxy
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import (
    NAME,
    NONE,
    PREFIX,
    Homeserver,
    count,
)
from ansible_collections.matrixops.synapse_s3.tests.soak import SOAK


def restore(homeserver: Homeserver, *arguments: str) -> Mapping[str, Any]:
    process = homeserver.start("restore", "--json", *arguments)
    stdout, stderr = process.communicate(timeout=120)
    return answer(process, stdout, stderr)


def answer(process: subprocess.Popen[str], stdout: str, stderr: str) -> Mapping[str, Any]:
    assert stdout, stderr
    result: Mapping[str, Any] = json.loads(stdout.splitlines()[-1])
    assert result["exit_code"] == process.returncode, stderr
    return result


def only_stored(homeserver: Homeserver, content: Mapping[str, bytes]) -> None:
    """As after a migration. One of the directories stays: the disk is mounted."""
    homeserver.store(content)
    for path in content:
        (homeserver.media / path).unlink()


def test_whole_way_there_and_back(homeserver: Homeserver) -> None:
    content = homeserver.upload([0, 1, 5000, 8 * 2**20 - 1, 8 * 2**20, 20 * 2**20])
    content |= homeserver.fetch("[2001:db8::1]:8448", [10, 20])
    for path in list(content):
        content |= homeserver.thumbnails(path)
    homeserver.migrate()
    assert homeserver.local() == {}

    planned = restore(homeserver, "--dry-run")
    none = homeserver.local()
    first = restore(homeserver)
    second = restore(homeserver)

    assert (planned["restored"], planned["dry_run"], planned["exit_code"], none) == (count(content), True, 0, {})
    assert (first["restored"], first["exit_code"], first["problems"]) == (count(content), 0, [])
    assert homeserver.places().local == homeserver.places().stored == content
    assert (second["restored"], second["already_local"], second["exit_code"]) == (NONE, count(content), 0)
    assert not (homeserver.media / ".restore").exists()
    assert first["free_bytes"] > 0
    # As old as its object, so that the nightly job does not take it for a file that is still written; that is told.
    assert [fact for fact in first["facts"] if "would remove again what the bucket holds" in fact]
    assert homeserver.migrate("--minimum-age", "0s")["deleted"] == count(content)


def test_metrics_and_the_last_runs(homeserver: Homeserver, tmp_path: Path) -> None:
    only_stored(homeserver, homeserver.upload([10]))
    metrics = tmp_path / "restore.prom"

    restore(homeserver, "--metrics-file", str(metrics), "--state-directory", str(homeserver.state))

    text = metrics.read_text()
    assert 'synapse_s3_restore_files{result="restored"} 1\n' in text
    assert "synapse_s3_restore_exit_status 0\n" in text
    _status, stdout, _stderr = homeserver.run("status", "--json", "--state-directory", str(homeserver.state))
    (run,) = json.loads(stdout)["runs"]
    assert (run["command"], run["outcome"], run["counts"]["restored"]) == (
        "restore",
        "success",
        {"files": 1, "bytes": 10},
    )


def test_named_media_come_with_their_thumbnails(homeserver: Homeserver) -> None:
    (own,), (theirs,) = homeserver.upload([10]), homeserver.fetch("a.example", [20])
    others = homeserver.upload([30]) | homeserver.fetch("a.example", [40])
    wanted = homeserver.thumbnails(own) | homeserver.thumbnails(theirs)
    wanted |= {path: (homeserver.media / path).read_bytes() for path in (own, theirs)}
    only_stored(homeserver, wanted | others)
    own_id, their_id = (path.split("/", depth)[-1].replace("/", "") for path, depth in ((own, 1), (theirs, 2)))
    listed = f"mxc://a.example/of-{their_id}\n\nmxc://a.example/unknown\nAbCdEf\nmxc://a.example/".encode() + b"\xff\n"
    (homeserver.media.parent / "list").write_bytes(listed)

    with (homeserver.media.parent / "list").open() as source:
        process = start_with(homeserver, source.fileno(), "--media", f"mxc://{NAME}/{own_id}", "--media", "-")
        result = answer(process, *process.communicate(timeout=120))

    assert homeserver.local() == wanted
    assert (result["restored"], result["not_selected"]) == (count(wanted), count(others))
    assert result["exit_code"] == 1
    assert result["problems"] == [
        {"path": "AbCdEf", "reason": "'AbCdEf' is not a media URI. Write it as clients do: 'mxc://SERVER/ID'."},
        {
            "path": "mxc://a.example/\udcff",
            "reason": "'mxc://a.example/\\udcff' is not a media URI. Write it as clients do: 'mxc://SERVER/ID'.",
        },
        {
            "path": "mxc://a.example/unknown",
            "reason": "The database does not know this media. Synapse may have deleted it.",
        },
    ]


def start_with(homeserver: Homeserver, stdin: int, *arguments: str) -> subprocess.Popen[str]:
    """The process takes over this one's stdin."""
    saved = os.dup(0)
    os.dup2(stdin, 0)
    try:
        return homeserver.start("restore", "--json", *arguments)
    finally:
        os.dup2(saved, 0)
        os.close(saved)


@pytest.mark.parametrize("arguments", [["--local"], ["--origin", NAME]])
def test_the_users_own_media(homeserver: Homeserver, arguments: list[str]) -> None:
    own, theirs = homeserver.upload([10]), homeserver.fetch("a.example", [20])
    only_stored(homeserver, own | theirs)

    result = restore(homeserver, *arguments)

    assert homeserver.local() == own
    assert (result["restored"], result["not_selected"], result["exit_code"]) == (count(own), count(theirs), 0)


def test_an_origin_of_which_the_database_knows_nothing(homeserver: Homeserver) -> None:
    """A name with a slip in it selects nothing, and that is no success."""
    theirs = homeserver.fetch("a.example", [20])
    only_stored(homeserver, theirs)

    result = restore(homeserver, "--origin", "a.exmaple", "--origin", "a.example", "--origin", NAME)

    assert (result["restored"], result["exit_code"]) == (count(theirs), 1)
    assert result["problems"] == [
        {
            "path": "a.exmaple",
            "reason": "The database knows no media of this homeserver. Write its name as it stands in the media's"
            " addresses.",
        }
    ]


def test_without_a_server_name(homeserver: Homeserver) -> None:
    homeserver.configure(server_name=None)
    only_stored(homeserver, homeserver.upload([10]))

    result = restore(homeserver, "--origin", "a.example")

    assert (result["exit_code"], result["errors"]) == (
        78,
        [
            "Could not tell this homeserver's media from others': Synapse's configuration has no server_name. Name"
            " every configuration file that Synapse is started with."
        ],
    )


def test_a_database_that_knows_nothing(homeserver: Homeserver) -> None:
    """The wrong one: it must not look as if all were here."""
    only_stored(homeserver, homeserver.upload([10]))
    homeserver.execute("DELETE FROM local_media_repository")

    result = restore(homeserver)

    assert (result["exit_code"], result["errors"]) == (
        69,
        [
            "Could not begin: Synapse's database knows no media, and 1 objects are in the buckets. Only what the"
            " database knows is brought back. Check 'database' in Synapse's configuration."
        ],
    )


def test_what_the_database_does_not_know_stays_and_is_told(homeserver: Homeserver) -> None:
    """Whoever gives up the bucket, since all is done, would lose it where the database is an older copy."""
    content, newer = homeserver.upload([10]), homeserver.upload([20, 30])
    local = homeserver.upload([40])
    only_stored(homeserver, content | newer)
    homeserver.store(local | {"url_cache/2024-01-01/abcdef": b"123"})
    for path in newer | local:
        homeserver.forget(path.partition("/")[2].replace("/", ""))

    result, named = restore(homeserver), restore(homeserver, "--local")

    told = (
        "2 objects of media (50 B) are unknown to the database, and stay in the buckets alone: Synapse has deleted that"
        " media, or the database is an older copy. Keep the buckets until you know which."
    )
    assert (result["restored"], result["unknown_objects"], result["exit_code"]) == (count(content), count(newer), 0)
    assert told in result["facts"]
    assert told not in named["facts"]


def test_a_link_is_named_to_a_person(homeserver: Homeserver) -> None:
    """The summary says that all which failed is named above."""
    (path,) = homeserver.upload([10])
    place, moved = homeserver.media / path, homeserver.media.parent / "moved"
    place.rename(moved)
    place.symlink_to(moved)

    status, _stdout, stderr = homeserver.run("restore")

    assert status == 1
    assert stderr.splitlines()[0] == f"{path}: Passed over: a symbolic link, which is never followed."


def test_a_new_disk(homeserver: Homeserver) -> None:
    """Its old one is lost. By itself it looks like one that is not mounted."""
    content = homeserver.upload([10, 20])
    homeserver.migrate()
    shutil.rmtree(homeserver.media)
    homeserver.media.mkdir()

    refused = restore(homeserver)
    told = restore(homeserver, "--new-disk")

    assert (refused["exit_code"], refused["restored"]) == (69, NONE)
    assert "Onto a new, empty disk 'restore --new-disk' brings back" in refused["errors"][0]
    assert (told["exit_code"], told["restored"]) == (0, count(content))
    assert homeserver.local() == content


def test_an_empty_list_of_media(homeserver: Homeserver) -> None:
    """Whatever was to write it has failed."""
    homeserver.upload([10])
    with open(os.devnull, "rb") as nothing:
        process = start_with(homeserver, nothing.fileno(), "--media", "-")
        stdout, stderr = process.communicate(timeout=120)
    assert answer(process, stdout, stderr)["errors"] == [
        "Could not restore anything: the list of media on stdin is empty. Write one media URI a line, as"
        " 'mxc://SERVER/ID'."
    ]
    assert process.returncode == 2


def test_every_provider_in_synapses_order(homeserver: Homeserver) -> None:
    content, old = homeserver.upload([10, 20]), homeserver.upload([30])
    other = homeserver.server.new_bucket()
    for path, data in old.items():
        homeserver.server.client().put_object(Bucket=other.bucket, Key=f"old/{path}", Body=data)
        (homeserver.media / path).unlink()
    only_stored(homeserver, content)
    module = "s3_storage_provider.S3StorageProviderBackend"

    def provider(bucket: str, prefix: str, *, stores: bool) -> dict[str, Any]:
        settings = {
            "bucket": bucket,
            "prefix": prefix,
            "region_name": other.region_name,
            "endpoint_url": other.endpoint_url,
            "access_key_id": other.access_key_id,
            "secret_access_key": other.secret_access_key,
        }
        return {"module": module, "store_local": stores, "config": settings}

    main = provider(homeserver.bucket.bucket, PREFIX, stores=True)
    homeserver.configure(media_storage_providers=[main, provider(other.bucket, "old/", stores=False)])
    both = restore(homeserver)

    homeserver.configure(media_storage_providers=[main, provider("no-such-bucket", "", stores=False)])
    for path in content:
        (homeserver.media / path).unlink()
    one = restore(homeserver)

    assert (both["restored"], both["exit_code"]) == (count(content | old), 0)
    assert homeserver.local() == content | old
    # The bucket that is there gives what it has; that the other was not looked at is no success.
    assert (one["restored"], one["already_local"], one["exit_code"]) == (count(content), count(old), 1)
    assert len(one["errors"]) == 1
    assert "no-such-bucket" in one["errors"][0]


def test_a_kill_leaves_nothing_half_way(homeserver: Homeserver) -> None:
    """At each of many moments; the next run goes on."""
    content = homeserver.upload([300_000] * 60 + [9 * 2**20] * 3)
    only_stored(homeserver, content)
    kills = 0
    for number in range(40 if SOAK else 12):
        process = homeserver.start("restore", "--json", "--workers", "4")
        waits_for = homeserver.count_local() + 1 + number % 5
        end = time.monotonic() + 60
        while process.poll() is None and count_media(homeserver) < waits_for and time.monotonic() < end:
            time.sleep(0.002)
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found = {path: data for path, data in homeserver.local().items() if not path.startswith(".restore/")}
        assert found.items() <= content.items()
        if found == content:
            break
    assert kills > 3

    result = restore(homeserver)

    assert homeserver.local() == content
    assert (result["exit_code"], result["problems"]) == (0, [])
    assert [path.name for path in homeserver.media.iterdir()] == ["local_content"]


def count_media(homeserver: Homeserver) -> int:
    return sum(len(files) for _path, _directories, files in os.walk(homeserver.media / "local_content"))


def hang(_exchange: Exchange) -> bool:
    time.sleep(30)
    return False


def test_stops_while_the_bucket_hangs(homeserver: Homeserver) -> None:
    content = homeserver.upload([5000] * 3)
    only_stored(homeserver, content)
    with run_proxy(homeserver.server.host, Plan(Kind.GET, hang, times=100)) as proxy:
        homeserver.configure_endpoint(proxy.url)
        process = homeserver.start("restore", "--json")
        end = time.monotonic() + 60
        while not any((homeserver.media / ".restore").glob("*")) and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        result = answer(process, *process.communicate(timeout=60))

        assert time.monotonic() - began < 30
        assert result["exit_code"] == 128 + signal.SIGTERM
        assert count_media(homeserver) == 0

    homeserver.configure()
    assert restore(homeserver)["restored"] == count(content)
    assert homeserver.local() == content


@contextmanager
def mounted(*arguments: str | Path) -> Iterator[None]:
    subprocess.run(["mount", *arguments], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", arguments[-1]], check=True)


def test_a_disk_that_is_too_small(homeserver: Homeserver) -> None:
    content = homeserver.upload([100_000] * 50)
    only_stored(homeserver, content)
    with mounted("-t", "tmpfs", "-o", "size=4m", "none", homeserver.media):
        (homeserver.media / "local_content").mkdir()

        refused = restore(homeserver)
        left = homeserver.local()
        stopped = restore(homeserver, "--minimum-free", "0", "--dry-run")

        assert (refused["exit_code"], refused["restored"], left) == (1, NONE, {})
        assert (stopped["exit_code"], stopped["restored"]) == (1, NONE)
        assert "(--minimum-free 5%) are to stay free" in refused["errors"][0]
        assert len(refused["errors"]) == 1


def test_others_fill_the_disk_meanwhile(homeserver: Homeserver) -> None:
    content = homeserver.upload([100_000] * 20)
    only_stored(homeserver, content)
    with mounted("-t", "tmpfs", "-o", "size=4m", "none", homeserver.media):
        (homeserver.media / "local_content").mkdir()

        def fill(exchange: Exchange) -> bool:
            # After the listing, and before the first file comes.
            (homeserver.media / "other").write_bytes(b"x" * 3_000_000)
            return pass_all(exchange)

        with run_proxy(homeserver.server.host, Plan(Kind.GET, fill, times=1)) as proxy:
            homeserver.configure_endpoint(proxy.url)
            result = restore(homeserver, "--minimum-free", "10%", "--workers", "1")

        (homeserver.media / "other").unlink()
        found = homeserver.local()
        assert found.items() < content.items()
        assert (result["exit_code"], result["restored"], result["problems"]) == (1, count(found), [])
        assert len(result["errors"]) == 1
        assert result["not_reached"] == len(content) - len(found)
        homeserver.configure()
        assert restore(homeserver, "--minimum-free", "10%")["exit_code"] == 0
        assert homeserver.local() == content


@pytest.mark.parametrize("kind", ["a disk", "a bind mount"])
def test_directories_that_are_mounts(homeserver: Homeserver, kind: str) -> None:
    """No link leads from one mount to another, not even to the same disk."""
    content = homeserver.upload([10, 20]) | homeserver.fetch("a.example", [30, 40])
    only_stored(homeserver, content)
    with tempfile.TemporaryDirectory(dir=homeserver.media.parent) as elsewhere:
        for place in (homeserver.media / "local_content", homeserver.media / "remote_content" / "a.example"):
            source = Path(elsewhere, place.name)
            source.mkdir()
            how = ("-t", "tmpfs", "none") if kind == "a disk" else ("--bind", str(source))
            place.mkdir(exist_ok=True)
            with mounted(*how, place):
                (place / ".restore").mkdir()
                (place / ".restore" / ("0" * 32)).touch()
                result = restore(homeserver)

                assert (result["exit_code"], result["problems"]) == (0, [])
                assert homeserver.local() == content
                assert not list(homeserver.media.rglob(".restore"))
            for path in list(homeserver.local()):
                (homeserver.media / path).unlink()
