# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``compose_service_info``: a Synapse with older files is found, no other; nobody else's file is ours."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.modules.compose_service_info import (
    MARK,
    Container,
    engine_problem,
    foreign_overrides,
    image_problems,
    is_outdated,
    override_problems,
    parse_containers,
    parse_time,
    project_problem,
    service_problems,
    settings_problems,
)

STARTED = 1795384220.5
OURS = "localhost/ours:"
PROJECT = Path("/srv/compose")

TEST_TIMES = [
    ("2026-11-22T21:50:20.5Z", STARTED),
    ("2026-11-22T21:50:20.500000001Z", STARTED),
    ("2026-11-22T21:50:20Z", STARTED - 0.5),
    ("0001-01-01T00:00:00Z", -62135596800.0),
]


@pytest.mark.parametrize(("text", "seconds"), TEST_TIMES)
def test_times(text: str, seconds: float) -> None:
    assert parse_time(text) == pytest.approx(seconds, abs=1e-6)


def inspected(service: str, *, running: bool = True, **labels: str) -> dict[str, object]:
    named = {f"com.docker.compose.{name}": value for name, value in {"service": service, **labels}.items()}
    return {
        "Config": {"Image": f"{OURS}0123", "Env": ["A=b"], "Labels": named},
        "State": {"Running": running, "StartedAt": "2026-11-22T21:50:20.5Z"},
    }


def test_only_the_services_containers_that_run_count() -> None:
    found = [
        inspected("synapse", oneoff="False"),
        inspected("postgres"),
        inspected("synapse", running=False),
        inspected("synapse", oneoff="True"),
    ]
    assert parse_containers(json.dumps(found)) == [
        Container("synapse", f"{OURS}0123", STARTED),
        Container("postgres", f"{OURS}0123", STARTED),
    ]


OF_OURS = Container("synapse", f"{OURS}0123", STARTED)
OF_THEIRS = Container("synapse", "example.org/synapse:1", STARTED)
TEST_OUTDATED = [
    # containers, newest file, has the provider -> to be restarted
    ([OF_THEIRS], STARTED - 1, True, True),
    ([OF_OURS, OF_THEIRS], STARTED - 1, True, True),
    ([OF_OURS], STARTED - 0.001, True, False),
    ([OF_OURS], STARTED, True, False),
    ([OF_OURS], STARTED + 0.001, True, True),
    ([OF_OURS, replace(OF_OURS, started=STARTED - 9)], STARTED - 1, True, True),
    # stopped by somebody, who starts it when it suits
    ([], STARTED, True, False),
    # without it only what still runs from an image of ours
    ([OF_OURS], 0.0, False, True),
    ([OF_THEIRS], STARTED + 1, False, False),
    ([], STARTED, False, False),
]


@pytest.mark.parametrize(("containers", "newest", "has_provider", "outdated"), TEST_OUTDATED)
def test_outdated(containers: list[Container], newest: float, has_provider: bool, outdated: bool) -> None:
    assert is_outdated(containers, newest, OURS, has_provider=has_provider) is outdated


def test_a_provider_that_comes_with_the_user_s_own_image() -> None:
    assert is_outdated([OF_THEIRS], STARTED - 1, OURS, has_provider=True, by_image=False) is False


def test_services_of_another_image_than_ours_is_built_from() -> None:
    theirs = replace(OF_THEIRS, image="synapse:2")
    assert image_problems([OF_OURS, OF_THEIRS], OURS, "example.org/synapse:1") == []
    assert image_problems([theirs, theirs, replace(theirs, service="worker")], OURS, "example.org/synapse:1") == [
        f"Could not give {service!r} an image built from 'example.org/synapse:1': it has 'synapse:2' now, and Synapse's"
        " version could change. Give that image as Synapse's; to change the version, do it before or after."
        for service in ("synapse", "worker")
    ]


def test_no_override_file(tmp_path: Path) -> None:
    assert foreign_overrides(tmp_path / "compose.override.yaml") == []


def test_own_override_file(tmp_path: Path) -> None:
    override = tmp_path / "compose.override.yaml"
    override.write_text(f"# Written by Ansible (role {MARK}): change its variables, not this file.\nservices: {{}}\n")
    assert foreign_overrides(override) == []


@pytest.mark.parametrize("name", ["compose.override.yaml", "compose.override.yml", "docker-compose.override.yml"])
def test_an_override_file_of_somebody_else_s(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("services: {}\n")
    foreign = foreign_overrides(tmp_path / "compose.override.yaml")
    assert foreign == [path]
    assert override_problems(foreign) == [
        f"Could not give the Compose project an override file: there is '{path}' already, which is not this role's."
        " Move what it says into the project's own file, and remove it."
    ]


@pytest.mark.parametrize(
    "text", ["", "A=b\nNO_COMPOSE_FILE=x\n", "# COMPOSE_FILE=a.yaml\n", "COMPOSE_FILES=a\n", "COMPOSE_PROJECT_NAME=a\n"]
)
def test_settings_by_which_compose_reads_the_override_file(tmp_path: Path, text: str) -> None:
    assert settings_problems(tmp_path) == []
    (tmp_path / ".env").write_text(text)
    assert settings_problems(tmp_path) == []


@pytest.mark.parametrize("line", ["COMPOSE_FILE=a.yaml:b.yaml", "A=b\n  COMPOSE_FILE = a", "export COMPOSE_FILE=a"])
def test_settings_by_which_compose_would_not_read_it(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(f"{line}\n")
    assert settings_problems(tmp_path) == [
        "Could not give the Compose project an override file: Compose would not read it, since"
        f" '{tmp_path / '.env'}' sets COMPOSE_FILE. Remove that, and let the project's own file include the others."
    ]


def test_services_that_the_project_does_not_have() -> None:
    assert service_problems(["synapse"], ["postgres", "synapse"], PROJECT) == []
    assert service_problems(["synapse", "worker"], ["postgres", "element"], PROJECT) == [
        f"Could not find the service {name!r}: the Compose project in '/srv/compose' has 'element', 'postgres'."
        " Give the services that run Synapse."
        for name in ("synapse", "worker")
    ]


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("time=now level=warning\nyaml: line 2: did not find it.\n", "yaml: line 2: did not find it"),
        ("", "it says nothing"),
    ],
)
def test_project_that_compose_can_t_read(output: str, cause: str) -> None:
    assert project_problem(PROJECT, output) == (
        f"Could not read the Compose project in '/srv/compose': {cause}."
        " Give its directory, and see that Compose can read what is there."
    )


def test_engine_that_does_not_answer() -> None:
    errors = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n"
    assert engine_problem(PROJECT, errors) == (
        "Could not list the containers of the Compose project in '/srv/compose': Cannot connect to the Docker daemon at"
        " unix:///var/run/docker.sock. Is the docker daemon running? See that the container engine runs."
    )
