# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd says of units, where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores import systemd
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.systemd import (
    RUN_PROPERTIES,
    SHOWN,
    unit_properties,
)

ROLE = Path(__file__).parents[6] / "roles" / "storage_provider"

# As `systemctl show` prints two units.
OUTSIDE = """\
Result=success
ExecMainExitTimestamp=Wed 2026-11-25 14:53:09 UTC
ExecMainStatus=0
Id=migrate.service

Result=exit-code
NextElapseUSecRealtime=
Id=migrate.timer
"""
TEST_UNITS = [
    ("migrate.service", ["Result", "ExecMainStatus"], {"Result": "success", "ExecMainStatus": "0"}),
    ("migrate.timer", ["Result", "NextElapseUSecRealtime"], {"Result": "exit-code"}),
    ("other.service", ["Result"], {}),
]


@pytest.fixture
def no_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")


@pytest.mark.usefixtures("no_systemd")
@pytest.mark.parametrize(("unit", "names", "properties"), TEST_UNITS)
def test_what_was_handed_in(
    monkeypatch: pytest.MonkeyPatch, unit: str, names: list[str], properties: dict[str, str]
) -> None:
    monkeypatch.setenv(SHOWN, OUTSIDE)
    assert unit_properties(unit, names) == properties


@pytest.mark.usefixtures("no_systemd")
def test_nothing_was_handed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SHOWN, raising=False)
    assert unit_properties("migrate.service", ["Result"]) == {}


def test_a_systemd_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`status` tells the rest."""
    (tmp_path / "systemctl").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(systemd, "PATIENCE", 0.2)
    assert unit_properties("migrate.service") == {}


def test_the_role_hands_in_what_is_asked_for() -> None:
    variables = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
    assert variables["__storage_provider_shown_properties"] == ["Id", *RUN_PROPERTIES]
