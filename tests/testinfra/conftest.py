# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of a host share: where it is, what was recorded, the role run again, the journal of a failed test."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.tests.soak import SOAK
from ansible_collections.matrixops.synapse_s3.tests.testinfra.endpoints import Endpoints, read_endpoints
from ansible_collections.matrixops.synapse_s3.tests.testinfra.layouts import Layout, read_layout
from ansible_collections.matrixops.synapse_s3.tests.testinfra.life import Record, read_record, record_path
from ansible_collections.matrixops.synapse_s3.tests.testinfra.play import HostState, RoleRunner
from testinfra.host import Host, get_host

LEFT_OUT = pytest.StashKey[int]()
UNITS = (
    "matrix-synapse.service",
    "matrix-synapse-s3-storage-provider-migrate.service",
    "matrix-synapse-s3-storage-provider-migrate.timer",
)


@dataclass(frozen=True)
class Migration:
    """What molecule/shared/side_effect.yml saw. Files are relative path -> sha256."""

    files_before: dict[str, str]
    files_after: dict[str, str]
    job_status: int
    command_lines: list[str]
    again_status: int
    again: dict[str, dict[str, int]]


@pytest.fixture(scope="session")
def inventory_path(request: pytest.FixtureRequest) -> Path:
    return Path(request.config.getoption("--ansible-inventory"))


@pytest.fixture(scope="session")
def inventory_variables(inventory_path: Path) -> dict[str, str]:
    """What the inventory says of all hosts."""
    variables: dict[str, str] = yaml.safe_load(inventory_path.read_text())["all"]["vars"]
    return variables


@pytest.fixture(scope="session")
def state_directory(inventory_variables: dict[str, str]) -> Path:
    """What a run of the hosts keeps on the controller (group_vars/all.yml says the same)."""
    return Path(os.environ["SYNAPSE_S3_CACHE"], inventory_variables["network"])


@pytest.fixture(scope="module")
def layout(inventory_path: Path, host_name: str) -> Layout:
    inventory = yaml.safe_load(inventory_path.read_text())["all"]
    host = inventory["children"]["synapse"]["hosts"][host_name]
    return read_layout(host.get("places_of", inventory["vars"]["layout"]))


@pytest.fixture(scope="module")
def host_name(_testinfra_host: Host) -> str:
    """The host's name in the inventory."""
    return str(_testinfra_host.backend.host)


@pytest.fixture(scope="module")
def host(host_name: str, state_directory: Path) -> Host:
    """By way of Docker: by way of Ansible each command is a run of Ansible's."""
    return get_host(f"docker://{state_directory.name}-{host_name}")


@pytest.fixture(scope="module")
def endpoints_path(host_name: str, state_directory: Path) -> Path:
    return state_directory / f"{host_name}.json"


@pytest.fixture(scope="module")
def endpoints(endpoints_path: Path) -> Endpoints:
    return read_endpoints(endpoints_path)


@pytest.fixture(scope="module")
def record(endpoints_path: Path) -> Record:
    """What the user uploaded, and what Synapse served of it then."""
    return read_record(record_path(endpoints_path))


@pytest.fixture(scope="module")
def secrets(host_name: str, state_directory: Path, endpoints: Endpoints) -> list[str]:
    """What must not be seen anywhere."""
    return [endpoints.secret_access_key, (state_directory / f"{host_name}-database-password").read_text().strip()]


@pytest.fixture(scope="module")
def migration(host_name: str, state_directory: Path, layout: Layout) -> Migration:
    seen = json.loads((state_directory / f"{host_name}.migration.json").read_text())

    def listing(lines: list[str]) -> dict[str, str]:
        pairs = (line.split(f"  {layout.media_store}/", 1) for line in lines)
        return {path: digest for digest, path in pairs}

    return Migration(
        listing(seen["files_before"]),
        listing(seen["files_after"]),
        seen["job"]["status"],
        seen["job"]["command_lines"],
        int(seen["again_status"]),
        seen["again"],
    )


@pytest.fixture(scope="session")
def run_role_on_all(inventory_path: Path, state_directory: Path) -> RoleRunner:
    return RoleRunner(inventory_path, state_directory)


@pytest.fixture
def run_role(request: pytest.FixtureRequest, run_role_on_all: RoleRunner, host_name: str) -> RoleRunner:
    """On all hosts, or where the test is for one of them, on that one."""
    return replace(run_role_on_all, limit=host_name) if request.node.get_closest_marker("one_host") else run_role_on_all


@pytest.fixture(scope="session")
def state_before(run_role_on_all: RoleRunner) -> dict[str, HostState]:
    """Each host before this test run did anything."""
    return run_role_on_all.look()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "layouts(*names): the test is for hosts of these layouts only")
    config.addinivalue_line("markers", "soak_layouts(*names): for hosts of these layouts it is for `make soak` alone")
    config.addinivalue_line("markers", "hosts(*names): the test is for these hosts of the inventory only")
    config.addinivalue_line("markers", "one_host: the test is for the first host of the inventory only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for other layouts than the inventory's, for other hosts, or for `make soak`; say how many."""
    inventory = yaml.safe_load(Path(config.getoption("--ansible-inventory")).read_text())["all"]
    name, first = inventory["vars"]["layout"], next(iter(inventory["children"]["synapse"]["hosts"]))

    def is_for_others(item: pytest.Item) -> bool:
        layouts, hosts = item.get_closest_marker("layouts"), item.get_closest_marker("hosts")
        long = None if SOAK else item.get_closest_marker("soak_layouts")
        names = hosts.args if hosts is not None else ()
        if item.get_closest_marker("one_host"):
            names = (first,)
        # With parameters of the test's own the name goes on.
        named = not names or any(re.search(rf"ansible://{host}[]-]", item.name) for host in names)
        of_layout = layouts is None or name in layouts.args
        return not (named and of_layout) or (long is not None and name in long.args)

    left_out = [item for item in items if is_for_others(item)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
    config.stash[LEFT_OUT] = len(left_out)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A directory may hold nothing but tests for other layouts."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and session.config.stash.get(LEFT_OUT, 0):
        session.exitstatus = pytest.ExitCode.OK


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the host's journal to the report of a failed test."""
    report = yield
    host = getattr(item, "funcargs", {}).get("host")
    if report.failed and host is not None:
        units = " ".join(f"--unit={unit}" for unit in UNITS)
        journal = host.run(f"journalctl --no-pager --output=cat --lines=30 {units}").stdout
        report.sections.append((f"journal of {host.backend.name}", journal))
    return report
