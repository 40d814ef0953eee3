# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths, units and users."""

from __future__ import annotations

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.host import (
    own_directory_problems,
    path_problems,
    unit_names_problems,
    user_name_problems,
)

UNSAFE = "has characters that do not work in unit files and scripts"
SAFE = "Use only letters, digits and / . _ - + @ : , =."

TEST_BAD_PATHS = [
    ("media", ["'media' is not an absolute path. Begin it with '/'."]),
    ("~/ca.pem", ["'~/ca.pem' is not an absolute path. Begin it with '/'.", f"'~/ca.pem' {UNSAFE} ('~'). {SAFE}"]),
    ("/var/lib/a b%", [f"'/var/lib/a b%' {UNSAFE} (' ', '%'). {SAFE}"]),
    ("/etc/ssl/ca.pem\n", [f"'/etc/ssl/ca.pem\\n' {UNSAFE} ('\\n'). {SAFE}"]),
    ("/opt/../etc", ["'/opt/../etc' has '.' or '..' between its slashes. Write the path without."]),
]

TEST_SHARED_DIRECTORIES = [
    "/",
    "//",
    "/opt",
    "/opt/",
    "/usr/local",
    "/usr/local/bin/",
    "/etc/systemd/system",
    "/var/lib",
]

TEST_BAD_UNITS = [
    ("", "'' is not the name of a systemd unit. Write one such as 'postgresql.service'."),
    ("postgresql", "'postgresql' is not the name of a systemd unit. Write one such as 'postgresql.service'."),
    ("a b.service", "'a b.service' is not the name of a systemd unit. Write one such as 'postgresql.service'."),
    (".service", "'.service' is not the name of a systemd unit. Write one such as 'postgresql.service'."),
    ("a.conf", "'a.conf' is not the name of a systemd unit. Write one such as 'postgresql.service'."),
]


@pytest.mark.parametrize("path", ["/etc/ssl/certs/ca.pem", "/opt/x-1.0/python3.11", "/matrix/synapse/user@host:8448"])
def test_good_paths(path: str) -> None:
    assert path_problems(path) == []


@pytest.mark.parametrize(("path", "problems"), TEST_BAD_PATHS)
def test_bad_paths(path: str, problems: list[str]) -> None:
    assert path_problems(path) == problems
    assert own_directory_problems(path) == problems


@pytest.mark.parametrize("path", ["/opt/matrix-synapse-s3-storage-provider", "/matrix/s3/"])
def test_own_directories(path: str) -> None:
    assert own_directory_problems(path) == []


def test_own_directory_holds_nothing_else() -> None:
    others = ["/srv/synapse/env/bin/python", "/srv/synapse", "/srv/synapse-s3", ""]
    assert own_directory_problems("/srv/synapse/", others) == [
        "'/srv/synapse/' is, or holds, '/srv/synapse/env/bin/python', which is not this role's."
        " Write a path of its own.",
    ]


@pytest.mark.parametrize("path", ["/matrix/synapse", "/srv/synapse", "/opt/venvs", "/etc/matrix-synapse"])
def test_synapse_s_own_directory_is_not_the_role_s(path: str) -> None:
    (problem,) = own_directory_problems(path)
    assert problem.startswith(f"{path!r} is, or holds, '{path}/")


@pytest.mark.parametrize("path", TEST_SHARED_DIRECTORIES)
def test_shared_directories(path: str) -> None:
    assert own_directory_problems(path) == [f"{path!r} is not for this role alone. Write a path below it."]


def test_good_units() -> None:
    assert (
        unit_names_problems(["postgresql.service", "worker@1.service", "network-online.target", "dev-sda\\x2d1.mount"])
        == []
    )
    assert unit_names_problems(["matrix-synapse.service"], services_only=True) == []


@pytest.mark.parametrize(("name", "problem"), TEST_BAD_UNITS)
def test_bad_units(name: str, problem: str) -> None:
    assert unit_names_problems(["a.service", name]) == [problem]


def test_too_long_unit() -> None:
    assert unit_names_problems([f"{'a' * 247}.service"]) == []
    assert len(unit_names_problems([f"{'a' * 248}.service"])) == 1


def test_services_only() -> None:
    assert unit_names_problems(["matrix-synapse.target", "x"], services_only=True) == [
        "'matrix-synapse.target' is not a service. Write the name of one, such as 'matrix-synapse.service'.",
        "'x' is not the name of a systemd unit. Write one such as 'postgresql.service'.",
    ]


@pytest.mark.parametrize("name", ["matrix-synapse", "_synapse", "Synapse.1"])
def test_good_users(name: str) -> None:
    assert user_name_problems(name) == []


@pytest.mark.parametrize("name", ["-x", "a b", "1000", "a" * 33, "a:b"])
def test_bad_users(name: str) -> None:
    assert user_name_problems(name) == [f"{name!r} is not the name of a user. Write one such as 'matrix-synapse'."]
