# SPDX-License-Identifier: GPL-3.0-or-later
"""The program as a process of its own, on a media store, a SQLite database and a real MinIO."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import NONE, PREFIX, Homeserver, count
from ansible_collections.matrixops.synapse_s3.tests.s3_server import S3Server
from ansible_collections.matrixops.synapse_s3.tests.soak import soak_but


def test_whole_way(homeserver: Homeserver) -> None:
    content = homeserver.upload([0, 1, 5000, 8 * 2**20 - 1, 8 * 2**20, 20 * 2**20])
    total = count(content)

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


@pytest.mark.parametrize("arguments", [{}, {"ChecksumAlgorithm": "SHA256"}, {"ChecksumAlgorithm": "CRC32"}])
@pytest.mark.parametrize("same", [True, False])
def test_object_whose_etag_proves_nothing(homeserver: Homeserver, arguments: dict[str, str], same: bool) -> None:
    """Stored by another program, in parts of another size, some with checksums of these parts."""
    content = homeserver.upload([13 * 2**20])
    objects = {path: data if same else data[:-1] + bytes([data[-1] ^ 1]) for path, data in content.items()}
    homeserver.store_in_parts(objects, 6 * 2**20, **arguments)

    result = homeserver.migrate()

    assert homeserver.stored() == objects
    assert homeserver.local() == ({} if same else content)
    told = (result["already_stored"], result["conflicts"], result["exit_code"])
    assert told == ((count(content), NONE, 0) if same else (NONE, count(content), 1))


def test_key_that_may_not_list_unfinished_uploads(homeserver: Homeserver) -> None:
    """With the permissions that the documentation asked for at first."""
    content = homeserver.upload([5000, 9 * 2**20])
    actions = ("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")
    homeserver.configure(homeserver.server.restricted(homeserver.bucket, *actions))

    result = homeserver.migrate()

    assert (result["uploaded"], result["deleted"], result["exit_code"]) == (count(content), count(content), 0)
    assert homeserver.stored() == content


def test_preflight_and_status(homeserver: Homeserver) -> None:
    homeserver.upload([1, 2, 3])

    assert homeserver.run("preflight") == (
        0,
        "The bucket can be reached, listed, written, read and deleted from.\n",
        "",
    )
    status, stdout, _unused = homeserver.run("status", "--json", "--unit", "no-such-unit-of-this-name")
    result = json.loads(stdout)
    assert status == result["exit_code"] == 0
    three = {"files": 3, "bytes": 6}
    assert {name: result[name] for name in ("local", "stored", "at_risk", "unserved", "unknown_objects")} == {
        "local": three,
        "stored": NONE,
        "at_risk": three,
        "unserved": NONE,
        "unknown_objects": NONE,
    }
    assert result["at_risk_by_reason"] == {"not_stored": three}
    assert [result[name] for name in ("runs", "last_run", "last_result", "next_run")] == [[], None, None, None]


def test_status_of_all_that_can_be(homeserver: Homeserver) -> None:
    """Another bucket or prefix takes all older media offline; what Synapse has deleted stays in the bucket."""
    only_local, both, stored_only, neither, deleted = (homeserver.upload([size]) for size in (1, 2, 3, 4, 5))
    homeserver.store({**both, **stored_only, **deleted})
    for path in (*stored_only, *neither, *deleted):
        (homeserver.media / path).unlink()
    (path,) = deleted
    homeserver.forget(path.partition("/")[2].replace("/", ""))

    status, stdout, stderr = homeserver.run("status", "--json", "--state-directory", str(homeserver.state))

    result = json.loads(stdout)
    assert (status, result["errors"]) == (0, []), stderr
    expected = {
        "local": {**only_local, **both},
        "stored": {**both, **stored_only, **deleted},
        "both": both,
        "at_risk": only_local,
        "stored_only": stored_only,
        "unserved": neither,
        "unknown_objects": deleted,
    }
    assert {name: result[name] for name in expected} == {name: count(content) for name, content in expected.items()}
    assert result["sampled"] == 3


def test_runs_are_written_down(homeserver: Homeserver) -> None:
    """It was told as never, after each reboot."""
    homeserver.upload([10])
    homeserver.migrate("--state-directory", str(homeserver.state))
    homeserver.migrate("--state-directory", str(homeserver.state), "--dry-run")

    _status, stdout, _stderr = homeserver.run("status", "--json", "--state-directory", str(homeserver.state))

    (run,) = json.loads(stdout)["runs"]
    assert (run["command"], run["outcome"], run["exit_code"]) == ("migrate", "success", 0)
    assert run["counts"]["uploaded"] == {"files": 1, "bytes": 10}


@pytest.mark.parametrize("what", ["metrics", "result"])
def test_run_that_could_not_tell_its_end_is_no_success(homeserver: Homeserver, tmp_path: Path, what: str) -> None:
    """It had ended with 0, by what it had written down."""
    homeserver.upload([10])
    options = ["--metrics-file", str(tmp_path / "missing/migrate.prom")] if what == "metrics" else []
    process = homeserver.start("migrate", "--state-directory", str(homeserver.state), *options)
    if what == "result":
        assert process.stdout
        process.stdout.close()
        process.stdout = None
    process.communicate(timeout=60)

    assert process.returncode == 1
    _status, stdout, _stderr = homeserver.run("status", "--json", "--state-directory", str(homeserver.state))
    (run,) = json.loads(stdout)["runs"]
    assert (run["command"], run["exit_code"]) == ("migrate", 1)


def test_two_providers(homeserver: Homeserver) -> None:
    """A server that is moving to another bucket: the first that stores is the bucket, the other is read only."""
    content, old = homeserver.upload([10, 20]), homeserver.upload([30])
    other = homeserver.server.new_bucket()
    client = homeserver.server.client()
    for path, data in old.items():
        client.put_object(Bucket=other.bucket, Key=PREFIX + path, Body=data)
        (homeserver.media / path).unlink()
    module = "s3_storage_provider.S3StorageProviderBackend"
    settings = {
        "prefix": PREFIX,
        "region_name": other.region_name,
        "endpoint_url": other.endpoint_url,
        "access_key_id": other.access_key_id,
        "secret_access_key": other.secret_access_key,
    }
    homeserver.configure(
        media_storage_providers=[
            {"module": module, "config": {**settings, "bucket": other.bucket}},
            {"module": module, "store_local": True, "config": {**settings, "bucket": homeserver.bucket.bucket}},
        ]
    )

    assert homeserver.migrate()["uploaded"] == count(content)
    _status, stdout, _stderr = homeserver.run("status", "--json")

    result = json.loads(stdout)
    assert homeserver.stored() == content
    assert (result["stored_elsewhere"], result["unserved"]) == (count(old), NONE)
    assert result["other_providers"] == [f"bucket {other.bucket!r} at {other.endpoint_url}, prefix {PREFIX!r}"]


@pytest.mark.parametrize("arguments", [(), ("--keep-local",), ("--dry-run",)])
def test_database_that_is_not_synapses(homeserver: Homeserver, arguments: tuple[str, ...]) -> None:
    """Each night "All done", and nothing was ever uploaded."""
    content = homeserver.upload([10])
    homeserver.execute("DELETE FROM local_media_repository")

    result = homeserver.migrate(*arguments)

    assert result["errors"] == [
        f"Could not migrate anything: the database knows no media at all, but the media store {str(homeserver.media)!r}"
        " has files of media. Check that 'database' in Synapse's configuration is Synapse's own, and that it was"
        " restored in full."
    ]
    assert (result["exit_code"], result["kept"], homeserver.local()) == (78, NONE, content)


def test_media_store_whose_inode_numbers_do_not_last(homeserver: Homeserver, tmp_path: Path) -> None:
    """As on SMB without serverino: each look gives another."""
    content = homeserver.upload([100] * 3)
    (tmp_path / "sitecustomize.py").write_text(INODES_THAT_CHANGE)

    result = homeserver.migrate(path=tmp_path)

    reason = (
        "Could not tell whether the local file is still the one that was seen: its inode number is another, and nothing"
        " else is. Mount its file system so that the numbers last: 'serverino' for SMB; with FUSE as the program's"
        " manual says."
    )
    assert {problem["path"]: problem["reason"] for problem in result["problems"]} == dict.fromkeys(content, reason)
    assert (result["exit_code"], result["failed"], homeserver.local()) == (1, count(content), content)


INODES_THAT_CHANGE = """
import os
fstat = os.fstat

def other(descriptor):
    found = fstat(descriptor)
    if "/media/local_content/" not in os.readlink(f"/proc/self/fd/{descriptor}"):
        return found
    fields = list(found)
    fields[1] += 1
    named = {name: getattr(found, name) for name in dir(found) if name.startswith("st_") and name != "st_ino"}
    return os.stat_result(fields, named)

os.fstat = other
"""


def put_before(homeserver: Homeserver, **changes: str) -> str:
    """A bucket without media that Synapse asks before the one that stores."""
    configuration = yaml.safe_load(homeserver.configuration.read_text())
    (storing,) = configuration["media_storage_providers"]
    config = {**storing["config"], "bucket": homeserver.server.new_bucket().bucket, **changes}
    homeserver.configure(media_storage_providers=[{**storing, "config": config}, {**storing, "store_local": True}])
    return str(config["bucket"])


def test_damaged_object_where_synapse_looks_first(homeserver: Homeserver) -> None:
    """What the bucket holds as well would not be served, once the local file is gone."""
    content = homeserver.upload([100, 100])
    damaged, _well = content
    old = put_before(homeserver)
    homeserver.server.client().put_object(Bucket=old, Key=PREFIX + damaged, Body=b"damaged")

    result = homeserver.migrate()

    assert (result["exit_code"], result["uploaded"]["files"], result["deleted"]["files"]) == (1, 2, 1)
    assert result["problems"] == [
        {
            "path": damaged,
            "reason": "Conflict, the local file was left: the bucket holds the same content, but Synapse asks another"
            " provider first, which holds something else under this key. Write the one that stores first below"
            f" media_storage_providers. It is bucket {old!r} at {homeserver.bucket.endpoint_url}, prefix {PREFIX!r}."
            " The local file has 100 bytes, the object 7.",
        }
    ]
    assert homeserver.local() == {damaged: content[damaged]}
    assert homeserver.stored() == content


@pytest.mark.parametrize(
    ("changes", "status", "cause"),
    [
        ({"bucket": "no-such-bucket"}, 69, "there is no such bucket"),
        ({"secret_access_key": "an-old-one"}, 77, "the secret"),
    ],
)
def test_a_bucket_that_synapse_asks_first_can_t_be_read(
    homeserver: Homeserver, changes: dict[str, str], status: int, cause: str
) -> None:
    content = homeserver.upload([100])
    put_before(homeserver, **changes)

    result, kept = homeserver.migrate(), homeserver.migrate("--keep-local")

    (error,) = result["errors"]
    assert cause in error
    assert error.endswith(
        " Synapse asks it before the bucket, as S3 provider 1 of its configuration, and would serve nothing of the"
        " bucket. Correct it, or write the provider that stores before it."
    )
    assert (result["exit_code"], result["deleted"], homeserver.local()) == (status, NONE, content)
    # Nothing depends on it as long as the local files are there.
    assert (kept["exit_code"], kept["uploaded"]) == (0, count(content))


def test_configuration_of_a_process_that_serves_no_media(homeserver: Homeserver) -> None:
    """A media worker serves it: with the main process's file alone, what is deleted could not be served."""
    content = homeserver.upload([10])
    homeserver.configure(enable_media_repo=False)

    result = homeserver.migrate()

    assert (result["exit_code"], result["deleted"]) == (78, NONE)
    assert result["errors"] == [
        "Could not use this configuration: enable_media_repo is false in it, so that the process that has it serves no"
        " media, and nothing that is only in the bucket. Name the file of the worker that serves media with --config"
        " too, after the others."
    ]
    assert homeserver.local() == content


@pytest.mark.parametrize(
    "command",
    soak_but(
        ["migrate", "verify", "restore"],
        [
            "migrate",
            "status",
            "verify",
            "verify --deep",
            "restore",
            "purge-orphans",
            "copy-bucket",
            "copy-with aws --print",
        ],
    ),
)
def test_synapse_that_does_not_use_the_local_disk(homeserver: Homeserver, command: str) -> None:
    """What is only there it serves to nobody, so that each of these would call well what is not."""
    content = homeserver.upload([10])
    homeserver.configure(enable_local_media_storage=False)

    status, stdout, _stderr = homeserver.run(*command.split(), "--json")

    result = json.loads(stdout.splitlines()[-1])
    assert status == result["exit_code"] == 78
    assert result["errors"] == [
        "Could not use this configuration: it sets enable_local_media_storage to false, with which Synapse reads"
        " nothing from the local disk, and every upload fails. Remove that setting, restart Synapse, and run this"
        " again."
    ]
    assert (homeserver.local(), homeserver.stored()) == (content, {})


@pytest.mark.parametrize(
    ("number", "status"), [pytest.param(signal.SIGINT, 130, marks=pytest.mark.soak), (signal.SIGTERM, 143)]
)
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


def test_shards_at_once(homeserver: Homeserver) -> None:
    """Several hosts on one media store: each file is one host's."""
    content = {**homeserver.upload([5000] * 200), **homeserver.fetch("example.org", [5000] * 100)}

    processes = [homeserver.start("migrate", "--json", "--shard", f"{number}/3") for number in (1, 2, 3)]
    results = [json.loads(process.communicate(timeout=120)[0]) for process in processes]

    assert [result["exit_code"] for result in results] == [0, 0, 0]
    assert sum(result["uploaded"]["files"] for result in results) == len(content)
    assert sum(result["deleted"]["files"] for result in results) == len(content)
    assert min(result["deleted"]["files"] for result in results) > 50
    assert homeserver.stored() == content
    assert homeserver.local() == {}


def kept_by_a_killed_run(homeserver: Homeserver, path: str, directory: str) -> Path:
    """Turn a file into what a run leaves that is killed while it removes it; as versions before media stores had names
    there."""
    file = homeserver.media / path
    place = homeserver.state / directory / "one"
    place.mkdir(parents=True)
    status = file.lstat()
    about = {"path": path, "size": status.st_size, "modified_ns": status.st_mtime_ns, "mode": 0o644}
    (place / "about.json").write_text(json.dumps({**about, "uid": status.st_uid, "gid": status.st_gid}))
    file.rename(place / "content")
    return place


@pytest.mark.parametrize("command", ["migrate", "migrate --keep-local", "migrate --shard 1/3", "restore"])
def test_what_a_killed_run_of_another_shard_has_kept(homeserver: Homeserver, command: str) -> None:
    """Each ended with "All done", or called the file lost."""
    content = homeserver.upload([100])
    (path,) = content
    place = kept_by_a_killed_run(homeserver, path, "aside-1-of-2")
    dry_run = homeserver.run(*command.split(), "--dry-run", "--state-directory", str(homeserver.state))
    assert place.exists()

    status, _stdout, stderr = homeserver.run(*command.split(), "--state-directory", str(homeserver.state))

    told = f"A run that was killed has kept a copy of {path!r}, in {str(place)!r}: the next migrate or restore"
    assert (f"{told} puts it back." in dry_run[1]) == ("--shard" not in command)
    assert status == 0
    assert f"Put back {path!r}: an earlier run was killed while it removed it." in stderr
    assert {**homeserver.local(), **homeserver.stored()} == content
    assert not place.exists()


def test_two_homeservers_with_one_state_directory(tmp_path: Path, minio_http: S3Server) -> None:
    """What a killed run of the one has kept went into the other's media store, and from there nowhere."""
    one, other = (tmp_path / name for name in ("one", "other"))
    one.mkdir()
    other.mkdir()
    mine, others = Homeserver(one, minio_http), Homeserver(other, minio_http)
    others.numbers.seed(1)
    others.upload([5])
    content = mine.upload([100])
    path = next(iter(content))
    place = kept_by_a_killed_run(mine, path, "aside-1-of-1")

    status, stdout, _stderr = others.run("migrate", "--state-directory", str(mine.state))

    assert (status, place.exists(), len(others.stored())) == (0, True, 1)
    assert f"A run that was killed has kept a copy of {path!r}" in stdout
    assert mine.run("migrate", "--state-directory", str(mine.state))[0] == 0
    assert mine.stored() == content


def test_bucket_that_deletes_after_some_days(homeserver: Homeserver) -> None:
    """A bucket of former backups: the disk was freed, "All done", 0, and a month later all media was gone."""
    rule = {"ID": "old backups", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}
    homeserver.server.client().put_bucket_lifecycle_configuration(
        Bucket=homeserver.bucket.bucket, LifecycleConfiguration={"Rules": [rule]}
    )
    content = homeserver.upload([5000, 9_000_000])

    result = homeserver.migrate()

    assert (result["exit_code"], result["conflicts"]["files"], result["deleted"]["files"]) == (1, 2, 0)
    assert 'rule-id="old backups"' in result["problems"][0]["reason"]
    assert homeserver.local() == content


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

    status, _unused, stderr = homeserver.run(
        "shell", "--state-directory", str(homeserver.state), "sh", "-c", commands, path=script
    )

    assert status == 1, stderr
    assert homeserver.local() == {empty: content[empty]}
    assert homeserver.stored() == {**content, empty: b""}
    assert f"{empty}: Conflict, nothing was changed: the bucket holds other content under this key." in stderr
    assert not (homeserver.state / "s3_media_upload" / "database.yaml").exists()


def test_shell_passes_on_the_status(homeserver: Homeserver) -> None:
    status, stdout, _unused = homeserver.run(
        "shell", "--state-directory", str(homeserver.state), "sh", "-c", "pwd; exit 3"
    )

    assert status == 3
    assert stdout == f"{homeserver.state / 's3_media_upload'}\n"


@pytest.mark.parametrize(
    ("number", "command", "status"),
    [
        (signal.SIGTERM, "exec sleep 60", 143),
        (signal.SIGHUP, "exec sleep 60", 129),
        # As an interactive shell does.
        (signal.SIGTERM, "trap '' TERM; exec sleep 60", 129),
    ],
)
def test_shell_that_is_ended_leaves_no_password(homeserver: Homeserver, number: int, command: str, status: int) -> None:
    file = homeserver.state / "s3_media_upload" / "database.yaml"
    process = homeserver.start("shell", "--state-directory", str(homeserver.state), "sh", "-c", command)
    while not file.exists():
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(number)
    process.communicate(timeout=30)

    assert process.returncode == status
    assert not file.exists()


def test_shell_without_such_a_command(homeserver: Homeserver) -> None:
    status, _unused, stderr = homeserver.run("shell", "--state-directory", str(homeserver.state), "no-such-command")

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
    _unused, stderr = process.communicate(timeout=60)

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
