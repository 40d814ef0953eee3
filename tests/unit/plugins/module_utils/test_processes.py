# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs Synapse, and what serves its media: the main process, or a worker with a file of its own."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._processes import (
    Process,
    is_outdated,
    synapse_processes,
    unnamed_problems,
    unread_problems,
)

CONFIG_PATH = PurePosixPath("/data/conf.d/provider.yaml")
WORKER_PATH = PurePosixPath("/data/media.yaml")
SERVER = ["/usr/local/bin/python3", "-m", "synapse.app.homeserver", "--config-path=/data/homeserver.yaml"]
WORKER = ["python", "-m", "synapse.app.generic_worker", "-c", "/data/homeserver.yaml", "-c", "/data/media.yaml"]
UNREAD = (
    " started with neither that file nor its directory, and would serve nothing of what is in the bucket only."
    " Add --config-path=/data/conf.d to what starts it, and restart it."
)


def add_process(proc: Path, number: str, words: list[str], cgroup: str = "0::/init.scope\n") -> None:
    """A process as the kernel shows it; it was started 50 seconds after the machine."""
    ticks = 50 * os.sysconf("SC_CLK_TCK")
    (proc / number).mkdir()
    (proc / number / "cmdline").write_bytes(b"".join(f"{word}\0".encode() for word in words))
    (proc / number / "cgroup").write_text(cgroup)
    (proc / number / "stat").write_text(f"{number} (a name) with) S{' 0' * 18} {ticks} 0\n")


def test_only_synapse_s_servers_count(tmp_path: Path) -> None:
    for number, words in {"1": ["/sbin/init"], "20": SERVER, "21": ["sh", "-c", " ".join(SERVER)], "3": []}.items():
        add_process(tmp_path, number, words)
    add_process(tmp_path, "self", SERVER)
    (tmp_path / "4").mkdir()
    assert synapse_processes(tmp_path, boot=1000) == [Process(SERVER, "", 1050)]


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/synapse-media.service\n", "synapse-media.service"),
        ("9:name=systemd:/system.slice/worker@1.service\n3:cpuset:/\n0::/\n", "worker@1.service"),
        ("0::/system.slice/system-worker.slice/worker@1.service\n", "worker@1.service"),
        ("0::/system.slice/synapse.service/libpod-payload-4ec6\n", "synapse.service"),
        ("0::/system.slice/docker-4ec684f4.scope\n", ""),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/synapse.service\n", ""),
    ],
)
def test_unit_of_a_process(tmp_path: Path, cgroup: str, unit: str) -> None:
    add_process(tmp_path, "20", WORKER, cgroup)
    assert [process.unit for process in synapse_processes(tmp_path, boot=0)] == [unit]


def test_this_machine_s_own_processes() -> None:
    assert all(process.started > 0 for process in synapse_processes())


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
    assert unread_problems(list(map(Process, commands)), CONFIG_PATH) == []


@pytest.mark.parametrize(
    "commands", [[SERVER], [[*SERVER, "--config-path=/data"]], [[*SERVER, "--config-path=/data/conf.d/other.yaml"]]]
)
def test_servers_that_do_not(commands: list[list[str]]) -> None:
    assert unread_problems(list(map(Process, commands)), CONFIG_PATH) == [
        f"Could not make Synapse read '/data/conf.d/provider.yaml': it is{UNREAD}"
    ]


def test_a_media_worker_that_does_not_read_the_file_though_the_main_process_does() -> None:
    processes = [Process([*SERVER, "-c", "/data/conf.d"]), Process(WORKER)]
    assert unread_problems(processes, CONFIG_PATH, WORKER_PATH) == [
        "Could not make Synapse read '/data/conf.d/provider.yaml':"
        f" the worker of '/data/media.yaml', which serves media, is{UNREAD}"
    ]
    assert unread_problems([processes[0], Process([*WORKER, "-c", "/data/conf.d"])], CONFIG_PATH, WORKER_PATH) == []


def test_a_media_worker_that_does_not_run() -> None:
    assert unread_problems([Process([*SERVER, "-c", "/data/conf.d"])], CONFIG_PATH, WORKER_PATH) == [
        "Could not find what serves media: no process of Synapse's is started with '/data/media.yaml'."
        " Start that worker, and name its unit in synapse_services."
    ]
    assert unread_problems([], CONFIG_PATH, WORKER_PATH) == []


def test_a_media_worker_that_can_t_start_before_the_role_has_given_it_the_library() -> None:
    assert unread_problems([Process(SERVER)], CONFIG_PATH, WORKER_PATH, all_run=False) == []


def test_a_media_worker_whose_unit_is_not_restarted() -> None:
    processes = [Process(SERVER, "matrix-synapse.service"), Process(WORKER, "synapse-media.service")]
    assert unnamed_problems(processes, WORKER_PATH, ["matrix-synapse.service"]) == [
        "Could not restart what serves media: the worker of '/data/media.yaml' is run by 'synapse-media.service', which"
        " is not among synapse_services. Add it there, after Synapse's main process."
    ]
    assert unnamed_problems(processes, WORKER_PATH, ["matrix-synapse.service", "synapse-media.service"]) == []
    assert unnamed_problems([Process(WORKER)], WORKER_PATH, []) == []


def test_a_media_worker_that_was_not_restarted() -> None:
    processes = [Process(SERVER, "", 100.0), Process(WORKER, "", 200.0)]
    assert [is_outdated(processes, WORKER_PATH, newest) for newest in (0, 150, 200.05, 201)] == [
        *(False, False, False, True),
    ]
