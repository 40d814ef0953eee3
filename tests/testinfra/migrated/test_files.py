# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role installs, who owns it, and what it leaves alone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.tests.testinfra.layouts import Layout
from testinfra.host import Host

UNITS = "/etc/systemd/system"


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("{base}", 0o755),
        ("{base}/bin/s3_media_upload", 0o755),
        ("{base}/matrix-synapse-s3-storage-provider.pyz", 0o644),
        ("{command}", 0o755),
        ("{command}-shell", 0o755),
        ("{command}-migrate", 0o755),
    ],
)
def test_file(host: Host, layout: Layout, path: str, mode: int) -> None:
    check_file(host, layout, path, mode)


@pytest.mark.layouts("native", "docker", "podman")
@pytest.mark.parametrize(
    "path",
    [
        "{base}/import/s3_storage_provider.py",
        f"{UNITS}/matrix-synapse.service.d/synapse-s3-storage-provider.conf",
        f"{UNITS}/matrix-synapse-s3-storage-provider-migrate.service",
        f"{UNITS}/matrix-synapse-s3-storage-provider-migrate.timer",
    ],
)
def test_file_for_synapse_and_systemd(host: Host, layout: Layout, path: str) -> None:
    check_file(host, layout, path, 0o644)


@pytest.mark.layouts("mdad")
@pytest.mark.parametrize("unit", ["service", "timer"])
def test_drop_in_for_another_playbook_s_unit(host: Host, layout: Layout, unit: str) -> None:
    name = f"{UNITS}/matrix-synapse-s3-storage-provider-migrate.{unit}.d/synapse-s3-storage-provider.conf"
    check_file(host, layout, name, 0o644)


def check_file(host: Host, layout: Layout, path: str, mode: int) -> None:
    found = host.file(path.format(base=layout.base, command=layout.command))
    assert (found.user, found.group, oct(found.mode)) == ("root", "root", oct(mode))


def test_nobody_but_root_can_change_the_program(host: Host, layout: Layout) -> None:
    assert host.check_output(f"find {layout.base} ! -type l \\( -perm /022 -o ! -user root \\)") == ""


@pytest.mark.layouts("native", "docker", "podman")
def test_python_need_not_compile_the_library_again(host: Host, layout: Layout) -> None:
    """Nobody who runs it may write there: what is out of date would be compiled in each run."""
    library = f"{layout.base}/lib/boto3"
    number = "od --address-radix=n --format=u4 --skip-bytes=8 --read-bytes=4"
    compiled = host.check_output(f"{number} {library}/__pycache__/session.*.pyc")
    assert compiled.strip() == host.check_output(f"stat --format=%Y {library}/session.py")


def test_synapse_s_own_environment_is_as_the_package_left_it(host_name: str, state_directory: Path) -> None:
    """A package upgrade replaces it: nothing of ours may be in there. Docker knows what changed since the image."""
    changes = subprocess.run(
        ["docker", "diff", f"{state_directory.name}-{host_name}"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    inside = [line for line in changes if "/opt/venvs/matrix-synapse/" in line and "__pycache__" not in line]
    # A directory counts as changed when Python caches something below it.
    assert [line for line in inside if not line.startswith("C ")] == []


@pytest.mark.layouts("native")
def test_synapse_loads_the_provider_from_its_own_place(host: Host, layout: Layout) -> None:
    environment = host.check_output(
        "tr '\\0' '\\n' < /proc/$(systemctl show --property=MainPID --value matrix-synapse.service)/environ"
    )
    assert f"PYTHONPATH={layout.base}/import" in environment.splitlines()


def test_status_tells_the_last_and_the_next_run(host: Host, layout: Layout) -> None:
    found = host.run(f"{layout.command} status --json")
    assert found.rc == 0, found.stderr
    status = json.loads(found.stdout.splitlines()[-1])
    assert (status["last_result"], status["last_exit_code"]) == ("success", 0)
    assert status["last_run"]
    assert status["next_run"]
