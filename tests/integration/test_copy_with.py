# SPDX-License-Identifier: GPL-3.0-or-later
"""``copy-with``: the real aws, rclone and s5cmd copy a media store into MinIO, and ``migrate`` proves it."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.tests.copy_tools import copy_tools, python_of_b2
from ansible_collections.matrixops.synapse_s3.tests.documents import ROOT, blocks
from ansible_collections.matrixops.synapse_s3.tests.fault_proxy import (
    Exchange,
    Fault,
    Kind,
    Plan,
    answer,
    http_answer,
    pass_all,
    run_proxy,
    s3_error,
)
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import (
    NONE,
    PREFIX,
    Homeserver,
    Places,
    count,
)
from ansible_collections.matrixops.synapse_s3.tests.minio_server import (
    ADMIN_KEY,
    ADMIN_SECRET,
    REGION,
    MinioServer,
)
from ansible_collections.matrixops.synapse_s3.tests.s3_server import S3Server
from ansible_collections.matrixops.synapse_s3.tests.soak import soak_but
from ansible_collections.matrixops.synapse_s3.tests.versitygw_server import versitygw_http

__all__ = ["versitygw_http"]

GUIDE = ROOT / "docs/copy-with-another-tool.md"
DEBIANS_RCLONE = Path("/usr/bin/rclone")
# What Debian 12 has, and the newest.
RCLONES = ["rclone of Debian", pytest.param("rclone", marks=pytest.mark.soak)]
BY_S3 = [*RCLONES, "s5cmd", "aws"]
# Of some seconds' start for each directory: in make test aws does what its users do, in make soak all.
MOSTLY = [*RCLONES, "s5cmd", pytest.param("aws", marks=pytest.mark.soak)]
# What a server says of an object that is there, and will not show.
STATUSES = soak_but([403], [400, 403, 404, 500])
# In three parts of the provider's size.
LARGE = 17 * 1024 * 1024
NEXT = (
    "Nothing was deleted, and nothing is proven yet: 'migrate' compares what is in the bucket, uploads what is missing,"
    " and frees the disk."
)


@pytest.fixture(params=MOSTLY)
def tool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Each tool in turn, in PATH by its name."""
    name: str = request.param
    program = DEBIANS_RCLONE if name.endswith(" of Debian") else copy_tools() / name
    name = name.partition(" ")[0]
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / name).symlink_to(program)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    return name


def copy_with(homeserver: Homeserver, tool: str, *options: str) -> tuple[Mapping[str, Any], str]:
    status, stdout, stderr = homeserver.run(
        "copy-with", tool, "--json", "--state-directory", str(homeserver.state), *options
    )
    result: Mapping[str, Any] = json.loads(stdout.splitlines()[-1])
    assert result["exit_code"] == status, stderr
    return result, stderr


def fill(homeserver: Homeserver, *sizes: int) -> dict[str, bytes]:
    """Media of all four directories, of these sizes too, and beside them all that is not to be copied."""
    media = {**homeserver.upload([*[0] * 10, 5000, *sizes]), **homeserver.fetch("example.org:8448", [3000])}
    for path in list(media):
        media.update(homeserver.thumbnails(path))
    media.update(homeserver.fetch("[2001:db8::1]", [2000]))
    others = (
        *("url_cache/2026-11-01_abc", "url_cache_thumbnails/2026-11-01_abc/32-32-image-png-crop", ".restore/new"),
        *("local_content/.restore/new", "remote_content/.snapshot/aa/bb/cc", "lost+found/x", "notes.txt"),
        *("local_content/lost+found/x", "local_content/aa/bb/.put-back-1"),
    )
    homeserver.write(dict.fromkeys(others, b"other"))
    outside = homeserver.media.parent / "outside"
    outside.write_bytes(b"outside")
    (homeserver.media / "local_content" / "li").mkdir()
    (homeserver.media / "local_content" / "li" / "nk").symlink_to(outside)
    return media


@pytest.mark.parametrize("tool", BY_S3, indirect=True)
def test_whole_media_store_and_then_migrate(homeserver: Homeserver, tool: str) -> None:
    media = fill(homeserver, LARGE)
    local = homeserver.local()

    result, stderr = copy_with(homeserver, tool)

    assert (result["exit_code"], result["errors"], result["tool"]) == (0, [], tool), stderr
    assert homeserver.stored() == media
    assert homeserver.local() == local
    assert f"{tool} has copied, and told of no failure (" in stderr
    assert NEXT in stderr
    # Nothing of it needs to be sent, or read back, again: the ETags tell.
    (homeserver.media / "local_content" / "li" / "nk").unlink()
    migrated = homeserver.migrate()
    assert (migrated["exit_code"], migrated["uploaded"], migrated["deleted"]) == (0, NONE, count(media))


@pytest.mark.parametrize("tool", BY_S3, indirect=True)
def test_no_object_that_is_there_is_replaced(homeserver: Homeserver, tool: str) -> None:
    """A local original that is cut off by a failed read must not replace the good object (FACTS)."""
    cut, same_length, missing = (homeserver.upload([size]) for size in (1000, 2000, 3000))
    good = {path: data + b"the rest" for path, data in cut.items()}
    other = {path: bytes(len(data)) for path, data in same_length.items()}
    homeserver.store({**good, **other})

    result, stderr = copy_with(homeserver, tool)

    assert result["exit_code"] == 0, stderr
    assert homeserver.stored() == {**good, **other, **missing}
    if tool == "aws":
        (path,) = cut
        assert f"{path}: Left out: the bucket lists another length under its key." in stderr
    assert homeserver.migrate()["conflicts"]["files"] == 2


@pytest.mark.soak
def test_no_object_that_is_there_is_replaced_on_versitygw(tmp_path: Path, versitygw_http: S3Server, tool: str) -> None:
    directory = tmp_path / "homeserver"
    directory.mkdir()
    test_no_object_that_is_there_is_replaced(Homeserver(directory, versitygw_http), tool)


@pytest.mark.parametrize("tool", RCLONES, indirect=True)
def test_object_that_the_key_may_not_look_at(homeserver: Homeserver, minio_http: MinioServer, tool: str) -> None:
    """Rclone takes it for a missing one where it looks for itself; it is never told of its name."""
    cut, missing = homeserver.upload([1000]), homeserver.upload([2000])
    good = {path: data + b"the rest" for path, data in cut.items()}
    homeserver.store(good)
    homeserver.configure(minio_http.restricted(homeserver.bucket, "s3:ListBucket", "s3:PutObject"))

    result, stderr = copy_with(homeserver, tool)

    assert result["exit_code"] == 0, stderr
    assert homeserver.stored() == {**good, **missing}


@pytest.mark.parametrize("status", STATUSES)
def test_whatever_the_server_says_of_an_object_that_is_there(
    homeserver: Homeserver, minio_http: MinioServer, tool: str, status: int
) -> None:
    """Its local file is cut off: it must not take the place of the whole object. What the guide's table says."""
    (path,) = cut = homeserver.upload([1000])
    good = {path: cut[path] + b"the rest"}
    homeserver.store(good)
    with run_proxy(minio_http.host, Plan(Kind.HEAD, answer_for(path, status), None)) as proxy:
        homeserver.configure_endpoint(proxy.url)
        result, stderr = copy_with(homeserver, tool)

    if (tool, status) == ("s5cmd", 404):
        assert (result["exit_code"], homeserver.stored()) == (0, cut), stderr
    else:
        assert (result["exit_code"], homeserver.stored()) == (1 if tool == "s5cmd" else 0, good), stderr


@pytest.mark.parametrize("tool", RCLONES, indirect=True)
@pytest.mark.parametrize("status", STATUSES)
def test_whatever_the_server_says_to_rclone_by_hand(
    homeserver: Homeserver, minio_http: MinioServer, tool: str, status: int
) -> None:
    """The object is younger than its local file, and than --minimum-age."""
    (path,) = cut = homeserver.upload([1000])
    good = {path: cut[path] + b"the rest"}
    homeserver.store(good)
    with run_proxy(minio_http.host, Plan(Kind.HEAD, answer_for(path, status), None)) as proxy:
        homeserver.configure_endpoint(proxy.url)
        done = print_and_run(homeserver, tool)

    assert (done.returncode, homeserver.stored()) == (0, good), done.stderr


@pytest.mark.parametrize("tool", RCLONES, indirect=True)
@pytest.mark.parametrize("failure", ["404 NoSuchBucket", "403 AccessDenied"])
@pytest.mark.parametrize("by_hand", [False, True])
def test_listing_that_fails_rclone(
    homeserver: Homeserver, minio_http: MinioServer, tool: str, failure: str, by_hand: bool
) -> None:
    """It takes a bucket that is denied for an empty one. By hand that is all it has, as the guide says."""
    missing, (path,) = homeserver.upload([10]), (cut := homeserver.upload([1000]))
    good = {path: cut[path] + b"the rest"}
    homeserver.store(good)
    status, code = failure.split()
    is_taken_for_empty = code == "NoSuchBucket"
    # The first two are those of `copy-with` itself.
    plan = Plan(Kind.LIST, answer(s3_error(f"{status} Failed", code)), None, skip=0 if by_hand else 2)
    with run_proxy(minio_http.host, plan) as proxy:
        homeserver.configure_endpoint(proxy.url)
        if by_hand:
            ended = print_and_run(homeserver, tool).returncode
        else:
            ended = copy_with(homeserver, tool)[0]["directories"]["local_content"]

    assert proxy.hits > 0
    assert (ended == 0) == is_taken_for_empty
    copied = missing if is_taken_for_empty else {}
    assert homeserver.stored() == {**copied, **(cut if is_taken_for_empty and by_hand else good)}


def test_listing_that_fails_before(homeserver: Homeserver, minio_http: MinioServer, tool: str) -> None:
    """What is in the bucket is not known, so that rclone and aws are not begun with."""
    media = homeserver.upload([1000])
    denied = answer(s3_error("403 Forbidden", "AccessDenied"))
    with run_proxy(minio_http.host, Plan(Kind.LIST, denied, None, skip=1)) as proxy:
        homeserver.configure_endpoint(proxy.url)
        result, stderr = copy_with(homeserver, tool)

    if tool == "s5cmd":
        assert (result["exit_code"], homeserver.stored()) == (0, media), stderr
    else:
        assert (result["exit_code"], homeserver.stored()) == (77, {}), stderr
        assert "NOTHING WAS COPIED, for the reason above (" in stderr


@pytest.mark.parametrize("tool", [*RCLONES, "aws"], indirect=True)
def test_object_that_is_encrypted_in_another_way(tmp_path: Path, minio_https: MinioServer, tool: str) -> None:
    """The first object can be read; the other one is from before SSE-C, and whole, unlike its local file."""
    directory = tmp_path / "homeserver"
    directory.mkdir()
    homeserver = Homeserver(directory, minio_https)
    homeserver.ca_bundle = minio_https.certificate
    media = homeserver.upload([1000, 1000])
    first, second = sorted(media)
    sse_c = {"SSECustomerKey": "0123456789abcdef0123456789abcdef", "SSECustomerAlgorithm": "AES256"}
    bucket, client = homeserver.bucket.bucket, minio_https.client()
    client.put_object(Bucket=bucket, Key=PREFIX + first, Body=media[first], **sse_c)
    client.put_object(Bucket=bucket, Key=PREFIX + second, Body=media[second])
    homeserver.write({second: media[second][:500]})
    configure(homeserver, sse_customer_key=sse_c["SSECustomerKey"], sse_customer_algo="AES256")

    result, stderr = copy_with(homeserver, tool)

    assert result["exit_code"] == 0, stderr
    assert client.get_object(Bucket=bucket, Key=PREFIX + second)["Body"].read() == media[second]


def test_files_that_are_written_just_then(homeserver: Homeserver, tool: str) -> None:
    old = homeserver.upload([10])
    young = homeserver.upload([20])
    homeserver.write(young, age=0)

    _unused, stderr = copy_with(homeserver, tool)

    if tool == "rclone":
        assert homeserver.stored() == old
    else:
        assert f"{tool} can't be told to leave files alone that are written just then." in stderr


@pytest.mark.parametrize("prefix", soak_but(["", "a b/ü'"], ["", "media/", "no-slash", "a b/ü'"]))
def test_prefixes(homeserver: Homeserver, tool: str, prefix: str) -> None:
    media = {**homeserver.upload([10]), **homeserver.fetch("example.org", [20])}
    configure(homeserver, prefix=prefix)

    result, stderr = copy_with(homeserver, tool)

    assert result["exit_code"] == 0, stderr
    client = homeserver.server.client()
    listed = client.list_objects_v2(Bucket=homeserver.bucket.bucket)["Contents"]
    assert sorted(entry["Key"] for entry in listed) == sorted(prefix + path for path in media)


def test_storage_class_and_no_secret_in_the_arguments(homeserver: Homeserver, tool: str, tmp_path: Path) -> None:
    """What the tool is called with, as all users of the host may see it."""
    (path,) = homeserver.upload([10])
    configure(homeserver, storage_class="REDUCED_REDUNDANCY")
    program = tmp_path / "tools" / tool
    real = program.resolve()
    program.unlink()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{tmp_path}/arguments\nexec {real} "$@"\n')
    program.chmod(0o755)

    result, stderr = copy_with(homeserver, tool)

    assert result["exit_code"] == 0, stderr
    head = homeserver.server.client().head_object(Bucket=homeserver.bucket.bucket, Key=PREFIX + path)
    assert head["StorageClass"] == "REDUCED_REDUNDANCY"
    arguments = (tmp_path / "arguments").read_text()
    assert homeserver.bucket.bucket in arguments
    assert ADMIN_SECRET not in arguments
    assert ADMIN_KEY not in arguments


def test_printed_script(homeserver: Homeserver, tool: str) -> None:
    """It has no secret in it, does nothing by itself, and does the same when it is run."""
    media = {**homeserver.upload([0, 20]), **homeserver.fetch("example.org:8448", [30])}

    status, script, stderr = homeserver.run("copy-with", tool, "--print")

    assert (status, stderr) == (0, "")
    assert homeserver.stored() == {}
    assert ADMIN_SECRET not in script
    without = run_script(script)
    assert without.returncode != 0
    assert "AWS_ACCESS_KEY_ID: is access_key_id in the configuration of Synapse" in without.stderr
    done = run_script(script, AWS_ACCESS_KEY_ID=ADMIN_KEY, AWS_SECRET_ACCESS_KEY=ADMIN_SECRET)
    assert done.returncode == 0, done.stderr
    assert homeserver.stored() == media


def test_failure_of_the_tool(homeserver: Homeserver, tool: str) -> None:
    """A key that may list and not write: the tool says why, and the end says that it failed."""
    homeserver.upload([10])
    restricted = homeserver.server.restricted(homeserver.bucket, "s3:ListBucket", "s3:GetObject")
    homeserver.configure(restricted)

    result, stderr = copy_with(homeserver, tool)

    assert result["exit_code"] == 1
    place = f"{homeserver.bucket.bucket}/{PREFIX}local_content"
    (error,) = result["errors"]
    assert error.startswith(f"Could not finish {tool} to ")
    assert place in error
    assert "it ended with status " in error
    assert error.endswith(". See its output above.")
    assert "NOT ALL COPIED, for the reason above (" in stderr
    assert "AccessDenied" in stderr or "Access Denied" in stderr


@pytest.mark.parametrize("tool", BY_S3, indirect=True)
def test_encryption_with_a_key_of_the_customers(tmp_path: Path, minio_https: MinioServer, tool: str) -> None:
    key = "0123456789abcdef0123456789abcdef"
    directory = tmp_path / "homeserver"
    directory.mkdir()
    homeserver = Homeserver(directory, minio_https)
    homeserver.ca_bundle = minio_https.certificate
    media = homeserver.upload([10, LARGE])
    configure(homeserver, sse_customer_key=key, sse_customer_algo="AES256")

    result, stderr = copy_with(homeserver, tool)

    if tool == "s5cmd":
        assert (result["exit_code"], result["errors"]) == (
            78,
            [
                "Could not use s5cmd: it can't encrypt with a key of the customer's (SSE-C), and Synapse could not read"
                " what it stores. Use rclone, aws or 'migrate'."
            ],
        )
        return
    assert result["exit_code"] == 0, stderr
    client = minio_https.client()
    for path, data in media.items():
        found = client.get_object(
            Bucket=homeserver.bucket.bucket, Key=PREFIX + path, SSECustomerKey=key, SSECustomerAlgorithm="AES256"
        )
        assert found["Body"].read() == data
    assert key not in stderr
    migrated = homeserver.migrate()
    assert (migrated["exit_code"], migrated["uploaded"], migrated["deleted"]) == (0, NONE, count(media))


def test_the_guide_s_script(homeserver: Homeserver, tool: str) -> None:
    """What the guide shows, with this bucket in place of the example's."""
    media = {**homeserver.upload([10, 20]), **homeserver.fetch("example.org", [30])}
    script = guide(tool)
    for example, ours in (
        ("/var/lib/matrix-synapse/media", str(homeserver.media)),
        ("https://s3.example.com", homeserver.server.url),
        ("example-media", homeserver.bucket.bucket),
        ("eu-1", REGION),
    ):
        assert example in script
        script = script.replace(example, ours)

    done = run_script(script, AWS_ACCESS_KEY_ID=ADMIN_KEY, AWS_SECRET_ACCESS_KEY=ADMIN_SECRET)

    assert done.returncode == 0, done.stderr
    assert homeserver.stored() == media


@pytest.mark.parametrize("tool", BY_S3, indirect=True)
def test_the_guide_s_commands(homeserver: Homeserver, tool: str) -> None:
    """Copy, then migrate: here by the program of the checkout."""
    media = homeserver.upload([10, 20])
    commands = guide("copy-with").replace(" copy-with rclone", f" copy-with {tool}").splitlines()

    for command in commands:
        program, *arguments = command.split()
        assert program == "matrix-synapse-s3-storage-provider"
        status, _unused, stderr = homeserver.run(*arguments, "--state-directory", str(homeserver.state))
        assert status == 0, stderr

    assert len(commands) == 2
    assert homeserver.places() == Places({}, media)


@pytest.mark.parametrize("encrypted", soak_but([True], [False, True]))
def test_b2_on_the_simulator_of_its_sdk(
    homeserver: Homeserver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encrypted: bool
) -> None:
    """The real b2, by its native interface: no S3 server speaks that, so the service is simulated, and the script run
    that ``--print`` prints."""
    media = fill(homeserver)
    key = "0123456789abcdef0123456789abcdef"
    settings = {"sse_customer_key": key, "sse_customer_algo": "AES256"} if encrypted else {}
    endpoint = "https://s3.us-west-004.backblazeb2.com"
    configure(homeserver, bucket="simulated", prefix="no-slash", endpoint_url=endpoint, **settings)
    tools, bucket = tmp_path / "tools", tmp_path / "bucket"
    tools.mkdir()
    bucket.mkdir()
    there = f"no-slash{min(media)}"
    (bucket / there.encode().hex()).write_bytes(b"what is there")
    simulator = Path(__file__).with_name("b2_simulator.py")
    (tools / "b2").write_text(f'#!/bin/sh\nexec {python_of_b2()} {simulator} "$@"\n')
    (tools / "b2").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")

    status, script, stderr = homeserver.run("copy-with", "b2", "--print")

    assert (status, stderr) == (0, "")
    in_base64 = base64.b64encode(key.encode()).decode()
    keys = {"B2_DESTINATION_SSE_C_KEY_B64": in_base64, "SIMULATED_B2_KEY": in_base64} if encrypted else {}
    account = {"B2_APPLICATION_KEY_ID": "account-0", "B2_APPLICATION_KEY": "masterKey-0"}
    done = run_script(script, SIMULATED_B2=str(bucket), **account, **keys)
    assert done.returncode == 0, done.stderr
    stored = {bytes.fromhex(file.name).decode(): file.read_bytes() for file in bucket.iterdir()}
    assert stored == {**{f"no-slash{path}": data for path, data in media.items()}, there: b"what is there"}


def test_tool_that_is_not_installed(homeserver: Homeserver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    homeserver.upload([10])
    monkeypatch.setenv("PATH", str(tmp_path))

    result, _unused = copy_with(homeserver, "s5cmd")

    assert (result["exit_code"], result["errors"]) == (
        69,
        [
            "Could not find s5cmd: no directory in PATH has it. Install it on this host. Where this runs in a"
            " container, or the tool is to: 'copy-with s5cmd --print --image' prints the command for that."
        ],
    )


def test_image_without_print(homeserver: Homeserver) -> None:
    status, _unused, stderr = homeserver.run("copy-with", "rclone", "--image")

    assert status == 2
    assert stderr == (
        "Could not start: --image goes with --print only, since a container is started by who may use Docker or Podman,"
        " and not by Synapse's user. Add --print.\n"
    )


def test_stop(homeserver: Homeserver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The tool is ended too, and the end says that it was."""
    homeserver.upload([10])
    ended = tmp_path / "ended"
    (tmp_path / "rclone").write_text(
        f"#!/bin/sh\nsleep 60 >&- 2>&- &\ntrap 'echo ended >{ended}; kill $!; exit 3' TERM\necho copying >&2\nwait\n"
    )
    (tmp_path / "rclone").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    process = homeserver.start("copy-with", "rclone", "--json", "--state-directory", str(homeserver.state))
    assert process.stderr
    while process.stderr.readline() != "copying\n":
        pass
    process.terminate()
    stdout, stderr = process.communicate(timeout=60)

    result = json.loads(stdout)
    assert process.returncode == result["exit_code"] == 143
    assert ended.read_text() == "ended\n"
    assert "INTERRUPTED. rclone was ended; what it has copied stays in the bucket (" in stderr


def test_a_killed_program_s_tool_keeps_the_lock(
    homeserver: Homeserver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No other run begins before the tool has ended too."""
    homeserver.upload([10])
    (tmp_path / "s5cmd").write_text("#!/bin/sh\necho $$ >&2\nexec sleep 60 >&- 2>&-\n")
    (tmp_path / "s5cmd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    process = homeserver.start("copy-with", "s5cmd", "--json", "--state-directory", str(homeserver.state))
    assert process.stderr
    while not (line := process.stderr.readline().strip()).isdigit():
        assert process.poll() is None, line
    process.kill()
    process.communicate(timeout=60)

    meanwhile = homeserver.migrate()["exit_code"]
    os.kill(int(line), signal.SIGKILL)

    assert meanwhile == 75
    assert homeserver.migrate("--wait")["exit_code"] == 0


def test_too_many_that_aws_would_overwrite(homeserver: Homeserver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{copy_tools()}{os.pathsep}{os.environ['PATH']}")
    media = homeserver.upload([10] * 201)
    homeserver.store(dict.fromkeys(media, b"other"))

    result, _unused = copy_with(homeserver, "aws")

    assert (result["exit_code"], result["errors"]) == (
        1,
        [
            "Could not use aws: more than 200 local files have another length than their objects, such as"
            f" {min(media)!r}, and aws would overwrite these. Use rclone, s5cmd or b2, which leave them alone, or"
            " 'migrate', which names them."
        ],
    )
    assert set(homeserver.stored().values()) == {b"other"}


def answer_for(path: str, status: int) -> Fault:
    """What is asked about this object is answered with ``status``."""

    def fault(exchange: Exchange) -> bool:
        about_it = path.encode() in exchange.request.head
        return (answer(http_answer(f"{status} As planned")) if about_it else pass_all)(exchange)

    return fault


def print_and_run(homeserver: Homeserver, tool: str) -> subprocess.CompletedProcess[str]:
    """The script of --print, run at once."""
    _status, script, stderr = homeserver.run("copy-with", tool, "--print")
    assert stderr == ""
    return run_script(script, AWS_ACCESS_KEY_ID=ADMIN_KEY, AWS_SECRET_ACCESS_KEY=ADMIN_SECRET)


def guide(word: str) -> str:
    """The block of the guide with this word behind its language: a tool's name for the tool's script."""
    (text,) = (block.text for block in blocks("sh") if block.page == GUIDE and block.word == word)
    return text


def configure(homeserver: Homeserver, **settings: str) -> None:
    """Synapse's configuration, with other settings of the provider's."""
    bucket = homeserver.bucket
    config = {
        "bucket": bucket.bucket,
        "prefix": PREFIX,
        "region_name": bucket.region_name,
        "endpoint_url": bucket.endpoint_url,
        "access_key_id": bucket.access_key_id,
        "secret_access_key": bucket.secret_access_key,
        **settings,
    }
    module = "s3_storage_provider.S3StorageProviderBackend"
    homeserver.configure(media_storage_providers=[{"module": module, "config": config}])


def run_script(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **variables}
    return subprocess.run(
        ["sh", "-c", f"set -eu\n{script}"], env=environment, capture_output=True, text=True, check=False, timeout=300
    )
