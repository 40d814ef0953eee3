# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that the documentation shows for the host, each as it stands there, against a real MinIO."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.tests.documents import Block, blocks
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import Homeserver
from ansible_collections.matrixops.synapse_s3.tests.minio_server import MinioServer

PROGRAM = "matrix-synapse-s3-storage-provider"
# These take no place to write down how they ended.
WRITES_NOTHING = {"preflight", "verify", "--help"}


def blocks_for(word: str) -> list[Block]:
    return [block for block in blocks("sh") if block.word == word]


def run_block(homeserver: Homeserver, block: Block) -> None:
    """Run its commands one after the other; each has to end with 0."""
    for command in block.commands:
        name, *words = shlex.split(command)
        assert name in {PROGRAM, f"{PROGRAM}-migrate"}
        # The wrapper of this name calls migrate with what the role's variables say.
        words = ["migrate", *words] if name != PROGRAM else words
        state = [] if WRITES_NOTHING & set(words) else ["--state-directory", str(homeserver.state)]
        status, stdout, stderr = homeserver.run(*words, *state)
        assert status == 0, f"{block.place}: {command}\n{stdout}{stderr}"


@pytest.mark.parametrize("block", blocks_for("host"), ids=lambda block: block.place)
def test_commands_for_the_host(homeserver: Homeserver, block: Block) -> None:
    """A part of the media is in the bucket only, and a part on the disk only."""
    stored = homeserver.upload([1, 5000, 70_000]) | homeserver.fetch("example.org", [2000])
    homeserver.store(stored)
    for path in stored:
        (homeserver.media / path).unlink()
    local = homeserver.upload([3, 9 * 2**20])
    known = stored | local

    run_block(homeserver, block)

    left = homeserver.places()
    assert {**left.local, **left.stored} == known


@pytest.mark.parametrize("block", blocks_for("two-buckets"), ids=lambda block: block.place)
def test_commands_with_two_buckets(tmp_path: Path, minio_http: MinioServer, block: Block) -> None:
    homeserver = Homeserver(tmp_path, minio_http)
    old, new = replace(homeserver.bucket, prefix="hs/"), replace(minio_http.new_bucket(), prefix="hs/")
    content = homeserver.upload([1, 5000, 70_000])
    homeserver.store(content)
    for path in content:
        (homeserver.media / path).unlink()
    providers = [
        {
            "module": "s3_storage_provider.S3StorageProviderBackend",
            "store_local": bucket is new,
            "store_remote": bucket is new,
            "config": {name: value for name, value in vars(bucket).items() if value and name != "ca_bundle_path"},
        }
        for bucket in (new, old)
    ]
    homeserver.configure(media_storage_providers=providers)

    run_block(homeserver, block)

    homeserver.bucket = new
    assert homeserver.stored() == content
