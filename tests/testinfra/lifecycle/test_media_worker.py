# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker serves media, in Synapse's own documented way. The tests build on each other, and on test_lifecycle.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.tests.testinfra.layouts import Layout
from ansible_collections.matrixops.synapse_s3.tests.testinfra.life import differences
from ansible_collections.matrixops.synapse_s3.tests.testinfra.media import local_files, upload_and_age
from ansible_collections.matrixops.synapse_s3.tests.testinfra.play import PlayResult, RoleRunner
from testinfra.host import Host

# On one of the hosts, for the time that the plays take.
pytestmark = [pytest.mark.layouts("native"), pytest.mark.one_host]

PYTHON = "/opt/venvs/matrix-synapse/bin/python"
HOMESERVER, CONF_D, FILE = (
    "/etc/matrix-synapse/homeserver.yaml",
    "/etc/matrix-synapse/conf.d",
    "/etc/matrix-synapse/media.yaml",
)
DROPIN = f"{CONF_D}/synapse-s3-storage-provider.yaml"
MAIN, UNIT = "matrix-synapse.service", "synapse-media.service"
# The worker takes over the port at which the tests ask for media.
SHARED = """\
enable_media_repo: false
media_instance_running_background_jobs: media1
redis: {enabled: true}
instance_map: {main: {host: 127.0.0.1, port: 9093}}
listeners:
- {port: 8009, bind_addresses: [127.0.0.1], type: http, resources: [{names: [client]}]}
- {port: 9093, bind_addresses: [127.0.0.1], type: http, resources: [{names: [replication]}]}
"""
WORKER = """\
worker_app: synapse.app.generic_worker
worker_name: media1
enable_media_repo: true
worker_listeners:
- {port: 8008, bind_addresses: [0.0.0.0], type: http, resources: [{names: [client, media]}]}
"""
SERVICE = """\
[Unit]
After=matrix-synapse.service

[Service]
Type=notify
NotifyAccess=main
User=matrix-synapse
WorkingDirectory=/var/lib/matrix-synapse
ExecStart=%(python)s -m synapse.app.generic_worker -c %(homeserver)s -c %(shared)s -c %(file)s
Restart=always
RestartSec=1
"""
PATHS = {"synapse_config_paths": [HOMESERVER, CONF_D, FILE]}
NAMED = {**PATHS, "synapse_services": [MAIN, UNIT]}


def write(host: Host, path: str, content: str) -> None:
    host.check_output("printf %%s %s > %s && chmod 0644 %s", content, path, path)


def write_service(host: Host, shared: str) -> None:
    """Let the worker be started with this beside the other two."""
    values = {"python": PYTHON, "homeserver": HOMESERVER, "shared": shared, "file": FILE}
    write(host, f"/etc/systemd/system/{UNIT}", SERVICE % values)
    # Given the provider's configuration before its library, it does not start.
    host.run(f"systemctl daemon-reload && systemctl restart {UNIT}")


def serve_media_by_a_worker(host: Host) -> None:
    """What an administrator does who gives the media to a worker; not yet all that it takes."""
    if host.file(FILE).exists:
        return
    # The package's own unit asks for more confinement than a host in a container can give.
    host.check_output("systemd-run --unit=for-workers --property=User=redis redis-server --save ''")
    write(host, f"{CONF_D}/workers.yaml", SHARED)
    write(host, FILE, WORKER)
    host.check_output(f"systemctl restart {MAIN}")
    write_service(host, f"{CONF_D}/workers.yaml")


def run_for(run_role: RoleRunner, variables: dict[str, Any], label: str) -> PlayResult:
    return run_role(variables, label=f"media worker {label}")


def test_a_proof_without_the_worker_s_file_proves_nothing(host: Host) -> None:
    """What the role rests upon: Synapse's own program."""
    serve_media_by_a_worker(host)
    write(host, "/run/wrong.yaml", "media_storage_providers: [{module: no.such.Provider}]\n")
    read = f"{PYTHON} -m synapse.config -c {HOMESERVER} -c {CONF_D}"
    found = host.run(f"{read} -c /run/wrong.yaml")
    assert (found.rc, found.stdout) == (0, "Config parses OK!\n")
    assert host.run(f"{read} -c {FILE} -c /run/wrong.yaml").rc == 1


def test_a_media_worker_that_is_not_named_is_refused(host: Host, run_role: RoleRunner, host_name: str) -> None:
    serve_media_by_a_worker(host)
    result = run_for(run_role, {}, "not named")
    assert result.changed(host_name) == 0
    assert result.message(host_name) == (
        "Nothing was changed, because:\n- Could not give the provider to what serves media: a worker does that, since"
        " Synapse's configuration sets enable_media_repo to false. Add that worker's configuration file to"
        " synapse_config_paths, as the last, and its unit to synapse_services."
    )


@pytest.mark.soak
def test_a_media_worker_that_would_not_take_it_up_is_refused(host: Host, run_role: RoleRunner, host_name: str) -> None:
    serve_media_by_a_worker(host)
    result = run_for(run_role, PATHS, "not restarted")
    assert result.changed(host_name) == 0
    assert result.message(host_name).splitlines() == [
        "Nothing was changed, because:",
        f"- Could not make Synapse read '{DROPIN}': the worker of '{FILE}', which serves media, is started with neither"
        " that file nor its directory, and would serve nothing of what is in the bucket only."
        f" Add --config-path={CONF_D} to what starts it, and restart it.",
        f"- Could not restart what serves media: the worker of '{FILE}' is run by '{UNIT}', which is not among"
        " synapse_services. Add it there, after Synapse's main process.",
    ]


def test_a_media_worker_serves_what_is_in_the_bucket(
    host: Host, run_role: RoleRunner, host_name: str, endpoints_path: Path, layout: Layout
) -> None:
    serve_media_by_a_worker(host)
    write_service(host, CONF_D)
    result = run_for(run_role, NAMED, "named")
    assert result.failed(host_name) == 0, result.output
    assert host.service(UNIT).is_running
    record = upload_and_age(host, endpoints_path, layout)
    host.check_output("systemctl start matrix-synapse-s3-storage-provider-migrate.service")
    assert local_files(host, layout) == []
    assert differences(record) == []
    again = run_for(run_role, NAMED, "again")
    assert (again.failed(host_name), again.changed(host_name)) == (0, 0), again.output


@pytest.mark.soak
def test_a_media_worker_loses_the_provider_with_the_role(host: Host, run_role: RoleRunner, host_name: str) -> None:
    result = run_for(run_role, {**NAMED, "enabled": False, "accept_unserved_media": True}, "removed")
    assert result.failed(host_name) == 0, result.output
    environment = host.check_output(f"systemctl show --property=Environment {UNIT} {MAIN}")
    assert "PYTHONPATH" not in environment
    assert host.service(UNIT).is_running
