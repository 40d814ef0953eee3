# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role writes on a host, rendered by Ansible and tried with the programs that read it."""

from __future__ import annotations

import getpass
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.plugins.modules.own_places import HEAD, former_places

ROLE = Path(__file__).parents[3] / "roles" / "storage_provider"
PREFIX = "matrix_synapse_ext_synapse_s3_storage_provider_"
NAME = "matrix-synapse-s3-storage-provider"
SECRET = "s3cr3t/+key"
USER = getpass.getuser()
# The wrappers first see whether Python runs.
TRIED = '[ "$1" != -I ] || exit 0\n'

# Takes the role's own lists of files from its variables, without a host.
PLAYBOOK = """\
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    rendered: []
  vars_files:
    - "{{ role_path }}/defaults/main.yml"
    - "{{ role_path }}/vars/main.yml"
  tasks:
    - ansible.builtin.include_vars: {file: "{{ role_path }}/vars/{{ layout }}.yml", name: __storage_provider_layout}
    - ansible.builtin.include_tasks: "{{ role_path }}/tasks/plan.yml"
      vars: {__found: {}}
    - ansible.builtin.include_tasks: "{{ role_path }}/tasks/plan.yml"
      vars:
        __found:
          image: localhost/theirs:1
          base_image_id: sha256:4e0c
          image_texts: ["{{ lookup('ansible.builtin.template', 'Containerfile.j2') }}"]
          ca_checksum: "0123"
          media_store_path: "{{ media_store_path }}"
          staging_path: "{{ staging_path }}"
    - ansible.builtin.set_fact:
        rendered: "{{ rendered + [item | combine(content)] }}"
      vars:
        staged: {path: "{{ __storage_provider_host.staged_command }}", template: staged_run.j2, mode: "0755"}
        content: "{{ {'content': lookup('ansible.builtin.template', item.template)} if 'template' in item else {} }}"
      loop: "{{ __storage_provider_host.synapse_files + __storage_provider_host.config_files
        + __storage_provider_host.command_files + __storage_provider_host.unit_files + [staged] }}"
    - ansible.builtin.copy:
        dest: "{{ playbook_dir }}/result.json"
        mode: "0600"
        content: >-
          {{ {'files': rendered, 'containerfile': lookup('ansible.builtin.template', 'Containerfile.j2')
              if __storage_provider_host.provider_source == 'image' else ''} | to_json }}
"""


@dataclass(frozen=True)
class Host:
    """A directory that stands for a host, with the role's files in it."""

    root: Path
    files: Mapping[str, Mapping[str, str]]
    containerfile: str
    layout: str

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


def make_host(root: Path, layout: str = "native", **variables: object) -> Host:
    """Render the role's files and write those that a test runs below ``root``."""
    paths = {
        "layout": layout,
        "synapse_python": str(root / "python"),
        **({"synapse_user": USER} if layout == "native" else {}),
        "base_path": str(root / "base"),
        "bin_path": str(root / "bin"),
        "systemd_path": str(root / "units"),
        "config_bucket": "media",
        "config_access_key_id": "AKID",
        "config_secret_access_key": SECRET,
    }
    values = {f"{PREFIX}{name}": value for name, value in {**paths, **variables}.items()}
    media_store_path = variables.pop("media_store_path", "/var/lib/matrix-synapse/media")
    # Stands for Synapse's Python: prints what it is called with, and its environment.
    root.mkdir(exist_ok=True)
    (root / "python").write_text(f'#!/bin/sh\n{TRIED}for argument in "$@"; do echo "$argument"; done\nenv >&2\n')
    (root / "python").chmod(0o755)
    (root / "play").mkdir()
    (root / "play" / "play.yml").write_text(PLAYBOOK)
    for name in ("templates", "files"):
        (root / "play" / name).symlink_to(ROLE / name)
    extra = {
        "role_path": str(ROLE),
        "layout": layout,
        "media_store_path": media_store_path,
        "staging_path": str(root / "staging"),
        **values,
    }
    (root / "play" / "extra.json").write_text(json.dumps(extra))
    play = subprocess.run(
        ["ansible-playbook", "--inventory=localhost,", "--extra-vars=@extra.json", "play.yml"],
        cwd=root / "play",
        env={
            **os.environ,
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            # The tree itself, and not what happens to be installed.
            "ANSIBLE_COLLECTIONS_PATH": os.environ["PYTHONPATH"].split(os.pathsep)[0],
        },
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
    return Host(root, files, result["containerfile"], layout)


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
        previous_stores=[{"bucket": "old-media", "access_key_id": "OLD", "secret_access_key": "0ld/+secret"}],
        ca_bundle_path="/etc/ssl/private ca.pem",
        update_db_day_count=30,
        migration_engine="s3_media_upload",
        migration_delete_local=False,
        migration_minimum_age="2d",
        migration_workers=64,
        migration_bandwidth="20M",
        metrics_path="/var/lib/node exporter/synapse.prom",
        periodic_migration_schedule="Sun 03:00",
        purge_orphans_enabled=True,
        purge_orphans_minimum_age="30d",
        purge_orphans_maximum_share="0.5%",
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
        },
        {
            "module": "s3_storage_provider.S3StorageProviderBackend",
            "store_local": False,
            "store_remote": False,
            "store_synchronous": False,
            "config": {
                "bucket": "old-media",
                "access_key_id": "OLD",
                "secret_access_key": "0ld/+secret",
                "storage_class": "STANDARD",
            },
        },
    ]


def test_secrets_are_in_one_file(full: Host) -> None:
    secrets = (SECRET, "t0ken", "0123456789abcdef0123456789abcdef", "0ld/+secret")
    holders = {path for path, file in full.files.items() for secret in secrets if secret in file.get("content", "")}
    assert [Path(path).name for path in holders] == ["synapse-s3-storage-provider.yaml"]
    assert {full.files[path]["mode"] for path in holders} == {"0400"}


def test_every_file_says_whose_it_is(full: Host) -> None:
    """What does not say so in its beginning is somebody else's: the role neither replaces nor removes it."""
    mark = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__storage_provider_mark"]
    files = {path: file["content"] for path, file in full.files.items() if "content" in file}
    assert [path for path, content in files.items() if mark not in content[:HEAD]] == []


def see_that_files_name_their_places(host: Host) -> None:
    """By this a run that is given other places finds what is at these."""
    program = host.root / "base" / f"{NAME}.pyz"
    program.touch()
    mark = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__storage_provider_mark"]
    commands = [host.bin / NAME, host.bin / f"{NAME}-shell", host.bin / f"{NAME}-migrate"]
    units = [path for path in map(Path, host.files) if path.is_relative_to(host.root / "units")]
    new = [host.root / "sbin" / command.name for command in commands]
    found, bases = former_places([*new, *units], {host.root / "new": program.name}, mark)
    program.unlink()
    assert (sorted(found), bases) == (sorted(commands), [program.parent])


def test_the_files_name_their_places(full: Host) -> None:
    see_that_files_name_their_places(full)


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

NO_PYTHON = (
    "Could not start: {}, the Python of Synapse, is not there, or does not run. Correct"
    f" {PREFIX}synapse_python, and run the role again."
)

FULL_CONFIG = ["--config", "/etc/matrix synapse/homeserver.yaml"]
FULL_SERVICE = [
    *("--synapse-service", "matrix-synapse.service", "--synapse-service", "matrix-synapse-worker@media1.service"),
]


def common(host: Host) -> list[str]:
    """What the program is given with every command."""
    services, config = (
        (FULL_SERVICE, FULL_CONFIG) if host.root.name.startswith("full") else (PLAIN_SERVICE, PLAIN_CONFIG)
    )
    return [*services, "--import-path", f"{host.root}/base/import", *config]


PLAIN_CONFIG = ["--config", "/etc/matrix-synapse/homeserver.yaml", "--config", "/etc/matrix-synapse/conf.d"]
PLAIN_SERVICE = ["--synapse-service", "matrix-synapse.service"]


def test_command(plain: Host) -> None:
    run = plain.run(NAME, "status", "two words")
    assert run.stdout.splitlines() == [f"{plain.root}/base/{NAME}.pyz", *common(plain), "status", "two words"]
    assert f"PYTHONPATH={plain.root}/base/lib" in run.stderr.splitlines()


# What may come along from whoever runs a command, and what must not
KEPT = ("SHELL", "TERM", "COLORTERM", "NO_COLOR", "COLUMNS", "LINES", "LANG", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TZ")
DROPPED = (
    *("AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_ACCESS_KEY_ID", "AWS_CA_BUNDLE", "HTTP_PROXY", "https_proxy", "no_proxy"),
    *("PGHOST", "PGPASSWORD", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONINSPECT", "HOSTALIASES", "SSLKEYLOGFILE"),
    *("DOCKER_HOST", "DOCKER_CONFIG", "CONTAINER_HOST", "CONTAINERS_CONF", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"),
    *("HOME", "USER", "LOGNAME", "TMPDIR", "MATRIX_SYNAPSE_S3_STORAGE_PROVIDER_UNITS", "SYNAPSE_S3_CLEAN"),
)
SHELL_S_OWN = {"PWD", "OLDPWD", "SHLVL", "_"}


def callers(**more: str) -> dict[str, str]:
    """An environment in which everything is set, to the letters "the caller's"."""
    return {**dict.fromkeys((*KEPT, *DROPPED), "the caller's"), "PATH": os.environ["PATH"], **more}


def test_nothing_else_of_the_caller_s_environment(plain: Host) -> None:
    endpoints = {"AWS_ENDPOINT_URL": "http://other", "AWS_ENDPOINT_URL_S3": "http://other"}
    run = plain.run(NAME, "status", env=callers(**endpoints))
    environment = dict(line.partition("=")[::2] for line in run.stderr.splitlines())
    own = {
        "HOME": str(Path(f"~{USER}").expanduser()),
        "USER": USER,
        "LOGNAME": USER,
        "PATH": os.environ["PATH"],
        "MALLOC_ARENA_MAX": "2",
        "PYTHONPATH": f"{plain.root}/base/lib",
    }
    assert {name: value for name, value in environment.items() if name not in SHELL_S_OWN} == {
        **dict.fromkeys(KEPT, "the caller's"),
        # These the program refuses by name.
        **endpoints,
        **own,
    }
    assert run.returncode == 0


def test_nothing_is_made_up(plain: Host) -> None:
    run = plain.run(NAME, "status", env={"PATH": os.environ["PATH"]})
    names = {line.partition("=")[0] for line in run.stderr.splitlines()} - SHELL_S_OWN
    assert names == {"HOME", "USER", "LOGNAME", "PATH", "MALLOC_ARENA_MAX", "PYTHONPATH"}


def test_synapse_s_python_is_gone(tmp_path: Path) -> None:
    """Its environment was made anew: the job ended with 127, which says nothing to anybody."""
    host = make_host(reachable(tmp_path) / "host")
    (host.root / "python").unlink()
    run = host.run(f"{NAME}-migrate")
    assert (run.returncode, run.stdout) == (69, "")
    assert run.stderr.splitlines()[-1] == NO_PYTHON.format(f"{host.root}/python")


def test_synapse_s_python_does_not_run(tmp_path: Path) -> None:
    """The system was upgraded, and with it the library of Python's that it needs."""
    host = make_host(reachable(tmp_path) / "host")
    (host.root / "python").write_text("#!/bin/sh\necho libpython3.9.so.1.0: not found >&2\nexit 127\n")
    run = host.run(NAME, "status")
    message = NO_PYTHON.format(f"{host.root}/python")
    assert (run.returncode, run.stdout, run.stderr) == (69, "", f"libpython3.9.so.1.0: not found\n{message}\n")


def test_migrate(plain: Host, full: Host) -> None:
    assert plain.run(f"{NAME}-migrate", "--dry-run").stdout.splitlines()[1:] == [
        *common(plain),
        *("migrate", "--engine", "parallel", "--minimum-age", "1h", "--dry-run"),
    ]
    assert full.run(f"{NAME}-migrate").stdout.splitlines()[1:] == [
        *common(full),
        *("migrate", "--engine", "s3_media_upload", "--minimum-age", "2d", "--unused-days", "30"),
        *("--workers", "64", "--bandwidth", "20M", "--keep-local"),
        *("--metrics-file", "/var/lib/node exporter/synapse.prom"),
    ]


# Stands for Synapse's Python: writes down which command it runs, and ends with the status that is named for it.
NIGHTLY_PYTHON = """\
#!/bin/sh
[ "$1" != -I ] || exit 0
case " $* " in *" migrate "*) name=migrate ;; *) name=purge ;; esac
echo "$@" > "$0.$name.new"
mv "$0.$name.new" "$0.$name"
if [ -e "$0.$name.sleeps" ]; then trap 'echo stopped > "$0.$name"; exit 143' TERM; sleep 60 & wait; fi
exit "$(cat "$0.$name.status" 2>/dev/null || echo 0)"
"""


@pytest.fixture(scope="module")
def purging(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A host whose nightly job purges."""
    host = make_host(reachable(tmp_path_factory.mktemp("purging")), purge_orphans_enabled=True)
    (host.root / "python").write_text(NIGHTLY_PYTHON)
    return host


@pytest.fixture
def nightly(purging: Host) -> Host:
    """That host before its job."""
    for left in purging.root.glob("python.*"):
        left.unlink()
    return purging


def ran(host: Host, name: str) -> str:
    """With which arguments the command was run, from its name on; '' where it was not."""
    found = host.root / f"python.{name}"
    words = found.read_text() if found.exists() else ""
    return words[words.find("migrate --" if name == "migrate" else "purge-orphans ") :].strip() if words else ""


PURGE = "purge-orphans --delete --minimum-age 7d --maximum-share 5%"


@pytest.mark.parametrize(
    ("migrate", "purge", "status", "is_purged"),
    [
        (0, 0, 0, True),
        # Some files could not be moved: what was deleted goes all the same, and the job has failed.
        (1, 0, 1, True),
        (0, 1, 1, True),
        (0, 69, 69, True),
        (1, 69, 1, True),
        # An outage, a wrong configuration, another run: the purge would come no farther.
        *((failed, 0, failed, False) for failed in (2, 69, 75, 77, 78, 143)),
    ],
)
def test_the_job_purges_after_the_migration_and_tells_of_both(
    nightly: Host, migrate: int, purge: int, status: int, is_purged: bool
) -> None:
    (nightly.root / "python.migrate.status").write_text(str(migrate))
    (nightly.root / "python.purge.status").write_text(str(purge))
    run = nightly.run(f"{NAME}-migrate", "--then-purge")
    assert ran(nightly, "migrate") == "migrate --engine parallel --minimum-age 1h"
    assert ran(nightly, "purge") == (PURGE if is_purged else "")
    told = "" if is_purged else f"Nothing was purged, since the migration ended with status {migrate}.\n"
    assert (run.returncode, run.stderr) == (status, told)


def test_a_dry_run_of_the_job_deletes_nothing(nightly: Host) -> None:
    """Whoever copies the unit's command and adds an option does not mean the purge."""
    run = nightly.run(f"{NAME}-migrate", "--then-purge", "--dry-run")
    assert (run.returncode, ran(nightly, "migrate"), ran(nightly, "purge")) == (2, "", "")
    assert run.stderr == (
        "Could not start: --then-purge takes no other option. For the migration alone leave it out; to look first, use"
        " purge-orphans without --delete.\n"
    )
    nightly.run(f"{NAME}-migrate", "--dry-run", "--then-purge")
    assert ran(nightly, "purge") == ""


def test_a_migration_by_hand_purges_nothing(nightly: Host) -> None:
    run = nightly.run(f"{NAME}-migrate", "--dry-run")
    assert (run.returncode, ran(nightly, "purge")) == (0, "")
    assert ran(nightly, "migrate").endswith("--dry-run")


@pytest.mark.parametrize("name", ["migrate", "purge"])
def test_the_job_that_is_stopped_ends_with_what_it_runs(nightly: Host, name: str) -> None:
    (nightly.root / f"python.{name}.sleeps").touch()
    process = subprocess.Popen([nightly.bin / f"{NAME}-migrate", "--then-purge"])
    while not ran(nightly, name):
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.2)
    process.terminate()
    assert process.wait(timeout=10) == 143
    assert (nightly.root / f"python.{name}").read_text() == "stopped\n"
    assert (nightly.root / "python.purge").exists() == (name == "purge")


def test_the_unit_says_that_it_purges(plain: Host, full: Host) -> None:
    for host, more, kill in ((plain, "", []), (full, " --then-purge", ["KillMode=mixed"])):
        lines = settings(host, "service")
        assert [line for line in lines if line.startswith(("ExecStart=", "KillMode"))] == [
            f"ExecStart={host.bin}/{NAME}-migrate{more}",
            *kill,
        ]


def test_shell(full: Host) -> None:
    run = full.run(f"{NAME}-shell", "printenv", "BUCKET")
    assert run.stdout.splitlines()[1:] == [*common(full), "shell", "--unused-days", "30", "printenv", "BUCKET"]
    environment = dict(line.partition("=")[::2] for line in run.stderr.splitlines())
    assert environment["PATH"].split(":")[0] == f"{full.root}/base/bin"
    assert environment["AWS_CA_BUNDLE"] == "/etc/ssl/private ca.pem"


def test_before_it_is_installed(full: Host) -> None:
    """From the temporary directory it is run as the command will run it, with what is there of the library."""
    run = subprocess.run(
        [full.root / "staging/run", "preflight"], capture_output=True, text=True, check=False, env=callers()
    )
    staging = f"{full.root}/staging"
    assert run.stdout.splitlines() == [
        *(f"{staging}/program.pyz", *FULL_SERVICE, "--import-path", f"{staging}/import", *FULL_CONFIG, "preflight"),
    ]
    environment = dict(line.partition("=")[::2] for line in run.stderr.splitlines())
    assert environment["PYTHONPATH"] == f"{staging}/lib:{full.root}/base/lib"
    assert environment["AWS_CA_BUNDLE"] == "/etc/ssl/private ca.pem"
    assert "HTTP_PROXY" not in environment


def test_script(plain: Host) -> None:
    run = subprocess.run(
        [plain.root / "base" / "bin" / "s3_media_upload", "update-db", "0d"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.splitlines()[1:] == [*common(plain), "s3_media_upload", "update-db", "0d"]


def test_root_becomes_synapses_user(tmp_path: Path) -> None:
    assert os.geteuid() == 0, "These tests are run as root."
    host = make_host(reachable(tmp_path) / "host", synapse_user="nobody")
    (host.root / "python").write_text(f'#!/bin/sh\n{TRIED}echo $$ "$(id)" "$USER" "$HOME"\nexit 143\n')
    process = subprocess.Popen([host.bin / NAME, "status"], env={**os.environ, "HOME": "/root"}, stdout=subprocess.PIPE)
    output, _unused = process.communicate(timeout=60)
    identity = subprocess.check_output(["id", "nobody"], text=True).strip()
    # The process's own number: signals reach the program itself, and its exit status is what comes back.
    assert output.decode() == f"{process.pid} {identity} nobody {pwd.getpwnam('nobody').pw_dir}\n"
    assert process.returncode == 143


@pytest.mark.parametrize("command", [NAME, f"{NAME}-migrate", f"{NAME}-shell"])
def test_any_other_user_is_refused(plain: Host, command: str) -> None:
    assert os.geteuid() == 0, "These tests are run as root."
    run = plain.run(command, user="daemon", env={"PATH": os.environ["PATH"]})
    who = "root" if USER == "root" else f"root or by {USER}"
    message = f"Could not start: this is run by {who}, not by daemon. Use sudo.\n"
    assert (run.returncode, run.stdout, run.stderr) == (77, "", message)


@pytest.mark.parametrize("host", ["plain", "full"])
def test_shellcheck(host: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(host).root
    scripts = [root / "base/bin/s3_media_upload", root / "staging/run", *sorted((root / "bin").iterdir())]
    assert len(scripts) == 5
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


@pytest.mark.parametrize("host", ["plain", "full"])
def test_stop_takes_no_longer_than_half_a_minute(host: str, request: pytest.FixtureRequest) -> None:
    """It took five minutes while the bucket did not answer."""
    assert "TimeoutStopSec=25s" in settings(request.getfixturevalue(host), "service")


def test_timer(plain: Host, full: Host) -> None:
    assert settings(plain, "timer")[2:-2] == [
        *("[Timer]", "OnCalendar=*-*-* 05:00:00", "Persistent=true", "RandomizedDelaySec=5min"),
    ]
    assert "OnCalendar=Sun 03:00" in settings(full, "timer")


# --- Containers ---

# Stands for a container engine: prints what it is called with; asked for the image of a container, it has one.
ENGINE = """\
#!/bin/sh
[ "$1" != container ] || { echo localhost/theirs:1; exit; }
[ "$1" != image ] || exit 0
for argument in "$@"; do echo "$argument"; done
"""
IN_CONTAINER = [
    f'"$1" -I -S -c "" >/dev/null || {{ echo "{NO_PYTHON.format("$1")}" >&2; exit 69; }}',
    'exec "$@"',
]
PROTECTION = ["--rm", "--init", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
PODMAN_USER = "nobody"


def make_container_host(root: Path, layout: str, **variables: object) -> Host:
    volumes = [f"{root}/synapse:/data:ro", f"{root}/media:/data/media_store"]
    for volume in volumes:
        Path(volume.partition(":")[0]).mkdir()
    host = make_host(reachable(root) / "host", layout, **{"synapse_volumes": volumes, **variables})
    engine = yaml.safe_load((ROLE / "vars" / f"{layout}.yml").read_text())["container_engine"]
    (host.root / engine).write_text(ENGINE)
    (host.root / engine).chmod(0o755)
    return host


def run_with_engine(host: Host, *command: str, **more: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{host.root}:{os.environ['PATH']}"}
    return host.run(*command, env=environment, stdin=subprocess.DEVNULL, **more)


@pytest.fixture(scope="module", params=["docker", "podman"])
def container(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Host:
    root = tmp_path_factory.mktemp(request.param)
    (root / "ca.pem").touch()
    (root / "metrics").mkdir()
    return make_container_host(
        root,
        request.param,
        ca_bundle_path=f"{root}/ca.pem",
        metrics_path=f"{root}/metrics/synapse.prom",
        container_arguments=["--add-host=s3:192.0.2.1"],
    )


def test_the_files_of_containers_name_their_places(container: Host) -> None:
    see_that_files_name_their_places(container)


def test_run_in_a_container(container: Host) -> None:
    run = run_with_engine(container, NAME, "status", "two words")
    assert (run.returncode, run.stderr) == (0, "")
    lines, root = run.stdout.splitlines(), container.root.parent
    assert lines[0] == "run"
    assert set(PROTECTION) <= set(lines)
    assert "--tty" not in lines
    assert [
        line for line in lines if line.startswith(("--volume", "--network", "--add-host", "--user", "--env=A"))
    ] == [
        f"--volume={root}/synapse:/data:ro",
        f"--volume={root}/media:/data/media_store",
        f"--volume={root}/ca.pem:{root}/ca.pem:ro",
        "--network=matrix",
        "--add-host=s3:192.0.2.1",
        f"--volume={container.root}/base:{container.root}/base:ro",
        f"--volume=/var/lib/{NAME}:/var/lib/{NAME}",
        f"--volume={root}/metrics:{root}/metrics",
        f"--env=AWS_CA_BUNDLE={root}/ca.pem",
        "--user=991:991",
    ]
    (image,) = [line for line in lines if line.startswith(f"localhost/{NAME}:")]
    assert lines[lines.index(image) :] == [
        image,
        *("-c", "PATH=$0:$PATH; export PATH", *IN_CONTAINER, f"{container.root}/base/bin"),
        *(f"{container.root}/python", f"{container.root}/base/{NAME}.pyz", "--synapse-environment"),
        *("--import-path", f"{container.root}/base/import"),
        *("--config", "/data/homeserver.yaml", "--config", "/data/conf.d", "status", "two words"),
    ]
    assert f'Environment="SYNAPSE_IMAGE={image}"' in container.content("synapse-s3-storage-provider.conf").splitlines()


def test_before_the_image_is_built(container: Host) -> None:
    """What a trial sees: Synapse's files and the temporary directory, in Synapse's own image."""
    staging, root = f"{container.root}/staging", container.root.parent
    environment = {"PATH": f"{container.root}:{os.environ['PATH']}"}
    run = subprocess.run(
        [f"{staging}/run", "preflight"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = run.stdout.splitlines()
    assert set(PROTECTION) <= set(lines)
    base = f"{container.root}/base"
    assert [line for line in lines if line.startswith(("--volume", "--env=PYTHON"))] == [
        # The library of an earlier run, where there was one
        f"--volume={base}:{base}:ro",
        f"--volume={root}/synapse:/data:ro",
        f"--volume={root}/media:/data/media_store",
        f"--volume={root}/ca.pem:{root}/ca.pem:ro",
        f"--volume={staging}:{staging}:ro",
        f"--env=PYTHONPATH={staging}/lib:{base}/lib",
    ]
    assert "docker.io/matrixdotorg/synapse:latest" in lines
    assert lines[-1] == "preflight"


def test_a_user_whom_nobody_knows(tmp_path: Path) -> None:
    host = make_host(reachable(tmp_path) / "host", synapse_user="nosuchuser")
    for command in (host.bin / NAME, host.root / "staging/run"):
        run = subprocess.run([command, "status"], capture_output=True, text=True, check=False)
        assert (run.returncode, run.stdout, run.stderr) == (
            78,
            "",
            "Could not find Synapse's user 'nosuchuser': this host has none of that name. Give the user that Synapse"
            " runs as.\n",
        )


def test_proxies_of_the_caller_s_stay_out(container: Host) -> None:
    """Podman passes them on, and Docker's client those of the settings in the caller's home."""
    engine = yaml.safe_load((ROLE / "vars" / f"{container.layout}.yml").read_text())["container_engine"]
    programs = container.root.parent / "programs"
    programs.mkdir()
    (programs / engine).write_text('#!/bin/sh\n[ "$1" = image ] || { echo "$@"; env; }\n')
    (programs / engine).chmod(0o755)
    run = container.run(NAME, "status", env=callers(PATH=f"{programs}:{os.environ['PATH']}"), stdin=subprocess.DEVNULL)
    arguments, *variables = run.stdout.splitlines()[0], *run.stdout.splitlines()[1:]
    environment = dict(line.partition("=")[::2] for line in variables if "=" in line)
    names = set(environment) - SHELL_S_OWN
    assert names - {"XDG_RUNTIME_DIR"} == {"HOME", "USER", "LOGNAME", "PATH", *KEPT}
    assert environment.get("XDG_RUNTIME_DIR") != "the caller's"
    assert environment["HOME"] == ("/root" if engine == "podman" else "/")
    assert ("--http-proxy=false" in arguments) == (engine == "podman")


def test_an_endpoint_of_the_caller_s_is_told_by_its_name(container: Host) -> None:
    named = "--env=MATRIX_SYNAPSE_S3_STORAGE_PROVIDER_CALLER="
    path = f"{container.root}:{os.environ['PATH']}"
    for given, names in (
        ({}, []),
        ({"AWS_ENDPOINT_URL": "http://other"}, ["AWS_ENDPOINT_URL"]),
        ({"AWS_ENDPOINT_URL_S3": "http://other", "AWS_PROFILE": "other"}, ["AWS_ENDPOINT_URL_S3"]),
    ):
        run = container.run(NAME, "status", env={**given, "PATH": path}, stdin=subprocess.DEVNULL)
        (line,) = [line for line in run.stdout.splitlines() if line.startswith(named)]
        assert line.removeprefix(named).split() == names
        assert "http://other" not in run.stdout


def test_what_copy_with_prints_is_told_of_the_host(container: Host) -> None:
    """The tool's container sees what Synapse's does: the program in a container knows no path of the host's."""
    named = "--env=MATRIX_SYNAPSE_S3_STORAGE_PROVIDER_HOST="
    run = container.run(
        NAME, "status", env={"PATH": f"{container.root}:{os.environ['PATH']}"}, stdin=subprocess.DEVNULL
    )
    lines = run.stdout.splitlines()
    (line,) = [line for line in lines if line.startswith(named)]
    told = json.loads(line.removeprefix(named))
    assert set(told) == {"engine", "arguments", "volumes"}
    assert set(told["arguments"]) <= set(lines)
    assert [argument for argument in told["arguments"] if argument.startswith("--network=")]
    volumes = {line.removeprefix("--volume=") for line in lines if line.startswith("--volume=")}
    assert set(told["volumes"]) <= volumes
    assert [volume for volume in told["volumes"] if "/ca.pem:" in volume]
    assert told["engine"] in ("docker", "podman")


def test_a_container_of_another_name_is_not_touched(container: Host) -> None:
    """With a terminal, the container of that name is removed at the end."""
    environment = {"PATH": f"{container.root}:{os.environ['PATH']}"}
    for given, suffix in (("matrix-synapse", r"\d+"), (f"{NAME}-migrate", "migrate")):
        run = container.run(
            NAME, "status", env={**environment, "SYNAPSE_S3_CONTAINER": given}, stdin=subprocess.DEVNULL
        )
        (name,) = [line for line in run.stdout.splitlines() if line.startswith("--name=")]
        assert re.fullmatch(f"--name={NAME}-{suffix}", name)


def test_the_engine_is_the_process_itself(container: Host) -> None:
    """So that the signals of systemd reach it at once."""
    programs = container.root.parent / "signalled"
    programs.mkdir()
    for engine in ("docker", "podman"):
        (programs / engine).write_text('#!/bin/sh\n[ "$1" = image ] || exec sleep 60\n')
        (programs / engine).chmod(0o755)
    process = subprocess.Popen(
        [container.bin / f"{NAME}-migrate"],
        env={"PATH": f"{programs}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
    )
    while Path(f"/proc/{process.pid}/comm").read_text() != "sleep\n":
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    assert process.wait(timeout=10) == -signal.SIGTERM


def test_no_engine(container: Host, tmp_path: Path) -> None:
    for program in ("id", "getent", "cut", "env", "sh"):
        (tmp_path / program).symlink_to(shutil.which(program) or "")
    run = container.run(NAME, "status", env={"PATH": str(tmp_path)}, stdin=subprocess.DEVNULL)
    engine = yaml.safe_load((ROLE / "vars" / f"{container.layout}.yml").read_text())["container_engine"]
    assert (run.returncode, run.stdout, run.stderr) == (
        69,
        "",
        f"Could not start: this host has no {engine} in PATH. Install it, or run the role again for the layout of this"
        " host.\n",
    )


def test_an_engine_that_does_not_run(container: Host) -> None:
    programs = container.root.parent / "stopped"
    programs.mkdir()
    for engine in ("docker", "podman"):
        (programs / engine).write_text("#!/bin/sh\necho Cannot connect to the Docker daemon. >&2\nexit 1\n")
        (programs / engine).chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    run = container.run(f"{NAME}-migrate", env={"PATH": path}, stdin=subprocess.DEVNULL)
    engine = yaml.safe_load((ROLE / "vars" / f"{container.layout}.yml").read_text())["container_engine"]
    assert (run.returncode, run.stdout) == (69, "")
    said, message = run.stderr.splitlines()
    assert said == "Cannot connect to the Docker daemon."
    assert re.fullmatch(
        rf"Could not start a container of localhost/{NAME}:\w+: {engine} does not run, or does not have it, as it says"
        r" above\. Start it, or run the role again\.",
        message,
    )


def test_an_image_without_synapse_s_python(container: Host) -> None:
    """What the container's shell runs, without a container."""
    lines = run_with_engine(container, NAME, "status").stdout.splitlines()
    script = "\n".join(lines[lines.index("-c") + 1 :][:3])
    command = ["/bin/sh", "-c", script, "/opt/bin"]
    run = subprocess.run([*command, "/nowhere/python3", "x"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (69, "")
    assert run.stderr.splitlines()[-1] == NO_PYTHON.format("/nowhere/python3")
    run = subprocess.run(
        [*command, sys.executable, "-c", "import os; print(os.environ['PATH'].split(':')[0])"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "/opt/bin\n", "")


def test_configuration_is_written_where_the_host_has_it(container: Host) -> None:
    path = f"{container.root.parent}/synapse/conf.d/synapse-s3-storage-provider.yaml"
    assert container.files[path]["owner"] == "991"


def test_a_volume_that_is_not_there(tmp_path: Path) -> None:
    volumes = ["/nowhere/synapse:/data:ro", f"{tmp_path}:/data/media_store", "named:/data/other"]
    host = make_container_host(tmp_path, "docker", synapse_volumes=volumes, metrics_path="/nowhere/synapse.prom")
    run = run_with_engine(host, NAME, "status")
    assert (run.returncode, run.stdout) == (69, "")
    assert run.stderr.splitlines() == [
        "This host has no /nowhere/synapse, which the container is to see.",
        "This host has no /nowhere, which the container is to see.",
    ]


def test_script_runs_within_the_container(container: Host) -> None:
    script = container.root / "base/bin/s3_media_upload"
    run = subprocess.run([script, "update-db"], capture_output=True, text=True, check=False)
    assert run.stdout.splitlines()[-2:] == ["s3_media_upload", "update-db"]


def test_containerfile(container: Host) -> None:
    lines = [line for line in container.containerfile.splitlines() if not line.startswith("#")]
    assert lines[:3] == ["ARG BASE", "FROM ${BASE}", "ARG DIGEST"]
    assert f"COPY lib {container.root}/base/lib" in lines
    assert f"ENV AWS_CA_BUNDLE={container.root}/base/ca.pem" in lines


def test_tag_tells_what_is_in_the_image(tmp_path: Path) -> None:
    def tag(name: str, **variables: object) -> str:
        (tmp_path / name).mkdir()
        host = make_container_host(tmp_path / name, "docker", **variables)
        return host.content("synapse-s3-storage-provider.conf").rpartition(":")[2]

    # The same for another bucket, another for other certificates. The directory is part of it.
    assert tag("a", base_path="/srv/s3") == tag("b", base_path="/srv/s3", config_bucket="other")
    assert tag("c", base_path="/srv/s3") != tag("d", base_path="/srv/s3", ca_bundle_path="/etc/ssl/ca.pem")


def test_compose(tmp_path: Path) -> None:
    host = make_container_host(tmp_path, "compose", compose_path="/srv/compose", synapse_services=["synapse", "worker"])
    override = host.files["/srv/compose/compose.override.yaml"]["content"]
    lines = run_with_engine(host, NAME, "status").stdout.splitlines()
    (image,) = [line for line in lines if line.startswith(f"localhost/{NAME}:")]
    assert yaml.safe_load(override) == {
        "services": {name: {"image": image, "pull_policy": "never"} for name in ("synapse", "worker")}
    }
    assert "--network=compose_default" in lines
    # They are no units.
    assert "After=network-online.target docker.service" in settings(host, "service")
    assert [path for path in host.files if path.endswith(".conf") or path == "/srv/compose"] == []


def test_user_s_podman(tmp_path: Path) -> None:
    assert os.geteuid() == 0, "These tests are run as root."
    host = make_container_host(tmp_path, "podman", podman_user=PODMAN_USER)
    run = run_with_engine(host, NAME, "status")
    assert run.stderr == ""
    lines = run.stdout.splitlines()
    # Which is that user, to the host.
    assert "--user=0:0" in lines
    assert host.files[f"{tmp_path}/synapse/conf.d/synapse-s3-storage-provider.yaml"]["owner"] == PODMAN_USER
    assert f"User={PODMAN_USER}" in settings(host, "service")


def test_own_image(tmp_path: Path) -> None:
    host = make_container_host(
        tmp_path, "docker", synapse_image="example.org/synapse:1", synapse_image_has_provider=True
    )
    run = run_with_engine(host, NAME, "status")
    lines = run.stdout.splitlines()
    assert "example.org/synapse:1" in lines
    assert [line for line in lines if line.startswith("--env=PYTHONPATH")] == []
    assert [path for path in host.files if path.endswith(".conf")] == []


def test_another_playbook_s_server(tmp_path: Path) -> None:
    host = make_container_host(
        tmp_path, "mdad", synapse_user="nobody", synapse_python="", bin_path=str(tmp_path / "host/bin")
    )
    lines = run_with_engine(host, NAME, "status").stdout.splitlines()
    assert "localhost/theirs:1" in lines
    assert "--network=matrix-postgres" in lines
    units = {path: file.get("content") for path, file in host.files.items() if path.startswith(f"{host.root}/units")}
    assert {path.removeprefix(f"{host.root}/units/"): bool(content) for path, content in units.items()} == {
        f"{NAME}-migrate.service.d": False,
        f"{NAME}-migrate.timer.d": False,
        f"{NAME}-migrate.service.d/synapse-s3-storage-provider.conf": True,
        f"{NAME}-migrate.timer.d/synapse-s3-storage-provider.conf": True,
    }
    service = units[f"{host.root}/units/{NAME}-migrate.service.d/synapse-s3-storage-provider.conf"] or ""
    assert [line for line in service.splitlines() if line.startswith("ExecStart=")] == [
        "ExecStart=",
        f"ExecStart={host.root}/bin/{NAME}-migrate",
    ]
    # Nothing of Synapse's own.
    assert [path for path in host.files if path.startswith(f"{tmp_path}/synapse")] == []


@pytest.mark.parametrize("layout", ["docker", "podman", "mdad"])
def test_shellcheck_with_containers(layout: str, tmp_path: Path) -> None:
    host = make_container_host(tmp_path, layout, bin_path=str(tmp_path / "host/bin"))
    scripts = [host.root / "base/bin/s3_media_upload", host.root / "staging/run", *sorted(host.bin.iterdir())]
    assert len(scripts) == 5
    run = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False)
    assert run.stdout + run.stderr == ""


@pytest.mark.parametrize("layout", ["docker", "podman"])
def test_systemd_understands_the_units_with_containers(layout: str, tmp_path: Path) -> None:
    host = make_container_host(tmp_path, layout)
    run = subprocess.run(["systemd-analyze", "verify", *units(host)], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
