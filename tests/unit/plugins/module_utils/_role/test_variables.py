# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's public variables, judged together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import bucket_settings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.kinds import Kind
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.variables import (
    LAYOUTS,
    NAME_PREFIX,
    PROVIDER_VERSIONS,
    VARIABLES,
    problems,
    warnings,
)
from hypothesis import given
from hypothesis import strategies as st

ROLE = Path(__file__).parents[5] / "roles" / "storage_provider"
AS_TRUE = "Write true without quotes, and on the command line as JSON."
AS_FALSE = "Write false without quotes, and on the command line as JSON."
SSE_KEY = "0123456789abcdef0123456789abcdef"
NO_IMAGE = "is not the name of an image. Write one such as 'docker.io/matrixdotorg/synapse:latest'."
OVER_HTTP = "is true, but endpoint_url is plain http, over which S3 refuses customer keys. Use an https endpoint_url."
WASABI = "https://s3.eu-central-1.wasabisys.com"
CREDENTIALS = {"access_key_id": "key", "secret_access_key": "secret"}
# The least that works: what the page of the project tells to write for Amazon S3.
MINIMAL: dict[str, Any] = {
    "enabled": True,
    "config_bucket": "media",
    "config_region_name": "eu-central-1",
    "config_access_key_id": "AKIAIOSFODNN7EXAMPLE",
    "config_secret_access_key": "wJalrXUtnFEMI/K7MDENG",
}
EVERYTHING: dict[str, Any] = {
    **MINIMAL,
    "version": "1.7.0",
    "layout": "native",
    "config_provider": "",
    "config_prefix": "synapse/",
    "config_region_name": "garage",
    "config_endpoint_url": "https://s3.example.org",
    "config_session_token": "",
    "config_ec2_instance_profile": False,
    "config_storage_class": "STANDARD_IA",
    "config_sse_customer_enabled": True,
    "config_sse_customer_key": SSE_KEY,
    "config_sse_customer_algo": "AES256",
    "store_local": True,
    "store_remote": True,
    "store_synchronous": True,
    "previous_stores": [
        {
            "bucket": "old-media",
            "endpoint_url": "https://minio.example.org/",
            "access_key_id": "minio",
            "secret_access_key": "minio-secret",
        }
    ],
    "accept_unserved_media": True,
    "update_db_day_count": 30,
    "periodic_migration_schedule": "Sun *-*-* 04:00:00",
    "migrate_systemd_required_services_list": ["postgresql.service"],
    "migrate_systemd_wanted_services_list": ["network-online.target"],
    "container_arguments": [],
    "migration_enabled": True,
    "migration_engine": "parallel",
    "migration_delete_local": False,
    "migration_minimum_age": "2d",
    "migration_workers": 16,
    "migration_bandwidth": "20M",
    "migration_shards": "group",
    "purge_orphans_enabled": True,
    "purge_orphans_minimum_age": "30d",
    "purge_orphans_maximum_share": "0.5%",
    "metrics_path": "/var/lib/node_exporter/synapse.prom",
    "ca_bundle_path": "/etc/ssl/certs/ca-certificates.crt",
    "synapse_python": "/opt/synapse/bin/python",
    "synapse_user": "synapse",
    "synapse_config_paths": ["/etc/synapse/homeserver.yaml", "/etc/synapse/conf.d/"],
    "synapse_dropin_path": "/etc/synapse/conf.d/s3.yaml",
    "synapse_services": ["synapse.service", "synapse-worker@1.service"],
    "synapse_health_url": "http://[::1]:8008/health",
    "synapse_start_timeout": 300,
    "synapse_image": "",
    "synapse_image_has_provider": False,
    "synapse_volumes": [],
    "synapse_network": "",
    "compose_path": "",
    "compose_command": "docker compose",
    "podman_user": "",
    "base_path": "/srv/matrix/s3",
    "bin_path": "/srv/matrix/bin",
    "systemd_path": "/usr/local/lib/systemd/system",
}

# What is changed in MINIMAL -> every message, by short name. None as a value means: not given.
TEST_PROBLEMS: list[tuple[dict[str, Any], list[str]]] = [
    ({"version": "1.6.0"}, ["version: '1.6.0' is not supported. Use '1.7.0'."]),
    ({"version": 1.7}, ["version: is the number 1.7, not a text. Put it in quotes."]),
    (
        {"layout": "lxc"},
        ["layout: 'lxc' is not supported. Use 'native' or 'docker' or 'compose' or 'podman' or 'mdad'."],
    ),
    (
        {"podman_user": "synapse"},
        ["podman_user: has no effect with the layout 'native'. Remove it, or set layout to 'podman'."],
    ),
    (
        {"compose_path": "/srv/compose"},
        ["compose_path: has no effect with the layout 'native'. Remove it, or set layout to 'compose'."],
    ),
    ({"layout": "compose"}, ["compose_path: is empty. Write the directory of the Compose project."]),
    ({"layout": "compose", "compose_path": "/srv/compose"}, []),
    (
        {"layout": "compose", "compose_path": "compose"},
        ["compose_path: 'compose' is not an absolute path. Begin it with '/'."],
    ),
    (
        {"layout": "compose", "compose_path": "/srv/compose", "synapse_services": ["synapse", "a b"]},
        ["synapse_services: 'a b' is not the name of a service of Compose. Write one such as 'synapse'."],
    ),
    (
        {"compose_command": " "},
        ["compose_command: is not a command. Write 'docker compose', or 'docker-compose' where Compose is that."],
    ),
    ({"synapse_image": "My Image"}, [f"synapse_image: 'My Image' {NO_IMAGE}"]),
    (
        {"synapse_network": "a b"},
        ["synapse_network: 'a b' is not the name of a container network. Write one such as 'matrix'."],
    ),
    (
        {"synapse_volumes": ["/srv/synapse"]},
        ["synapse_volumes: '/srv/synapse' is not a volume. Write one such as '/srv/synapse:/data:ro'."],
    ),
    ({"synapse_user": "991"}, ["synapse_user: '991' is not the name of a user. Write one such as 'matrix-synapse'."]),
    ({"layout": "docker", "synapse_user": "991"}, []),
    *(
        (
            {"purge_orphans_maximum_share": share},
            [
                f"purge_orphans_maximum_share: {share!r} is not a share. Write a number up to 100 with '%' behind"
                " it, such as '5%'."
            ],
        )
        for share in ("5", "0%", "101%", "-1%", "5 %", "")
    ),
    ({"purge_orphans_enabled": "yes"}, [f"purge_orphans_enabled: is the text 'yes', not true or false. {AS_TRUE}"]),
    ({"config_provider": "aws"}, []),
    ({"config_provider": "minio", "config_endpoint_url": "https://minio.example.org"}, []),
    (
        {"config_provider": "minio"},
        [
            "config_provider: 'minio' needs endpoint_url, which is empty and so stands for Amazon S3. Set it to the"
            " address of your server."
        ],
    ),
    (
        {"config_provider": "minio", "config_endpoint_url": WASABI},
        ["config_provider: 'minio' does not fit endpoint_url, which is of Wasabi. Correct one or the other."],
    ),
    (
        {
            "config_provider": "versitygw",
            "config_endpoint_url": "https://s3.example.org",
            "config_storage_class": "STANDARD_IA",
            "config_sse_customer_enabled": True,
            "config_sse_customer_key": SSE_KEY,
        },
        [
            "config_storage_class: 'STANDARD_IA' is accepted by versitygw, but objects are kept in another class. Use"
            " STANDARD.",
            "config_sse_customer_enabled: is true, but versitygw accepts the key, and stores objects without"
            " encryption. Set it to false, or use a service that has SSE-C.",
        ],
    ),
    (
        {
            "config_endpoint_url": "https://ref.storage.supabase.co/storage/v1/s3",
            "config_sse_customer_enabled": True,
            "config_sse_customer_key": SSE_KEY,
        },
        [
            "config_sse_customer_enabled: is true, but Supabase Storage does not offer encryption with a key of yours."
            " Set it to false, or use a service that has SSE-C."
        ],
    ),
    (
        {
            "config_endpoint_url": "https://0123456789abcdef.r2.cloudflarestorage.com",
            "config_storage_class": "INTELLIGENT_TIERING",
        },
        [
            "config_storage_class: 'INTELLIGENT_TIERING' is no storage class of Cloudflare R2. Use STANDARD or"
            " STANDARD_IA."
        ],
    ),
    *(
        (
            {
                "config_provider": provider,
                "config_endpoint_url": "http://s3.example.org",
                "config_sse_customer_enabled": True,
                "config_sse_customer_key": SSE_KEY,
            },
            [f"config_sse_customer_enabled: {problem}"] if problem else [],
        )
        for provider, problem in (("garage", ""), ("seaweedfs", ""), ("minio", OVER_HTTP), ("", OVER_HTTP))
    ),
    (
        {
            "previous_stores": [
                {"provider": "ceph", "endpoint_url": WASABI, "bucket": "old", **CREDENTIALS},
            ]
        },
        [
            "previous_stores[0].provider: 'ceph' does not fit endpoint_url, which is of Wasabi. Correct one or the"
            " other."
        ],
    ),
    ({"config_bucket": ""}, ["config_bucket: is empty. Write the name of the bucket."]),
    (
        {"config_bucket": "my.Media"},
        [
            "config_bucket: 'my.Media' has characters that S3 does not allow ('M'). "
            "Use only lower-case letters, digits, dots and hyphens.",
            "config_bucket: 'my.Media' has dots, which the TLS certificate of Amazon S3 does not cover in host names. "
            "Use a bucket without dots, or set endpoint_url to 'https://s3.eu-central-1.amazonaws.com'.",
        ],
    ),
    (
        {"config_prefix": "a//b/"},
        ["config_prefix: 'a//b/' has '//', which some S3 servers refuse. Use single slashes."],
    ),
    (
        {"config_region_name": ""},
        ["config_region_name: is empty. Write the region of the bucket, such as 'eu-central-1'."],
    ),
    (
        {"config_endpoint_url": "s3.example.org"},
        ["config_endpoint_url: 's3.example.org' has no scheme. Write 'https://s3.example.org'."],
    ),
    (
        {"config_bucket": "media", "config_endpoint_url": "https://s3.example.org/media"},
        [
            "config_endpoint_url: 'https://s3.example.org/media' ends with the name of the bucket. "
            "Write 'https://s3.example.org'."
        ],
    ),
    (
        {"config_secret_access_key": "secret-key-goes-here"},
        ["config_secret_access_key: is still the example of the documentation. Write your own."],
    ),
    (
        {"config_access_key_id": ""},
        ["config_access_key_id: is empty, but secret_access_key is set. Write the access key ID that belongs to it."],
    ),
    (
        {"config_ec2_instance_profile": True},
        [
            "config_ec2_instance_profile: is true, but access_key_id and secret_access_key would be used instead. "
            "Remove one or the other."
        ],
    ),
    (
        {"config_storage_class": "ONEZONE_IA"},
        [
            "config_storage_class: 'ONEZONE_IA' is accepted by s3_media_upload only: with it, Synapse does not start. "
            "Use STANDARD, REDUCED_REDUNDANCY, STANDARD_IA or INTELLIGENT_TIERING."
        ],
    ),
    (
        {"config_sse_customer_enabled": True},
        ["config_sse_customer_key: is empty, but sse_customer_enabled is true. Write the key, or set that to false."],
    ),
    (
        {"config_sse_customer_key": SSE_KEY},
        [
            "config_sse_customer_key: is set, but sse_customer_enabled is false, and nothing would be encrypted. "
            "Set that, or remove the key."
        ],
    ),
    (
        {"config_sse_customer_enabled": True, "config_sse_customer_key": f"{SSE_KEY}\n"},
        ["config_sse_customer_key: begins or ends with white space. Remove it."],
    ),
    (
        {
            "config_sse_customer_enabled": True,
            "config_sse_customer_key": SSE_KEY,
            "config_sse_customer_algo": "aes256",
            "config_endpoint_url": "http://minio:9000",
        },
        [
            "config_sse_customer_enabled: "
            "is true, but endpoint_url is plain http, over which S3 refuses customer keys. "
            ""
            "Use an https endpoint_url.",
            "config_sse_customer_algo: 'aes256' is not an algorithm that S3 offers for customer keys. Write 'AES256'.",
        ],
    ),
    ({"config_sse_customer_algo": "none"}, []),
    (
        {"store_local": False, "store_remote": False},
        ["store_local: is false, and so is store_remote: nothing would be stored. Set one of them to true."],
    ),
    (
        {"store_synchronous": "yes"},
        [f"store_synchronous: is the text 'yes', not true or false. {AS_TRUE}"],
    ),
    ({"update_db_day_count": -1}, ["update_db_day_count: -1 is too low. Use 0 or more."]),
    (
        {"update_db_day_count": "7"},
        [
            "update_db_day_count: is the text '7', not a whole number. "
            "Write 7 without quotes, and on the command line as JSON."
        ],
    ),
    (
        {"periodic_migration_schedule": " "},
        [
            "periodic_migration_schedule: is not a schedule. "
            "Write a calendar event of systemd in one line, such as '*-*-* 05:00:00'."
        ],
    ),
    (
        {"periodic_migration_schedule": "daily\nweekly"},
        [
            "periodic_migration_schedule: is not a schedule. "
            "Write a calendar event of systemd in one line, such as '*-*-* 05:00:00'."
        ],
    ),
    (
        {"migrate_systemd_required_services_list": ["docker"], "migrate_systemd_wanted_services_list": "a.service"},
        [
            "migrate_systemd_required_services_list: 'docker' is not the name of a systemd unit. "
            "Write one such as 'postgresql.service'.",
            "migrate_systemd_wanted_services_list: is the text 'a.service', not a list. "
            "Write each item on a line of its own, after '- '.",
        ],
    ),
    (
        {"migration_engine": "rclone"},
        ["migration_engine: 'rclone' is not supported. Use 'parallel' or 's3_media_upload'."],
    ),
    (
        {"migration_minimum_age": "3600"},
        [
            "migration_minimum_age: '3600' is not a duration. "
            "Write a whole number and a unit (s, m, h, d, w or y; m is minutes), such as '1h'."
        ],
    ),
    ({"migration_minimum_age": 3600}, ["migration_minimum_age: is the number 3600, not a text. Put it in quotes."]),
    (
        {"migration_workers": 0},
        ["migration_workers: 0 is out of range. Use 1 to 256, or '' to leave it to the program."],
    ),
    (
        {"migration_workers": 257},
        ["migration_workers: 257 is out of range. Use 1 to 256, or '' to leave it to the program."],
    ),
    (
        {"migration_workers": "8"},
        [
            "migration_workers: is the text '8', not a whole number. "
            "Write 8 without quotes, and on the command line as JSON."
        ],
    ),
    (
        {"migration_bandwidth": "20 Mbit/s"},
        [
            "migration_bandwidth: '20 Mbit/s' is not a bandwidth. Write a whole number from 1 on, and K, M or G for a "
            "thousand, a million or a billion bytes a second, such as '20M'."
        ],
    ),
    ({"migration_shards": "2/3"}, ["migration_shards: '2/3' is not supported. Use '' or 'group'."]),
    (
        {"migration_shards": "group", "migration_engine": "s3_media_upload"},
        [
            "migration_shards: 'group' can't work with the migration engine 's3_media_upload', which always works on "
            "all files. Write '', or set migration_engine to 'parallel'."
        ],
    ),
    ({"metrics_path": "synapse.prom"}, ["metrics_path: 'synapse.prom' is not an absolute path. Begin it with '/'."]),
    ({"ca_bundle_path": "ca.pem"}, ["ca_bundle_path: 'ca.pem' is not an absolute path. Begin it with '/'."]),
    ({"synapse_python": "python3"}, ["synapse_python: 'python3' is not an absolute path. Begin it with '/'."]),
    ({"synapse_user": "a b"}, ["synapse_user: 'a b' is not the name of a user. Write one such as 'matrix-synapse'."]),
    (
        {"synapse_config_paths": ["a", "b"]},
        [
            "synapse_config_paths: 'a' is not an absolute path. Begin it with '/'.",
            "synapse_config_paths: 'b' is not an absolute path. Begin it with '/'.",
        ],
    ),
    (
        {"synapse_dropin_path": "/etc/synapse/s3.yml", "synapse_config_paths": ["/etc/synapse/conf.d"]},
        [
            "synapse_dropin_path: '/etc/synapse/s3.yml' does not end with '.yaml', and Synapse would not read it. "
            "Add the ending.",
            "synapse_dropin_path: '/etc/synapse/s3.yml' is in no directory of synapse_config_paths: "
            "Synapse would not read it. Move it there.",
        ],
    ),
    (
        {"synapse_services": ["synapse.target"]},
        [
            "synapse_services: 'synapse.target' is not a service. "
            "Write the name of one, such as 'matrix-synapse.service'."
        ],
    ),
    (
        {"synapse_health_url": "127.0.0.1:8008"},
        ["synapse_health_url: '127.0.0.1:8008' has no scheme. Write 'https://127.0.0.1:8008'."],
    ),
    ({"synapse_start_timeout": 0}, ["synapse_start_timeout: 0 is too low. Use 1 or more."]),
    (
        {"base_path": "/opt"},
        ["base_path: '/opt' is not for this role alone. Write a path below it."],
    ),
    (
        {"base_path": "/srv/synapse", "synapse_python": "/srv/synapse/bin/python"},
        [
            "base_path: '/srv/synapse' is, or holds, '/srv/synapse/bin/python', which is not this role's. "
            "Write a path of its own."
        ],
    ),
    (
        {"layout": "compose", "compose_path": "/srv/compose", "base_path": "/srv/compose/"},
        ["base_path: '/srv/compose/' is, or holds, '/srv/compose', which is not this role's. Write a path of its own."],
    ),
    (
        {"layout": "docker", "base_path": "/data/matrix", "synapse_volumes": ["/data/matrix/synapse:/data"]},
        [
            "base_path: '/data/matrix' is, or holds, '/data/matrix/synapse', which is not this role's."
            " Write a path of its own."
        ],
    ),
    (
        {"base_path": "/data/matrix", "synapse_config_paths": ["/data/matrix/homeserver.yaml"]},
        [
            "base_path: '/data/matrix' is, or holds, '/data/matrix/homeserver.yaml', which is not this role's."
            " Write a path of its own."
        ],
    ),
    ({"bin_path": "bin"}, ["bin_path: 'bin' is not an absolute path. Begin it with '/'."]),
    ({"systemd_path": "systemd"}, ["systemd_path: 'systemd' is not an absolute path. Begin it with '/'."]),
    (
        {"config_region": "eu-central-1"},
        [f"config_region: is not a variable of this role. Did you mean {NAME_PREFIX}config_region_name?"],
    ),
    ({"config_threadpool_size": 40, "something_else": 1}, []),
]

TEST_WARNINGS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"config_endpoint_url": WASABI}, []),
    ({"config_endpoint_url": "https://ref.storage.supabase.co/storage/v1/s3"}, []),
    (
        {"config_provider": "wasabi", "config_endpoint_url": "https://s3.example.org"},
        [
            "config_endpoint_url: is not an address of Wasabi known here, 'https://s3.REGION.wasabisys.com' or"
            " 'https://s3.wasabisys.com'. Check it, and config_provider."
        ],
    ),
    (
        {"config_endpoint_url": "https://0123456789abcdef.r2.cloudflarestorage.com", "config_bucket": "My_Media"},
        [
            "config_bucket: 'My_Media' is no name of a bucket by the rules of Cloudflare R2: 3 to 63 lower-case"
            " letters, digits and hyphens, with a letter or digit at both ends. Whether it takes the name, the trial"
            " of it tells.",
            "config_region_name: 'eu-central-1' is no region of Cloudflare R2. Use auto or us-east-1.",
        ],
    ),
    (
        {
            "config_provider": "garage",
            "config_endpoint_url": "http://s3.example.org",
            "config_sse_customer_enabled": True,
            "config_sse_customer_key": SSE_KEY,
        },
        [
            "config_sse_customer_enabled: is true, and endpoint_url is plain http: the key can be read on the way."
            " Use an https endpoint_url."
        ],
    ),
    (
        {"config_prefix": "synapse"},
        [
            "config_prefix: 'synapse' does not end with '/', so that keys begin with 'synapselocal_content/'. "
            "Write 'synapse/', unless the bucket already holds media under such keys."
        ],
    ),
    (
        {"config_bucket": "My_Media", "config_endpoint_url": "https://s3.example.org"},
        [
            "config_bucket: 'My_Media' is no name of a bucket by Amazon's rules. "
            "Whether the server takes it, the trial of it tells."
        ],
    ),
    (
        {"config_endpoint_url": "https://ref.storage.example.org/storage/v1/s3"},
        [
            "config_endpoint_url: 'https://ref.storage.example.org/storage/v1/s3' has a path. That is right where the"
            " service says so, as Supabase does; a path in the bucket belongs into prefix."
        ],
    ),
    (
        {"config_endpoint_url": "https://media.s3.example.org"},
        [
            "config_endpoint_url: 'https://media.s3.example.org' begins with the bucket's name. "
            "If it is the bucket's own address, write 'https://s3.example.org'."
        ],
    ),
    (
        {"config_session_token": "token"},
        [
            "config_session_token: is set: such credentials expire, and media is then neither stored nor served. "
            "Use a permanent access key."
        ],
    ),
    (
        {"config_ec2_instance_profile": True, "config_endpoint_url": "http://minio:9000"},
        [
            "config_ec2_instance_profile: is true, but endpoint_url names no server of Amazon's, "
            "which alone knows these credentials. Check both."
        ],
    ),
    ({"config_ec2_instance_profile": True, "config_endpoint_url": "https://s3.eu-central-1.amazonaws.com"}, []),
    (
        {"store_local": False},
        [
            "store_local: is false, but the migration uploads such media all the same. "
            "Set it to true, or migration_enabled to false."
        ],
    ),
    (
        {"store_remote": False},
        [
            "store_remote: is false, but the migration uploads such media all the same. "
            "Set it to true, or migration_enabled to false."
        ],
    ),
    ({"store_remote": False, "migration_enabled": False}, []),
    (
        {"container_arguments": ["--dns=1.1.1.1"]},
        ["container_arguments: has no effect with the layout 'native', where nothing runs in a container. Remove it."],
    ),
    (
        {"migration_bandwidth": "20M", "migration_engine": "s3_media_upload"},
        [
            "migration_bandwidth: has no effect with the migration engine 's3_media_upload', which knows no limit. "
            "Use 'parallel', or remove it."
        ],
    ),
    (
        {"ca_bundle_path": "/etc/ca.pem", "config_endpoint_url": "http://minio:9000"},
        ["ca_bundle_path: has no effect, since endpoint_url is plain http. Use an https endpoint_url, or remove it."],
    ),
    (
        {"config_threadpool_size": 40, "config_request_checksum_calculation": "x", "something_else": 1},
        [
            "config_request_checksum_calculation: is ignored by the provider, which always takes 'when_required'. "
            "Remove it.",
            "config_threadpool_size: is ignored by the provider, which always uses 40 threads. Remove it.",
            "something_else: is not a variable of this role and has no effect. Remove it.",
        ],
    ),
    (
        {"purge_orphans_enabled": True, "migration_enabled": False},
        [
            "purge_orphans_enabled: is true, but migration_enabled is false: no job runs at night. Set that to true, or"
            " this to false."
        ],
    ),
    ({"config_region": "eu-central-1"}, []),
    ({"enabled": False, "config_prefix": "synapse", "something_else": 1}, []),
]


def in_full(short: dict[str, Any]) -> dict[str, Any]:
    return {f"{NAME_PREFIX}{name}": value for name, value in short.items()}


def messages(short: list[str]) -> list[str]:
    return [f"{NAME_PREFIX}{text}" for text in short]


@pytest.mark.parametrize("variables", [MINIMAL, EVERYTHING], ids=["minimal", "everything"])
def test_good_variables(variables: dict[str, Any]) -> None:
    assert problems(in_full(variables)) == []
    assert warnings(in_full(variables)) == []


def test_everything_is_everything() -> None:
    assert EVERYTHING.keys() == VARIABLES.keys()


@pytest.mark.parametrize(("changed", "expected"), TEST_PROBLEMS)
def test_problems(changed: dict[str, Any], expected: list[str]) -> None:
    assert problems(in_full({**MINIMAL, **changed})) == messages(expected)


@pytest.mark.parametrize(("changed", "expected"), TEST_WARNINGS)
def test_warnings(changed: dict[str, Any], expected: list[str]) -> None:
    assert warnings(in_full({**MINIMAL, **changed})) == messages(expected)


def test_every_variable_has_a_case_of_its_own_kind() -> None:
    wrong_kind: dict[Kind, Any] = {
        Kind.BOOLEAN: "yes",
        Kind.INTEGER: "1",
        Kind.TEXT: 1,
        Kind.LIST: "x",
        Kind.RAW: [],
    }
    wrong = {name: wrong_kind[variable.kind] for name, variable in VARIABLES.items()}
    found = problems(in_full({**wrong, "previous_stores": "x"}))
    assert [text.partition(":")[0] for text in found] == [f"{NAME_PREFIX}{name}" for name in VARIABLES]


def test_the_page_as_printed() -> None:
    page = {
        "enabled": True,
        "config_bucket": "your-bucket-name",
        "config_region_name": "some-region-name",
        "config_endpoint_url": "https://..",
        "config_access_key_id": "access-key-goes-here",
        "config_secret_access_key": "secret-key-goes-here",
        "config_storage_class": "STANDARD",
    }
    own = "is still the example of the documentation."
    assert problems(in_full(page)) == messages(
        [
            f"config_bucket: 'your-bucket-name' {own} Write the name of your bucket.",
            f"config_region_name: 'some-region-name' {own} Write the region of your bucket.",
            f"config_endpoint_url: 'https://..' {own} Write your server's URL, or '' for Amazon S3.",
            f"config_access_key_id: {own} Write your own.",
            f"config_secret_access_key: {own} Write your own.",
        ]
    )


def test_instance_profile_needs_no_keys() -> None:
    variables = {"enabled": True, "config_bucket": "media", "config_region_name": "eu-central-1"}
    assert problems(in_full({**variables, "config_ec2_instance_profile": True})) == []


def test_disabled() -> None:
    wrong = {"config_bucket": "A", "config_buckte": "A", "migration_workers": 0}
    assert problems(in_full({**wrong, "enabled": False})) == []


@pytest.mark.parametrize("enabled", [{}, {"enabled": ""}])
def test_what_nobody_has_asked_for_is_not_judged(enabled: dict[str, Any]) -> None:
    wrong = {"config_bucket": "A", "base_path": "/", "store_remote": False}
    assert problems(in_full({**wrong, **enabled})) == []
    assert warnings(in_full({**wrong, **enabled})) == []


def test_a_misspelt_enabled_is_told() -> None:
    assert problems(in_full({"enabeld": True})) == messages(
        [f"enabeld: is not a variable of this role. Did you mean {NAME_PREFIX}enabled?"]
    )


@pytest.mark.parametrize(
    ("enabled", "expected"),
    [
        (None, "has no value. Write true or false."),
        ("false", f"is the text 'false', not true or false. {AS_FALSE}"),
        (0, "is the number 0, not true or false. Write true or false."),
    ],
)
def test_what_is_neither_true_nor_false_takes_nothing_away(enabled: object, expected: str) -> None:
    assert problems(in_full({**MINIMAL, "enabled": enabled})) == messages([f"enabled: {expected}"])


def test_disabled_by_a_text() -> None:
    assert problems(in_full({"enabled": "no", "config_bucket": "A"})) == messages(
        [f"enabled: is the text 'no', not true or false. {AS_FALSE}"]
    )


def test_disabled_judges_what_is_removed() -> None:
    assert problems(in_full({"enabled": False, "base_path": "/usr/local", "synapse_services": ["x"]})) == messages(
        [
            "synapse_services: 'x' is not the name of a systemd unit. Write one such as 'postgresql.service'.",
            "base_path: '/usr/local' is not for this role alone. Write a path below it.",
        ]
    )


def test_defaults_are_the_roles() -> None:
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))
    assert defaults == in_full({name: variable.default for name, variable in VARIABLES.items()})


def test_each_version_has_pinned_requirements() -> None:
    assert [path.name for path in sorted(ROLE.glob("files/requirements-*.txt"))] == [
        f"requirements-{version}.txt" for version in PROVIDER_VERSIONS
    ]


def test_each_layout_has_its_values() -> None:
    assert {path.stem for path in ROLE.glob("vars/*.yml")} - {"main"} == set(LAYOUTS)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_pass_the_rules(layout: str) -> None:
    values = yaml.safe_load((ROLE / "vars" / f"{layout}.yml").read_text(encoding="utf-8"))["variables"]
    project = {"compose_path": "/srv/compose"} if layout == "compose" else {}
    assert problems(in_full({**MINIMAL, "layout": layout, **project, **values})) == []


# Judged by the other playbook: the provider, the bucket, how it is used.
OF_MDAD = {
    "enabled": True,
    "layout": "mdad",
    "version": "9",
    "config_bucket": "my bucket",
    "config_threadpool_size": 40,
    "store_local": False,
}


def test_what_another_playbook_owns_is_not_judged() -> None:
    assert problems(in_full(OF_MDAD)) == []
    assert problems(in_full({**OF_MDAD, "migration_minimum_age": "soon"})) != []


def test_what_another_playbook_owns_is_named_in_one_warning() -> None:
    defaults = {name: variable.default for name, variable in VARIABLES.items()}
    assert warnings(in_full({**defaults, **OF_MDAD, "config_secret_access_key": "hidden"})) == [
        "matrix_synapse_ext_synapse_s3_storage_provider_config_bucket,"
        " matrix_synapse_ext_synapse_s3_storage_provider_config_secret_access_key,"
        " matrix_synapse_ext_synapse_s3_storage_provider_config_threadpool_size,"
        " matrix_synapse_ext_synapse_s3_storage_provider_store_local,"
        " matrix_synapse_ext_synapse_s3_storage_provider_version: without effect on this role: with the layout 'mdad',"
        " matrix-docker-ansible-deploy configures the provider, by its own variables of these names. This role reads"
        " the bucket's settings from Synapse's configuration, as that playbook has written it. To change them, run that"
        " playbook first; in a vars.yml of both, leave them."
    ]


def test_what_another_playbook_owns_is_not_named_where_it_is_the_default_or_nothing_is_set_up() -> None:
    defaults = {name: variable.default for name, variable in VARIABLES.items()}
    assert warnings(in_full({**defaults, "enabled": True, "layout": "mdad"})) == []
    assert warnings(in_full({**OF_MDAD, "enabled": False})) == []


def test_a_former_store_that_another_playbook_does_not_know_is_named_in_a_warning_of_its_own() -> None:
    given = {"enabled": True, "layout": "mdad", "previous_stores": [{"bucket": "old"}]}
    assert problems(in_full(given)) == []
    assert warnings(in_full(given)) == messages(
        [
            "previous_stores: has no effect with the layout 'mdad': matrix-docker-ansible-deploy writes Synapse's list"
            " of storage providers, and does not know this variable. Give it the former store in its own"
            " matrix_synapse_media_storage_providers, after the main one, as docs/move-to-another-service.md tells."
        ]
    )


ANY_VALUE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=40),
    st.lists(st.none() | st.text(max_size=9), max_size=3),
    st.dictionaries(st.text(max_size=3), st.none(), max_size=2),
)
WRONG: list[tuple[str, Any]] = [
    (name, value) for changed, _unused in TEST_PROBLEMS if len(changed) == 1 for name, value in changed.items()
]


@given(st.dictionaries(st.sampled_from([*VARIABLES, "config_threadpool_size", "x"]), ANY_VALUE))
def test_any_values_are_judged(variables: dict[str, Any]) -> None:
    for text in problems(in_full(variables)) + warnings(in_full(variables)):
        name, separator, rest = text.partition(": ")
        assert name.startswith(NAME_PREFIX)
        assert separator
        assert rest.endswith((".", "?"))


@given(st.lists(st.sampled_from(WRONG), unique_by=lambda pair: pair[0]))
def test_every_wrong_variable_is_named(wrong: list[tuple[str, Any]]) -> None:
    named = {text.partition(":")[0] for text in problems(in_full({**MINIMAL, **dict(wrong)}))}
    alone = {text.partition(":")[0] for pair in wrong for text in problems(in_full({**MINIMAL, **dict([pair])}))}
    assert alone - CONTEXT <= named


# Judged together with others: other wrong variables can make these right.
CONTEXT = {
    f"{NAME_PREFIX}config_provider",
    f"{NAME_PREFIX}config_storage_class",
    f"{NAME_PREFIX}config_bucket",
    f"{NAME_PREFIX}compose_path",
    f"{NAME_PREFIX}config_access_key_id",
    f"{NAME_PREFIX}config_ec2_instance_profile",
    f"{NAME_PREFIX}config_region_name",
    f"{NAME_PREFIX}config_sse_customer_key",
    f"{NAME_PREFIX}podman_user",
    f"{NAME_PREFIX}synapse_services",
    f"{NAME_PREFIX}synapse_user",
}
HIDDEN = st.text(max_size=30).map(lambda text: f"hidden{text}") | st.lists(st.just("hidden"), min_size=1)


@given(
    HIDDEN,
    HIDDEN,
    HIDDEN,
    st.fixed_dictionaries(
        {}, optional={name: ANY_VALUE for name, variable in VARIABLES.items() if not variable.secret}
    ),
)
def test_no_secret_is_shown(secret: Any, token: Any, key: Any, others: dict[str, Any]) -> None:
    variables = in_full(
        {
            **others,
            "config_secret_access_key": secret,
            "config_session_token": token,
            "config_sse_customer_key": key,
            "previous_stores": [{"secret_access_key": secret, "session_token": token, "sse_customer_key": key}],
        }
    )
    assert not [text for text in problems(variables) + warnings(variables) if "hidden" in text]


@given(
    st.fixed_dictionaries(
        {
            "config_bucket": st.from_regex(r"[a-zA-Z0-9._-]{1,8}", fullmatch=True),
            "config_region_name": st.sampled_from(["", "eu-central-1", "garage", "some-region-name"]),
            "config_endpoint_url": st.sampled_from(["", "https://s3.example.org", "http://minio:9000", "https://h/x"]),
            "config_prefix": st.from_regex(r"[a-z/.]{0,4}", fullmatch=True),
        }
    )
)
def test_what_the_rules_accept_the_program_accepts(changed: dict[str, str]) -> None:
    variables = {**MINIMAL, **changed}
    if not problems(in_full(variables)):
        config = {
            name.removeprefix("config_"): value for name, value in variables.items() if value and name != "enabled"
        }
        assert bucket_settings(config).bucket == changed["config_bucket"]
