# SPDX-License-Identifier: GPL-3.0-or-later
"""The secret key is in one file that only Synapse's user can read, and nowhere else."""

from __future__ import annotations

from ansible_collections.matrixops.synapse_s3.tests.testinfra.conftest import Migration
from testinfra.host import Host

DROPIN = "/etc/matrix-synapse/conf.d/synapse-s3-storage-provider.yaml"
HOMESERVER = "/etc/matrix-synapse/homeserver.yaml"
PLACES = "/etc /opt /usr/local /var/lib /var/log /run /root /home /tmp"
SEARCH = "grep --recursive --files-with-matches --text --fixed-strings --devices=skip -e %s"


def test_no_command_line_shows_a_secret(migration: Migration, secrets: list[str]) -> None:
    assert any("matrix-synapse-s3-storage-provider.pyz" in line for line in migration.command_lines), (
        "the job was not seen at all"
    )
    assert [line for line in migration.command_lines if any(secret in line for secret in secrets)] == []


def test_only_the_configuration_holds_a_secret(host: Host, secrets: list[str]) -> None:
    patterns = "\n".join(secrets)
    found = host.run(f"{SEARCH} {PLACES}", patterns)
    holders = [path for path in found.stdout.splitlines() if not path.startswith("/var/lib/postgresql/")]
    assert sorted(holders) == [DROPIN, HOMESERVER]


def test_the_secret_file_is_synapse_s_own(host: Host) -> None:
    dropin = host.file(DROPIN)
    assert (dropin.user, dropin.group, dropin.mode) == ("matrix-synapse", "root", 0o400)


def test_no_secret_in_the_journal(host: Host, secrets: list[str]) -> None:
    journal = host.check_output("journalctl --no-pager --all --output=export | tr -d '\\0'")
    assert "matrix-synapse-s3-storage-provider" in journal
    assert [secret for secret in secrets if secret in journal] == []
