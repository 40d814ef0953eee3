# SPDX-License-Identifier: GPL-3.0-or-later
"""``verify`` as a process of its own, on a media store, a SQLite database and a real MinIO."""

from __future__ import annotations

import json
import signal
import stat
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.tests.fault_proxy import Kind, Plan, answer, run_proxy, s3_error
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import (
    NAME,
    NONE,
    PREFIX,
    Homeserver,
    count,
)
from ansible_collections.matrixops.synapse_s3.tests.minio_server import MinioServer

MODULE = "s3_storage_provider.S3StorageProviderBackend"


def verify(homeserver: Homeserver, *arguments: str) -> Mapping[str, Any]:
    status, stdout, stderr = homeserver.run("verify", "--json", *arguments)
    assert stdout, stderr
    result: Mapping[str, Any] = json.loads(stdout.splitlines()[-1])
    assert result["exit_code"] == status, stderr
    return result


def reasons(result: Mapping[str, Any]) -> dict[str, str]:
    return {problem["path"]: problem["reason"] for problem in result["problems"]}


def only(content: Mapping[str, bytes]) -> str:
    (path,) = content
    return path


def take_away(homeserver: Homeserver, content: Mapping[str, bytes]) -> None:
    for path in content:
        (homeserver.media / path).unlink()


def test_all_that_can_be_is_found_and_only_that(homeserver: Homeserver, tmp_path: Path) -> None:
    local, stored, both = (homeserver.upload([size]) for size in (10, 20, 30))
    missing, empty, truncated, fetched = (homeserver.upload([size]) for size in (40, 50, 60, 70))
    remote = homeserver.fetch("example.org:8448", [80])
    thumbnails = homeserver.thumbnails(only(remote))
    deleted = homeserver.upload([90])
    homeserver.forget(only(deleted).partition("/")[2].replace("/", ""))
    homeserver.insert("local_media_repository", [("never0finished", None, 1, None, None, None)])
    homeserver.insert("local_media_repository", [("../../etc/passwd", 1, 1, None, None, None)])
    homeserver.store({**stored, **both, **truncated, **remote, **deleted})
    homeserver.store({only(empty): b"", "backup.tar": b"x", f"beside/{only(local)}": b"y"})
    homeserver.server.client().put_object(Bucket=homeserver.bucket.bucket, Key="elsewhere", Body=b"z")
    take_away(homeserver, {**stored, **missing, **empty, **remote, **deleted, **thumbnails})
    (homeserver.media / only(truncated)).write_bytes(b"123")
    (homeserver.media / "local_content/lost+found").mkdir()
    report = tmp_path / "report"

    result = verify(homeserver, "--report", str(report))

    expected = {
        "local_only": {**local, **fetched},
        "stored_only": {**stored, **remote},
        "both": both,
        "missing": {**missing, **thumbnails},
        "damaged": {**empty, **truncated},
        "unknown_objects": deleted,
    }
    assert {name: result[name] for name in expected} == {name: count(content) for name, content in expected.items()}
    assert reasons(result) == {
        only(missing): "it is nowhere: nobody else has it.",
        only(empty): "the object is empty (the object has 0 bytes; the database gives 50); no right copy is left.",
        only(truncated): "the local file has another length than the database gives (the local file has 3 bytes; the"
        " database gives 60); the object is right.",
        **dict.fromkeys(thumbnails, "a thumbnail of remote media that is nowhere."),
    }
    assert result["missing_by_reason"] == {
        "local_original": count(missing),
        "remote_thumbnail": count(thumbnails),
    }
    assert (result["exit_code"], result["errors"]) == (1, [])
    assert (result["unknown_files"], result["unfinished"]["files"], result["skipped"]["files"]) == (NONE, 1, 2)
    assert (result["empty_objects"], result["foreign_objects"]["files"]) == (1, 2)
    assert {notice["reason"] for notice in result["notices"]} == {
        "a row of the database that stands for no file of Synapse's",
        "a directory that Synapse does not make",
    }
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert {line["path"]: line["reason"] for line in lines} == reasons(result)
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


def test_all_well(homeserver: Homeserver, tmp_path: Path) -> None:
    """A report of before is replaced by one without a line; nothing is touched, and little is asked."""
    content = {**homeserver.upload([1, 0, 9 * 2**20]), **homeserver.fetch("example.org", [100] * 30)}
    homeserver.store(content)
    metrics, report = tmp_path / "verify.prom", tmp_path / "report"
    report.write_text("old")

    result = verify(homeserver, "--report", str(report), "--metrics-file", str(metrics))

    assert (result["both"], result["checked"], result["exit_code"]) == (count(content), count(content), 0)
    assert result["opened"] == 25
    # The first look, the listing, unfinished uploads, and the objects opened by chance.
    assert result["requests"] == 2 + 25
    assert result["unfinished_uploads"] is None
    assert any(fact.startswith("Unfinished uploads can't be told: the server of bucket") for fact in result["facts"])
    assert report.read_text() == ""
    assert 'synapse_s3_verify_files{result="both"} 33\n' in metrics.read_text()
    assert "synapse_s3_verify_exit_status 0\n" in metrics.read_text()
    assert homeserver.places().local == homeserver.places().stored == content


def test_a_person_reads(homeserver: Homeserver) -> None:
    content, lost = homeserver.upload([1000, 2000]), homeserver.upload([5])
    homeserver.store(content)
    take_away(homeserver, lost)

    status, stdout, stderr = homeserver.run("verify")

    lines = stdout.splitlines()
    assert status == 1
    assert lines[:7] == [
        "  Checked                                                3 files       3.0 kB",
        "    On the local disk only                               0 files          0 B",
        "    In a bucket only                                     0 files          0 B",
        "    In both                                              2 files       3.0 kB",
        "    MISSING                                              1 files          5 B",
        "      local original                                     1 files          5 B",
        "    DAMAGED                                              0 files          0 B",
    ]
    assert lines[-1].startswith("NOT ALL WELL. What is not is named above. (")
    assert stderr == f"{only(lost)}: it is nowhere: nobody else has it.\n"


def test_thumbnails_that_synapse_makes_anew(homeserver: Homeserver) -> None:
    image, lost = homeserver.upload([100]), homeserver.upload([200])
    anew, gone = homeserver.thumbnails(only(image)), homeserver.thumbnails(only(lost))
    take_away(homeserver, {**anew, **gone, **lost})
    homeserver.configure(dynamic_thumbnails=True)

    result = verify(homeserver)

    assert result["missing_by_reason"] == {
        "local_original": count(lost),
        "thumbnail_made_anew": count(anew),
        "thumbnail_without_original": count(gone),
    }


def test_deep_compares_content(homeserver: Homeserver) -> None:
    """By the listings all is well: two objects were swapped, and one local file has another byte."""
    (one, two), changed = (
        ({path: data} for path, data in homeserver.upload([1000, 1000]).items()),
        homeserver.upload([7]),
    )
    image = homeserver.upload([50])
    thumbnails = homeserver.thumbnails(only(image))
    homeserver.store({only(one): two[only(two)], only(two): one[only(one)], **changed, **image, **thumbnails})
    (homeserver.media / only(changed)).write_bytes(b"changed")
    other, *_unused = thumbnails
    (homeserver.media / other).write_bytes(b"x" * len(thumbnails[other]))

    by_listings, deep = verify(homeserver), verify(homeserver, "--deep")

    assert (by_listings["both"]["files"], by_listings["exit_code"]) == (7, 0)
    object_is_other = "the object has another content than the database or its checksum gives; the local file is right."
    assert reasons(deep) == {
        only(one): object_is_other,
        only(two): object_is_other,
        only(changed): "the local file has another content than the database or the bucket gives; the object is right.",
        other: "the local file and the object have the right length, but different content, and the database has no"
        " sha256 to tell which is right.",
    }
    assert (deep["damaged"]["files"], deep["both"]["files"], deep["exit_code"]) == (4, 3, 1)


def test_sample(homeserver: Homeserver) -> None:
    """Of each media that is drawn the thumbnails too; nothing is listed."""
    content = homeserver.upload([100] * 40)
    thumbnails = {path: data for original in content for path, data in homeserver.thumbnails(original).items()}
    homeserver.store({**content, **thumbnails})

    result = verify(homeserver, "--sample", "4")
    all_of_it = verify(homeserver, "--sample", "100%")

    assert (result["both"]["files"], result["media"], result["all_media"]) == (16, 4, 40)
    assert "Looked at 4 of 40 media (10.00%), drawn by chance." in result["facts"]
    assert (result["unknown_objects"], result["skipped"], result["exit_code"]) == (None, None, 0)
    assert (all_of_it["both"]["files"], all_of_it["unknown_objects"]) == (160, NONE)


def test_origin(homeserver: Homeserver) -> None:
    homeserver.upload([1])
    wanted, other = homeserver.fetch("example.org", [10, 20]), homeserver.fetch("example.org.uk", [30])
    homeserver.store({**wanted, **other})
    take_away(homeserver, wanted)

    result, unknown = verify(homeserver, "--origin", "example.org"), verify(homeserver, "--origin", "example.com")

    assert (result["checked"], result["stored_only"], result["exit_code"]) == (count(wanted), count(wanted), 0)
    assert result["unknown_files"] == result["unknown_objects"] == NONE
    assert (unknown["exit_code"], unknown["errors"]) == (
        1,
        [
            "Could not verify media of 'example.com': the database knows none. Write the name of the homeserver as it"
            " stands in the media's addresses."
        ],
    )


def test_own_origin(homeserver: Homeserver) -> None:
    """The users' own media, as restore takes that name too."""
    (own,), theirs = homeserver.upload([10]), homeserver.fetch("example.org", [20, 30])
    wanted = {own: (homeserver.media / own).read_bytes(), **homeserver.thumbnails(own)}
    homeserver.store({**wanted, **theirs})

    result = verify(homeserver, "--origin", NAME)

    assert (result["checked"], result["both"], result["exit_code"]) == (count(wanted), count(wanted), 0)


def provider(homeserver: Homeserver, bucket: str, **other: Any) -> dict[str, Any]:
    settings = homeserver.bucket
    config = {
        "bucket": bucket,
        "prefix": PREFIX,
        "region_name": settings.region_name,
        "endpoint_url": settings.endpoint_url,
        "access_key_id": settings.access_key_id,
        "secret_access_key": settings.secret_access_key,
    }
    return {"module": MODULE, "config": config, **other}


def test_one_store_of_two(homeserver: Homeserver) -> None:
    """A server that is moving: all is served, but the new bucket is not whole yet."""
    moved, left, local = (homeserver.upload([size]) for size in (10, 20, 30))
    old = homeserver.server.new_bucket().bucket
    client = homeserver.server.client()
    for path, data in {**moved, **left}.items():
        client.put_object(Bucket=old, Key=PREFIX + path, Body=data)
    homeserver.store(moved)
    take_away(homeserver, {**moved, **left})
    new = homeserver.bucket.bucket
    homeserver.configure(
        media_storage_providers=[
            provider(homeserver, new, store_local=True, store_remote=True),
            provider(homeserver, old),
        ]
    )

    every, first, second = verify(homeserver), verify(homeserver, "--store", "1"), verify(homeserver, "--store", "2")
    third = homeserver.run("verify", "--store", "3")

    assert (every["stored_only"], every["local_only"], every["exit_code"]) == (
        count({**moved, **left}),
        count(local),
        0,
    )
    assert (first["missing"], first["exit_code"]) == (count({**left, **local}), 1)
    assert reasons(first) == {
        only(left): "it is not in this bucket.",
        only(local): "it is not in this bucket; the local disk has it.",
    }
    assert (second["missing"], second["stored_only"]) == (count(local), count({**moved, **left}))
    assert (third[0], third[1].partition(" (")[0], third[2]) == (
        2,
        "NOTHING WAS LOOKED AT, for the reason above.",
        "Could not look at S3 provider 3: Synapse's configuration has 2. Count them from 1, in the order in which they"
        " stand below media_storage_providers.\n",
    )


def test_former_bucket_that_is_gone(homeserver: Homeserver) -> None:
    """What is nowhere else may be there: that can't be told."""
    content = homeserver.upload([10])
    homeserver.store(content)
    homeserver.configure(
        media_storage_providers=[
            provider(homeserver, homeserver.bucket.bucket, store_local=True),
            provider(homeserver, "no-such-bucket"),
        ]
    )

    result = verify(homeserver)

    assert (result["missing"], result["checked"], result["unknown_objects"], result["exit_code"]) == (
        None,
        None,
        NONE,
        1,
    )
    assert "no-such-bucket" in result["errors"][0]


@pytest.mark.parametrize("what", ["bucket", "disk", "database"])
def test_nothing_can_be_looked_at(homeserver: Homeserver, tmp_path: Path, what: str) -> None:
    homeserver.upload([10])
    report = tmp_path / "report"
    report.write_text("of before")
    if what == "bucket":
        homeserver.configure(replace(homeserver.bucket, endpoint_url="http://127.0.0.1:1"))
    elif what == "disk":
        homeserver.configure(media_store_path=str(tmp_path / "unmounted"))
    else:
        homeserver.configure(database={"name": "sqlite3", "args": {"database": str(tmp_path / "none.db")}})

    result = verify(homeserver, "--report", str(report))

    assert (result["exit_code"], result["checked"], len(result["errors"])) == (69, None, 1)
    assert (result["unknown_files"], result["skipped"], result["unfinished"]) == (None, None, None)
    assert [path.name for path in tmp_path.iterdir() if "report" in path.name] == ["report"]
    assert report.read_text() == "of before"


def test_report_of_an_outage(homeserver: Homeserver, tmp_path: Path) -> None:
    """It took the place of a whole one, and named nothing."""
    take_away(homeserver, homeserver.upload([10]))
    report = tmp_path / "report"
    verify(homeserver, "--report", str(report))
    whole = report.read_text()
    refused = answer(s3_error("403 Forbidden", "AccessDenied"))

    # The first is the look before all work.
    with run_proxy(homeserver.server.host, Plan(Kind.LIST, refused, times=None, skip=1)) as proxy:
        homeserver.configure_endpoint(proxy.url)
        result = verify(homeserver, "--report", str(report))

    assert (result["exit_code"], len(result["errors"]), len(whole.splitlines())) == (1, 1, 1)
    assert report.read_text() == whole
    assert result["facts"] == [f"The report {str(report)!r} was not written, since not all was looked at."]
    assert [path.name for path in tmp_path.iterdir() if "report" in path.name] == ["report"]


def test_database_that_is_not_synapses(homeserver: Homeserver) -> None:
    homeserver.upload([10])
    homeserver.execute("DELETE FROM local_media_repository")

    result = verify(homeserver)

    assert (result["exit_code"], result["unknown_files"]["files"]) == (1, 1)
    assert result["errors"] == [
        "Could not verify anything: the database knows no media at all, but there are files of media. Check that"
        " 'database' in Synapse's configuration is Synapse's own."
    ]


def test_needs_no_right_to_write(homeserver: Homeserver) -> None:
    """Nor takes it a lock: a run may be under way."""
    content = homeserver.upload([10, 20])
    homeserver.store(content)
    homeserver.configure(homeserver.server.restricted(homeserver.bucket, "s3:ListBucket", "s3:GetObject"))

    result = verify(homeserver)

    assert (result["both"], result["exit_code"], result["errors"]) == (count(content), 0, [])
    assert any(fact.startswith("Unfinished uploads can't be told. Could not ") for fact in result["facts"])


@pytest.mark.parametrize(
    ("number", "status"), [pytest.param(signal.SIGINT, 130, marks=pytest.mark.soak), (signal.SIGTERM, 143)]
)
def test_signal_stops_it(homeserver: Homeserver, tmp_path: Path, number: int, status: int) -> None:
    """A part of a report does not take the place of a whole one."""
    content = homeserver.upload([200_000] * 1500)
    homeserver.store(dict(list(content.items())[:20]))
    report = tmp_path / "report"
    process = homeserver.start("verify", "--json", "--deep", "--workers", "1", "--report", str(report))
    while not list(tmp_path.glob(".report*")):
        time.sleep(0.02)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)

    result = json.loads(stdout)
    assert process.returncode == result["exit_code"] == status, stderr
    assert not report.exists()
    assert not list(tmp_path.glob(".report*"))
    # What was looked at is a part: to count it would pass for an answer.
    assert (result["checked"], result["local_only"], result["missing"], result["unknown_files"]) == (None,) * 4


def test_with_a_migration_beside_it(homeserver: Homeserver) -> None:
    """What moves from one side to the other meanwhile is missing in neither."""
    content = homeserver.upload([2000] * 700)
    process = homeserver.start("migrate", "--json")
    results = []
    while process.poll() is None:
        results.append(verify(homeserver))
    process.communicate()

    assert results
    for result in results:
        assert (result["checked"], result["missing"], result["exit_code"]) == (count(content), NONE, 0), result


def test_another_encryption_key(tmp_path: Path, minio_https: MinioServer) -> None:
    """A listing tells no key: with --deep, and in a sample, each object is opened."""
    homeserver = Homeserver(tmp_path, minio_https)
    homeserver.ca_bundle = minio_https.certificate
    plain, encrypted = homeserver.upload([100] * 30), homeserver.upload([200, 300])
    homeserver.store(plain)
    for path, data in encrypted.items():
        minio_https.client().put_object(
            Bucket=homeserver.bucket.bucket,
            Key=PREFIX + path,
            Body=data,
            SSECustomerAlgorithm="AES256",
            SSECustomerKey="k" * 32,
        )
    take_away(homeserver, encrypted)

    deep = verify(homeserver, "--deep")
    sample = verify(homeserver, "--sample", "32")

    assert deep["damaged"] == sample["damaged"] == count(encrypted)
    assert deep["damaged_by_reason"] == {"other_key": count(encrypted)}
    for reason in reasons(deep).values():
        assert reason.startswith(
            "the object is not encrypted with the configured key, so that Synapse can't read it; no right copy is left."
            " Could not "
        )
    assert deep["both"] == count(plain)
