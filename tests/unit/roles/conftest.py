# SPDX-License-Identifier: GPL-3.0-or-later
"""For all tests of roles: nothing that Ansible has deprecated is used."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def no_deprecation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Each Ansible that a test runs writes what it says into one file, which is read when all have run."""
    log = tmp_path_factory.mktemp("ansible") / "log"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ANSIBLE_LOG_PATH", str(log))
        yield
    said = log.read_text().splitlines() if log.exists() else []
    assert [line for line in said if "[DEPRECATION WARNING]" in line] == []
