# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose environment the program runs with. The services' processes are real; systemctl is played."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import (
    ConfigurationError,
    UnavailableError,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.environment import (
    adopt,
    parse_environment_file,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.synapse_config import DatabaseSettings

SYNAPSE = "matrix-synapse.service"
WORKER = "matrix-synapse-worker@media.service"
BUCKET = BucketSettings("media")
POSTGRESQL = DatabaseSettings("psycopg2", {"database": "synapse"})
CALLER = {
    "AWS_ENDPOINT_URL": "http://other",
    "AWS_PROFILE": "other",
    "AWS_CA_BUNDLE": "/etc/ca.pem",
    "http_proxy": "http://other",
    "https_proxy": "http://proxy",
    "PGHOST": "other",
    "LANG": "C.UTF-8",
}


class Machine:
    """A directory with a systemctl that tells of services, and the processes of those that run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "systemctl").write_text(f'#!/bin/sh\nfor unit; do :; done\ncat "{root}/$unit" 2>/dev/null || exit 0\n')
        (root / "systemctl").chmod(0o755)
        self.processes: list[subprocess.Popen[bytes]] = []

    def has(self, service: str, running: Mapping[str, str] | None = None, *properties: str) -> None:
        number = 0
        if running is not None:
            self.processes.append(subprocess.Popen(["/bin/sleep", "600"], env=running))
            number = self.processes[-1].pid
        lines = ["LoadState=loaded", f"MainPID={number}", "User=daemon", *properties]
        (self.root / service).write_text("\n".join(lines) + "\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    found = Machine(tmp_path)
    # The test's own stays as it is.
    monkeypatch.setattr(os, "environ", {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)})
    yield found
    for process in found.processes:
        process.kill()
        process.wait()


def adopted() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in {"PATH", "PYTEST_CURRENT_TEST"}}


# --- The caller's ---


def test_nothing_of_the_caller_leads_anywhere(machine: Machine) -> None:
    os.environ.update(CALLER)
    adopt([])
    assert adopted() == {
        "HOME": str(machine.root),
        "AWS_CA_BUNDLE": "/etc/ca.pem",
        "https_proxy": "http://proxy",
        "LANG": "C.UTF-8",
        **dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BOTO_CONFIG"), "/dev/null"),
    }


@pytest.mark.usefixtures("machine")
def test_what_would_have_led_elsewhere_is_refused_by_name() -> None:
    os.environ.update(CALLER)
    found = adopt([])
    with pytest.raises(ConfigurationError, match="start: AWS_ENDPOINT_URL, AWS_PROFILE, PGHOST and https_proxy of who"):
        found.check([BUCKET], POSTGRESQL)
    with pytest.raises(
        ConfigurationError, match="Could not start: AWS_ENDPOINT_URL, AWS_PROFILE and https_proxy of who"
    ):
        found.check([BUCKET], DatabaseSettings("sqlite3", {"database": "/homeserver.db"}))


def test_settings_in_the_caller_s_home_are_refused_by_name(machine: Machine) -> None:
    (machine.root / ".aws").mkdir()
    (machine.root / ".aws" / "config").write_text("[default]\nendpoint_url = http://other\n")
    found = adopt([])
    with pytest.raises(ConfigurationError, match=f"Could not start: {machine.root}/.aws/config of whoever runs this"):
        found.check([BUCKET], None)


@pytest.mark.usefixtures("machine")
def test_an_environment_that_is_synapses_stays() -> None:
    os.environ.update(CALLER)
    before = dict(os.environ)
    adopt([], is_synapses=True).check([BUCKET], POSTGRESQL)
    assert os.environ == before


@pytest.mark.usefixtures("machine")
def test_an_endpoint_of_the_caller_outside_of_the_container() -> None:
    os.environ["MATRIX_SYNAPSE_S3_STORAGE_PROVIDER_CALLER"] = " AWS_ENDPOINT_URL_S3"
    with pytest.raises(ConfigurationError, match="Could not start: AWS_ENDPOINT_URL_S3 of whoever"):
        adopt([], is_synapses=True).check([BUCKET], None)
    # The container's own goes before it.
    os.environ["AWS_ENDPOINT_URL_S3"] = "http://synapses"
    adopt([], is_synapses=True).check([BUCKET], None)


# --- A service's ---


def test_what_a_running_service_has_replaces_the_caller_s(machine: Machine) -> None:
    machine.has(SYNAPSE, {"AWS_PROFILE": "synapses", "HOME": "/nonexistent", "LANG": "C", "LD_PRELOAD": ""})
    os.environ.update(CALLER)
    found = adopt([SYNAPSE])
    assert adopted() == {
        "AWS_PROFILE": "synapses",
        "HOME": "/nonexistent",
        "AWS_CA_BUNDLE": "/etc/ca.pem",
        "LANG": "C.UTF-8",
    }
    # Whoever sets an endpoint means it to count.
    with pytest.raises(ConfigurationError, match="Could not start: AWS_ENDPOINT_URL of whoever"):
        found.check([BUCKET], POSTGRESQL)


def test_an_endpoint_of_synapse_s_own_environment_is_used(machine: Machine) -> None:
    machine.has(SYNAPSE, {"AWS_ENDPOINT_URL": "http://other", "HOME": "/nonexistent"})
    os.environ.update(CALLER)
    adopt([SYNAPSE]).check([BUCKET], POSTGRESQL)
    assert os.environ["AWS_ENDPOINT_URL"] == "http://other"


def test_a_service_that_does_not_run_is_asked_by_its_unit(machine: Machine) -> None:
    (machine.root / "file").write_text("AWS_ACCESS_KEY_ID=AKID\nAWS_SECRET_ACCESS_KEY='a b'\nHOME=/srv\n")
    machine.has(
        SYNAPSE,
        None,
        r'Environment="AWS_CONFIG_FILE=/etc/a \"b\"" PYTHONPATH=/opt AWS_PROFILE=a AWS_REGION=b',
        f"EnvironmentFiles={machine.root}/file (ignore_errors=no)",
        "EnvironmentFiles=/nonexistent (ignore_errors=yes)",
        "UnsetEnvironment=AWS_PROFILE AWS_REGION=c",
        "PassEnvironment=LANG",
    )
    adopt([SYNAPSE])
    assert adopted() == {
        "HOME": "/srv",
        "AWS_CONFIG_FILE": '/etc/a "b"',
        "AWS_REGION": "b",
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "a b",
    }


def test_home_of_a_service_that_does_not_run(machine: Machine) -> None:
    machine.has(SYNAPSE)
    adopt([SYNAPSE])
    assert adopted() == {"HOME": pwd.getpwnam("daemon").pw_dir}


def test_services_together(machine: Machine) -> None:
    machine.has(SYNAPSE, {"HOME": "/srv", "AWS_PROFILE": "media"})
    machine.has(WORKER, {"HOME": "/srv", "AWS_CONFIG_FILE": "/etc/aws"})
    adopt([SYNAPSE, WORKER])
    assert adopted() == {"HOME": "/srv", "AWS_PROFILE": "media", "AWS_CONFIG_FILE": "/etc/aws"}


def test_services_that_do_not_agree(machine: Machine) -> None:
    machine.has(SYNAPSE, {"HOME": "/srv", "AWS_SECRET_ACCESS_KEY": "one"})
    machine.has(WORKER, {"HOME": "/srv", "AWS_SECRET_ACCESS_KEY": "two"})
    with pytest.raises(ConfigurationError) as refusal:
        adopt([SYNAPSE, WORKER])
    assert str(refusal.value) == (
        "Could not start: AWS_SECRET_ACCESS_KEY is not the same for matrix-synapse.service and"
        " matrix-synapse-worker@media.service, so that they may not use the same bucket. Give both the same, and"
        " restart them."
    )


def test_a_service_that_is_not_there(machine: Machine) -> None:
    (machine.root / SYNAPSE).write_text("LoadState=not-found\nMainPID=0\n")
    with pytest.raises(ConfigurationError) as refusal:
        adopt([SYNAPSE])
    assert str(refusal.value) == (
        "Could not find Synapse's service 'matrix-synapse.service': systemd has no unit of that name. Correct"
        " --synapse-service, or run the role again."
    )


def test_a_systemd_that_can_t_be_asked(machine: Machine) -> None:
    (machine.root / "systemctl").write_text("#!/bin/sh\necho Failed to connect to bus: No such file. >&2\nexit 1\n")
    with pytest.raises(UnavailableError) as refusal:
        adopt([SYNAPSE])
    assert str(refusal.value) == (
        "Could not ask systemd what matrix-synapse.service gets: Failed to connect to bus: No such file. See that"
        " systemd and D-Bus run."
    )
    os.environ["PATH"] = ""
    with pytest.raises(UnavailableError, match="gets: systemctl: No such file or directory"):
        adopt([SYNAPSE])


def test_a_file_of_the_unit_that_can_t_be_read(machine: Machine) -> None:
    machine.has(SYNAPSE, None, f"EnvironmentFiles={machine.root} (ignore_errors=no)")
    with pytest.raises(UnavailableError) as refusal:
        adopt([SYNAPSE])
    assert str(refusal.value) == (
        f"Could not find out what matrix-synapse.service gets from '{machine.root}': Is a directory, and the service"
        " does not run, which would tell. Start it, or let its user read that file."
    )
    machine.has(SYNAPSE, None, f"EnvironmentFiles={machine.root}/none (ignore_errors=no)")
    with pytest.raises(UnavailableError, match="/none': No such file or directory, and the service"):
        adopt([SYNAPSE])


def test_a_variable_that_systemd_passes_on(machine: Machine) -> None:
    machine.has(SYNAPSE, None, "PassEnvironment=AWS_PROFILE")
    with pytest.raises(UnavailableError) as refusal:
        adopt([SYNAPSE])
    assert str(refusal.value) == (
        "Could not find out what matrix-synapse.service gets for AWS_PROFILE: systemd passes on its own, and the"
        " service does not run. Start it."
    )


def test_settings_that_only_the_service_can_read(machine: Machine) -> None:
    """As with LoadCredential=: boto3 would pass over them, and go to Amazon."""
    machine.has(SYNAPSE, {"AWS_CONFIG_FILE": "/run/credentials/matrix-synapse.service/aws", "HOME": "/nonexistent"})
    found = adopt([SYNAPSE])
    with pytest.raises(ConfigurationError) as refusal:
        found.check([BUCKET], None)
    assert str(refusal.value) == (
        "Could not read '/run/credentials/matrix-synapse.service/aws', which AWS_CONFIG_FILE of matrix-synapse.service"
        " names: No such file or directory. Write what it holds into Synapse's configuration, or put it where this can"
        " read it too."
    )


def test_settings_in_a_home_that_only_synapse_sees(machine: Machine) -> None:
    """As with ProtectHome= in the nightly job's unit. Root may read all: here a directory is in its place."""
    home = machine.root / "home"
    (home / ".aws/config").mkdir(parents=True)
    machine.has(SYNAPSE, {"HOME": str(home)})
    # For Synapse it is no file either.
    adopt([SYNAPSE]).check([BUCKET], None)

    settings = f"mount -t tmpfs tmpfs {home} && mkdir {home}/.aws && touch {home}/.aws/config && echo && exec sleep 60"
    command = ["unshare", "--mount", "sh", "-c", settings]
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as synapse:
        assert synapse.stdout is not None
        synapse.stdout.readline()
        (machine.root / SYNAPSE).write_text(f"LoadState=loaded\nMainPID={synapse.pid}\n")
        found = adopt([SYNAPSE])
        with pytest.raises(ConfigurationError) as refusal:
            found.check([BUCKET], None)
        synapse.kill()
    assert str(refusal.value) == (
        f"Could not read '{home}/.aws/config', of Synapse's user: Is a directory. Write what it holds into Synapse's"
        " configuration, or put it where this can read it too."
    )


@contextmanager
def in_a_unit(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """As the nightly job's unit confines it: /proc with ProtectProc=invisible and ProcSubset=pid, without any power."""
    mount = (
        "mount -t proc -o hidepid=invisible,subset=pid,gid=0 proc /proc && exec setpriv --reuid=daemon --regid=daemon"
    )
    confined = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        f'{mount} --clear-groups --no-new-privs --bounding-set=-all "$@"',
        "sh",
    ]
    with subprocess.Popen([*confined, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process


def test_the_nightly_job_may_look_at_synapse_s_process() -> None:
    daemon = {"user": "daemon", "group": "daemon"}
    with subprocess.Popen(["/bin/sleep", "60"], env={"AWS_PROFILE": "synapses"}, **daemon) as synapse:  # type: ignore[call-overload]
        try:
            with in_a_unit(["cat", f"/proc/{synapse.pid}/environ"]) as reader:
                assert reader.communicate(timeout=30) == ("AWS_PROFILE=synapses\0", "")
            # Of others it sees nothing.
            with in_a_unit(["cat", f"/proc/{os.getpid()}/environ"]) as reader:
                assert "No such file" in reader.communicate(timeout=30)[1]
        finally:
            synapse.kill()


# --- The syntax of systemd ---


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("A=b", {"A": "b"}),
        ("# A=b\n; B=c\n\nC=d\n", {"C": "d"}),
        ("A= b c \nB=\n", {"A": "b c", "B": ""}),
        ("A='b # c'\nB=\"d e\"", {"A": "b # c", "B": "d e"}),
        ('A="b\\"c\\$d\\e"', {"A": 'b"c$d\\e'}),
        ("A=b\\ c\\\nd\nB=it's", {"A": "b cd", "B": "it's"}),
        ("A='b\nC=c'\nD=e", {"A": "b\nC=c", "D": "e"}),
        ("A='b'c\n A = d\n", {"A": "d"}),
        ("export A=b\nA-B=c\n1=d", {}),
    ],
)
def test_environment_file(text: str, variables: Mapping[str, str]) -> None:
    assert parse_environment_file(text) == variables
