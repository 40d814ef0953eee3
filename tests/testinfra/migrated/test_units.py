# SPDX-License-Identifier: GPL-3.0-or-later
"""The job's units as systemd understands them, not as they are written."""

from __future__ import annotations

import pytest
from ansible_collections.matrixops.synapse_s3.tests.testinfra.layouts import Layout
from testinfra.host import Host

SERVICE = "matrix-synapse-s3-storage-provider-migrate.service"
TIMER = "matrix-synapse-s3-storage-provider-migrate.timer"


def properties(host: Host, unit: str) -> dict[str, str]:
    lines = host.check_output("systemctl show %s", unit).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Type", "oneshot"),
        ("IOSchedulingClass", "3"),
        ("LoadError", ""),
    ],
)
def test_service_properties(host: Host, name: str, value: str) -> None:
    assert properties(host, SERVICE).get(name, "").strip('"() ') == value


def test_service_is_gentle_and_ends(host: Host) -> None:
    found = properties(host, SERVICE)
    assert int(found["Nice"]) > 0 or found["CPUSchedulingPolicy"] in {"3", "5"}
    assert found["TimeoutStartUSec"] != "infinity"


def test_service_comes_after_synapse_but_never_starts_it(host: Host) -> None:
    found = properties(host, SERVICE)
    assert "matrix-synapse.service" in found["After"].split()
    pulled = {
        unit
        for name in ("Requires", "Requisite", "Wants", "BindsTo", "Upholds")
        for unit in found.get(name, "").split()
    }
    assert {unit for unit in pulled if "synapse" in unit or "postgres" in unit} == set()


def test_timer_is_scheduled_for_five(host: Host) -> None:
    found = properties(host, TIMER)
    assert (found["ActiveState"], found["UnitFileState"]) == ("active", "enabled")
    assert "05:00:00" in found["TimersCalendar"]
    assert found["Persistent"] == "yes"
    assert found["RandomizedDelayUSec"] not in {"", "0"}
    assert found["NextElapseUSecRealtime"]
    assert TIMER in host.check_output("systemctl list-timers --no-legend")


@pytest.mark.parametrize("unit", [SERVICE, TIMER])
def test_systemd_has_nothing_to_say_about_the_unit(host: Host, unit: str) -> None:
    # It exits 0 on keys that it does not know: what it prints counts.
    found = host.run("systemd-analyze verify %s", unit)
    ours = [line for line in (found.stdout + found.stderr).splitlines() if "storage-provider" in line]
    assert (found.rc, ours) == (0, [])


def test_service_is_run_by_whom_the_layout_says(host: Host, layout: Layout) -> None:
    assert properties(host, SERVICE)["User"] == layout.job_user


@pytest.mark.layouts("native", "docker", "mdad")
def test_service_is_sandboxed(host: Host) -> None:
    found = properties(host, SERVICE)
    assert (found["NoNewPrivileges"], found["ProtectSystem"]) == ("yes", "strict")
    exposure = host.run("systemd-analyze security --no-pager --threshold=25 %s", SERVICE)
    assert exposure.rc == 0, exposure.stdout
