# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands' containers: what they may, what they show, and how they end."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from ansible_collections.matrixops.synapse_s3.tests.testinfra.layouts import Layout
from testinfra.host import Host

# Those of matrix-docker-ansible-deploy's layout are Docker's, made by the same template.
pytestmark = [pytest.mark.layouts("docker", "podman", "mdad"), pytest.mark.soak_layouts("mdad")]
NAME = "matrix-synapse-s3-storage-provider"
SERVICE = f"{NAME}-migrate.service"
# A run of the shell in the background, without a terminal.
BACKGROUND = "background-shell.service"
START_TIMEOUT = 60


def containers(host: Host, layout: Layout) -> list[str]:
    """The names of our containers."""
    names: str = host.check_output(f"{layout.engine} ps --all --format '{{{{.Names}}}}'")
    return [name for name in names.splitlines() if name.startswith(NAME)]


def wait_for_container(host: Host, layout: Layout) -> str:
    """The name of the container that is about to start."""
    give_up = time.monotonic() + START_TIMEOUT
    while not (found := containers(host, layout)):
        assert time.monotonic() < give_up, host.run(f"journalctl --no-pager --unit={BACKGROUND}").stdout
        time.sleep(0.2)
    return found[0]


def wait_until_left(host: Host, layout: Layout, names: list[str]) -> None:
    """Until only these containers are left: Podman removes a container when its client has ended already."""
    give_up = time.monotonic() + START_TIMEOUT
    while (found := containers(host, layout)) != names:
        assert time.monotonic() < give_up, found
        time.sleep(0.2)


@pytest.fixture
def background(host: Host, layout: Layout) -> Iterator[str]:
    """A shell that holds the media store's lock, as a run does; its container's name."""
    shell = f"{layout.command}-shell sh -c 'exec flock $MEDIA_PATH sleep 600'"
    # As the nightly job's own unit is stopped.
    stopped = "--property=TimeoutStopSec=30 --property=KillMode=mixed"
    host.check_output(f"systemd-run --unit={BACKGROUND} {stopped} {shell}")
    name = wait_for_container(host, layout)
    give_up = time.monotonic() + START_TIMEOUT
    while host.run(f"flock --nonblock {layout.media_store} true").rc == 0:
        assert time.monotonic() < give_up, "nobody holds the lock"
        time.sleep(0.2)
    yield name
    host.run(f"systemctl stop {BACKGROUND}")
    host.run(f"systemctl reset-failed {BACKGROUND}")


def test_a_container_has_no_power(host: Host, layout: Layout) -> None:
    status = host.check_output(f"{layout.command}-shell cat /proc/self/status")
    found = dict(line.split(":\t", 1) for line in status.splitlines())
    assert {int(found[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert found["NoNewPrivs"] == "1"


def test_a_container_can_write_where_it_must_only(host: Host, layout: Layout) -> None:
    configuration = f"{layout.data}/homeserver.yaml"
    for path, status in ((layout.seen_media_store, 0), ("/tmp", 0), ("/usr/local", 1), (configuration, 1)):
        assert host.run(f"{layout.command}-shell test -w {path}").rc == status, path


def test_nothing_of_a_container_shows_a_secret(host: Host, layout: Layout, background: str, secrets: list[str]) -> None:
    shown = host.check_output(f"{layout.engine} inspect {background}")
    assert background in shown
    assert [secret for secret in secrets if secret in shown] == []
    assert "AWS_SECRET_ACCESS_KEY" not in shown


def test_a_run_by_hand_and_the_nightly_job_exclude_each_other(host: Host, layout: Layout, background: str) -> None:
    assert background
    by_hand = host.run(f"{layout.command}-migrate")
    assert (by_hand.rc, "another run is working on the media store" in by_hand.stderr) == (75, True)
    assert host.run(f"systemctl start {SERVICE}").rc != 0
    assert host.check_output(f"systemctl show --property=ExecMainStatus --value {SERVICE}") == "75"
    wait_until_left(host, layout, [background])
    host.check_output(f"systemctl stop {BACKGROUND}")
    assert host.run(f"systemctl start {SERVICE}").rc == 0


def test_stopping_ends_the_container(host: Host, layout: Layout, background: str) -> None:
    assert background
    host.check_output(f"systemctl stop {BACKGROUND}")
    wait_until_left(host, layout, [])
    # After the time to stop, systemd would have ended the engine's client, and named that.
    assert host.check_output(f"systemctl show --property=Result --value {BACKGROUND}") != "timeout"


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("script --quiet --return --command '%s tty' /dev/null", "/dev/"),
        ("%s tty", "not a tty"),
        ("script --quiet --return --command '%s tty | cat' /dev/null", "not a tty"),
        ("echo from a pipe | %s cat", "from a pipe"),
    ],
)
def test_a_terminal_exactly_when_there_is_one(host: Host, layout: Layout, command: str, output: str) -> None:
    found = host.run(command.replace("%s", f"{layout.command}-shell"))
    assert output in found.stdout


def test_ctrl_c_ends_the_container(host: Host, layout: Layout) -> None:
    shell = f"{layout.command}-shell sh -c 'echo begun; exec sleep 600'"
    keys = f"(sleep 5; printf '\\003'; sleep 5) | timeout 60 script --quiet --return --command \"{shell}\" /dev/null"
    found = host.run(keys)
    assert ("begun" in found.stdout, found.rc) == (True, 130), found.stdout
    wait_until_left(host, layout, [])


def test_a_terminal_that_goes_away_ends_the_container(host: Host, layout: Layout) -> None:
    # The terminal is `script`'s, and goes with it; systemd is to end nothing else.
    terminal = f"script --quiet --command {layout.command}-shell /dev/null"
    host.check_output(f"systemd-run --collect --unit={BACKGROUND} --property=KillMode=process {terminal}")
    wait_for_container(host, layout)
    password = host.file(f"/var/lib/{NAME}/s3_media_upload/database.yaml")
    give_up = time.monotonic() + START_TIMEOUT
    while not password.exists:
        assert time.monotonic() < give_up
        time.sleep(0.2)
    host.check_output(f"systemctl kill --kill-whom=main --signal=KILL {BACKGROUND}")
    wait_until_left(host, layout, [])
    assert not password.exists
