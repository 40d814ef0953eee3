# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the environment of whoever runs the program leads to no other server: not one request arrives there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import Homeserver
from ansible_collections.matrixops.synapse_s3.tests.integration.warm_program import MODULE_UTILS
from ansible_collections.matrixops.synapse_s3.tests.scripted_server import ScriptedServer, run_script
from ansible_collections.matrixops.synapse_s3.tests.soak import soak_but

COMMANDS: list[list[str]] = [
    ["preflight"],
    ["status"],
    ["migrate", "--minimum-age", "1h"],
    ["migrate", "--dry-run"],
    ["shell", "true"],
    ["s3_media_upload", "upload", "/nowhere", "media"],
]
# One place refuses for all of them.
EACH_COMMAND = pytest.mark.parametrize(
    "command", soak_but([["migrate", "--dry-run"], ["shell", "true"]], COMMANDS), ids=" ".join
)


@pytest.fixture
def other() -> Iterator[ScriptedServer]:
    """A server that is not Synapse's, and notes what it is asked."""
    with run_script() as server:
        yield server


def run(homeserver: Homeserver, environment: Mapping[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    names = ("PATH", "LD_LIBRARY_PATH", "PYTHONPYCACHEPREFIX")
    return subprocess.run(
        [sys.executable, "-m", "_media", "--config", homeserver.configuration, *command],
        env={
            **{name: os.environ[name] for name in names if name in os.environ},
            "HOME": str(homeserver.state),
            "PYTHONPATH": str(MODULE_UTILS),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def configure(homeserver: Homeserver, **changes: Any) -> None:
    """Write Synapse's configuration without the settings that are None."""
    homeserver.configure(replace(homeserver.bucket, **changes))
    configuration = yaml.safe_load(homeserver.configuration.read_text())
    (provider,) = configuration["media_storage_providers"]
    provider["config"] = {name: value for name, value in provider["config"].items() if value is not None}
    homeserver.configuration.write_text(yaml.safe_dump(configuration))


def refusal(*names: str) -> str:
    enumeration = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    them = "it" if len(names) == 1 else "them"
    return (
        f"Could not start: {enumeration} of whoever runs this would decide which server, bucket or database is used,"
        f" as Synapse's configuration leaves it open. Take {them} away here. What Synapse is to use belongs into its"
        " configuration, or into the environment of its service.\n"
    )


def settings_file(directory: Path, url: str) -> Path:
    """Settings of boto3 for the profiles "default" and "theirs"."""
    path = directory / ".aws" / "config"
    path.parent.mkdir()
    path.write_text(f"[default]\nendpoint_url = {url}\n[profile theirs]\nendpoint_url = {url}\nregion = us-east-1\n")
    return path


def assert_refused(
    homeserver: Homeserver,
    other: ScriptedServer,
    environment: Mapping[str, str],
    names: Sequence[str],
    command: Sequence[str],
) -> None:
    content = homeserver.upload([1000, 2000])
    ended = run(homeserver, environment, *command)
    assert (ended.returncode, other.seen) == (78, []), ended.stderr
    assert refusal(*names) in ended.stderr
    assert homeserver.local() == content


@EACH_COMMAND
def test_an_endpoint_of_the_caller(homeserver: Homeserver, other: ScriptedServer, command: list[str]) -> None:
    configure(homeserver, endpoint_url=None)
    assert_refused(homeserver, other, {"AWS_ENDPOINT_URL": other.url}, ["AWS_ENDPOINT_URL"], command)


def test_an_endpoint_of_the_caller_for_s3(homeserver: Homeserver, other: ScriptedServer) -> None:
    configure(homeserver, endpoint_url=None)
    assert_refused(homeserver, other, {"AWS_ENDPOINT_URL_S3": other.url}, ["AWS_ENDPOINT_URL_S3"], ["migrate"])


@EACH_COMMAND
def test_a_profile_of_the_caller(
    homeserver: Homeserver, other: ScriptedServer, tmp_path: Path, command: list[str]
) -> None:
    configure(homeserver, endpoint_url=None)
    environment = {"AWS_CONFIG_FILE": str(settings_file(tmp_path, other.url)), "AWS_PROFILE": "theirs"}
    assert_refused(homeserver, other, environment, ["AWS_CONFIG_FILE", "AWS_PROFILE"], command)


def test_settings_in_the_home_of_the_caller(homeserver: Homeserver, other: ScriptedServer) -> None:
    configure(homeserver, endpoint_url=None)
    path = settings_file(homeserver.state, other.url)
    assert_refused(homeserver, other, {}, [str(path)], ["migrate"])


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
@EACH_COMMAND
def test_a_proxy_of_the_caller(homeserver: Homeserver, other: ScriptedServer, command: list[str], name: str) -> None:
    assert_refused(homeserver, other, {name: other.url}, [name], command)


def test_credentials_of_the_caller(homeserver: Homeserver, other: ScriptedServer) -> None:
    """Another account may have another bucket of the same name."""
    configure(homeserver, access_key_id=None, secret_access_key=None, endpoint_url=other.url)
    environment = {"AWS_ACCESS_KEY_ID": "theirs", "AWS_SECRET_ACCESS_KEY": "theirs"}
    assert_refused(homeserver, other, environment, sorted(environment), ["migrate"])


def test_a_database_of_the_caller(homeserver: Homeserver, other: ScriptedServer) -> None:
    homeserver.configure(database={"name": "psycopg2", "args": {"database": "synapse"}})
    port = other.url.rpartition(":")[2]
    assert_refused(homeserver, other, {"PGHOST": "127.0.0.1", "PGPORT": port}, ["PGHOST", "PGPORT"], ["migrate"])


def test_all_that_is_of_no_effect(homeserver: Homeserver, other: ScriptedServer, tmp_path: Path) -> None:
    """Where Synapse's configuration says all, nothing of it matters: not even a profile that is not there."""
    content = homeserver.upload([1000, 2000])
    environment = {
        "AWS_ENDPOINT_URL": other.url,
        "AWS_ENDPOINT_URL_S3": other.url,
        "AWS_CONFIG_FILE": str(settings_file(tmp_path, other.url)),
        "AWS_PROFILE": "is-not-there",
        "AWS_ACCESS_KEY_ID": "theirs",
        "AWS_SECRET_ACCESS_KEY": "theirs",
        "AWS_SESSION_TOKEN": "theirs",
        "AWS_DEFAULT_REGION": "cn-north-1",
        "HTTPS_PROXY": other.url,
        "PGHOST": "127.0.0.1",
    }
    for command in (["preflight"], ["status"], ["migrate"]):
        ended = run(homeserver, environment, *command)
        assert (ended.returncode, ended.stderr, other.seen) == (0, "", [])
    assert homeserver.stored() == content
    assert homeserver.local() == {}


def test_the_script_gets_nothing_of_the_caller(homeserver: Homeserver, other: ScriptedServer, tmp_path: Path) -> None:
    environment = {"AWS_ENDPOINT_URL": other.url, "AWS_PROFILE": "theirs", "PGHOST": "other", "HTTPS_PROXY": other.url}
    command = ("shell", "--state-directory", str(tmp_path), "env")
    shown = run(homeserver, environment, *command).stdout.splitlines()
    assert "AWS_CONFIG_FILE=/dev/null" in shown
    assert [line for line in shown if line.startswith(("AWS_ENDPOINT", "AWS_PROFILE", "PG"))] == []


def test_a_command_within_the_shell(homeserver: Homeserver, tmp_path: Path) -> None:
    """What the shell leaves in the environment is not refused by the program that is run in it."""
    content = homeserver.upload([1000])
    program = [sys.executable, "-m", "_media", "--config", str(homeserver.configuration)]
    ended = run(homeserver, {}, "shell", "--state-directory", str(tmp_path), *program, "migrate")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert homeserver.stored() == content


def test_an_environment_that_is_synapse_s_own(homeserver: Homeserver) -> None:
    """As in a container of Synapse's image, whose environment the role made."""
    configure(homeserver, endpoint_url=None, access_key_id=None, secret_access_key=None)
    content = homeserver.upload([1000, 2000])
    environment = {
        "AWS_ENDPOINT_URL": homeserver.server.url,
        "AWS_ACCESS_KEY_ID": homeserver.bucket.access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": homeserver.bucket.secret_access_key or "",
    }
    ended = run(homeserver, environment, "--synapse-environment", "migrate")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert homeserver.stored() == content


def test_the_environment_of_synapse_s_service(homeserver: Homeserver, other: ScriptedServer, tmp_path: Path) -> None:
    """Synapse's process tells where Synapse goes, whatever the caller says."""
    configure(homeserver, endpoint_url=None, access_key_id=None, secret_access_key=None)
    content = homeserver.upload([1000, 2000])
    own = {
        "AWS_ENDPOINT_URL": homeserver.server.url,
        "AWS_ACCESS_KEY_ID": homeserver.bucket.access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": homeserver.bucket.secret_access_key or "",
        "HOME": str(tmp_path),
    }
    with subprocess.Popen(["/bin/sleep", "120"], env=own) as synapse:
        systemctl = tmp_path / "bin" / "systemctl"
        systemctl.parent.mkdir()
        systemctl.write_text(f"#!/bin/sh\necho LoadState=loaded; echo MainPID={synapse.pid}\n")
        systemctl.chmod(0o755)
        caller = {
            "PATH": f"{systemctl.parent}:{os.environ['PATH']}",
            "AWS_PROFILE": "is-not-there",
            "AWS_ACCESS_KEY_ID": "theirs",
            "HTTP_PROXY": other.url,
        }
        options = ("--synapse-service", "matrix-synapse.service")
        ended = run(homeserver, caller, *options, "migrate")
        refused = run(homeserver, {**caller, "AWS_ENDPOINT_URL": other.url}, *options, "migrate")
        synapse.kill()
    assert (ended.returncode, ended.stderr, other.seen) == (0, "", [])
    assert homeserver.stored() == content
    assert (refused.returncode, refused.stderr) == (78, refusal("AWS_ENDPOINT_URL"))
