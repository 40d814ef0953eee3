# SPDX-License-Identifier: GPL-3.0-or-later
"""The module bucket_check as Ansible runs it, and under a clock that is really wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3 import S3ObjectStore
from ansible_collections.matrixops.synapse_s3.tests.fault_proxy import Exchange, Kind, Plan, pass_all, run_proxy
from ansible_collections.matrixops.synapse_s3.tests.minio_server import ADMIN_SECRET, MinioServer
from ansible_collections.matrixops.synapse_s3.tests.scripted_server import run_script

ANSIBLE = ("ansible", "localhost", "-c", "local", "-m", "matrixops.synapse_s3.bucket_check", "-vvv")
LIBRARIES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six.py", "urllib3")


def run_module(
    directory: Path,
    settings: BucketSettings,
    *options: str,
    wrapper: tuple[str, ...] = (),
    python: str = sys.executable,
    python_path: Path | None = None,
    variables: Mapping[str, str] | None = None,
    more: Mapping[str, object] | None = None,
) -> tuple[dict[str, Any], str]:
    """Run the module by the command ansible; return its result and all that was printed."""
    tree, results = os.environ["PYTHONPATH"].split(os.pathsep)[0], directory / "results"
    arguments = ["-a", json.dumps({**asdict(settings), **(more or {})}), "-e", f"ansible_python_interpreter={python}"]
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": tree,
        "PYTHONPATH": str(python_path or ""),
        **(variables or {}),
    }
    printed = subprocess.run(
        [*wrapper, *ANSIBLE, *arguments, "--tree", str(results), *options],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    result: dict[str, Any] = json.loads((results / "localhost").read_text())
    assert printed.returncode == (2 if result.get("problems", True) else 0)
    return result, printed.stdout + printed.stderr


@pytest.mark.parametrize("options", [[], ["--check", "--diff"]], ids=["run", "check mode"])
def test_good_bucket(minio_http: MinioServer, tmp_path: Path, options: list[str]) -> None:
    settings = minio_http.new_bucket()
    result, printed = run_module(tmp_path, settings, *options)
    assert (result["changed"], result["problems"]) == (False, [])
    assert ADMIN_SECRET not in printed
    assert list(S3ObjectStore(settings, 1).list("")) == []


def test_every_problem_is_in_the_message_and_no_secret(minio_http: MinioServer, tmp_path: Path) -> None:
    settings = minio_http.new_bucket()
    secrets = {"session_token": "a-token-of-nobody", "sse_customer_key": "an encryption key of 32 letters!"}
    result, printed = run_module(tmp_path, replace(settings, region_name="us-east-1", storage_class="STANDARD_IA"))
    first, second = (problem["message"] for problem in result["problems"])
    assert result["msg"] == f"2 problems were found:\n- {first}\n- {second}"
    assert [(problem["check"], problem["exit_status"]) for problem in result["problems"]] == [
        ("region", 78),
        ("write", 78),
    ]
    assert ADMIN_SECRET not in printed + json.dumps(result)
    result, printed = run_module(tmp_path, replace(settings, **secrets))
    assert result["msg"] == result["problems"][0]["message"]
    assert [secret for secret in (ADMIN_SECRET, *secrets.values()) if secret in printed + json.dumps(result)] == []


def test_what_is_no_problem_is_a_note_and_a_warning(minio_http: MinioServer, tmp_path: Path) -> None:
    settings, client = minio_http.new_bucket(), minio_http.client()

    def pass_over_the_condition(exchange: Exchange) -> bool:
        key = exchange.request.head.split(b" ", 2)[1].decode().removeprefix(f"/{settings.bucket}/")
        client.delete_object(Bucket=settings.bucket, Key=key)
        return pass_all(exchange)

    with run_proxy(minio_http.host, Plan(Kind.PUT, pass_over_the_condition, None)) as proxy:
        result, printed = run_module(tmp_path, replace(settings, endpoint_url=proxy.url))
    (note,) = result["notes"]
    assert note.startswith(
        f"The server {proxy.url} does no conditional writes (it passes over If-None-Match), so a key "
    )
    assert result["problems"] == []
    assert f"[WARNING]: {note}" in " ".join(printed.split())


def test_empty_options_are_left_out(minio_http: MinioServer, tmp_path: Path) -> None:
    settings = minio_http.new_bucket()
    empty = replace(settings, region_name="", session_token="", sse_customer_key="", ca_bundle_path="")
    result, _unused = run_module(tmp_path, empty)
    assert result["problems"] == []


@pytest.mark.parametrize("offset", ["+1h", "-1h"])
def test_clock_that_is_wrong(minio_http: MinioServer, tmp_path: Path, offset: str) -> None:
    settings = minio_http.new_bucket()
    result, _unused = run_module(tmp_path, settings, wrapper=("faketime", "-f", offset))
    assert result["msg"] == (
        f"Could not list bucket '{settings.bucket}': the clocks of this host and of {minio_http.url} are too far "
        "apart. Set this host's clock right, for example with `timedatectl set-ntp true`."
    )
    assert [problem["exit_status"] for problem in result["problems"]] == [69]


def test_an_endpoint_in_the_environment_is_refused(minio_http: MinioServer, tmp_path: Path) -> None:
    """Everything was tried with another server than Synapse's."""
    settings = replace(minio_http.new_bucket(), endpoint_url=None)
    with run_script() as other:
        result, _unused = run_module(tmp_path, settings, variables={"AWS_ENDPOINT_URL": other.url})
    assert other.seen == []
    assert result["msg"] == (
        "Could not start: AWS_ENDPOINT_URL of whoever runs this would decide which server, bucket or database is used,"
        " as Synapse's configuration leaves it open. Take it away here. What Synapse is to use belongs into its"
        " configuration, or into the environment of its service."
    )
    assert [problem["exit_status"] for problem in result["problems"]] == [78]


def test_the_environment_of_synapse_s_service(minio_http: MinioServer, tmp_path: Path) -> None:
    settings = minio_http.new_bucket()
    without = replace(settings, endpoint_url=None, access_key_id=None, secret_access_key=None)
    own = {
        "AWS_ENDPOINT_URL": minio_http.url,
        "AWS_ACCESS_KEY_ID": settings.access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": settings.secret_access_key or "",
        "HOME": str(tmp_path),
    }
    with subprocess.Popen(["/bin/sleep", "120"], env=own) as synapse:
        (tmp_path / "systemctl").write_text(f"#!/bin/sh\necho LoadState=loaded; echo MainPID={synapse.pid}\n")
        (tmp_path / "systemctl").chmod(0o755)
        caller = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "AWS_PROFILE": "is-not-there"}
        result, _unused = run_module(
            tmp_path, without, variables=caller, more={"synapse_services": ["matrix-synapse.service"]}
        )
        synapse.kill()
    assert result["problems"] == []


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python with its standard library only."""
    directory = tmp_path_factory.mktemp("bare")
    venv.create(directory)
    return str(directory / "bin" / "python")


def test_python_without_boto3(minio_http: MinioServer, tmp_path: Path, bare_python: str) -> None:
    result, _unused = run_module(tmp_path, minio_http.settings("media"), python=bare_python)
    assert result["msg"] == (
        "Could not check the bucket: the Python library 'boto3' is missing. "
        "Run the module with a Python that has boto3, or give it one with PYTHONPATH."
    )


def test_boto3_from_the_python_path(minio_http: MinioServer, tmp_path: Path, bare_python: str) -> None:
    library = tmp_path / "lib"
    library.mkdir()
    for name in LIBRARIES:
        (library / name).symlink_to(Path(sysconfig.get_path("purelib")) / name)
    result, _unused = run_module(tmp_path, minio_http.new_bucket(), python=bare_python, python_path=library)
    assert result["problems"] == []
