# SPDX-License-Identifier: GPL-3.0-or-later
"""The media on a host."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.matrixops.synapse_s3.tests.testinfra.layouts import Layout
from ansible_collections.matrixops.synapse_s3.tests.testinfra.life import (
    Record,
    read_record,
    record_path,
    upload_and_record,
)
from testinfra.host import Host


def local_files(host: Host, layout: Layout) -> list[str]:
    found: str = host.check_output(f"find {layout.media_store} -type f")
    return found.splitlines()


def upload_and_age(host: Host, endpoints_path: Path, layout: Layout) -> Record:
    """The user uploads once more, and two hours pass."""
    upload_and_record(endpoints_path, "after")
    assert local_files(host, layout) != []
    host.check_output(f"find {layout.media_store} -type f -exec touch --date=-2hours {{}} +")
    return read_record(record_path(endpoints_path))
