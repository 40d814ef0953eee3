# SPDX-License-Identifier: GPL-3.0-or-later
"""``purge-orphans`` as a process of its own, on a media store, a SQLite database and a real MinIO."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.tests.fault_proxy import (
    Exchange,
    Fault,
    Kind,
    Plan,
    answer,
    close_before,
    cut_answer,
    cut_request,
    hang,
    lose_answer,
    pass_all,
    run_proxy,
    s3_error,
)
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import (
    NAME,
    NONE,
    PREFIX,
    Homeserver,
    count,
)
from ansible_collections.matrixops.synapse_s3.tests.integration.warm_program import MODULE_UTILS
from ansible_collections.matrixops.synapse_s3.tests.soak import soak_but

ALL = ("--minimum-age", "0s", "--maximum-share", "100%")


def purge(homeserver: Homeserver, *arguments: str) -> Mapping[str, Any]:
    status, stdout, stderr = homeserver.run(
        "purge-orphans", "--json", "--state-directory", str(homeserver.state), *arguments
    )
    assert stdout, stderr
    result: Mapping[str, Any] = json.loads(stdout.splitlines()[-1])
    assert result["exit_code"] == status, stderr
    return result


def id_of(path: str) -> str:
    return path.partition("/")[2].replace("/", "")


def journal(homeserver: Homeserver) -> list[Mapping[str, Any]]:
    text = (homeserver.state / "purge-orphans.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_what_synapse_has_deleted_goes_from_the_bucket(homeserver: Homeserver) -> None:
    kept, deleted = homeserver.upload([10, 20, 30]), homeserver.upload([40])
    (path,) = deleted
    thumbnails = homeserver.thumbnails(path)
    homeserver.migrate()
    foreign = {"backup.tar": b"12345", "url_cache/2024-01-01/abcdef": b"123"}
    homeserver.store(foreign)
    homeserver.server.client().put_object(Bucket=homeserver.bucket.bucket, Key=f"other/{path}", Body=b"beside")
    homeserver.forget(id_of(path))
    homeserver.execute("DELETE FROM local_media_repository_thumbnails")
    gone = {**deleted, **thumbnails}

    listed = purge(homeserver, *ALL)
    assert homeserver.stored() == {**kept, **gone, **foreign, f"other/{path}": b"beside"}
    result = purge(homeserver, "--delete", *ALL)

    assert (listed["orphans"], listed["deleted"], listed["exit_code"]) == (count(gone), NONE, 0)
    assert sorted(notice["path"] for notice in listed["notices"]) == sorted(PREFIX + each for each in gone)
    assert (result["orphans"], result["deleted"], result["failed"]) == (count(gone), count(gone), NONE)
    assert (result["foreign"], result["too_recent"], result["exit_code"]) == (count(foreign), NONE, 0)
    assert homeserver.stored() == {**kept, **foreign, f"other/{path}": b"beside"}
    assert sorted(line["key"] for line in journal(homeserver)) == sorted(PREFIX + each for each in gone)
    assert stat.S_IMODE((homeserver.state / "purge-orphans.jsonl").stat().st_mode) == 0o600


def test_database_that_knows_too_little(homeserver: Homeserver) -> None:
    """A copy of some months ago: all that came since looks orphaned."""
    content = homeserver.upload([1] * 19)
    homeserver.migrate()
    first, *_unused = content
    homeserver.forget(id_of(first))

    listed = purge(homeserver, "--minimum-age", "0s")
    result = purge(homeserver, "--minimum-age", "0s", "--delete")

    assert (listed["exit_code"], listed["orphans"], result["exit_code"]) == (0, {"files": 1, "bytes": 1}, 1)
    assert (result["deleted"], homeserver.stored()) == (NONE, content)
    (error,) = result["errors"]
    assert error == (
        "Could not delete orphans, and nothing was changed: 1 of 19 objects of media in the bucket are unknown to the"
        " database (5.263%), and --maximum-share allows 5%. See that the database is the one that Synapse uses, not an"
        " older copy, and that no other homeserver stores below this prefix. If all that is listed without --delete may"
        " go, give a larger --maximum-share."
    )
    assert f"With --delete: {error}" in listed["facts"]


def test_sqlite_file_that_is_replaced_while_the_bucket_is_listed(homeserver: Homeserver) -> None:
    """An older copy had its place, and the right one is moved back: what is open still knows too little."""
    content = homeserver.upload([10] * 3)
    homeserver.migrate()
    right = homeserver.database.with_suffix(".right")
    shutil.copy(homeserver.database, right)
    homeserver.forget(id_of(next(iter(content))))

    def put_right(exchange: Exchange) -> bool:
        right.replace(homeserver.database)
        return pass_all(exchange)

    with run_proxy(homeserver.server.host, Plan(Kind.LIST, put_right, skip=2)) as proxy:
        homeserver.configure_endpoint(proxy.url)
        result = purge(homeserver, "--delete", *ALL)

    assert result["errors"] == [
        f"Could not rely on Synapse's database {str(homeserver.database)!r} any more: since this run began, that file"
        " was replaced or moved away. See that it is the one that Synapse uses, and run this again."
    ]
    assert (result["exit_code"], result["deleted"], homeserver.stored()) == (1, NONE, content)


def test_disk_where_names_in_upper_and_lower_case_are_one(homeserver: Homeserver) -> None:
    content = homeserver.upload([10])
    homeserver.forget(id_of(next(iter(content))))
    homeserver.upload([20])
    # On such a disk both names are there.
    (homeserver.media / "LOCAL_CONTENT").symlink_to("local_content")

    result = purge(homeserver, "--delete", *ALL)

    assert (result["exit_code"], result["local_deleted"]) == (78, NONE)
    assert content.items() <= homeserver.local().items()


def test_empty_database(homeserver: Homeserver) -> None:
    content = homeserver.upload([1, 2])
    homeserver.migrate()
    homeserver.execute("DELETE FROM local_media_repository")

    result = purge(homeserver, "--delete", *ALL)

    assert (result["exit_code"], homeserver.stored()) == (78, content)


def test_without_a_server_name(homeserver: Homeserver) -> None:
    """Another homeserver's media can't be told from this one's."""
    content = homeserver.upload([1] * 30)
    homeserver.migrate()
    homeserver.forget(id_of(next(iter(content))))
    homeserver.configure(server_name=None)

    result = purge(homeserver, "--delete", *ALL)

    assert (result["exit_code"], result["errors"], homeserver.stored()) == (
        78,
        [
            "Could not tell this homeserver's media from others': Synapse's configuration has no server_name. Name"
            " every configuration file that Synapse is started with."
        ],
        content,
    )


def test_two_homeservers_below_one_prefix(homeserver: Homeserver) -> None:
    """Neither has one: each other's media is unknown, however little of it there is."""
    mine = homeserver.upload([1] * 30)
    homeserver.migrate()
    theirs = {f"remote_content/{NAME}/aa/bb/cc": b"fetched from this one", "local_content/aa/bb/cc": b"theirs"}
    homeserver.store(theirs)

    result = purge(homeserver, "--delete", *ALL)

    assert (result["exit_code"], homeserver.stored()) == (78, {**mine, **theirs})


def test_young_orphans_stay(homeserver: Homeserver) -> None:
    content = homeserver.upload([1, 2])
    homeserver.migrate()
    for path in content:
        homeserver.forget(id_of(path))
    homeserver.upload([3])
    homeserver.write({"local_content/aa/bb/cc": b"young"}, age=3600)
    homeserver.write({"local_content/aa/bb/dd": b"old"}, age=8 * 86400)

    result = purge(homeserver, "--delete", "--maximum-share", "100%")

    assert (result["too_recent"], result["orphans"], result["deleted"]) == (count(content), NONE, NONE)
    assert (result["local_orphans"], result["local_deleted"]) == ({"files": 1, "bytes": 3},) * 2
    assert homeserver.stored() == content
    assert "local_content/aa/bb/cc" in homeserver.local()


def test_media_that_synapse_receives_just_now(homeserver: Homeserver) -> None:
    """Its row comes after the file and the object: also without a minimum age the file stays."""
    homeserver.upload([1] * 30)
    homeserver.migrate()
    received = {"local_content/aa/bb/cc": b"in the middle of its upload"}
    homeserver.write(received, age=0)
    homeserver.store(received)

    result = purge(homeserver, "--delete", *ALL)

    assert (result["exit_code"], result["local_orphans"], result["local_deleted"]) == (0, NONE, NONE)
    assert homeserver.local() == received


def test_journal_is_where_the_administrator_wants_it(homeserver: Homeserver) -> None:
    (deleted, path) = homeserver.upload([1, 2])
    homeserver.migrate()
    homeserver.forget(id_of(deleted))
    homeserver.store({"backup.tar": b"123"})
    report = homeserver.state / "report"

    purge(homeserver, "--report", str(report), *ALL)
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert sorted((line["action"], line["kind"], line["key"]) for line in lines) == [
        ("listed", "foreign", f"{PREFIX}backup.tar"),
        ("listed", "orphan", PREFIX + deleted),
    ]
    purge(homeserver, "--report", str(report), "--delete", *ALL)
    assert json.loads(report.read_text().splitlines()[-1])["action"] == "delete"
    assert set(homeserver.stored()) == {path, "backup.tar"}


def test_report_of_an_outage(homeserver: Homeserver) -> None:
    """A part of a list would pass for the whole."""
    homeserver.upload([1])
    homeserver.store({f"local_content/aa/bb/{number:04}": b"" for number in range(1001)})
    report = homeserver.state / "report"
    report.write_text("of before\n")
    refused = answer(s3_error("403 Forbidden", "AccessDenied"))

    # Two looks before all work, and the first page.
    with run_proxy(homeserver.server.host, Plan(Kind.LIST, refused, times=None, skip=3)) as proxy:
        homeserver.configure_endpoint(proxy.url)
        result = purge(homeserver, "--report", str(report), *ALL)

    assert 0 < result["orphans"]["files"] < 1001
    assert (result["exit_code"], report.read_text()) == (77, "of before\n")


def test_without_a_journal_nothing_is_deleted(homeserver: Homeserver) -> None:
    (path,) = content = homeserver.upload([1])
    homeserver.upload([1])
    homeserver.store(content)
    homeserver.forget(id_of(path))

    status, _unused, stderr = homeserver.run("purge-orphans", "--delete", "--state-directory", "/nonexistent", *ALL)

    assert (status, homeserver.stored()) == (69, content)
    assert (
        "Could not write the journal '/nonexistent/purge-orphans.jsonl': No such file or directory. Nothing is deleted"
        " without it: make room, see that its directory is there and writable, or name another file with --report."
    ) in stderr.splitlines()


def test_list_that_is_cut(homeserver: Homeserver) -> None:
    """The names had found a full disk, and the last lines went nowhere: success."""
    homeserver.upload([1] * 600)
    homeserver.execute("DELETE FROM local_media_repository WHERE rowid > 2")
    program = [sys.executable, "-m", "_media", "--config", str(homeserver.configuration), "purge-orphans", *ALL]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(MODULE_UTILS)}

    with open("/dev/full", "wb") as full:
        listing = subprocess.run(program, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert (listing.returncode, listing.stderr) == (
        1,
        "Could not print the result: No space left on device. See that what stdout is connected to stays open and has"
        " space.\n",
    )


def test_list_for_a_person(homeserver: Homeserver) -> None:
    (path,) = content = homeserver.upload([1])
    homeserver.upload([1])
    homeserver.store(content)
    homeserver.forget(id_of(path))

    status, stdout, _unused = homeserver.run("purge-orphans", *ALL, "--state-directory", str(homeserver.state))

    assert status == 0
    assert sorted(stdout.splitlines()[:2]) == [f"{PREFIX}{path} (1 bytes)", f"{path} (1 bytes)"]
    assert stdout.splitlines()[-1].startswith("Dry run: nothing was changed.")


def test_versions_without_a_deletion(homeserver: Homeserver) -> None:
    status, _unused, stderr = homeserver.run("purge-orphans", "--delete-versions")
    assert (status, stderr) == (2, "Could not start: --delete-versions is for --delete. Give both, or neither.\n")


def orphaned(homeserver: Homeserver, number: int) -> dict[str, bytes]:
    """So many objects that the database does not know, beside some that it does."""
    homeserver.upload([1, 2])
    homeserver.migrate()
    content = {f"local_content/oo/pp/{each:04}": b"orphan" for each in range(number)}
    homeserver.store(content)
    return content


SLOW_DOWN = s3_error("503 Slow", "SlowDown")


@pytest.mark.parametrize(
    "fault", soak_but([lose_answer, SLOW_DOWN], [lose_answer, SLOW_DOWN, close_before, cut_answer, cut_request])
)
def test_network_that_fails_once(homeserver: Homeserver, fault: Fault | bytes) -> None:
    """The deletion is made again, and nobody hears of it."""
    content = orphaned(homeserver, 20)
    plan = Plan(Kind.OTHER, answer(fault) if isinstance(fault, bytes) else fault)

    with run_proxy(homeserver.server.host, plan) as proxy:
        homeserver.configure_endpoint(proxy.url)
        result = purge(homeserver, "--delete", *ALL)

    assert (result["deleted"], result["failed"], result["exit_code"]) == (count(content), NONE, 0)
    assert len(homeserver.stored()) == 2


def test_bucket_that_does_not_answer_to_a_deletion_holds_up_no_stop(homeserver: Homeserver) -> None:
    content = orphaned(homeserver, 20)

    with run_proxy(homeserver.server.host, Plan(Kind.OTHER, hang, times=None)) as proxy:
        homeserver.configure_endpoint(proxy.url)
        process = homeserver.start(
            "purge-orphans", "--json", "--state-directory", str(homeserver.state), "--delete", *ALL
        )
        while not proxy.hits:
            time.sleep(0.05)
        second = homeserver.run("purge-orphans", *ALL)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=30)

    result = json.loads(stdout.splitlines()[-1])
    assert (process.returncode, result["exit_code"], result["deleted"]) == (143, 143, NONE)
    assert "20 files were still under way" in stderr
    assert len(journal(homeserver)) == len(content)
    # The lock was held meanwhile.
    assert second[0] == 75


def test_killed_run_leaves_its_journal(homeserver: Homeserver) -> None:
    content = orphaned(homeserver, 20)
    (homeserver.state / "purge-orphans.jsonl").write_text('{"half": ')

    with run_proxy(homeserver.server.host, Plan(Kind.OTHER, hang, times=None)) as proxy:
        homeserver.configure_endpoint(proxy.url)
        process = homeserver.start("purge-orphans", "--state-directory", str(homeserver.state), "--delete", *ALL)
        while not proxy.hits:
            time.sleep(0.05)
        process.kill()
        process.communicate(timeout=30)
    homeserver.configure()
    result = purge(homeserver, "--delete", *ALL)

    assert (result["deleted"], result["exit_code"]) == (count(content), 0)
    half, *records = (homeserver.state / "purge-orphans.jsonl").read_text().splitlines()
    assert half == '{"half": '
    assert [json.loads(line)["path"] for line in records] == [*content, *content]


def test_other_providers_are_left_alone(homeserver: Homeserver) -> None:
    """During a move: what is only in the former bucket is no sign of a wrong database."""
    orphaned(homeserver, 3)
    configuration = yaml.safe_load(homeserver.configuration.read_text())
    (provider,) = configuration["media_storage_providers"]
    other = homeserver.server.new_bucket()
    former = {**provider, "config": {**provider["config"], "bucket": other.bucket}}
    homeserver.configure(media_storage_providers=[{**provider, "store_local": True}, former])
    homeserver.server.client().put_object(Bucket=other.bucket, Key=f"{PREFIX}local_content/oo/pp/0000", Body=b"1")

    result = purge(homeserver, "--delete", *ALL)

    assert (result["deleted"]["files"], result["exit_code"]) == (3, 0)
    assert (
        f"Only the bucket that new media go to was looked at, not the other 1: {other.bucket!r} at"
        f" {homeserver.server.url}."
    ) in result["facts"]
    assert homeserver.server.client().list_objects_v2(Bucket=other.bucket)["KeyCount"] == 1


def test_metrics_and_history(homeserver: Homeserver) -> None:
    content = orphaned(homeserver, 3)
    metrics = homeserver.state / "metrics.prom"

    purge(homeserver, "--delete", "--metrics-file", str(metrics), *ALL)

    assert 'synapse_s3_purge_orphans_files{result="deleted"} 3\n' in metrics.read_text()
    _status, stdout, _stderr = homeserver.run("status", "--json", "--state-directory", str(homeserver.state))
    (run,) = json.loads(stdout)["runs"]
    assert (run["command"], run["counts"]["deleted"]) == ("purge-orphans", count(content))
