# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to stand on a host, by layout and variables. Each whole plan stands in tests/unit/host_plans/."""

from __future__ import annotations

from functools import reduce
from operator import getitem
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.variables import LAYOUTS, VARIABLES
from ansible_collections.matrixops.synapse_s3.tests.unit.host_plan_files import DIRECTORY, FOUND, plan_of, plan_text

BASE = "/opt/matrix-synapse-s3-storage-provider"
SYSTEMD = "/etc/systemd/system"
DROPIN = "synapse-s3-storage-provider.conf"
NAME = "matrix-synapse-s3-storage-provider"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_whole_plan(layout: str) -> None:
    """Another on purpose? See tests/unit/host_plan_files.py."""
    assert plan_text(layout) == (DIRECTORY / f"{layout}.yml").read_text(encoding="utf-8")


# Variables, a key of the plan, and what that is then, by layout
TABLE: dict[str, list[tuple[dict[str, Any], str, Any]]] = {
    "native": [
        ({}, "run_user", "matrix-synapse"),
        ({"synapse_user": "synapse"}, "run_user", "synapse"),
        # No container of the role's, so no image either
        ({"synapse_image_has_provider": True}, "provider_source", "library"),
        ({"bin_path": "/usr/bin/s3"}, "command", f"/usr/bin/s3/{NAME}"),
        ({}, "service_environment", {"PYTHONPATH": f"{BASE}/import"}),
        (
            {"ca_bundle_path": "/etc/ca.pem"},
            "service_environment",
            {"PYTHONPATH": f"{BASE}/import", "AWS_CA_BUNDLE": "/etc/ca.pem"},
        ),
        (
            {"ca_bundle_path": "/etc/ca.pem"},
            "run.environment",
            {"MALLOC_ARENA_MAX": "2", "PYTHONPATH": f"{BASE}/lib", "AWS_CA_BUNDLE": "/etc/ca.pem"},
        ),
        ({"metrics_path": "/srv/m/s.prom"}, "writable_paths", ["/data/media_store", f"/var/lib/{NAME}", "/srv/m"]),
        (
            {"metrics_path": "/srv/m/s.prom"},
            "required_directories",
            {"/srv/m": "matrix_synapse_ext_synapse_s3_storage_provider_metrics_path"},
        ),
        (
            {"synapse_services": ["a.service", "b@1.service"]},
            "service_marks",
            {name: f"{SYSTEMD}/{name}.d/{DROPIN}" for name in ("a.service", "b@1.service")},
        ),
        (
            {"synapse_services": ["a.service", "b.service"]},
            "run.words",
            [
                *("/opt/venvs/matrix-synapse/bin/python", f"{BASE}/{NAME}.pyz"),
                *(
                    "--synapse-service",
                    "a.service",
                    "--synapse-service",
                    "b.service",
                    "--import-path",
                    f"{BASE}/import",
                ),
                *("--config", "/etc/matrix-synapse/homeserver.yaml", "--config", "/etc/matrix-synapse/conf.d"),
            ],
        ),
        ({"enabled": False}, "read_path", ""),
        ({"migration_workers": 8}, "migrate_arguments", ["--engine parallel", "--minimum-age 1h", "--workers 8"]),
        (
            {"migration_delete_local": False, "metrics_path": "/srv/a b/s.prom", "update_db_day_count": 30},
            "migrate_arguments",
            [
                *("--engine parallel", "--minimum-age 1h", "--unused-days 30", "--keep-local"),
                "--metrics-file '/srv/a b/s.prom'",
            ],
        ),
        (
            {"migration_shards": "group"},
            "migrate_arguments",
            [*("--engine parallel", "--minimum-age 1h", "--shard 1/1")],
        ),
        (
            {"migration_bandwidth": "20M"},
            "migrate_arguments",
            [*("--engine parallel", "--minimum-age 1h", "--bandwidth 20M")],
        ),
    ],
    "docker": [
        # What a tool's container gets of them, too; a variable may be a secret.
        (
            {
                "container_arguments": [
                    "--add-host",
                    "s3:192.0.2.1",
                    "-e",
                    "A=secret",
                    "--env=B=secret",
                    "--dns=192.0.2.2",
                ]
            },
            "copy_container.arguments",
            ["--network=matrix", "--add-host", "s3:192.0.2.1", "--dns=192.0.2.2"],
        ),
        ({}, "container_user", "991:991"),
        ({"synapse_user": "synapse"}, "container_user", '"$(id -u synapse):$(id -g synapse)"'),
        ({}, "config_path", "/srv/synapse/conf.d/synapse-s3-storage-provider.yaml"),
        (
            {"synapse_volumes": ["/srv/a:/data", "/srv/b:/data/conf.d:ro"]},
            "config_path",
            "/srv/b/synapse-s3-storage-provider.yaml",
        ),
        ({"synapse_volumes": ["/srv/a:/data", "media:/data/media_store"]}, "run.volume_paths", ["/srv/a"]),
        ({"synapse_image_has_provider": True}, "provider_source", "given"),
        ({"synapse_image_has_provider": True}, "image", "docker.io/matrixdotorg/synapse:latest"),
        ({"synapse_image_has_provider": True}, "synapse_files", []),
        # What is left of a time when the role gave it
        (
            {"synapse_image_has_provider": True},
            "unwanted_paths",
            [f"{SYSTEMD}/matrix-synapse.service.d/{DROPIN}", f"{SYSTEMD}/matrix-synapse.service.d"],
        ),
        ({"synapse_image_has_provider": True}, "run.environment", {"MALLOC_ARENA_MAX": "2"}),
        ({"synapse_image": "example.org/synapse:1"}, "base_image", "example.org/synapse:1"),
        ({"container_arguments": ["--add-host=s3:192.0.2.1"]}, "writable_paths", []),
    ],
    "compose": [
        (
            {"synapse_services": ["synapse", "worker"]},
            "service_marks",
            dict.fromkeys(("synapse", "worker"), "/srv/compose/compose.override.yaml"),
        ),
        ({}, "after", ["network-online.target", "docker.service"]),
        (
            {"compose_command": "docker-compose", "synapse_services": ["a", "b"]},
            "log_words",
            ["docker-compose", "logs", "--no-color", "--tail=30", "a", "b"],
        ),
        ({}, "installed_overrides", ["/srv/compose/compose.override.yaml"]),
    ],
    "podman": [
        ({}, "run_user", "root"),
        ({"podman_user": "matrix"}, "run_user", "matrix"),
        ({"podman_user": "matrix"}, "synapse_user", "matrix"),
        ({"podman_user": "matrix"}, "container_user", "0:0"),
        ({"podman_user": "matrix", "synapse_user": "synapse"}, "synapse_user", "synapse"),
    ],
    "mdad": [
        ({}, "image", FOUND["image"]),
        ({"synapse_image": "example.org/synapse:1"}, "image", "example.org/synapse:1"),
        ({"synapse_image": "example.org/synapse:1"}, "image_of", ""),
        ({}, "config_files", []),
        ({}, "installed_config", []),
    ],
}


@pytest.mark.parametrize(
    ("layout", "variables", "key", "value"),
    [(layout, *row) for layout, rows in TABLE.items() for row in rows],
)
def test_one_variable(layout: str, variables: dict[str, Any], key: str, value: object) -> None:
    assert reduce(getitem, key.split("."), plan_of(layout, variables)) == value


@pytest.mark.parametrize(
    ("path", "protection"),
    [("/var/lib/matrix-synapse/media", "yes"), ("/home/matrix/media", "read-only"), ("/rooted/media", "yes")],
)
def test_people_s_directories_are_hidden_but_for_media(path: str, protection: str) -> None:
    assert plan_of("native", found={"media_store_path": path})["protect_home"] == protection


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_path_has_one_spelling(layout: str) -> None:
    """What a host tells of its paths is compared with them, to see whose they are and what is to change."""
    paths = {"base_path": "/srv/s3", "bin_path": "/srv/bin", "systemd_path": "/etc/systemd/system"}
    more = {**paths, "compose_path": "/srv/compose", "synapse_config_paths": ["/data/homeserver.yaml", "/data/conf.d"]}
    twice = {
        name: [f"/{path}/" for path in value] if isinstance(value, list) else f"/{value}/"
        for name, value in more.items()
    }
    assert plan_of(layout, twice) == plan_of(layout, more)


@pytest.mark.parametrize("changed", ["base_image_id", "image_texts", "ca_checksum"])
def test_another_image_for_whatever_goes_into_it(changed: str) -> None:
    now = plan_of("docker")["image"]
    assert now == plan_of("docker", {"config_bucket": "other", "migration_workers": 3})["image"]
    assert (
        now != plan_of("docker", found={**FOUND, changed: ["other"] if changed == "image_texts" else "other"})["image"]
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_secret_is_in_it(layout: str) -> None:
    secrets = {name: f"a secret: {name}" for name, variable in VARIABLES.items() if variable.secret}
    assert len(secrets) > 2
    assert "a secret" not in repr(plan_of(layout, secrets))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_taking_away_needs_no_right_variables(layout: str) -> None:
    """Those that matter are checked; of the others each may be of any kind."""
    others = {name: None for name, variable in VARIABLES.items() if not variable.when_disabled and name != "enabled"}
    right, wrong = plan_of(layout, {"enabled": False}), plan_of(layout, {"enabled": False, **others})
    removed = [key for key in right if key.startswith("installed_")]
    assert {key: right[key] for key in removed} == {key: wrong[key] for key in removed}
    assert len(removed) == 4


def test_purge_of_hosts_that_share_a_media_store() -> None:
    """The first purges, and waits for what the others still migrate."""
    shared = {"purge_orphans_enabled": True, "migration_shards": "group"}
    options = ["--delete", "--minimum-age 7d", "--maximum-share 5%"]
    assert plan_of("native", {"purge_orphans_enabled": True})["purge_arguments"] == options
    assert plan_of("native", shared, {**FOUND, "shard": "1/3"})["purge_arguments"] == [*options, "--wait"]
    assert plan_of("native", shared, {**FOUND, "shard": "2/3"})["purge_arguments"] == []
    assert plan_of("native")["purge_arguments"] == []
