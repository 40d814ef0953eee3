# SPDX-License-Identifier: GPL-3.0-or-later
"""The secret key is in one file that only Synapse's user can read, and nowhere else."""

from __future__ import annotations

import pytest
from ansible_collections.matrixops.synapse_s3.tests.testinfra.conftest import Migration
from ansible_collections.matrixops.synapse_s3.tests.testinfra.layouts import Layout
from testinfra.host import Host

PLACES = "/etc /srv /matrix /opt /usr/local /var/lib /var/log /run /root /home /tmp"
DATABASE = (
    "/var/lib/postgresql/",
    "/var/lib/docker/volumes/postgres/",
    "/var/lib/containers/storage/volumes/postgres/",
)
SEARCH = "grep --recursive --files-with-matches --text --fixed-strings --devices=skip -e %s"


def test_no_command_line_shows_a_secret(migration: Migration, secrets: list[str]) -> None:
    assert any("matrix-synapse-s3-storage-provider.pyz" in line for line in migration.command_lines), (
        "the job was not seen at all"
    )
    assert [line for line in migration.command_lines if any(secret in line for secret in secrets)] == []


def test_only_the_configuration_holds_a_secret(host: Host, secrets: list[str], layout: Layout) -> None:
    patterns = "\n".join(secrets)
    found = host.run(f"{SEARCH} {PLACES}", patterns)
    holders = [path for path in found.stdout.splitlines() if not path.startswith(DATABASE)]
    assert sorted(holders) == sorted({layout.dropin, layout.homeserver})


@pytest.mark.layouts("native", "docker", "podman")
def test_the_secret_file_is_synapse_s_own(host: Host, layout: Layout) -> None:
    # Its owner's name, or the number of one that only the container knows.
    owner = "%u" if layout.user.isdecimal() else "%U"
    assert host.check_output(f"stat --format={owner}:%G:%a {layout.dropin}") == f"{layout.user}:root:400"


def test_no_secret_in_the_journal(host: Host, secrets: list[str]) -> None:
    journal = host.check_output("journalctl --no-pager --all --output=export | tr -cd '\\n -~'")
    assert "matrix-synapse-s3-storage-provider" in journal
    assert [secret for secret in secrets if secret in journal] == []
