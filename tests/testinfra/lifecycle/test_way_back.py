# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back, as an administrator goes it: verify, purge, move to another bucket, and leave S3 with all media.

The tests build on each other, and on test_playbooks.py, which leaves the role installed. They end with a Synapse that
is without the provider.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from ansible_collections.matrixops.synapse_s3.tests.testinfra.bucket import create_bucket, read_objects, s3_client
from ansible_collections.matrixops.synapse_s3.tests.testinfra.endpoints import Endpoints, read_endpoints
from ansible_collections.matrixops.synapse_s3.tests.testinfra.layouts import Layout
from ansible_collections.matrixops.synapse_s3.tests.testinfra.life import (
    Record,
    content_path,
    differences,
    png,
    read_record,
    record_path,
    sha256,
)
from ansible_collections.matrixops.synapse_s3.tests.testinfra.matrix import register_administrator
from ansible_collections.matrixops.synapse_s3.tests.testinfra.media import local_files, upload_and_age
from ansible_collections.matrixops.synapse_s3.tests.testinfra.play import PlayResult, RoleRunner
from testinfra.host import Host

pytestmark = [pytest.mark.layouts("native"), pytest.mark.hosts("debian13")]

SERVICE = "matrix-synapse-s3-storage-provider-migrate.service"
TIMER = SERVICE.replace(".service", ".timer")
INSTALLED = "/usr/local/bin/matrix-synapse-s3-storage-provider"


def run_playbook(
    run_role: RoleRunner, host_name: str, name: str, *extra: str, variables: dict[str, Any] | None = None
) -> PlayResult:
    """One of the collection's playbooks on this host, with these variables of the role and these of the playbook."""
    arguments = [f"--extra-vars={text}" for text in (f"matrix_hosts={host_name}", *extra)]
    return run_role(
        {"enabled": True, **(variables or {})} if name in ("install", "move") else {},
        *arguments,
        label=f"way back: {name} {extra} {variables}",
        playbook=f"matrixops.synapse_s3.{name}",
    )


def migrate(host: Host) -> None:
    """The night comes."""
    host.check_output(f"systemctl start {SERVICE}")


@pytest.fixture(scope="module", autouse=True)
def _all_is_in_the_bucket(
    host: Host, run_role_on_all: RoleRunner, host_name: str, endpoints_path: Path, layout: Layout
) -> None:
    result = run_playbook(run_role_on_all, host_name, "install")
    assert result.failed(host_name) == 0, result.output
    upload_and_age(host, endpoints_path, layout)
    migrate(host)
    assert local_files(host, layout) == []


def test_all_media_is_whole(run_role: RoleRunner, host_name: str) -> None:
    result = run_playbook(run_role, host_name, "verify", "verify_options=--deep")
    assert (result.failed(host_name), result.changed(host_name)) == (0, 0), result.output


def problems_by_verify(host: Host, layout: Layout) -> dict[str, str]:
    result = json.loads(host.run(f"{layout.command} verify --deep --json").stdout.splitlines()[-1])
    problems = {problem["path"]: problem["reason"] for problem in result["problems"]}
    assert result["exit_code"] == (1 if problems else 0), result
    return problems


def test_each_damage_is_found_and_only_those(host: Host, endpoints: Endpoints, record: Record, layout: Layout) -> None:
    client, bucket = record.client(), s3_client(endpoints)
    names = ("deleted", "truncated", "empty", "swapped", "with it", "of another", "cut on the disk", "whole")
    paths = {name: content_path(client.upload(f"{name:>20}".encode() * 100, "text/plain")) for name in names}
    host.check_output(f"find {layout.media_store} -type f -exec touch --date=-2hours {{}} +")
    migrate(host)
    keys = {name: endpoints.prefix + path for name, path in paths.items()}
    before = read_objects(endpoints)
    unknown = "local_content/un/kn/ownBySynapsesDatabase"

    def put(contents: Mapping[str, bytes]) -> None:
        for key, content in contents.items():
            bucket.put_object(Bucket=endpoints.bucket, Key=key, Body=content)

    for name in ("deleted", "cut on the disk"):
        bucket.delete_object(Bucket=endpoints.bucket, Key=keys[name])
    foreign = {"elsewhere/" + keys["whole"]: b"", "beside": b"", endpoints.prefix + unknown: b""}
    put(
        {
            keys["truncated"]: before[keys["truncated"]][:-1],
            keys["empty"]: b"",
            keys["swapped"]: before[keys["with it"]],
            keys["with it"]: before[keys["swapped"]],
            keys["of another"]: before[keys["whole"]],
            **foreign,
        }
    )
    host.check_output(
        f"runuser --user={layout.user} -- install -D /etc/hostname {layout.media_store}/{unknown}"
        f" && runuser --user={layout.user} -- install -D /dev/null {layout.media_store}/{paths['cut on the disk']}"
    )

    found = problems_by_verify(host, layout)

    put({key: before[key] for key in keys.values()})
    for key in foreign:
        bucket.delete_object(Bucket=endpoints.bucket, Key=key)
    for path in (unknown, paths["cut on the disk"]):
        host.check_output(f"rm {layout.media_store}/{path}")
    assert found.keys() == set(paths.values()) - {paths["whole"]}
    assert read_objects(endpoints) == before
    assert problems_by_verify(host, layout) == {}


def test_what_synapse_has_deleted_goes_from_the_bucket(
    host: Host, run_role: RoleRunner, host_name: str, endpoints: Endpoints, record: Record, state_directory: Path
) -> None:
    client = record.client()
    media_id = client.upload(png(120, 120, "embarrassing"), "image/png")
    client.thumbnail(record.server_name, media_id, 96, 96, "crop")
    host.check_output("find /var/lib/matrix-synapse -type f -exec touch --date=-2hours {} +")
    migrate(host)
    mine = (content_path(media_id), content_path(media_id).replace("local_content/", "local_thumbnails/"))
    prefixes = tuple(endpoints.prefix + path for path in mine)
    before = read_objects(endpoints)
    secret = (state_directory / f"{host_name}-registration-secret").read_text().strip()
    administrator = register_administrator(endpoints.homeserver_url, secret, "root", "correct horse battery")
    administrator.delete(record.server_name, media_id)
    # Synapse leaves it in the bucket.
    assert [key for key in before if key.startswith(prefixes)] != []
    assert read_objects(endpoints).keys() == before.keys()
    options = "purge_options='--minimum-age 1s --maximum-share 100%'"
    host.check_output("sleep 2")
    listed = run_playbook(run_role, host_name, "purge", options)
    assert (listed.failed(host_name), listed.changed(host_name)) == (0, 0), listed.output
    assert read_objects(endpoints).keys() == before.keys()

    result = run_playbook(run_role, host_name, "purge", options, "purge_delete=true")

    assert result.failed(host_name) == 0, result.output
    after = read_objects(endpoints)
    assert [key for key in after if key.startswith(prefixes)] == []
    # What went beside it is what other tests have made Synapse forget: all that it knows is still served.
    assert after.items() <= before.items()
    assert differences(read_record(record_path(state_directory / f"{host_name}.json"))) == []


@contextmanager
def downloads(record: Record) -> Iterator[list[str]]:
    """A client that goes on downloading meanwhile; what failed of it, by the end."""
    failed: list[str] = []
    is_over = threading.Event()

    def download() -> None:
        client = record.client()
        while not is_over.is_set():
            for upload in record.uploads:
                try:
                    content = client.download(record.server_name, upload.media_id)
                except requests.RequestException as error:
                    failed.append(f"{upload.name}: {error}")
                else:
                    if sha256(content) != upload.sha256:
                        failed.append(f"{upload.name} has other content")
                if is_over.wait(0.05):
                    return

    thread = threading.Thread(target=download)
    thread.start()
    try:
        yield failed
    finally:
        is_over.set()
        thread.join()


# What copy-bucket, the former store and the playbook do each is tried by itself in make test; this takes four minutes.
@pytest.mark.soak
def test_move_to_another_server_while_a_client_downloads(
    host: Host,
    run_role: RoleRunner,
    host_name: str,
    endpoints: Endpoints,
    endpoints_path: Path,
    state_directory: Path,
    layout: Layout,
) -> None:
    record = read_record(record_path(endpoints_path))
    provider = yaml.safe_load(host.check_output("cat %s", layout.dropin))["media_storage_providers"][0]
    old = provider["config"]
    # The bucket of this host is on the server that speaks https, that of the other on the one that speaks http.
    other = read_endpoints(state_directory / "debian12.json")
    new = replace(
        endpoints,
        s3_url=other.s3_url,
        s3_ca_bundle=other.s3_ca_bundle,
        bucket=f"moved-from-{host_name}",
        prefix="moved/",
        access_key_id=f"moved-{host_name}",
    )
    create_bucket(new)
    main = {
        "config_endpoint_url": "http://minio:9000",
        "config_bucket": new.bucket,
        "config_prefix": new.prefix,
        "config_access_key_id": new.access_key_id,
    }
    both = {**main, "previous_stores": [old]}

    installed = run_playbook(run_role, host_name, "install", variables=both)
    assert installed.failed(host_name) == 0, installed.output
    too_early = run_playbook(run_role, host_name, "install", "attempt=early", variables=main)
    assert "Could not take bucket 'media-of-" in too_early.message(host_name), too_early.output

    with downloads(record) as failed:
        moved = run_playbook(run_role, host_name, "move", variables=both)
    assert moved.failed(host_name) == 0, moved.output
    assert failed == []
    assert "Now take the old one out of" in moved.output

    taken_out = run_playbook(run_role, host_name, "install", "attempt=late", variables=main)
    assert taken_out.failed(host_name) == 0, taken_out.output
    assert differences(record) == []
    known = {key.removeprefix(endpoints.prefix): data for key, data in read_objects(endpoints).items()}
    copied = {key.removeprefix(new.prefix): data for key, data in read_objects(new).items()}
    assert copied.items() <= known.items()

    # What comes next has the bucket that it knows.
    back = run_playbook(run_role, host_name, "install", "attempt=back")
    assert back.failed(host_name) == 0, back.output


def test_a_removal_with_media_in_the_bucket_alone_is_refused(
    host: Host, run_role: RoleRunner, host_name: str, layout: Layout
) -> None:
    migrate(host)
    before = run_role.look()[host_name]
    result = run_playbook(run_role, host_name, "uninstall")
    message = result.message(host_name)
    assert message.startswith("Nothing was changed, because:\n- Could not take the provider from Synapse: "), (
        result.output
    )
    assert "matrixops.synapse_s3.uninstall with -e restore_first=true does both" in message
    assert result.states[host_name] == before
    assert host.file(layout.dropin).exists


def test_leaving_s3_with_all_media(
    host: Host, run_role: RoleRunner, host_name: str, endpoints_path: Path, layout: Layout
) -> None:
    record = read_record(record_path(endpoints_path))
    # The disk of the machine that runs the tests may be nearly full.
    options = "restore_options='--minimum-free 1%'"
    restored = run_playbook(run_role, host_name, "restore", options)
    assert restored.failed(host_name) == 0, restored.output
    # The timer may free the disk again meanwhile: that, and a file that came in between, is what restore_first is for.
    result = run_playbook(run_role, host_name, "uninstall", "restore_first=true", options)
    assert result.failed(host_name) == 0, result.output
    assert not host.file(INSTALLED).exists
    assert not host.file(layout.dropin).exists
    assert result.states[host_name].health == 200
    assert differences(record) == []
