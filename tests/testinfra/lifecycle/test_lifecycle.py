# SPDX-License-Identifier: GPL-3.0-or-later
"""A change that Synapse does not survive, taking the provider away, and coming back. The tests build on each other."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.tests.testinfra.layouts import Layout
from ansible_collections.matrixops.synapse_s3.tests.testinfra.life import Record, differences
from ansible_collections.matrixops.synapse_s3.tests.testinfra.media import local_files, upload_and_age
from ansible_collections.matrixops.synapse_s3.tests.testinfra.play import HostState, PlayResult, RoleRunner
from testinfra.host import Host

pytestmark = pytest.mark.one_host

# There something else answers for Synapse, and says that it is unhealthy with this change, or without the provider.
CHANGED = {
    "store_synchronous": True,
    "synapse_health_url": "http://127.0.0.1:9/health",
    "synapse_start_timeout": 20,
}
TAKEN_AWAY = {
    "enabled": False,
    "accept_unserved_media": True,
    "synapse_health_url": "http://127.0.0.1:9/health-with-the-provider-only",
    "synapse_start_timeout": 20,
}
UNHEALTHY = """\
import http.server, pathlib, sys, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = pathlib.Path(sys.argv[1])
        changed = path.exists() and "store_synchronous: true" in path.read_text()
        unhealthy = changed or (self.path.endswith("only") and not path.exists())
        try:
            status = 503 if unhealthy else urllib.request.urlopen("http://127.0.0.1:8008/health", timeout=5).status
        except OSError:
            status = 502
        self.send_response(status)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 9), Handler).serve_forever()
"""
OURS = "s3-storage-provider"
TIMER = f"matrix-synapse-{OURS}-migrate.timer"
SERVICE = f"matrix-synapse-{OURS}-migrate.service"
BASE = "docker.io/matrixdotorg/synapse:latest"
READ_AT_START = (
    "/etc/matrix-synapse",
    "/srv/synapse",
    "/srv/compose",
    "/etc/systemd/system/matrix-synapse.service.d",
)
# Where the provider's configuration is the role's.
OWN_CONFIGURATION = pytest.mark.layouts("native", "docker", "podman")
# What the layout makes no other thing of: on another host it is for `make soak`. So are the longest of the others.
SHOWN_NATIVELY = pytest.mark.soak_layouts("docker", "podman")


# Somebody else's files where the role has its own, on every host from here on. They must outlive all that follows.
OTHERS = (
    f"/opt/matrix-synapse-{OURS}/theirs/photo",
    f"/opt/matrix-synapse-{OURS}/lib-old/theirs",
    f"/opt/matrix-synapse-{OURS}/bin/theirs",
    f"/var/lib/matrix-synapse-{OURS}/theirs",
    "/etc/systemd/system/matrix-synapse.service.d/theirs.conf",
)


@pytest.fixture(scope="module", autouse=True)
def _others_files(state_before: dict[str, HostState], state_directory: Path) -> None:
    for name in state_before:
        write = "; ".join(f"mkdir -p {Path(path).parent} && echo '# theirs' > {path}" for path in OTHERS)
        subprocess.run(["docker", "exec", f"{state_directory.name}-{name}", "sh", "-c", write], check=True)


@pytest.fixture(scope="module", autouse=True)
def _unhealthy_with_the_change(host: Host, layout: Layout) -> None:
    host.check_output("systemd-run --unit=unhealthy python3 -c %s %s", UNHEALTHY, layout.dropin)


def fail_to_start(run_role: RoleRunner) -> PlayResult:
    return run_role(CHANGED)


def remove(run_role: RoleRunner) -> PlayResult:
    return run_role({"enabled": False, "accept_unserved_media": True})


def remove_again(run_role: RoleRunner) -> PlayResult:
    remove(run_role)
    return run_role({"enabled": False, "accept_unserved_media": True}, label="again")


def fail_to_install(run_role: RoleRunner) -> PlayResult:
    remove(run_role)
    return run_role(CHANGED, label="first")


def come_back(run_role: RoleRunner) -> PlayResult:
    remove(run_role)
    return run_role({}, label="come back")


def started(host: Host) -> str:
    """When Synapse was started last."""
    return str(host.check_output("systemctl show --property=ActiveEnterTimestamp matrix-synapse.service"))


def restarted_files(state: HostState) -> dict[str, str]:
    """What Synapse reads when it starts."""
    files = {path: digest for path, digest in state.files.items() if path.startswith(READ_AT_START)}
    return {path: digest for path, digest in files.items() if path not in OTHERS}


def named_like_ours(state: HostState) -> list[str]:
    return sorted(path for path in state.files if OURS in path and path not in OTHERS)


def test_job_by_hand_shows_progress_on_a_terminal(host: Host, endpoints_path: Path, layout: Layout) -> None:
    upload_and_age(host, endpoints_path, layout)
    # A terminal of no size, as this one begins, has no room for a bar.
    command = f"stty rows 24 cols 100; {layout.command}-migrate"
    found = host.run("script --quiet --return --command %s /dev/null", command)
    assert found.rc == 0, found.stdout
    assert "100%|" in found.stdout
    assert local_files(host, layout) == []


@pytest.mark.layouts("native")
def test_failed_restart_puts_everything_back(
    state_before: dict[str, HostState], run_role: RoleRunner, host_name: str, secrets: list[str]
) -> None:
    result = fail_to_start(run_role)
    message = result.message(host_name)
    assert message.startswith('Could not restart Synapse with the change: the step "Wait until Synapse serves" failed.')
    assert "The end of Synapse's log:" in message
    assert "synapse" in message.partition("The end of Synapse's log:")[2]
    assert [secret for secret in secrets if secret in result.output] == []
    assert restarted_files(result.states[host_name]) == restarted_files(state_before[host_name])
    assert result.states[host_name].health == 200


def test_removal_leaves_nothing_behind_and_synapse_serving(
    run_role: RoleRunner, host_name: str, layout: Layout
) -> None:
    result = remove(run_role)
    state = result.states[host_name]
    assert result.failed(host_name) == 0, result.output
    assert named_like_ours(state) == sorted(layout.theirs)
    assert (OURS in state.timers) == bool(layout.theirs)
    assert state.health == 200


@OWN_CONFIGURATION
def test_removal_says_what_happens_to_the_media(run_role: RoleRunner) -> None:
    assert "Every object stays in the bucket." in remove(run_role).output


@pytest.mark.layouts("native")
def test_second_removal_changes_nothing(run_role: RoleRunner, host_name: str) -> None:
    result = remove_again(run_role)
    assert (result.failed(host_name), result.changed(host_name)) == (0, 0), result.output


@pytest.mark.layouts("native")
@pytest.mark.soak
def test_disk_without_room_for_the_library(host: Host, run_role: RoleRunner, host_name: str) -> None:
    """What was copied of it stayed, and the disk full."""
    remove(run_role)
    base = f"/opt/matrix-synapse-{OURS}"
    before = started(host)
    host.check_output(f"mkdir -p {base} && mount -t tmpfs -o size=4m,mode=755 tmpfs {base}")
    result = run_role({}, label="no room")
    left = host.check_output(f"find {base} -name 'lib*'")
    host.check_output(f"umount {base}")
    message = result.message(host_name)
    assert message.startswith(f"Could not put the provider's library into {base}: cp: ")
    assert message.endswith(
        "No space left on device. What was copied of it is removed again, and Synapse runs as before."
        " Correct that, and run this again."
    )
    assert left == ""
    assert started(host) == before


@pytest.mark.layouts("native", "docker")
@pytest.mark.soak
def test_failed_first_install_leaves_synapse_without_the_provider(run_role: RoleRunner, host_name: str) -> None:
    result = fail_to_install(run_role)
    state = result.states[host_name]
    assert result.message(host_name).startswith("Could not restart Synapse with the change:")
    assert [path for path in restarted_files(state) if OURS in path] == []
    assert [path for path in OTHERS if path not in state.files] == []
    assert state.health == 200


@SHOWN_NATIVELY
def test_coming_back_serves_all_media_again(run_role: RoleRunner, host_name: str, record: Record) -> None:
    result = come_back(run_role)
    assert result.failed(host_name) == 0, result.output
    assert differences(record) == []


# The scenario itself runs the role twice on each host.
@pytest.mark.soak
def test_nothing_is_left_to_change_then(run_role: RoleRunner, host_name: str) -> None:
    come_back(run_role)
    result = run_role({}, label="once more")
    assert (result.failed(host_name), result.changed(host_name)) == (0, 0), result.output


@pytest.mark.layouts("native")
def test_files_of_others_survive_removal_and_installation(run_role: RoleRunner, host_name: str) -> None:
    results = [fail_to_start, remove, remove_again, come_back]
    lost = [
        (play.__name__, path)
        for play in results
        for path in OTHERS
        if path not in play(run_role).states[host_name].files
    ]
    assert lost == []
    assert f"/opt/matrix-synapse-{OURS}/theirs" in remove(run_role).output


@pytest.mark.layouts("native")
def test_a_run_with_enabled_left_out_changes_nothing(run_role: RoleRunner, host_name: str) -> None:
    before = come_back(run_role).states[host_name]
    result = run_role({"enabled": ""})
    assert (result.failed(host_name), result.changed(host_name)) == (0, 0), result.output
    assert (
        f"Nothing is changed: matrix_synapse_ext_synapse_s3_storage_provider_enabled is not set for {host_name}."
        in result.output
    )
    assert result.states[host_name] == before


@OWN_CONFIGURATION
@SHOWN_NATIVELY
def test_removal_that_would_take_media_offline_is_refused(run_role: RoleRunner, host_name: str) -> None:
    come_back(run_role)
    before = run_role.look()[host_name]
    result = run_role({"enabled": False}, label="refused")
    assert re.match(
        r"Nothing was changed, because:\n- Could not take the provider from Synapse: [1-9][0-9]* files?"
        r" \([0-9,]+ bytes\) that its database knows are only in the bucket, and would not be served any more\."
        r" Bring them back with the playbook matrixops\.synapse_s3\.restore and run this again",
        result.message(host_name),
    ), result.output
    assert result.states[host_name] == before


@pytest.mark.layouts("native", "docker")
@pytest.mark.soak
def test_another_prefix_that_would_take_media_offline_is_refused(run_role: RoleRunner, host_name: str) -> None:
    before = come_back(run_role).states[host_name]
    result = run_role({"config_prefix": "synapse/media/another/"})
    message = result.message(host_name)
    bucket = f"bucket 'media-of-{host_name}'"
    assert re.fullmatch(
        "Nothing was changed, because:\n"
        rf"- Could not take {bucket}( with prefix 'synapse/media/')? at http\S+ from Synapse: [1-9][0-9]* files"
        r" \([0-9,]+ bytes\) that its database knows would not be served, being neither on the local disk nor in"
        rf" {bucket} with prefix 'synapse/media/another/' at http\S+\. Name what Synapse is to go on reading from in"
        " matrix_synapse_ext_synapse_s3_storage_provider_previous_stores until it is copied \\(the playbook"
        r" matrixops\.synapse_s3\.move\), or set"
        r" matrix_synapse_ext_synapse_s3_storage_provider_accept_unserved_media to true\.",
        message,
    ), message
    assert result.states[host_name] == before


@pytest.mark.layouts("native", "docker")
@pytest.mark.soak
def test_places_that_have_moved_hold_nothing_of_the_role_s_any_more(
    host: Host, run_role: RoleRunner, host_name: str, record: Record, layout: Layout
) -> None:
    before = come_back(run_role).states[host_name]
    moved = {"base_path": "/opt/moved", "bin_path": "/usr/local/sbin"}
    check = run_role(moved, "--check", label="moved")
    result = run_role(moved, label="moved")
    again = run_role(moved, label="moved again")
    job = host.run(f"systemctl start {SERVICE}")
    served = differences(record)
    back = run_role({}, label="moved back")

    def named_below(state: HostState, *places: str) -> list[str]:
        return [path for path in state.files if path.startswith(places) and path not in OTHERS]

    old = (f"/opt/matrix-synapse-{OURS}/", layout.command)
    new = ("/opt/moved/", f"/usr/local/sbin/matrix-synapse-{OURS}")
    assert check.failed(host_name) == 0, check.output
    assert check.states[host_name] == before
    assert result.failed(host_name) == 0, result.output
    assert named_below(result.states[host_name], *old) == []
    # Those of others at the old place are told, and stay.
    assert f"/opt/matrix-synapse-{OURS}/theirs" in result.output
    assert [path for path in OTHERS if path not in result.states[host_name].files] == []
    assert (again.failed(host_name), again.changed(host_name)) == (0, 0), again.output
    assert (job.rc, served) == (0, []), job.stderr
    assert back.failed(host_name) == 0, back.output
    assert named_below(back.states[host_name], *new) == []
    assert not host.file("/opt/moved").exists
    assert sorted(named_below(back.states[host_name], *old)) == sorted(named_below(before, *old))
    assert differences(record) == []


# What the role says of a Synapse that it does not start
NOT_RESTARTED = "Not restarted, since somebody has stopped them: {0}. They will {1} when they are started"


@pytest.mark.layouts("native")
@pytest.mark.soak
def test_a_synapse_that_was_stopped_is_not_started(
    host: Host, run_role: RoleRunner, host_name: str, record: Record
) -> None:
    come_back(run_role)
    unit = "matrix-synapse.service"
    # As its drop-in changes, systemd would start it with the old one.
    changed = {"store_synchronous": True, "base_path": "/opt/stopped"}
    host.check_output(f"systemctl stop {unit}")
    check = run_role(changed, "--check", label="stopped")
    result = run_role(changed, label="stopped")
    again = run_role(changed, label="still stopped")
    shown = host.check_output(f"systemctl show --property=ActiveState,NeedDaemonReload {unit}").split()
    host.check_output(f"systemctl start {unit}")
    started_by_hand = run_role(changed, label="started by hand")
    environment = host.check_output(f"systemctl show --property=Environment {unit}")
    back = run_role({}, label="after it was stopped")
    assert check.failed(host_name) == 0, check.output
    assert check.changed(host_name) > 0
    assert result.failed(host_name) == 0, result.output
    assert result.changed(host_name) > 0
    assert (again.failed(host_name), again.changed(host_name)) == (0, 0), again.output
    told = NOT_RESTARTED.format(unit, "have the provider")
    assert [told in play.output for play in (check, result, again, started_by_hand)] == [True, True, True, False]
    assert shown == ["ActiveState=inactive", "NeedDaemonReload=no"]
    # It was started with all of the change: now its media may go from the disk, and the timer is started.
    assert (started_by_hand.failed(host_name), started_by_hand.changed(host_name)) == (0, 1), started_by_hand.output
    waits = "The nightly job does not begin before Synapse has been started, and this has been run again."
    assert [waits in play.output for play in (result, again, started_by_hand)] == [True, True, False]
    assert "PYTHONPATH=/opt/stopped/import" in environment
    assert (back.failed(host_name), back.states[host_name].health) == (0, 200), back.output
    assert differences(record) == []


# A nightly job that goes on for long, ends as ours does, and tells what there is when it is stopped.
LONG_JOB = """\
[Service]
ExecStart=
ExecStart=/bin/sh -c 'trap "exit 143" TERM; sleep 600 & wait'
ExecStopPost=+/bin/sh -c 'exec >/run/at-the-stop; systemctl is-active {timer}; ls {dropin}'
"""


@pytest.mark.layouts("native", "docker")
@pytest.mark.soak
def test_a_removal_that_synapse_does_not_survive_leaves_it_and_the_job_as_they_were(
    host: Host, run_role: RoleRunner, host_name: str, layout: Layout
) -> None:
    before = come_back(run_role).states[host_name]
    directory = f"/run/systemd/system/{SERVICE}.d"
    long_job = LONG_JOB.format(timer=TIMER, dropin=layout.dropin)
    host.check_output("mkdir -p %s && printf %%s %s > %s", directory, long_job, f"{directory}/long.conf")
    host.check_output(f"systemctl daemon-reload && systemctl start --no-block {SERVICE}")
    result = run_role(TAKEN_AWAY)
    at_the_stop = host.check_output("cat /run/at-the-stop")
    job = host.run(f"systemctl is-active {SERVICE}").stdout.strip()
    host.check_output(f"rm -r {directory} /run/at-the-stop && systemctl daemon-reload")
    message = result.message(host_name)
    assert message.startswith('Could not restart Synapse with the change: the step "Wait until Synapse serves" failed.')
    assert "The previous state was put back. Synapse serves with it." in message
    # Both were stopped while Synapse still had the provider.
    assert at_the_stop.splitlines() == ["inactive", layout.dropin]
    assert job == "inactive"
    assert host.check_output(f"systemctl is-enabled {TIMER}") == "enabled"
    found = timer(host)
    assert (found["SubState"], bool(found["NextElapseUSecRealtime"])) == ("waiting", True)
    assert restarted_files(result.states[host_name]) == restarted_files(before)


def timer(host: Host) -> dict[str, str]:
    names = ("SubState", "TimersCalendar", "NextElapseUSecRealtime")
    shown = host.check_output("systemctl show --property=%s %s", ",".join(names), TIMER)
    return dict(line.split("=", 1) for line in shown.splitlines())


def last_run(host: Host) -> str:
    """When it began. Systemd itself forgets a run that ended well as soon as it reads its units anew."""
    return str(
        host.check_output("journalctl --unit=%s --output=short-unix | grep ' Starting ' | tail --lines=1", SERVICE)
    )


@pytest.mark.layouts("native")
@pytest.mark.soak
def test_configuration_that_cannot_be_written(host: Host, run_role: RoleRunner, host_name: str) -> None:
    """A healthy Synapse was restarted for it, and its log blamed."""
    come_back(run_role)
    conf_d = "/etc/matrix-synapse/conf.d"
    before = started(host)
    host.check_output(f"mount --bind {conf_d} {conf_d} && mount -o remount,ro,bind {conf_d}")
    result = run_role({"store_synchronous": True}, label="read-only")
    host.check_output(f"umount {conf_d}")
    assert result.message(host_name) == (
        f"Could not change the configuration of the provider: Could not write '{conf_d}/synapse-{OURS}.yaml': Read-only"
        " file system. The previous state was put back, and Synapse not restarted."
    )
    assert started(host) == before


@pytest.mark.layouts("native")
@pytest.mark.soak
def test_a_schedule_that_was_corrected_comes_at_its_time_only(host: Host, run_role: RoleRunner, host_name: str) -> None:
    """A timer of which systemd knows no next run stayed dead; one that was off for a day ran at once."""
    come_back(run_role)
    before = last_run(host)
    path = f"/etc/systemd/system/{TIMER}"
    host.check_output(f"sed --in-place 's/^OnCalendar=.*/OnCalendar=2020-01-01/' {path} && systemctl daemon-reload")
    host.check_output(f"systemctl restart {TIMER}")
    assert timer(host)["SubState"] == "elapsed"
    # What an interrupted run has left, with the secret in it, goes as well.
    left = "/var/lib/synapse-s3-storage-provider.abcdefgh"
    host.check_output(f"install -d -m 0711 {left} && install -m 0400 /dev/null {left}/provider.yaml")
    corrected = run_role({}, label="schedule corrected")
    assert corrected.failed(host_name) == 0, corrected.output
    assert not host.file(left).exists
    found = timer(host)
    assert (found["SubState"], bool(found["NextElapseUSecRealtime"])) == ("waiting", True)
    assert "05:00:00" in found["TimersCalendar"]

    # As two days later: started with what systemd remembers, it would run within minutes.
    stamp = f"/var/lib/systemd/timers/stamp-{TIMER}"
    host.check_output(f"systemctl disable --now {TIMER} && touch --date='2 days ago' {stamp}")
    again = run_role({}, label="switched on again")
    assert again.failed(host_name) == 0, again.output
    found = timer(host)
    assert (found["SubState"], " 05:0" in found["NextElapseUSecRealtime"]) == ("waiting", True), found
    assert last_run(host) == before


# With one of the containers' layouts, for its time: it runs in the same container as the program does.
@pytest.mark.layouts("native", "mdad")
@pytest.mark.soak_layouts("mdad")
def test_upstream_s_script_as_the_engine(
    host: Host, run_role: RoleRunner, host_name: str, endpoints_path: Path, layout: Layout
) -> None:
    come_back(run_role)
    # This host alone: the other's tests are still to run, with the role's own engine.
    result = run_role({"migration_engine": "s3_media_upload"}, f"--limit={host_name}")
    assert result.failed(host_name) == 0, result.output
    record = upload_and_age(host, endpoints_path, layout)
    found = host.run("systemctl start matrix-synapse-s3-storage-provider-migrate.service")
    assert found.rc == 0, found.stderr
    assert local_files(host, layout) == []
    assert differences(record) == []


def images(host: Host, layout: Layout) -> list[str]:
    """The images that the role has built and not removed."""
    found: str = host.check_output(f"{layout.engine} image ls --format '{{{{.Repository}}}}:{{{{.Tag}}}}'")
    return [line for line in found.splitlines() if OURS in line]


def build_base(host: Host, layout: Layout, containerfile: str) -> None:
    """Let this be the image that Synapse has without the role."""
    # In a file: another user may not open what comes by the pipe.
    context = "/var/lib/base-image"
    host.check_output(f"mkdir --parents {context} && printf '{containerfile}' > {context}/Dockerfile")
    host.check_output(f"{layout.engine} build --tag {BASE} {context}")


def running_images(host: Host, layout: Layout, *arguments: str) -> list[str]:
    found: str = host.check_output(" ".join([layout.engine, "ps", "--format '{{.Image}}'", *arguments]))
    return found.splitlines()


@pytest.mark.layouts("docker", "podman")
@pytest.mark.soak
def test_image_is_built_again_for_a_newer_base_only(
    host: Host, run_role: RoleRunner, host_name: str, layout: Layout
) -> None:
    come_back(run_role)
    before = images(host, layout)
    assert len(before) == 1
    run_role({}, label="once more")
    assert images(host, layout) == before
    build_base(host, layout, f"FROM {BASE}\\nLABEL newer=yes\\n")
    result = run_role({}, f"--limit={host_name}", label="newer base")
    assert result.failed(host_name) == 0, result.output
    after = images(host, layout)
    assert len(after) == 1
    assert after != before
    assert after[0] in running_images(host, layout)


@pytest.mark.layouts("docker")
@pytest.mark.soak
def test_an_image_of_the_user_s_own(
    host: Host, run_role: RoleRunner, host_name: str, record: Record, layout: Layout
) -> None:
    come_back(run_role)
    (built,) = images(host, layout)
    own = "/usr/local/own"
    build_base(host, layout, f"FROM {built}\\nRUN cp -r {layout.base}/lib/ {own}\\nENV PYTHONPATH={own}\\n")
    result = run_role({"synapse_image_has_provider": True}, f"--limit={host_name}")
    assert result.failed(host_name) == 0, result.output
    assert images(host, layout) == []
    assert built not in running_images(host, layout)
    assert differences(record) == []


@pytest.mark.layouts("docker")
@pytest.mark.soak
def test_an_image_of_the_user_s_own_from_the_beginning(run_role: RoleRunner, host_name: str, record: Record) -> None:
    own = {"synapse_image_has_provider": True}
    removed = run_role({**own, "enabled": False, "accept_unserved_media": True}, f"--limit={host_name}")
    assert removed.failed(host_name) == 0, removed.output
    result = run_role(own, f"--limit={host_name}", label="from the beginning")
    assert result.failed(host_name) == 0, result.output
    assert differences(record) == []


# The same host, with Synapse as a service of Compose instead of a unit.
COMPOSE = {"layout": "compose", "compose_path": "/srv/compose", "synapse_network": "matrix"}
OVERRIDE = "/srv/compose/compose.override.yaml"


def service_images(host: Host, layout: Layout) -> list[str]:
    return running_images(host, layout, "--filter label=com.docker.compose.service=synapse")


def move_to_compose(host: Host, run_role: RoleRunner) -> PlayResult:
    run_role({"enabled": False, "accept_unserved_media": True}, label="before Compose")
    if host.service("matrix-synapse.service").is_running:
        host.check_output("systemctl disable --now matrix-synapse.service")
        host.check_output("cd /srv/compose && docker compose up --detach synapse")
    return run_role(COMPOSE)


@pytest.mark.layouts("docker")
def test_synapse_as_a_service_of_compose(
    host: Host, run_role: RoleRunner, host_name: str, endpoints_path: Path, layout: Layout
) -> None:
    result = move_to_compose(host, run_role)
    assert result.failed(host_name) == 0, result.output
    assert service_images(host, layout) == images(host, layout)
    record = upload_and_age(host, endpoints_path, layout)
    host.check_output("systemctl start matrix-synapse-s3-storage-provider-migrate.service")
    assert local_files(host, layout) == []
    assert differences(record) == []


# The scenario itself runs the role twice, on a host without Compose.
@pytest.mark.layouts("docker")
@pytest.mark.soak
def test_nothing_is_left_to_change_with_compose(host: Host, run_role: RoleRunner, host_name: str) -> None:
    move_to_compose(host, run_role)
    again = run_role(COMPOSE, label="again")
    assert (again.failed(host_name), again.changed(host_name)) == (0, 0), again.output


@pytest.mark.layouts("docker")
@pytest.mark.soak
def test_failed_restart_by_compose_puts_everything_back(
    host: Host, run_role: RoleRunner, host_name: str, secrets: list[str]
) -> None:
    before = move_to_compose(host, run_role)
    result = run_role({**COMPOSE, **CHANGED})
    message = result.message(host_name)
    assert message.startswith('Could not restart Synapse with the change: the step "Wait until Synapse serves" failed.')
    assert "synapse" in message.partition("The end of Synapse's log:")[2]
    assert [secret for secret in secrets if secret in result.output] == []
    assert restarted_files(result.states[host_name]) == restarted_files(before.states[host_name])
    assert result.states[host_name].health == 200


@pytest.mark.layouts("docker")
def test_removal_from_compose(host: Host, run_role: RoleRunner, host_name: str, layout: Layout) -> None:
    move_to_compose(host, run_role)
    result = run_role({**COMPOSE, "enabled": False, "accept_unserved_media": True})
    state = result.states[host_name]
    assert result.failed(host_name) == 0, result.output
    assert service_images(host, layout) == [BASE.removeprefix("docker.io/")]
    assert (images(host, layout), state.health) == ([], 200)
    assert named_like_ours(state) == []
    assert OVERRIDE not in state.files


@pytest.mark.layouts("docker")
@pytest.mark.soak
def test_an_override_file_of_somebody_else_s_is_left_alone(host: Host, run_role: RoleRunner, host_name: str) -> None:
    move_to_compose(host, run_role)
    run_role({**COMPOSE, "enabled": False, "accept_unserved_media": True})
    content = "services: {synapse: {labels: [theirs]}}"
    host.check_output(f"echo '{content}' > {OVERRIDE}")
    result = run_role(COMPOSE, label="beside another's file")
    assert result.message(host_name) == (
        "Nothing was changed, because:\n- Could not give the Compose project an override file: there is"
        f" '{OVERRIDE}' already, which is not this role's. Move what it says into the project's own file, and remove"
        " it."
    )
    removed = run_role({**COMPOSE, "enabled": False, "accept_unserved_media": True}, label="beside another's file")
    assert (removed.failed(host_name), removed.changed(host_name)) == (0, 0), removed.output
    assert host.file(OVERRIDE).content_string == content + "\n"
    host.check_output(f"rm {OVERRIDE}")


@pytest.mark.layouts("docker")
@pytest.mark.soak
def test_an_engine_that_compose_does_not_reach_is_no_synapse_without_the_provider(
    host: Host, run_role: RoleRunner, host_name: str
) -> None:
    move_to_compose(host, run_role)
    run_role({**COMPOSE, "enabled": False, "accept_unserved_media": True})
    unreached = {
        "compose_command": "env DOCKER_HOST=unix:///nowhere docker compose",
        "enabled": False,
        "accept_unserved_media": True,
    }
    assert run_role({**COMPOSE, **unreached}).message(host_name) == (
        "Could not list the containers of the Compose project in '/srv/compose': Cannot connect to the Docker daemon at"
        " unix:///nowhere. Is the docker daemon running? See that the container engine runs."
    )


@pytest.mark.layouts("docker")
@pytest.mark.soak
def test_a_project_that_would_not_take_up_the_provider_is_left_alone(
    host: Host, run_role: RoleRunner, host_name: str
) -> None:
    move_to_compose(host, run_role)
    run_role({**COMPOSE, "enabled": False, "accept_unserved_media": True})
    project, other = "/srv/compose/docker-compose.yml", "example.org/synapse:1"
    change = f"s,{BASE},{other},; s, --config-path=/data/conf.d,,"
    start = "cd /srv/compose && docker compose up --detach synapse"
    host.check_output(f"docker tag {BASE} {other} && cp {project} /srv/kept && sed --in-place '{change}' {project}")
    host.check_output(f"echo COMPOSE_FILE=docker-compose.yml > /srv/compose/.env && {start}")
    result = run_role(COMPOSE, label="another project")
    host.check_output(f"mv /srv/kept {project} && rm /srv/compose/.env && {start} && docker image rm {other}")
    assert result.message(host_name).splitlines() == [
        "Nothing was changed, because:",
        "- Could not give the Compose project an override file: Compose would not read it, since '/srv/compose/.env'"
        " sets COMPOSE_FILE. Remove that, and let the project's own file include the others.",
        f"- Could not give 'synapse' an image built from '{BASE}': it has '{other}' now, and Synapse's version could"
        " change. Give that image as Synapse's; to change the version, do it before or after.",
        "- Could not make Synapse read '/data/conf.d/synapse-s3-storage-provider.yaml': it is started with neither that"
        " file nor its directory, and would serve nothing of what is in the bucket only."
        " Add --config-path=/data/conf.d to what starts it, and restart it.",
    ]


@pytest.mark.layouts("docker")
@pytest.mark.soak
def test_a_stopped_project_that_would_not_take_up_the_provider(
    host: Host, run_role: RoleRunner, host_name: str, layout: Layout
) -> None:
    """Nothing can be seen of it before it runs. It is not started for that, and refused when it does."""
    move_to_compose(host, run_role)
    run_role({**COMPOSE, "enabled": False, "accept_unserved_media": True})
    compose, project = "cd /srv/compose && docker compose", "/srv/compose/docker-compose.yml"
    host.check_output(f"cp {project} /srv/kept && sed --in-place 's, --config-path=/data/conf.d,,' {project}")
    host.check_output(f"{compose} rm --stop --force synapse")
    result = run_role(COMPOSE, label="stopped")
    again = run_role(COMPOSE, label="still stopped")
    running = service_images(host, layout)
    host.check_output(f"{compose} up --detach synapse")
    started_by_hand = run_role(COMPOSE, label="started by hand")
    host.check_output(f"mv /srv/kept {project} && {compose} up --detach synapse")
    removed = run_role({**COMPOSE, "enabled": False, "accept_unserved_media": True}, label="after it was stopped")
    told = NOT_RESTARTED.format("synapse", "have the provider")
    assert result.failed(host_name) == 0, result.output
    assert (again.failed(host_name), again.changed(host_name)) == (0, 0), again.output
    assert [told in play.output for play in (result, again, started_by_hand)] == [True, True, False]
    assert "docker compose up --detach synapse" in result.output
    assert running == []
    assert started_by_hand.changed(host_name) == 0
    assert started_by_hand.message(host_name).splitlines() == [
        "Nothing was changed, because:",
        "- Could not make Synapse read '/data/conf.d/synapse-s3-storage-provider.yaml': it is started with neither that"
        " file nor its directory, and would serve nothing of what is in the bucket only."
        " Add --config-path=/data/conf.d to what starts it, and restart it.",
    ]
    # What comes next finds the project as it was.
    assert (removed.failed(host_name), removed.states[host_name].health) == (0, 200), removed.output
    assert not host.file(OVERRIDE).exists


@pytest.mark.layouts("docker")
@pytest.mark.soak
def test_compose_1(host: Host, run_role: RoleRunner, host_name: str, layout: Layout) -> None:
    move_to_compose(host, run_role)
    run_role({**COMPOSE, "enabled": False, "accept_unserved_media": True})
    first = {**COMPOSE, "compose_command": "docker-compose"}
    result = run_role(first)
    assert result.failed(host_name) == 0, result.output
    assert service_images(host, layout) == images(host, layout)
    assert result.states[host_name].health == 200
    again = run_role(first, label="again")
    assert (again.failed(host_name), again.changed(host_name)) == (0, 0), again.output


@pytest.mark.layouts("mdad")
def test_another_playbook_s_job_is_taken_over_and_given_back(host: Host, run_role: RoleRunner) -> None:
    # It tells when it is run. The nightly job has been, since the beginning.
    record, service = "/matrix/theirs-ran", SERVICE
    assert not host.file(record).exists
    come_back(run_role)
    host.check_output(f"systemctl start {service}")
    assert not host.file(record).exists
    run_role({"enabled": False, "accept_unserved_media": True}, label="switch back")
    host.check_output(f"systemctl start {service}")
    assert host.file(record).content_string == "/usr/local/bin/matrix-synapse-s3-storage-provider-migrate\n"
    assert host.check_output(f"systemctl is-active {TIMER}") == "active"


@pytest.mark.layouts("mdad")
@pytest.mark.soak
def test_a_job_whose_giving_back_was_interrupted_is_given_back(host: Host, run_role: RoleRunner) -> None:
    run_role({}, label="before an interruption")
    host.check_output(f"systemctl stop {TIMER} && rm --recursive /etc/systemd/system/*-migrate.*.d")
    run_role({"enabled": False, "accept_unserved_media": True}, label="after an interruption")
    assert host.check_output(f"systemctl is-active {TIMER}") == "active"
    # And by that playbook's own schedule again.
    assert host.check_output(f"systemctl show --property=NeedDaemonReload --value {TIMER}") == "no"


@pytest.mark.layouts("mdad")
def test_another_playbook_can_t_start_a_timer_that_is_switched_off(host: Host, run_role: RoleRunner) -> None:
    run_role({"migration_enabled": False})
    host.check_output(f"systemctl enable --now {TIMER}")
    assert host.run(f"systemctl is-active {TIMER}").stdout.strip() == "inactive"
