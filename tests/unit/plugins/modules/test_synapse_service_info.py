# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``synapse_service_info``: a Synapse that runs with older files is found, no other."""

from __future__ import annotations

import os
import pwd

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.plugins.modules.synapse_service_info import (
    RETURN,
    Setting,
    dependent_problems,
    dependents,
    has_failed,
    is_outdated,
    is_stopped,
    parse_properties,
    parse_timestamp,
    root_problems,
    service_problems,
    user_problems,
    working_directory,
)

OURS = "/opt/example/import"
SETTING = Setting("PYTHONPATH", OURS)
STARTED = 1795384220.5
SHOWN = f"""\
LoadState=loaded
ActiveState=active
Result=success
NeedDaemonReload=no
ExecMainStartTimestamp=Sun 2026-11-22 21:50:20.500000 UTC
Environment=LANG=C.UTF-8 "NAME=two words" PYTHONPATH={OURS}
WorkingDirectory=!/var/lib/matrix-synapse
"""
RUNNING = parse_properties(SHOWN)

TEST_TIMESTAMPS = [
    ("Sun 2026-11-22 21:50:20.500000 UTC", STARTED),
    ("Thu 1970-01-01 00:00:00.000000 UTC", 0.0),
    ("n/a", 0.0),
    ("", 0.0),
]


@pytest.mark.parametrize(("text", "seconds"), TEST_TIMESTAMPS)
def test_timestamps(text: str, seconds: float) -> None:
    assert parse_timestamp(text) == seconds


TEST_OUTDATED = [
    # what systemd says differently, newest file, our drop-in is there -> to be restarted
    ({}, STARTED - 0.001, True, False),
    ({}, STARTED, True, False),
    ({}, STARTED + 0.001, True, True),
    ({"ActiveState": "reloading"}, STARTED - 1, True, False),
    ({"ActiveState": "failed"}, STARTED - 1, True, True),
    # stopped by somebody, who starts it when it suits
    ({"ActiveState": "inactive"}, STARTED + 1, True, False),
    ({"ActiveState": "inactive", "NeedDaemonReload": "yes"}, STARTED - 1, True, False),
    ({"ActiveState": "inactive", "Result": "exit-code"}, STARTED - 1, True, True),
    ({"ActiveState": "activating"}, STARTED - 1, True, True),
    ({"NeedDaemonReload": "yes"}, STARTED - 1, True, True),
    ({"ExecMainStartTimestamp": ""}, STARTED - 1, True, True),
    # without the drop-in only a process that still has our setting
    ({}, 0.0, False, True),
    ({"Environment": ""}, 0.0, False, False),
    ({"Environment": "PYTHONPATH=/theirs"}, 0.0, False, False),
    ({"ActiveState": "inactive"}, 0.0, False, False),
    ({"Environment": "", "NeedDaemonReload": "yes"}, 0.0, False, False),
]


@pytest.mark.parametrize(("properties", "newest", "has_dropin", "outdated"), TEST_OUTDATED)
def test_outdated(properties: dict[str, str], newest: float, has_dropin: bool, outdated: bool) -> None:
    assert is_outdated({**RUNNING, **properties}, newest, SETTING, has_dropin=has_dropin) is outdated


TEST_STOPPED = [
    ({}, False),
    ({"ActiveState": "inactive"}, True),
    ({"ActiveState": "inactive", "LoadState": "masked"}, True),
    ({"ActiveState": "inactive", "LoadState": "not-found"}, False),
    ({"ActiveState": "inactive", "Result": "timeout"}, False),
    ({"ActiveState": "failed", "Result": "exit-code"}, False),
    ({"ActiveState": "failed"}, False),
    # between two starts
    ({"ActiveState": "activating", "Result": "exit-code"}, False),
    ({"ActiveState": "deactivating"}, False),
]


@pytest.mark.parametrize(("properties", "stopped"), TEST_STOPPED)
def test_stopped(properties: dict[str, str], stopped: bool) -> None:
    assert is_stopped({**RUNNING, **properties}) is stopped


def test_a_stopped_target_has_no_result() -> None:
    assert is_stopped(parse_properties("LoadState=loaded\nActiveState=inactive\n"))


NOT_FOUND = (
    "Could not find the service 'a.service': systemd has no such unit that it can load."
    " Give the units that run Synapse."
)
OTHERS = (
    "Could not set PYTHONPATH for 'a.service': its unit sets it to '/theirs' already, and systemd can't add to it."
    " Install what needs it into Synapse's environment, remove the setting and run systemctl daemon-reload."
)
TEST_PROBLEMS = [
    ({}, False, []),
    ({"Environment": ""}, False, []),
    ({"Environment": "PYTHONPATH=/theirs"}, False, [OTHERS]),
    # Another base_path than last time.
    ({"Environment": "PYTHONPATH=/theirs"}, True, []),
    ({"LoadState": "not-found"}, False, [NOT_FOUND]),
    ({"LoadState": "masked"}, True, [NOT_FOUND]),
]


@pytest.mark.parametrize(("properties", "has_dropin", "problems"), TEST_PROBLEMS)
def test_problems(properties: dict[str, str], has_dropin: bool, problems: list[str]) -> None:
    assert service_problems("a.service", {**RUNNING, **properties}, SETTING, has_dropin=has_dropin) == problems


IMAGE = Setting("SYNAPSE_IMAGE", "localhost/ours:", base_image="docker.io/example/synapse:latest")
NO_IMAGE = (
    "Could not give 'a.service' another image: its unit does not set SYNAPSE_IMAGE. Write Environment=SYNAPSE_IMAGE=,"
    " with the image that Synapse has now, into its section [Service], start ${SYNAPSE_IMAGE} instead of that image,"
    " and run systemctl daemon-reload."
)
OTHER_IMAGE = (
    "Could not give 'a.service' an image built from 'docker.io/example/synapse:latest': it has 'example.org/synapse:1'"
    " now, and Synapse's version could change. Give that image as Synapse's; to change the version, do it before or"
    " after."
)
TEST_IMAGE_PROBLEMS = [
    ("SYNAPSE_IMAGE=docker.io/example/synapse:latest", False, []),
    ("SYNAPSE_IMAGE=example/synapse", False, []),
    ("SYNAPSE_IMAGE=example.org/synapse:1", False, [OTHER_IMAGE]),
    # Left by a removal that was interrupted: systemd has not read its units since.
    ("SYNAPSE_IMAGE=localhost/ours:0123", False, []),
    ("SYNAPSE_IMAGE=localhost/ours:0123", True, []),
    ("", False, [NO_IMAGE]),
    # The drop-in itself sets it: what the unit says is not seen any more.
    ("", True, []),
]


@pytest.mark.parametrize(("environment", "has_dropin", "problems"), TEST_IMAGE_PROBLEMS)
def test_image_problems(environment: str, has_dropin: bool, problems: list[str]) -> None:
    properties = {**RUNNING, "Environment": environment}
    assert service_problems("a.service", properties, IMAGE, has_dropin=has_dropin) == problems


@pytest.mark.parametrize(("tag", "outdated"), [("localhost/ours:0123", True), ("example.org/synapse:1", False)])
def test_a_service_that_still_runs_an_image_of_ours(tag: str, outdated: bool) -> None:
    properties = {**RUNNING, "Environment": f"SYNAPSE_IMAGE={tag}"}
    assert is_outdated(properties, 0.0, IMAGE, has_dropin=False) is outdated


@pytest.mark.parametrize(
    ("shown", "directory"), [("!/var/lib/a", "/var/lib/a"), ("-/srv/a", "/srv/a"), ("/srv/a", "/srv/a"), ("", "/")]
)
def test_working_directory(shown: str, directory: str) -> None:
    assert working_directory({"WorkingDirectory": shown}) == directory


TEST_FAILED = [
    ({}, False),
    # a start after one that failed
    ({"Result": "exit-code"}, False),
    ({"ActiveState": "inactive"}, False),
    ({"ActiveState": "failed", "Result": "exit-code"}, True),
    # between two starts
    ({"ActiveState": "activating", "Result": "exit-code"}, True),
    ({"ActiveState": "activating"}, False),
]


@pytest.mark.parametrize(("properties", "failed"), TEST_FAILED)
def test_failed(properties: dict[str, str], failed: bool) -> None:
    assert has_failed({**RUNNING, **properties}) is failed


def test_what_is_returned_is_not_what_ansible_takes_for_a_failure() -> None:
    assert not {"failed", "msg", "rc", "skipped", "exception"} & set(yaml.safe_load(RETURN))


OTHER_USER = "bucket_mount_synapse_user: 'synapse' is not the user of 'a.service', which is 'nobody'. Set it to that."
ROOT = (
    "Could not keep 'a.service' from writing to the disk while the bucket is not mounted: it runs as root. Give its"
    " unit a user of its own (User=), and bucket_mount_synapse_user that user."
)
TEST_USERS: list[tuple[str, str, list[str], list[str]]] = [
    # whom the unit has, who is expected
    ("synapse", "synapse", [], []),
    ("nobody", "synapse", [OTHER_USER], []),
    ("65534", "synapse", [OTHER_USER], []),
    ("65534", "nobody", [], []),
    ("root", "root", [], [ROOT]),
    ("0", "synapse", [], [ROOT]),
    ("", "", [], []),
]


@pytest.mark.parametrize(("own", "expected", "other_user", "root"), TEST_USERS)
def test_users(own: str, expected: str, other_user: list[str], root: list[str]) -> None:
    properties = {**RUNNING, "User": own}
    assert user_problems("a.service", properties, expected) == other_user
    assert root_problems("a.service", properties, expected) == root


def test_a_unit_without_a_user_is_judged_by_its_process() -> None:
    """A script of its own may have given up root."""
    own = pwd.getpwuid(os.getuid()).pw_name
    properties = {**RUNNING, "User": "", "MainPID": str(os.getpid())}
    assert bool(root_problems("a.service", properties, "synapse")) == (own == "root")
    assert bool(user_problems("a.service", properties, "synapse")) == (own not in ("root", "synapse"))
    for pid in ("0", "999999999"):
        stopped = {**properties, "MainPID": pid}
        assert user_problems("a.service", stopped, "synapse") == root_problems("a.service", stopped, "synapse") == []


def test_the_user_of_a_unit_that_is_not_there_is_not_judged() -> None:
    properties = {"LoadState": "not-found", "User": ""}
    assert user_problems("a.service", properties, "synapse") == root_problems("a.service", properties, "synapse") == []


UNITS = {
    "a.service": {"ActiveState": "active", "RequiredBy": "matrix.target b.service", "ConsistsOf": "off.service"},
    "b.service": {"ActiveState": "active", "RequiredBy": "a.service"},
    "matrix.target": {"ActiveState": "active", "ConsistsOf": "c.service a.service"},
    "c.service": {"ActiveState": "activating", "BoundBy": "d.timer"},
    "d.timer": {"ActiveState": "active"},
    "off.service": {"ActiveState": "inactive", "RequiredBy": "behind.service"},
}


def test_what_is_stopped_with_the_services_and_is_not_named() -> None:
    found = dependents(["a.service", "b.service"], lambda unit: UNITS[unit])
    assert found == {"matrix.target": "a.service", "c.service": "matrix.target", "d.timer": "c.service"}
    assert dependent_problems(found) == [
        f"bucket_mount_synapse_services: systemd stops {unit!r} with {with_what!r}, and would not start it again. Write"
        " it there too, or let it have Wants= instead of Requires=, BindsTo= or PartOf=."
        for unit, with_what in (("c.service", "matrix.target"), ("d.timer", "c.service"))
    ]
