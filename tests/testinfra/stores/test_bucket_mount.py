# SPDX-License-Identifier: GPL-3.0-or-later
"""The role bucket_mount, from the local disk to a mounted bucket, and from there to the storage provider.

The tests build on each other. They begin with media on the local disk, and end with a Synapse that has the provider.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from ansible_collections.matrixops.synapse_s3.tests.testinfra.bucket import read_objects, s3_client
from ansible_collections.matrixops.synapse_s3.tests.testinfra.endpoints import Endpoints
from ansible_collections.matrixops.synapse_s3.tests.testinfra.layouts import Layout
from ansible_collections.matrixops.synapse_s3.tests.testinfra.life import (
    Record,
    content_path,
    differences,
    read_record,
    record_path,
    upload_and_record,
)
from ansible_collections.matrixops.synapse_s3.tests.testinfra.media import local_files
from ansible_collections.matrixops.synapse_s3.tests.testinfra.play import HostState, PlayResult, RoleRunner
from testinfra.host import Host

MOUNT = str(Path(__file__).parents[3] / "molecule/stores/converge.yml")
DOCUMENT = Path(__file__).parents[3] / "docs/bucket-mount.md"
COMMAND = "matrix-synapse-bucket-mount"
SERVICE = f"{COMMAND}.service"
SYNAPSE = "matrix-synapse.service"
CACHE = "/var/lib/matrix-synapse-bucket-mount"
SERVES = "python3 -c \"import urllib.request as r; r.urlopen('http://127.0.0.1:8008/health')\" 2>&-"
MIGRATE = "systemctl start matrix-synapse-s3-storage-provider-migrate.service"


def mount(run_role: RoleRunner, *arguments: str, label: str = "mount") -> PlayResult:
    return run_role({}, *arguments, label=label, playbook=MOUNT)


def move_from_mount(run_role: RoleRunner, host_name: str, label: str, *arguments: str) -> PlayResult:
    playbook = "matrixops.synapse_s3.move_from_mount"
    return run_role({}, f"--extra-vars=matrix_hosts={host_name}", *arguments, label=label, playbook=playbook)


def objects(endpoints: Endpoints) -> dict[str, tuple[str, str]]:
    """Each object of the bucket with what changes when it is written again."""
    pages = s3_client(endpoints).get_paginator("list_objects_v2").paginate(Bucket=endpoints.bucket)
    return {
        entry["Key"]: (entry["ETag"], entry["LastModified"].isoformat())
        for page in pages
        for entry in page.get("Contents", [])
    }


def main_pid(host: Host, unit: str) -> str:
    return str(host.check_output("systemctl show --property=MainPID --value %s", unit))


def file_system(host: Host, layout: Layout) -> str:
    """What is mounted at the media store; empty where nothing is."""
    return str(host.run(f"findmnt --noheadings --output=FSTYPE --mountpoint={layout.media_store}").stdout.strip())


def wait_for(host: Host, condition: str) -> None:
    host.check_output(f"for _ in $(seq 120); do {condition} && exit 0; sleep 0.5; done; exit 1")


@contextmanager
def synapse_does_not_start(host: Host) -> Iterator[None]:
    fails = f"/run/systemd/system/{SYNAPSE}.d/fails.conf"
    host.check_output(f"mkdir -p $(dirname {fails}) && printf '[Service]\\nExecStartPre=/bin/false\\n' > {fails}")
    host.check_output("systemctl daemon-reload")
    try:
        yield
    finally:
        host.check_output(f"rm {fails} && systemctl daemon-reload && systemctl restart {SYNAPSE}")


def test_nothing_is_hidden_by_a_mount(run_role: RoleRunner, host_name: str, state_before: dict[str, HostState]) -> None:
    result = mount(run_role, label="refused")
    message = result.message(host_name)
    assert message.startswith(
        "Nothing was changed, because:\n- Could not mount the bucket at /var/lib/matrix-synapse/media: "
    )
    assert "is there, and the mount would hide it." in message
    assert result.states[host_name] == state_before[host_name]


def test_provider_brings_the_media_to_the_bucket(
    run_role: RoleRunner, host: Host, host_name: str, layout: Layout
) -> None:
    result = run_role({})
    assert result.failed(host_name) == 0, result.output
    host.check_output(f"find {layout.media_store} -type f -exec touch --date=-2hours {{}} +")
    host.check_output(MIGRATE)
    assert local_files(host, layout) == []


def test_check_mode_announces_changes_and_makes_none(run_role: RoleRunner, host_name: str, secrets: list[str]) -> None:
    before = run_role.look()[host_name]
    result = mount(run_role, "--check", "--diff", "-vvv", label="check mode")
    assert result.failed(host_name) == 0, result.output
    assert result.changed(host_name) > 0
    assert result.states[host_name] == before
    assert [secret for secret in secrets if secret in result.output] == []


def test_a_first_mount_with_which_synapse_does_not_start_is_taken_away(
    run_role: RoleRunner, host: Host, host_name: str, layout: Layout, record: Record
) -> None:
    with synapse_does_not_start(host):
        result = mount(run_role, '--extra-vars={"bucket_mount_synapse_start_timeout": 2}', label="no first start")
    message = result.message(host_name)
    assert message.startswith(
        'Could not give Synapse the mounted bucket: the step "Start Synapse with the mount" failed.'
    )
    assert "What Synapse has stored while the bucket was mounted is in the bucket alone" in message
    assert (file_system(host, layout), host.file(f"/etc/systemd/system/{SERVICE}").exists) == ("", False)
    wait_for(host, SERVES)
    assert differences(record) == []


def test_synapse_serves_from_the_mount(
    run_role: RoleRunner, host: Host, host_name: str, layout: Layout, record: Record
) -> None:
    result = mount(run_role)
    assert result.failed(host_name) == 0, result.output
    assert file_system(host, layout) == "fuse.rclone"
    assert differences(record) == []


def test_second_run_changes_nothing(run_role: RoleRunner, host_name: str) -> None:
    result = mount(run_role, label="again")
    assert (result.failed(host_name), result.changed(host_name)) == (0, 0), result.output


def test_provider_goes_and_all_is_served_by_the_mount_alone(
    run_role: RoleRunner, host_name: str, record: Record
) -> None:
    result = run_role({"enabled": False}, label="without the provider")
    assert result.failed(host_name) == 0, result.output
    assert differences(record) == []


def test_secret_is_in_one_file_and_in_no_argument(host: Host, endpoints: Endpoints) -> None:
    credentials = "/etc/matrix-synapse-bucket-mount/rclone.conf"
    holders = host.run("grep -rlF %s /etc /usr/local /var/lib/matrix-synapse-bucket-mount", endpoints.secret_access_key)
    assert holders.stdout.split() == [credentials]
    assert host.check_output(f"stat --format=%U:%a {credentials}") == "root:600"
    assert endpoints.secret_access_key not in host.check_output("cat /proc/*/cmdline /proc/*/environ | tr '\\0' ' '")


def test_upload_is_in_the_bucket_where_the_provider_would_have_it(
    host: Host, endpoints_path: Path, endpoints: Endpoints
) -> None:
    upload_and_record(endpoints_path, "after")
    host.check_output(f"{COMMAND} wait-until-uploaded 60")
    record = read_record(record_path(endpoints_path))
    stored = {key: len(content) for key, content in read_objects(endpoints).items()}
    expected = {endpoints.prefix + content_path(upload.media_id): upload.size for upload in record.uploads}
    assert expected.items() <= stored.items()


@pytest.mark.parametrize("command", [f"systemctl restart {SERVICE}", f"systemctl kill --signal=KILL {SERVICE}"])
def test_synapse_goes_on_while_the_mount_is_started_anew(
    host: Host, endpoints_path: Path, layout: Layout, command: str
) -> None:
    synapse, before = main_pid(host, SYNAPSE), main_pid(host, SERVICE)
    host.check_output(command)
    wait_for(
        host, f"[ $(systemctl show --property=MainPID --value {SERVICE}) != {before} ] && {COMMAND} is-mounted 2>&-"
    )
    assert file_system(host, layout) == "fuse.rclone"
    assert differences(read_record(record_path(endpoints_path))) == []
    assert main_pid(host, SYNAPSE) == synapse


def test_what_was_written_before_a_crash_reaches_the_bucket(host: Host, endpoints: Endpoints, layout: Layout) -> None:
    """Written and not uploaded yet, when the program of the mount is killed."""
    directory = host.check_output(f"dirname $(find {layout.media_store}/local_content -type f -print -quit)")
    write = f"runuser -u {layout.user} -- sh -c 'echo survives > {directory}/crash'"
    pending = host.check_output(f"{write} && systemctl kill --signal=KILL {SERVICE} && {COMMAND} pending")
    assert pending == "1"
    wait_for(host, f"{COMMAND} is-mounted 2>&-")
    host.check_output(f"{COMMAND} wait-until-uploaded 60")
    key = f"{endpoints.prefix}{directory.removeprefix(f'{layout.media_store}/')}/crash"
    assert read_objects(endpoints)[key] == b"survives\n"
    host.check_output(f"rm {directory}/crash")


def test_a_full_disk_costs_no_medium(host: Host, endpoints_path: Path, layout: Layout) -> None:
    """Rclone destroys what waits when it can't write its notes of it: before that, Synapse's uploads are refused."""
    host.check_output(
        f"{COMMAND} wait-until-uploaded 60 && systemctl stop {SERVICE}"
        f" && mount -t tmpfs -o size=1500m,mode=0700 tmpfs {CACHE} && systemctl start {SERVICE}"
    )
    try:
        upload_and_record(endpoints_path, "with room")
        host.check_output(f"fallocate --length=600M {CACHE}/others")
        wait_for(host, f"findmnt --output=OPTIONS --mountpoint={layout.media_store} | grep -q ^ro,")
        with pytest.raises(requests.HTTPError):
            upload_and_record(endpoints_path, "without")
        assert differences(read_record(record_path(endpoints_path))) == []
        check = host.run(f"{COMMAND} check")
        assert (check.rc, check.stderr) == (
            1,
            f"Less than 1024 MiB are free where {CACHE} is: Synapse can't store media until there is more, since rclone"
            " would lose what waits for upload. Make room there.\n",
        )
        host.check_output(f"rm {CACHE}/others")
        wait_for(host, f"findmnt --output=OPTIONS --mountpoint={layout.media_store} | grep -q ^rw,")
        upload_and_record(endpoints_path, "with room again")
    finally:
        host.check_output(f"{COMMAND} wait-until-uploaded 60 && systemctl stop {SERVICE} && umount {CACHE}")
        host.check_output(f"systemctl start {SERVICE}")
    assert differences(read_record(record_path(endpoints_path))) == []


def test_what_rclone_lost_its_notes_of_comes_into_the_bucket(host: Host, endpoints: Endpoints, layout: Layout) -> None:
    """It would delete it at its start. As the check's message says."""
    root = host.check_output(f"dirname $(find {CACHE}/vfs -type d -name local_content)")
    host.check_output(
        f"systemctl stop {SERVICE} && echo survives > {root}/local_content/lost && systemctl start {SERVICE}"
    )
    check = host.run(f"{COMMAND} check")
    assert check.rc == 1
    assert check.stderr.startswith(f"1 files are in {CACHE}/aside, by their names in the bucket: ")
    aside = root.replace(f"{CACHE}/vfs", f"{CACHE}/aside")
    host.check_output(f"cp --recursive --no-clobber '{aside}/.' {layout.media_store}/ && rm -r {CACHE}/aside")
    host.check_output(f"{COMMAND} wait-until-uploaded 60 && {COMMAND} check")
    assert read_objects(endpoints)[f"{endpoints.prefix}local_content/lost"] == b"survives\n"
    assert host.check_output(f"stat --format=%U {layout.media_store}/local_content/lost") == layout.user
    host.check_output(f"rm {layout.media_store}/local_content/lost")


def test_nothing_is_written_where_nothing_is_mounted(host: Host, endpoints_path: Path, layout: Layout) -> None:
    host.check_output(f"systemctl stop {SERVICE}")
    try:
        assert host.check_output(f"stat --format=%U:%a {layout.media_store}") == "root:0"
        with pytest.raises(requests.HTTPError):
            upload_and_record(endpoints_path, "young")
        assert host.check_output(f"find {layout.media_store} -mindepth 1") == ""
        check = host.run(f"{COMMAND} check")
        assert check.rc == 1
        assert check.stderr.startswith(
            f"The bucket is not mounted at {layout.media_store}, or the mount does not answer"
        )
    finally:
        host.check_output(f"systemctl start {SERVICE}")
    upload_and_record(endpoints_path, "young")


def test_synapse_does_not_start_without_its_media_and_starts_when_it_is_back(host: Host, layout: Layout) -> None:
    host.check_output(f"mv /usr/bin/rclone /usr/bin/rclone.away && systemctl kill --signal=KILL {SERVICE}")
    try:
        assert host.run(f"systemctl restart {SYNAPSE}").rc != 0
        assert host.check_output(f"find {layout.media_store} -mindepth 1") == ""
        said = host.check_output(f"journalctl --no-pager --output=cat --lines=20 --unit={SYNAPSE}")
        assert f"Synapse's media is not there: the bucket is not mounted at {layout.media_store}." in said
    finally:
        host.check_output("mv /usr/bin/rclone.away /usr/bin/rclone")
    wait_for(host, f"systemctl is-active --quiet {SYNAPSE}")
    wait_for(host, SERVES)
    assert file_system(host, layout) == "fuse.rclone"


def test_no_other_tool_comes_while_a_file_waits_for_rclone(run_role: RoleRunner, host: Host, host_name: str) -> None:
    waiting = f"{CACHE}/vfsMeta/waiting"
    host.check_output(f"echo '\"Dirty\": true' > {waiting}")
    try:
        before = run_role.look()[host_name]
        result = mount(run_role, "--extra-vars=bucket_mount_tool=s3fs", label="refused tool")
        message = result.message(host_name)
        assert message.startswith("Nothing was changed, because:\n- Could not mount ")
        assert f"1 files in {CACHE} are not in the bucket yet" in message
        assert result.states[host_name] == before
    finally:
        host.check_output(f"rm {waiting}")


@pytest.mark.parametrize("tool", ["s3fs", "rclone"])
def test_another_tool_shows_the_same_media(
    run_role: RoleRunner, host: Host, host_name: str, endpoints_path: Path, layout: Layout, tool: str
) -> None:
    result = mount(run_role, f"--extra-vars=bucket_mount_tool={tool}", label=f"with {tool}")
    assert result.failed(host_name) == 0, result.output
    assert file_system(host, layout) == f"fuse.{tool}"
    upload_and_record(endpoints_path, "after")
    assert differences(read_record(record_path(endpoints_path))) == []
    assert "answers" in host.check_output(f"{COMMAND} check")


def test_settings_that_do_not_work_change_nothing(run_role: RoleRunner, host: Host, host_name: str) -> None:
    before, pid = run_role.look()[host_name], main_pid(host, SERVICE)
    result = mount(run_role, "--extra-vars=bucket_mount_secret_access_key=another-secret-access-key", label="wrong key")
    assert result.message(host_name).startswith("Nothing was changed, because: Could not ")
    assert result.states[host_name] == before
    # Nor does the next run take the mount for an older one than its files.
    result = mount(run_role, label="the right key")
    assert (result.failed(host_name), result.changed(host_name)) == (0, 0), result.output
    assert main_pid(host, SERVICE) == pid


def test_mount_is_not_taken_away_while_nothing_else_has_the_media(run_role: RoleRunner, host_name: str) -> None:
    before = run_role.look()[host_name]
    result = mount(run_role, '--extra-vars={"bucket_mount_enabled": false}', label="refused removal")
    assert result.message(host_name).startswith(
        "Nothing was changed: all media is in the bucket, and without the mount Synapse would serve none of it."
    )
    assert result.states[host_name] == before


def test_synapse_is_started_again_after_an_interruption(
    run_role: RoleRunner, host: Host, host_name: str, inventory_path: Path, layout: Layout
) -> None:
    """The run that has stopped it was killed, as by a terminal that goes away."""
    host.check_output(f"systemctl stop {SERVICE}")
    words = [f"--inventory={inventory_path}", f"--limit={host_name}", MOUNT]
    with subprocess.Popen(["ansible-playbook", *words], start_new_session=True, stdout=subprocess.DEVNULL) as play:
        wait_for(host, f"! systemctl is-active --quiet {SYNAPSE}")
        os.killpg(play.pid, signal.SIGKILL)
    host.check_output(f"systemctl stop {SYNAPSE}")
    result = mount(run_role, label="after an interruption")
    assert result.failed(host_name) == 0, result.output
    assert (result.states[host_name].health, file_system(host, layout)) == (200, "fuse.rclone")
    host.check_output(f"systemctl stop {SYNAPSE}")
    result = mount(run_role, label="stopped by somebody")
    assert result.failed(host_name) == 0, result.output
    assert result.states[host_name].health == 0
    host.check_output(f"systemctl start {SYNAPSE}")
    wait_for(host, SERVES)


def test_a_repair_that_fails_leaves_the_mount_that_was_away_for_a_moment(
    run_role: RoleRunner, host: Host, host_name: str, layout: Layout
) -> None:
    host.check_output(f"systemctl stop {SERVICE}")
    with synapse_does_not_start(host):
        result = mount(run_role, '--extra-vars={"bucket_mount_synapse_start_timeout": 2}', label="no start")
    assert result.message(host_name).startswith(
        'Could not give Synapse the mounted bucket: the step "Start Synapse with the mount" failed.'
    )
    assert (file_system(host, layout), host.service(SERVICE).is_enabled) == ("fuse.rclone", True)
    wait_for(host, SERVES)


def test_a_failure_leaves_a_mount_that_no_service_waited_for(
    run_role: RoleRunner, host: Host, host_name: str, layout: Layout
) -> None:
    """As after `systemctl revert`, or with services that have other names now."""
    host.check_output(f"rm /etc/systemd/system/{SYNAPSE}.d/{COMMAND}.conf && systemctl daemon-reload")
    with synapse_does_not_start(host):
        result = mount(run_role, '--extra-vars={"bucket_mount_synapse_start_timeout": 2}', label="no drop-ins")
    assert "The previous state was put back." in result.message(host_name)
    assert (file_system(host, layout), host.service(SERVICE).is_enabled) == ("fuse.rclone", True)
    result = mount(run_role, label="with drop-ins")
    assert result.failed(host_name) == 0, result.output
    wait_for(host, SERVES)


def test_what_synapse_stored_in_a_bucket_that_was_put_back_can_be_copied(
    run_role: RoleRunner, host: Host, host_name: str, endpoints: Endpoints, layout: Layout
) -> None:
    other, path = f"{endpoints.bucket}-other", f"{layout.media_store}/local_content/late"
    s3_client(endpoints).create_bucket(Bucket=other)
    # At its first start it stores a file, and it never comes up.
    once = "/var/lib/matrix-synapse/late"
    store = f"test -e {once} || {{ mkdir -p $(dirname {path}) && echo late > {path} && touch {once}; }}"
    write = f"ExecStartPost=/bin/sh -c '{store}; false'"
    late = f"/run/systemd/system/{SYNAPSE}.d/late.conf"
    host.check_output(
        "mkdir -p $(dirname %s) && echo %s > %s && systemctl daemon-reload", late, f"[Service]\n{write}", late
    )
    # The role's own key is for one bucket alone.
    keys = {"access_key_id": endpoints.root_user, "secret_access_key": endpoints.root_password}
    values = {"bucket": other, "accept_unserved_media": True, "synapse_start_timeout": 2, **keys}
    variables = json.dumps({f"bucket_mount_{name}": value for name, value in values.items()})
    result = mount(run_role, f"--extra-vars={variables}", label="another bucket")
    host.check_output(f"rm {late} {once} && systemctl daemon-reload && systemctl restart {SYNAPSE}")
    message = result.message(host_name)
    assert f"What Synapse has stored while {other}/{endpoints.prefix} at " in message
    assert 'Copy it there, as docs/bucket-mount.md tells ("Copy by hand").' in message
    assert endpoints.bucket in host.check_output(f"{COMMAND} check")
    wait_for(host, SERVES)
    key = f"{endpoints.prefix}local_content/late"
    assert s3_client(endpoints).get_object(Bucket=other, Key=key)["Body"].read() == b"late\n"
    assert key not in read_objects(endpoints)
    # As the document tells
    places = " ".join(f"bucket:{bucket}/{endpoints.prefix}" for bucket in (other, endpoints.bucket))
    keys_of_both = f"--s3-access-key-id={endpoints.root_user} --s3-secret-access-key={endpoints.root_password}"
    host.check_output(f"rclone copy --ignore-existing --config=/etc/{COMMAND}/rclone.conf {keys_of_both} {places}")
    host.check_output(f"systemctl restart {SERVICE}")
    assert host.check_output(f"cat {path}") == "late"
    host.check_output(f"rm {path}")


def test_what_a_bucket_does_not_take_can_be_copied(
    run_role: RoleRunner, host: Host, host_name: str, endpoints: Endpoints, layout: Layout
) -> None:
    """The mount is away, and a file waits: no removal stops Synapse for it, and the document tells the way on."""
    file, cache = "local_content/waits", f"/var/lib/{COMMAND}"
    place = f"{endpoints.bucket}/{endpoints.prefix}"
    write = f"runuser -u {layout.user} -- sh -c 'echo waits > {layout.media_store}/{file}'"
    host.check_output(f"{write} && systemctl kill --signal=KILL {SERVICE} && systemctl stop {SERVICE}")
    before, synapse = run_role.look()[host_name], main_pid(host, SYNAPSE)
    variables = '{"bucket_mount_enabled": false, "bucket_mount_accept_unserved_media": true}'
    result = mount(run_role, f"--extra-vars={variables}", label="a file waits, and the mount is away")
    assert result.message(host_name).startswith(
        f"Nothing was changed, because:\n- 1 files in {cache} are not in the bucket yet, and nothing uploads them now"
        f" (one of them is {cache}/vfs/bucket/{place}{file})."
    )
    assert (result.states[host_name], main_pid(host, SYNAPSE)) == (before, synapse)
    (_head, text) = DOCUMENT.read_text().split("## Copy by hand\n")
    commands = text.split("```sh example\n")[1].split("```")[0]
    for old, new in (("OLD", place.rstrip("/")), ("NEW", place.rstrip("/")), ("/root/", "/root/by-hand-")):
        commands = commands.replace(old, new)
    assert host.check_output(f"set -e; {commands}") == "1\n1"
    assert read_objects(endpoints)[f"{endpoints.prefix}{file}"] == b"waits\n"
    result = mount(run_role, label="after the copy")
    assert result.failed(host_name) == 0, result.output
    host.check_output(f"systemctl start {SYNAPSE}")
    wait_for(host, SERVES)
    assert host.check_output(f"cat {layout.media_store}/{file}") == "waits"
    host.check_output(f"rm {layout.media_store}/{file}")


def test_what_is_stopped_with_synapse_is_named(run_role: RoleRunner, host: Host, host_name: str) -> None:
    unit = "/run/systemd/system/worker.service"
    text = f"[Unit]\\nRequires={SYNAPSE}\\n[Service]\\nExecStart=/bin/sleep infinity\\n"
    host.check_output(f"printf '{text}' > {unit} && systemctl daemon-reload && systemctl start worker")
    try:
        result = mount(run_role, label="a worker that is not named, and Synapse goes on")
        assert result.failed(host_name) == 0, result.output
        variables = '{"bucket_mount_options": ["--s3-upload-concurrency=8"]}'
        result = mount(run_role, f"--extra-vars={variables}", label="a worker that would stop with Synapse")
        assert result.message(host_name) == (
            "Nothing was changed, because:\n- bucket_mount_synapse_services: systemd stops 'worker.service' with"
            f" '{SYNAPSE}', and would not start it again. Write it there too, or let it have Wants= instead of"
            " Requires=, BindsTo= or PartOf=."
        )
    finally:
        host.check_output(f"systemctl stop worker; rm {unit} && systemctl daemon-reload")


def test_a_removal_is_not_done_until_synapse_serves(
    run_role: RoleRunner, host: Host, host_name: str, layout: Layout, record: Record
) -> None:
    values = {"enabled": False, "accept_unserved_media": True, "synapse_start_timeout": 2}
    variables = json.dumps({f"bucket_mount_{name}": value for name, value in values.items()})
    with synapse_does_not_start(host):
        for label in ("removed, and Synapse does not start", "once more"):
            result = mount(run_role, f"--extra-vars={variables}", label=label)
            message = result.message(host_name)
            assert message.startswith("Synapse does not serve: ")
            assert "run this again, which starts Synapse and waits for it.\nThe end of the journal:\n" in message
            assert file_system(host, layout) == ""
    result = mount(run_role, f"--extra-vars={variables}", label="Synapse starts")
    assert result.failed(host_name) == 0, result.output
    result = mount(run_role, label="mounted again")
    assert result.failed(host_name) == 0, result.output
    assert differences(record) == []


def test_check_mode_of_the_move_does_not_ask_for_what_the_move_installs(run_role: RoleRunner, host_name: str) -> None:
    before = run_role.look()[host_name]
    result = move_from_mount(run_role, host_name, "check mode of the move", "--check")
    assert (result.failed(host_name), result.states[host_name]) == (0, before), result.output
    assert "can't be seen in check mode" in result.output


def test_removal_keeps_a_cache_in_which_a_file_waits(
    run_role: RoleRunner, host: Host, host_name: str, layout: Layout
) -> None:
    """Somebody has written until the bucket was unmounted, and rclone had no time for it."""
    waiting = f"{CACHE}/vfsMeta/waiting"
    late = f"/run/systemd/system/{SERVICE}.d/late.conf"
    host.check_output(f"echo '\"Dirty\": true' > /run/late && mkdir -p $(dirname {late})")
    host.check_output(f"printf '[Service]\\nExecStopPost=/bin/cp /run/late {waiting}\\n' > {late}")
    host.check_output("systemctl daemon-reload")
    result = move_from_mount(run_role, host_name, "a file waits")
    host.check_output(f"rm {waiting} {late} && systemctl daemon-reload")
    assert result.failed(host_name) == 1
    assert "1 files are not in the bucket yet. They are in /var/lib/matrix-synapse-bucket-mount" in result.output
    assert (result.states[host_name].health, file_system(host, layout)) == (200, "fuse.rclone")


def test_move_to_the_provider_uploads_and_deletes_nothing(
    run_role: RoleRunner, host: Host, host_name: str, endpoints: Endpoints, endpoints_path: Path, layout: Layout
) -> None:
    host.check_output(f"{COMMAND} wait-until-uploaded 60")
    before = objects(endpoints)
    result = move_from_mount(run_role, host_name, "move")
    assert result.failed(host_name) == 0, result.output
    assert file_system(host, layout) == ""
    assert [path for path in result.states[host_name].files if COMMAND in path] == []
    assert objects(endpoints) == before
    assert differences(read_record(record_path(endpoints_path))) == []
    host.check_output(MIGRATE)
    assert objects(endpoints) == before


def test_move_again_changes_nothing(run_role: RoleRunner, host_name: str, layout: Layout, host: Host) -> None:
    result = move_from_mount(run_role, host_name, "again")
    assert (result.failed(host_name), result.changed(host_name)) == (0, 0), result.output
    assert host.check_output(f"stat --format=%U {layout.media_store}") == layout.user
