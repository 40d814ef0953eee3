# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``copy-with --print --image`` prints, run by the real engine: the tool is alone in an image of its own."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.tests.copy_tools import copy_tools
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import NONE, Homeserver, count
from ansible_collections.matrixops.synapse_s3.tests.integration.test_copy_with import LARGE, fill, run_script
from ansible_collections.matrixops.synapse_s3.tests.minio_server import ADMIN_KEY, ADMIN_SECRET


@pytest.fixture(params=["s5cmd", pytest.param("rclone", marks=pytest.mark.soak)])
def tool(request: pytest.FixtureRequest) -> str:
    """Those that are one file without libraries, as their releases and their own images have it."""
    name: str = request.param
    return name


@pytest.fixture
def image(tool: str, tmp_path: Path) -> Iterator[str]:
    """As the tool's own image: it is the entry point. No registry is asked."""
    name = f"matrixops-copy-with-{tool}:{tmp_path.name}"
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.add((copy_tools() / tool).resolve(), tool)
    change = ["--change", f'ENTRYPOINT ["/{tool}"]']
    subprocess.run(["docker", "import", *change, "-", name], input=content.getvalue(), capture_output=True, check=True)
    yield name
    subprocess.run(["docker", "image", "rm", "--force", name], capture_output=True, check=True)


def test_whole_media_store_by_an_image_and_then_migrate(homeserver: Homeserver, tool: str, image: str) -> None:
    media = fill(homeserver, LARGE)
    local = homeserver.local()

    status, script, stderr = homeserver.run("copy-with", tool, "--print", "--image", image)
    assert (status, stderr) == (0, "")
    done = run_script(script, AWS_ACCESS_KEY_ID=ADMIN_KEY, AWS_SECRET_ACCESS_KEY=ADMIN_SECRET)

    assert done.returncode == 0, done.stderr
    assert homeserver.stored() == media
    assert homeserver.local() == local
    (homeserver.media / "local_content" / "li" / "nk").unlink()
    migrated = homeserver.migrate()
    assert (migrated["exit_code"], migrated["uploaded"], migrated["deleted"]) == (0, NONE, count(media))


def test_a_failure_in_the_container_ends_the_script(homeserver: Homeserver, tool: str, image: str) -> None:
    homeserver.upload([10])

    _status, script, _stderr = homeserver.run("copy-with", tool, "--print", "--image", image)
    done = run_script(script, AWS_ACCESS_KEY_ID=ADMIN_KEY, AWS_SECRET_ACCESS_KEY="wrong-secret")

    assert done.returncode != 0
    assert homeserver.stored() == {}
