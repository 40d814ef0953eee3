# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role installs, who owns it, and what it leaves alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from testinfra.host import Host

BASE = "/opt/matrix-synapse-s3-storage-provider"
COMMAND = "/usr/local/bin/matrix-synapse-s3-storage-provider"


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        (BASE, 0o755),
        (f"{BASE}/import/s3_storage_provider.py", 0o644),
        (f"{BASE}/bin/s3_media_upload", 0o755),
        (f"{BASE}/matrix-synapse-s3-storage-provider.pyz", 0o644),
        (COMMAND, 0o755),
        (f"{COMMAND}-shell", 0o755),
        (f"{COMMAND}-migrate", 0o755),
        ("/etc/systemd/system/matrix-synapse.service.d/synapse-s3-storage-provider.conf", 0o644),
        ("/etc/systemd/system/matrix-synapse-s3-storage-provider-migrate.service", 0o644),
        ("/etc/systemd/system/matrix-synapse-s3-storage-provider-migrate.timer", 0o644),
    ],
)
def test_file(host: Host, path: str, mode: int) -> None:
    found = host.file(path)
    assert (found.user, found.group, oct(found.mode)) == ("root", "root", oct(mode))


def test_nobody_but_root_can_change_the_program(host: Host) -> None:
    assert host.check_output(f"find {BASE} ! -type l \\( -perm /022 -o ! -user root \\)") == ""


def test_synapse_s_own_environment_is_as_the_package_left_it(host_name: str, state_directory: Path) -> None:
    """A package upgrade replaces it: nothing of ours may be in there. Docker knows what changed since the image."""
    changes = subprocess.run(
        ["docker", "diff", f"{state_directory.name}-{host_name}"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    inside = [line for line in changes if "/opt/venvs/matrix-synapse/" in line and "__pycache__" not in line]
    # A directory counts as changed when Python caches something below it.
    assert [line for line in inside if not line.startswith("C ")] == []


def test_synapse_loads_the_provider_from_its_own_place(host: Host) -> None:
    environment = host.check_output(
        "tr '\\0' '\\n' < /proc/$(systemctl show --property=MainPID --value matrix-synapse.service)/environ"
    )
    assert f"PYTHONPATH={BASE}/import" in environment.splitlines()


def test_status_tells_the_last_and_the_next_run(host: Host) -> None:
    found = host.run(f"{COMMAND} status")
    assert found.rc == 0, found.stderr
    assert found.stdout
