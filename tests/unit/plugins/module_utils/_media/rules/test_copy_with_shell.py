# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.copy_with import (
    TOOLS,
    Call,
    Copy,
    Secret,
    build_call,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.copy_with_shell import (
    DIRECTORY,
    Container,
    container_on,
    shell_script,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import ConfigurationError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings

GUIDE = Path(__file__).resolve().parents[6] / "docs" / "copy-with-another-tool.md"
CALL = Call(
    "aws",
    [("aws", "s3", "sync", "--exclude", ".*", "--key", f"fileb://{DIRECTORY}/sse-c-key", "/srv/my media", "s3://b/k")],
    {"AWS_CA_BUNDLE": "/etc/ca.pem"},
    {"AWS_SECRET_ACCESS_KEY": Secret("secret_access_key", "the-secret")},
    {"sse-c-key": Secret("sse_customer_key", "the-key")},
    ["It can't do this."],
)
ROLES = {
    "engine": "podman",
    "arguments": ["--network=matrix", "--add-host=s3:192.0.2.1"],
    "volumes": ["/srv/synapse:/data:ro", "/srv/media:/data/media_store", "/etc/ca.pem:/etc/ca.pem:ro"],
}
UNSET = (
    "unset AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN AWS_SECURITY_TOKEN"
    " $(env | grep -oE '^(RCLONE_|S3_|S5CMD_|B2_|PYTHON)[A-Z0-9_]+')"
)


def test_script() -> None:
    assert shell_script(CALL).splitlines() == [
        "# It can't do this.",
        "(",
        "set -eu",
        "# Set these before, from Synapse's configuration.",
        'export AWS_SECRET_ACCESS_KEY="${AWS_SECRET_ACCESS_KEY:?is secret_access_key in the configuration of Synapse}"',
        "# Nothing else of yours is to lead it elsewhere, or to change what it does.",
        UNSET,
        "umask 077",
        "COPY_WITH_FILES=$(mktemp -d)",
        "trap 'rm -rf \"$COPY_WITH_FILES\"' EXIT",
        "trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM",
        'printf %s "${SSE_CUSTOMER_KEY:?is sse_customer_key in the configuration of Synapse}"'
        ' >"$COPY_WITH_FILES/sse-c-key"',
        "export AWS_CA_BUNDLE=/etc/ca.pem",
        "aws s3 sync --exclude '.*' --key fileb://\"$COPY_WITH_FILES\"/sse-c-key '/srv/my media' s3://b/k",
        ")",
    ]


def test_script_with_an_image() -> None:
    container = container_on(ROLES, "docker.io/amazon/aws-cli", "/data/media_store", "/etc/ca.pem", "991:991")

    assert shell_script(CALL, container).splitlines()[10:] == [
        'chown -R 991:991 "$COPY_WITH_FILES"',
        "podman run --rm --init --user=991:991 --network=matrix --add-host=s3:192.0.2.1"
        " --volume=/srv/media:/data/media_store:ro --volume=/etc/ca.pem:/etc/ca.pem:ro"
        ' --volume="$COPY_WITH_FILES":"$COPY_WITH_FILES":z'
        " --env=AWS_SECRET_ACCESS_KEY --env=AWS_CA_BUNDLE=/etc/ca.pem docker.io/amazon/aws-cli s3 sync --exclude '.*'"
        " --key fileb://\"$COPY_WITH_FILES\"/sse-c-key '/srv/my media' s3://b/k",
        ")",
    ]


def test_script_without_a_secret_or_a_file() -> None:
    call = Call("rclone", [("rclone", "copy", "--config", "", "/srv/media", ":s3:b/k")])

    assert shell_script(call).splitlines() == [
        "(",
        "set -eu",
        "# Synapse's configuration has no credentials: the tool takes those of whoever runs this.",
        "# Nothing else of yours is to lead it elsewhere, or to change what it does.",
        "unset AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 $(env | grep -oE '^(RCLONE_|S3_|S5CMD_|B2_|PYTHON)[A-Z0-9_]+')",
        "rclone copy --config '' /srv/media :s3:b/k",
        ")",
    ]


def test_credentials_of_the_caller_s_reach_the_container() -> None:
    call = Call("rclone", [("rclone", "copy", "/srv/media", ":s3:b/k")])

    assert shell_script(call, container_on({}, "image", "/srv/media", None, "1:1")).splitlines()[-2] == (
        "docker run --rm --init --user=1:1 --network=host --volume=/srv/media:/srv/media:ro --env=AWS_ACCESS_KEY_ID"
        " --env=AWS_SECRET_ACCESS_KEY --env=AWS_SESSION_TOKEN image copy /srv/media :s3:b/k"
    )


def test_what_is_made_is_the_container_s_where_it_runs_as_who_makes_it() -> None:
    """In a user's own Podman that user is 0, and may give nothing away."""
    assert "chown" not in shell_script(CALL, container_on(ROLES, "image", "/data/media_store", None, "0:0"))


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_the_key_goes_also_when_a_signal_ends_the_script(tmp_path: Path, shell: str, number: int) -> None:
    call = Call("aws", [("aws", DIRECTORY)], secrets=CALL.secrets, files=CALL.files)
    tool = tmp_path / "aws"
    tool.write_text('#!/bin/sh\nls "$1" >"$0.sees"\nexec sleep 60\n')
    tool.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "TMPDIR": str(tmp_path),
        "AWS_SECRET_ACCESS_KEY": "the-secret",
        "SSE_CUSTOMER_KEY": "the-key",
    }
    # What nohup, or a CI machine, lets be ignored stays so in a shell, whatever it is told.
    words = ["env", "--default-signal", shell, "-c", shell_script(call)]
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, start_new_session=True)
    seen = tmp_path / "aws.sees"
    while not (seen.exists() and seen.read_text()):
        assert process.poll() is None
        time.sleep(0.02)

    # As a terminal does to all that run in it; the output ends with the last of them.
    os.killpg(process.pid, number)
    process.communicate(timeout=10)

    assert process.returncode != 0
    assert seen.read_text() == "sse-c-key\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aws", "aws.sees"]


def test_nothing_of_the_caller_s_changes_what_the_tool_does() -> None:
    """By RCLONE_NO_TRAVERSE rclone would replace objects."""
    key = "RCLONE_S3_SSE_CUSTOMER_KEY"
    call = Call("env", [("env",)], secrets={**CALL.secrets, key: Secret("sse_customer_key", "the-key")})
    given = {"PATH": "/usr/bin:/bin", "AWS_SECRET_ACCESS_KEY": "the-secret", key: "the-key"}
    others = {"RCLONE_NO_TRAVERSE": "true", "S3_ENDPOINT_URL": "http://x", "AWS_PROFILE": "x", "PYTHONPATH": "/x"}

    ran = subprocess.run(
        ["sh", "-c", shell_script(call)], env={**given, **others}, capture_output=True, text=True, check=True
    )

    names = {line.partition("=")[0] for line in ran.stdout.splitlines()}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == set(given)


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        (ROLES, "/data/media_store", "/srv/media"),
        (ROLES, "/data/media", "/srv/synapse/media"),
        (ROLES, "/data2/media", "/data2/media"),
        ({}, "/var/lib/matrix-synapse/media", "/var/lib/matrix-synapse/media"),
    ],
)
def test_where_the_host_has_the_media_store(host: dict[str, object], path: str, expected: str) -> None:
    assert container_on(host, "image", path, None, "1:1").volumes == [(expected, path)]


def test_container_beside_a_synapse_without_one() -> None:
    assert container_on({}, "image", "/srv/media", None, "105:110") == Container(
        "docker", "image", "105:110", ["--network=host"], [("/srv/media", "/srv/media")]
    )


def test_a_directory_of_media_on_a_disk_of_its_own() -> None:
    """Else the tool would find it empty, and end well."""
    volumes = ["/srv/media:/data/media_store", "/mnt/big:/data/media_store/remote_content:ro"]

    assert container_on({"volumes": volumes}, "image", "/data/media_store", None, "1:1").volumes == [
        ("/srv/media", "/data/media_store"),
        ("/mnt/big", "/data/media_store/remote_content"),
    ]


def test_volumes_are_named_once_however_they_are_written() -> None:
    """An engine refuses two for one place."""
    host = {
        "arguments": ["--network=matrix", "--volume=/srv/ca.pem:/etc/ca.pem:ro", "-v", "/srv/t:/usr/bin/t"],
        "volumes": ["/srv/media/:/data//media_store/:rw"],
    }

    container = container_on(host, "image", "/data/media_store", "/etc/ca.pem", "1:1")

    assert container.volumes == [("/srv/media", "/data/media_store")]
    assert container.arguments == host["arguments"]


def test_without_a_directory_for_the_key_nothing_is_run(tmp_path: Path) -> None:
    call = Call("touch", [("touch", str(tmp_path / "run"))], secrets=CALL.secrets, files=CALL.files)
    environment = {"AWS_SECRET_ACCESS_KEY": "the-secret", "SSE_CUSTOMER_KEY": "the-key", "TMPDIR": "/nonexistent"}

    ran = subprocess.run(["sh", "-c", shell_script(call)], env={"PATH": "/usr/bin:/bin", **environment}, check=False)

    assert ran.returncode != 0
    assert not (tmp_path / "run").exists()
    assert not Path("/sse-c-key").exists()


def test_certificates_that_only_synapse_s_image_has() -> None:
    with pytest.raises(ConfigurationError) as raised:
        container_on(ROLES, "image", "/data/media_store", "/opt/own/ca.pem", "1:1")

    assert str(raised.value) == (
        "Could not print the command: the file of certificates /opt/own/ca.pem is in Synapse's image alone, and the"
        " tool's image does not have it. Put it on this host too, and mount it there with synapse_volumes."
    )


@pytest.mark.parametrize("tool", TOOLS)
def test_guide_shows_what_is_printed(tool: str) -> None:
    endpoint = "https://s3.us-west-004.backblazeb2.com" if tool == "b2" else "https://s3.example.com"
    bucket = BucketSettings("example-media", "hs/", "eu-1", endpoint, "the-id", "the-secret")
    roots = ["local_content", "remote_content"]
    copy = Copy("/var/lib/matrix-synapse/media", roots, bucket, endpoint, 3600, 1_790_000_000, DIRECTORY)

    assert f"\n```sh {tool}\n{shell_script(build_call(tool, copy))}\n```\n" in GUIDE.read_text()
