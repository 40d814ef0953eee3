# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of a host share: where it is, what was recorded, the role run again, the journal of a failed test."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.tests.testinfra.endpoints import Endpoints, read_endpoints
from ansible_collections.matrixops.synapse_s3.tests.testinfra.life import Record, read_record, record_path
from ansible_collections.matrixops.synapse_s3.tests.testinfra.play import HostState, RoleRunner
from testinfra.host import Host

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
def state_directory(inventory_path: Path) -> Path:
    """What a run of the hosts keeps on the controller (group_vars/all.yml says the same)."""
    network = yaml.safe_load(inventory_path.read_text())["all"]["vars"]["network"]
    return Path(os.environ["SYNAPSE_S3_CACHE"], network)


@pytest.fixture(scope="module")
def host_name(host: Host) -> str:
    """The host's name in the inventory."""
    return str(host.backend.host)


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
def migration(host_name: str, state_directory: Path) -> Migration:
    seen = json.loads((state_directory / f"{host_name}.migration.json").read_text())

    def listing(lines: list[str]) -> dict[str, str]:
        pairs = (line.split("  /var/lib/matrix-synapse/media/", 1) for line in lines)
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
def run_role(inventory_path: Path, state_directory: Path) -> RoleRunner:
    return RoleRunner(inventory_path, state_directory)


@pytest.fixture(scope="session")
def state_before(run_role: RoleRunner) -> dict[str, HostState]:
    """Each host before this test run did anything."""
    return run_role.look()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the host's journal to the report of a failed test."""
    report = yield
    host = getattr(item, "funcargs", {}).get("host")
    if report.failed and host is not None:
        units = " ".join(f"--unit={unit}" for unit in UNITS)
        journal = host.run(f"journalctl --no-pager --output=cat --lines=30 {units}").stdout
        report.sections.append((f"journal of {host.backend.host}", journal))
    return report
