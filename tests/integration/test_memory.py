# SPDX-License-Identifier: GPL-3.0-or-later
"""What the program holds in memory: nothing of a file's size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import Homeserver, count

MIB = 2**20


@pytest.mark.soak
def test_a_large_object_that_is_restored_does_not_fill_the_memory(homeserver: Homeserver, tmp_path: Path) -> None:
    size = 200 * MIB
    (path,) = content = homeserver.upload([size])
    homeserver.store_in_parts(content, 8 * MIB)
    (homeserver.media / path).unlink()
    # Told by the process itself, at its end: what is counted for it once it has ended begins with its parent's peak.
    status_file = tmp_path / "status"
    hook = f"import atexit, shutil\natexit.register(shutil.copyfile, '/proc/self/status', {str(status_file)!r})\n"
    (tmp_path / "sitecustomize.py").write_text(hook)

    process = homeserver.start("restore", "--json", "--minimum-free", "0", path=tmp_path)
    stdout, stderr = process.communicate(timeout=600)

    assert process.returncode == 0, stderr
    assert json.loads(stdout.splitlines()[-1])["restored"] == count(content)
    assert (homeserver.media / path).read_bytes() == content[path]
    (peak_kib,) = (int(line.split()[1]) for line in status_file.read_text().splitlines() if line.startswith("VmHWM:"))
    assert peak_kib * 1024 < size / 2
