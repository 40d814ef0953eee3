# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role writes on a host, rendered by Ansible and tried with the programs that read it."""

from __future__ import annotations

import getpass
import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLE = Path(__file__).parents[3] / "roles" / "storage_provider"
PREFIX = "matrix_synapse_ext_synapse_s3_storage_provider_"
NAME = "matrix-synapse-s3-storage-provider"
SECRET = "s3cr3t/+key"
USER = getpass.getuser()

# Takes the role's own lists of files from its variables, without a host.
PLAYBOOK = """\
- hosts: localhost
  connection: local
  gather_facts: false
  vars_files:
    - "{{ role_path }}/defaults/main.yml"
    - "{{ role_path }}/vars/main.yml"
  tasks:
    - ansible.builtin.include_vars: {file: "{{ role_path }}/vars/native.yml", name: __storage_provider_layout}
    - ansible.builtin.copy:
        dest: "{{ playbook_dir }}/result.json"
        mode: "0600"
        content: >-
          {{ {'files': __storage_provider_synapse_files + __storage_provider_secret_files
                       + __storage_provider_wrapper_files + __storage_provider_unit_files,
              'secrets': __storage_provider_secrets} | to_json }}
"""


@dataclass(frozen=True)
class Host:
    """A directory that stands for a host, with the role's files in it."""

    root: Path
    files: Mapping[str, Mapping[str, str]]
    secrets: str

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    def content(self, name: str) -> str:
        """The content of the one file of that name."""
        (found,) = [file["content"] for path, file in self.files.items() if Path(path).name == name]
        return found

    def run(self, *command: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a command that the role installed."""
        return subprocess.run(
            [self.bin / command[0], *command[1:]], capture_output=True, text=True, check=False, **more
        )


def make_host(root: Path, **variables: object) -> Host:
    """Render the role's files and write those that a test runs below ``root``."""
    paths = {
        "synapse_python": str(root / "python"),
        "synapse_user": USER,
        "base_path": str(root / "base"),
        "bin_path": str(root / "bin"),
        "systemd_path": str(root / "units"),
        "config_bucket": "media",
        "config_access_key_id": "AKID",
        "config_secret_access_key": SECRET,
    }
    values = {f"{PREFIX}{name}": value for name, value in {**paths, **variables}.items()}
    info = {"media_store_path": variables.pop("media_store_path", "/var/lib/matrix-synapse/media")}
    # Stands for Synapse's Python: prints what it is called with, and its environment.
    root.mkdir(exist_ok=True)
    (root / "python").write_text('#!/bin/sh\nfor argument in "$@"; do echo "$argument"; done\nenv >&2\n')
    (root / "python").chmod(0o755)
    (root / "play").mkdir()
    (root / "play" / "play.yml").write_text(PLAYBOOK)
    (root / "play" / "templates").symlink_to(ROLE / "templates")
    extra = {"role_path": str(ROLE), "__storage_provider_config_info": info, **values}
    (root / "play" / "extra.json").write_text(json.dumps(extra))
    play = subprocess.run(
        ["ansible-playbook", "--inventory=localhost,", "--extra-vars=@extra.json", "play.yml"],
        cwd=root / "play",
        env={**os.environ, "ANSIBLE_PYTHON_INTERPRETER": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert play.returncode == 0, play.stdout + play.stderr
    result = json.loads((root / "play" / "result.json").read_text())
    files = {file["path"]: file for file in result["files"]}
    for path, file in files.items():
        if Path(path).is_relative_to(root) and "content" in file:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(file["content"])
            Path(path).chmod(int(file.get("mode", "0644"), 8))
    return Host(root, files, result["secrets"])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A host with little more than the defaults."""
    return make_host(reachable(tmp_path_factory.mktemp("plain")))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A host with everything set that templates can show."""
    return make_host(
        reachable(tmp_path_factory.mktemp("full")),
        config_prefix="synapse/",
        config_region_name="eu-central-1",
        config_endpoint_url="https://s3.example.org",
        config_session_token="t0ken",
        config_storage_class="STANDARD_IA",
        config_sse_customer_enabled=True,
        config_sse_customer_key="0123456789abcdef0123456789abcdef",
        store_local=False,
        store_synchronous=True,
        ca_bundle_path="/etc/ssl/private ca.pem",
        update_db_day_count=30,
        migration_engine="s3_media_upload",
        migration_delete_local=False,
        migration_minimum_age="2d",
        migration_workers=64,
        migration_bandwidth="20M",
        metrics_path="/var/lib/node exporter/synapse.prom",
        periodic_migration_schedule="Sun 03:00",
        migrate_systemd_required_services_list=["dbus.service"],
        migrate_systemd_wanted_services_list=["a.service", "b.service"],
        synapse_services=["matrix-synapse.service", "matrix-synapse-worker@media1.service"],
        synapse_config_paths=["/etc/matrix synapse/homeserver.yaml"],
        media_store_path="/home/matrix/media store",
    )


def reachable(directory: Path) -> Path:
    """Let other users in: some wrappers are tried as one."""
    for parent in (directory, *directory.parents):
        if parent.stat().st_uid == os.getuid():
            parent.chmod(parent.stat().st_mode | 0o011)
    return directory


# --- What Synapse reads ---


def test_provider_of_plain(plain: Host) -> None:
    assert yaml.safe_load(plain.content("synapse-s3-storage-provider.yaml")) == {
        "media_storage_providers": [
            {
                "module": "s3_storage_provider.S3StorageProviderBackend",
                "store_local": True,
                "store_remote": True,
                "store_synchronous": False,
                "config": {
                    "bucket": "media",
                    "access_key_id": "AKID",
                    "secret_access_key": SECRET,
                    "storage_class": "STANDARD",
                },
            }
        ]
    }


def test_provider_of_full(full: Host) -> None:
    assert yaml.safe_load(full.content("synapse-s3-storage-provider.yaml"))["media_storage_providers"] == [
        {
            "module": "s3_storage_provider.S3StorageProviderBackend",
            "store_local": False,
            "store_remote": True,
            "store_synchronous": True,
            "config": {
                "bucket": "media",
                "prefix": "synapse/",
                "region_name": "eu-central-1",
                "endpoint_url": "https://s3.example.org",
                "access_key_id": "AKID",
                "secret_access_key": SECRET,
                "session_token": "t0ken",
                "storage_class": "STANDARD_IA",
                "sse_customer_key": "0123456789abcdef0123456789abcdef",
                "sse_customer_algo": "AES256",
            },
        }
    ]


def test_secrets_are_in_one_file(full: Host) -> None:
    secrets = (SECRET, "t0ken", "0123456789abcdef0123456789abcdef")
    holders = {path for path, file in full.files.items() for secret in secrets if secret in file.get("content", "")}
    assert [Path(path).name for path in holders] == ["synapse-s3-storage-provider.yaml"]
    assert {full.files[path]["mode"] for path in holders} == {"0400"}


def test_secrets_are_taken_out_of_messages(plain: Host, full: Host) -> None:
    assert plain.secrets == r"s3cr3t/\+key"
    assert full.secrets == r"s3cr3t/\+key|t0ken|0123456789abcdef0123456789abcdef"


def test_each_service_has_its_dropin(full: Host) -> None:
    dropins = [path for path in full.files if path.endswith(".d/synapse-s3-storage-provider.conf")]
    assert [str(Path(path).relative_to(full.root)) for path in dropins] == [
        "units/matrix-synapse.service.d/synapse-s3-storage-provider.conf",
        "units/matrix-synapse-worker@media1.service.d/synapse-s3-storage-provider.conf",
    ]
    settings = [line for line in full.files[dropins[0]]["content"].splitlines() if not line.startswith("#")]
    assert settings == [
        "[Service]",
        f'Environment="PYTHONPATH={full.root}/base/import"',
        'Environment="AWS_CA_BUNDLE=/etc/ssl/private ca.pem"',
    ]


def test_import_takes_nothing_from_synapse(plain: Host, tmp_path: Path) -> None:
    """The provider is found, and a library that Synapse has itself stays Synapse's."""
    shutil.copytree(plain.root / "base" / "import", tmp_path / "import")
    for directory, version in (("lib-1", "ours"), ("synapse", "synapse's")):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "both_have.py").write_text(f'VERSION = "{version}"\n')
    (tmp_path / "lib-1" / "only_ours.py").write_text('VERSION = "ours"\n')
    (tmp_path / "lib-1" / "s3_storage_provider.py").write_text(
        "import both_have, only_ours\nclass S3StorageProviderBackend: pass\n"
    )
    (tmp_path / "lib").symlink_to("lib-1")
    code = (
        "import sys, s3_storage_provider as provider; print(provider.S3StorageProviderBackend.__module__,"
        " provider.only_ours.VERSION, provider.both_have.VERSION, sys.path[-1])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{tmp_path}/import:{tmp_path}/synapse", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout, run.stderr) == (f"s3_storage_provider ours synapse's {tmp_path}/lib-1\n", "")


def test_import_without_the_library(plain: Host, tmp_path: Path) -> None:
    shutil.copytree(plain.root / "base" / "import", tmp_path / "import")
    run = subprocess.run(
        [sys.executable, "-c", "import s3_storage_provider"],
        env={"PYTHONPATH": f"{tmp_path}/import", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    message = f"ImportError: There is no s3_storage_provider in '{tmp_path}/lib': run the Ansible role again."
    assert run.stderr.splitlines()[-1] == message


# --- The commands ---

FULL_CONFIG = ["--config", "/etc/matrix synapse/homeserver.yaml"]
PLAIN_CONFIG = ["--config", "/etc/matrix-synapse/homeserver.yaml", "--config", "/etc/matrix-synapse/conf.d"]


def test_command(plain: Host) -> None:
    run = plain.run(NAME, "status", "two words")
    assert run.stdout.splitlines() == [f"{plain.root}/base/{NAME}.pyz", *PLAIN_CONFIG, "status", "two words"]
    assert f"PYTHONPATH={plain.root}/base/lib" in run.stderr.splitlines()


def test_migrate(plain: Host, full: Host) -> None:
    assert plain.run(f"{NAME}-migrate", "--dry-run").stdout.splitlines()[1:] == [
        *PLAIN_CONFIG,
        *("migrate", "--engine", "parallel", "--minimum-age", "1h", "--dry-run"),
    ]
    assert full.run(f"{NAME}-migrate").stdout.splitlines()[1:] == [
        *FULL_CONFIG,
        *("migrate", "--engine", "s3_media_upload", "--minimum-age", "2d", "--unused-days", "30"),
        *("--workers", "64", "--bandwidth", "20M", "--keep-local"),
        *("--metrics-file", "/var/lib/node exporter/synapse.prom"),
    ]


def test_shell(full: Host) -> None:
    run = full.run(f"{NAME}-shell", "printenv", "BUCKET")
    assert run.stdout.splitlines()[1:] == [*FULL_CONFIG, "shell", "--unused-days", "30", "printenv", "BUCKET"]
    environment = dict(line.partition("=")[::2] for line in run.stderr.splitlines())
    assert environment["PATH"].split(":")[0] == f"{full.root}/base/bin"
    assert environment["AWS_CA_BUNDLE"] == "/etc/ssl/private ca.pem"


def test_script(plain: Host) -> None:
    run = subprocess.run(
        [plain.root / "base" / "bin" / "s3_media_upload", "update-db", "0d"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.splitlines()[1:] == [*PLAIN_CONFIG, "s3_media_upload", "update-db", "0d"]


def test_root_becomes_synapses_user(tmp_path: Path) -> None:
    assert os.geteuid() == 0, "These tests are run as root."
    host = make_host(reachable(tmp_path) / "host", synapse_user="nobody")
    (host.root / "python").write_text('#!/bin/sh\necho $$ "$(id)" "$USER" "$HOME"\nexit 143\n')
    process = subprocess.Popen([host.bin / NAME, "status"], env={**os.environ, "HOME": "/root"}, stdout=subprocess.PIPE)
    output, _ = process.communicate(timeout=60)
    identity = subprocess.check_output(["id", "nobody"], text=True).strip()
    # The process's own number: signals reach the program itself, and its exit status is what comes back.
    assert output.decode() == f"{process.pid} {identity} nobody {pwd.getpwnam('nobody').pw_dir}\n"
    assert process.returncode == 143


@pytest.mark.parametrize("command", [NAME, f"{NAME}-migrate", f"{NAME}-shell"])
def test_any_other_user_is_refused(plain: Host, command: str) -> None:
    assert os.geteuid() == 0, "These tests are run as root."
    run = plain.run(command, user="daemon", env={"PATH": os.environ["PATH"]})
    message = f"Could not start: this is run by root or by {USER}, not by daemon. Use sudo.\n"
    assert (run.returncode, run.stdout, run.stderr) == (77, "", message)


@pytest.mark.parametrize("host", ["plain", "full"])
def test_shellcheck(host: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(host).root
    scripts = [root / "base/bin/s3_media_upload", *sorted((root / "bin").iterdir())]
    assert len(scripts) == 4
    run = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False)
    assert run.stdout + run.stderr == ""


# --- The units ---


def units(host: Host) -> list[Path]:
    """The two units."""
    return [host.root / "units" / f"{NAME}-migrate.{kind}" for kind in ("service", "timer")]


@pytest.mark.parametrize("host", ["plain", "full"])
def test_systemd_understands_the_units(host: str, request: pytest.FixtureRequest) -> None:
    # It exits 0 on a key that it does not know.
    run = subprocess.run(
        ["systemd-analyze", "verify", *units(request.getfixturevalue(host))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("host", ["plain", "full"])
def test_service_is_confined(host: str, request: pytest.FixtureRequest) -> None:
    run = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", units(request.getfixturevalue(host))[0]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout


def settings(host: Host, kind: str) -> list[str]:
    """The lines of a unit, without comments."""
    lines = host.content(f"{NAME}-migrate.{kind}").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_service_starts_nobody_else(plain: Host) -> None:
    dependencies = [
        line for line in settings(plain, "service") if line.startswith(("After", "Requires", "Wants", "Bind"))
    ]
    assert dependencies == ["After=network-online.target postgresql.service matrix-synapse.service"]


def test_service_of_full(full: Host) -> None:
    lines = settings(full, "service")
    order = [line for line in lines if line.startswith(("After", "Requires", "Wants", "ReadWrite", "ProtectHome"))]
    assert order == [
        "After=network-online.target postgresql.service matrix-synapse.service matrix-synapse-worker@media1.service",
        *("Requires=dbus.service", "After=dbus.service"),
        *("Wants=a.service", "After=a.service", "Wants=b.service", "After=b.service"),
        'ReadWritePaths="-/home/matrix/media store"',
        f'ReadWritePaths="-/var/lib/{NAME}"',
        'ReadWritePaths="-/var/lib/node exporter"',
        "ProtectHome=read-only",
    ]


def test_timer(plain: Host, full: Host) -> None:
    assert settings(plain, "timer")[2:-2] == [
        *("[Timer]", "OnCalendar=*-*-* 05:00:00", "Persistent=true", "RandomizedDelaySec=5min"),
    ]
    assert "OnCalendar=Sun 03:00" in settings(full, "timer")
