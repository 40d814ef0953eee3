# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.copy_with import (
    TOOLS,
    Call,
    Copy,
    Secret,
    build_call,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.copy_with_shell import (
    DIRECTORY,
    Container,
    container_on,
    shell_script,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings

GUIDE = Path(__file__).resolve().parents[6] / "docs" / "copy-with-another-tool.md"
CALL = Call(
    "aws",
    [("aws", "s3", "sync", "--exclude", ".*", "--key", f"fileb://{DIRECTORY}/sse-c-key", "/srv/my media", "s3://b/k")],
    {"AWS_CA_BUNDLE": "/etc/ca.pem"},
    {"AWS_SECRET_ACCESS_KEY": Secret("secret_access_key", "the-secret")},
    {"sse-c-key": Secret("sse_customer_key", "the-key")},
    ["It can't do this."],
)
ROLES = {
    "engine": "podman",
    "user": "991:991",
    "network": "matrix",
    "volumes": ["/srv/synapse:/data:ro", "/srv/media:/data/media_store"],
}


def test_script() -> None:
    assert shell_script(CALL).splitlines() == [
        "# It can't do this.",
        "(",
        "set -eu",
        "# Set these before, from Synapse's configuration.",
        'export AWS_SECRET_ACCESS_KEY="${AWS_SECRET_ACCESS_KEY:?is secret_access_key in the configuration of Synapse}"',
        "COPY_WITH_FILES=$(mktemp -d) && trap 'rm -rf \"$COPY_WITH_FILES\"' EXIT",
        'printf %s "${SSE_CUSTOMER_KEY:?is sse_customer_key in the configuration of Synapse}"'
        ' >"$COPY_WITH_FILES/sse-c-key"',
        "export AWS_CA_BUNDLE=/etc/ca.pem",
        "aws s3 sync --exclude '.*' --key fileb://\"$COPY_WITH_FILES\"/sse-c-key '/srv/my media' s3://b/k",
        ")",
    ]


def test_script_with_an_image() -> None:
    container = container_on(ROLES, "docker.io/amazon/aws-cli", "/data/media_store", "/etc/ca.pem", "0:0")

    assert shell_script(CALL, container).splitlines()[7:] == [
        'chown -R 991:991 "$COPY_WITH_FILES"',
        "podman run --rm --init --user=991:991 --network=matrix --volume=/srv/media:/data/media_store:ro"
        ' --volume=/etc/ca.pem:/etc/ca.pem:ro --volume="$COPY_WITH_FILES":"$COPY_WITH_FILES"'
        " --env=AWS_SECRET_ACCESS_KEY --env=AWS_CA_BUNDLE=/etc/ca.pem docker.io/amazon/aws-cli s3 sync --exclude '.*'"
        " --key fileb://\"$COPY_WITH_FILES\"/sse-c-key '/srv/my media' s3://b/k",
        ")",
    ]


def test_script_without_a_secret_or_a_file() -> None:
    call = Call("rclone", [("rclone", "copy", "--config", "", "/srv/media", ":s3:b/k")])

    assert shell_script(call) == "(\nset -eu\nrclone copy --config '' /srv/media :s3:b/k\n)"


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        (ROLES, "/data/media_store", "/srv/media"),
        (ROLES, "/data/media", "/srv/synapse/media"),
        (ROLES, "/data2/media", "/data2/media"),
        ({}, "/var/lib/matrix-synapse/media", "/var/lib/matrix-synapse/media"),
    ],
)
def test_where_the_host_has_the_media_store(host: dict[str, object], path: str, expected: str) -> None:
    assert container_on(host, "image", path, None, "1:1").volumes == [(expected, path)]


def test_container_beside_a_synapse_without_one() -> None:
    assert container_on({}, "image", "/srv/media", None, "105:110") == Container(
        "docker", "image", "105:110", "host", [("/srv/media", "/srv/media")]
    )


@pytest.mark.parametrize("tool", TOOLS)
def test_guide_shows_what_is_printed(tool: str) -> None:
    endpoint = "https://s3.us-west-004.backblazeb2.com" if tool == "b2" else "https://s3.example.com"
    bucket = BucketSettings("example-media", "hs/", "eu-1", endpoint, "the-id", "the-secret")
    roots = ["local_content", "remote_content"]
    copy = Copy("/var/lib/matrix-synapse/media", roots, bucket, endpoint, 3600, 1_790_000_000, DIRECTORY)

    assert f"\n```sh {tool}\n{shell_script(build_call(tool, copy))}\n```\n" in GUIDE.read_text()
