# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._processes import synapse_commands, unread_problems

CONFIG_PATH = PurePosixPath("/data/conf.d/provider.yaml")
SERVER = ["/usr/local/bin/python3", "-m", "synapse.app.homeserver", "--config-path=/data/homeserver.yaml"]


def test_only_synapse_s_servers_count(tmp_path: Path) -> None:
    for number, words in {"1": ["/sbin/init"], "20": SERVER, "21": ["sh", "-c", " ".join(SERVER)], "3": []}.items():
        (tmp_path / number).mkdir()
        (tmp_path / number / "cmdline").write_bytes(b"".join(f"{word}\0".encode() for word in words))
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cmdline").write_bytes(b"synapse.app.homeserver\0")
    (tmp_path / "4").mkdir()
    assert synapse_commands(tmp_path) == [SERVER]


@pytest.mark.parametrize(
    "commands",
    [
        [],
        [[*SERVER, "--config-path=/data/conf.d"]],
        [[*SERVER, "--config-path=/data/conf.d/"]],
        [[*SERVER, "--config-path", "/data/conf.d"]],
        [[*SERVER, "-c", "/data/conf.d/provider.yaml"]],
        # Another homeserver on the same host, or a worker that serves no media
        [SERVER, [*SERVER, "--config-path=/data/conf.d"]],
    ],
)
def test_servers_that_read_the_file(commands: list[list[str]]) -> None:
    assert unread_problems(commands, CONFIG_PATH) == []


@pytest.mark.parametrize(
    "commands", [[SERVER], [[*SERVER, "--config-path=/data"]], [[*SERVER, "--config-path=/data/conf.d/other.yaml"]]]
)
def test_servers_that_do_not(commands: list[list[str]]) -> None:
    assert unread_problems(commands, CONFIG_PATH) == [
        "Could not make Synapse read '/data/conf.d/provider.yaml': it is started with neither that file nor its"
        " directory, and would serve nothing of what is in the bucket only."
        " Add --config-path=/data/conf.d to what starts it, and restart it."
    ]
