# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of the role bucket_mount, judged together."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.matrixops.synapse_s3.plugins.filter.bucket_mount import FilterModule
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.bucket_mount import NAME_PREFIX, problems
from hypothesis import given
from hypothesis import strategies as st

MINIMAL: dict[str, Any] = {
    "enabled": True,
    "bucket": "media",
    "region_name": "eu-central-1",
    "access_key_id": "AKIAIOSFODNN7EXAMPLE",
    "secret_access_key": "wJalrXUtnFEMI/K7MDENG",
}


def told(**variables: object) -> list[str]:
    return problems({f"{NAME_PREFIX}{name}": value for name, value in {**MINIMAL, **variables}.items()})


def test_the_least_that_works() -> None:
    assert told() == []


TEST_PROBLEMS: list[tuple[dict[str, object], str]] = [
    (
        {"enabled": "yes"},
        "enabled: is the text 'yes', not true or false. Write true without quotes, and on the command line as JSON.",
    ),
    ({"tool": "sshfs"}, "tool: 'sshfs' is not supported. Use 'rclone' or 's3fs' or 'goofys'."),
    (
        {"prefix": "synapse"},
        "prefix: 'synapse' does not end with '/': what a mount has below a directory has keys with a slash. Write"
        " 'synapse/', or use the role storage_provider.",
    ),
    (
        {"prefix": "a,b/"},
        "prefix: 'a,b/' has characters that do not work in the options of a mount (',').",
    ),
    (
        {"endpoint_url": "https://s3.example.org,nonempty"},
        "endpoint_url: has characters that do not work in the options of a mount. Write an address, 'https://host[:port]'.",
    ),
    (
        {"access_key_id": ""},
        "access_key_id: is empty, but secret_access_key is set. Write the access key ID that belongs to it.",
    ),
    (
        {"access_key_id": "", "secret_access_key": ""},
        "access_key_id: is empty. Write the access key ID.",
    ),
    (
        {"access_key_id": "a:b"},
        "access_key_id: has a colon, which ends it in the file of s3fs. Write the access key ID alone.",
    ),
    (
        {"secret_access_key": ""},
        "secret_access_key: is empty, but access_key_id is set. Write the secret access key that belongs to it.",
    ),
    ({"cache_size": "2048"}, "cache_size: '2048' is no size. Write a whole number and M, G or T, as '2G'."),
    ({"cache_age": "7d"}, "cache_age: '7d' is no time. Write a whole number and s, m or h, as '168h'."),
    (
        {"path": "/srv/media", "cache_path": "/srv/media/cache"},
        "path: '/srv/media' holds bucket_mount_cache_path, which would be hidden by the mount. Write another path"
        " there.",
    ),
    (
        {"path": "/srv/synapse/media", "cache_path": "/srv/synapse"},
        "cache_path: '/srv/synapse' is, or holds, '/srv/synapse/media', which is not this role's. Write a path of its"
        " own.",
    ),
    (
        {"cache_path": "/run/synapse/cache"},
        "cache_path: '/run/synapse/cache' is emptied in time, and media that waits there for the bucket with it. Write"
        " another path.",
    ),
    (
        {"cache_path": "/root/.cache/rclone"},
        "cache_path: '/root/.cache/rclone' is where rclone keeps the files of other mounts. Write a path of its own.",
    ),
    (
        {"path": "/srv/media/"},
        "path: '/srv/media/' is no place for a mount. Write Synapse's media_store_path, without a slash at its end.",
    ),
    (
        {"synapse_services": []},
        "synapse_services: is empty: nothing would wait for the mount. Write the units that run Synapse.",
    ),
    ({"synapse_start_timeout": 0}, "synapse_start_timeout: 0 is too low. Use 1 or more."),
    (
        {"options": ["--s3-region", "eu"]},
        "options: 'eu' is no option. Write an option of rclone and its value as one text, '--name=value'.",
    ),
    (
        {"options": ["--cache-dir=/var/cache/other"]},
        "options: '--cache-dir=/var/cache/other' is for the role to say. Leave it out; bucket_mount_cache_path is where"
        " the cache is.",
    ),
    ({"tooll": "s3fs"}, "tooll: is not a variable of this role. Did you mean bucket_mount_tool?"),
    ({"encryption": True}, "encryption: is not a variable of this role. Remove it."),
]


@pytest.mark.parametrize(("variables", "message"), TEST_PROBLEMS)
def test_problem(variables: dict[str, object], message: str) -> None:
    assert f"{NAME_PREFIX}{message}" in told(**variables)


PROVIDER = "matrix_synapse_ext_synapse_s3_storage_provider_config_"
ENCRYPTED = (
    f"{PROVIDER}sse_customer_enabled: is true, but a mount could not read what is encrypted with that key, and would"
    " store new media in plain. Keep the role storage_provider, or mount a bucket without such objects."
)


@pytest.mark.parametrize(
    ("enabled", "bucket", "encrypts", "expected"),
    [
        (True, "media", True, [ENCRYPTED]),
        (True, "media", "yes", [ENCRYPTED]),
        (True, "media", False, []),
        (True, "media", None, []),
        (True, "other", True, []),
        (False, "media", True, []),
    ],
)
def test_no_mount_of_what_the_provider_encrypts(
    enabled: bool, bucket: str, encrypts: object, expected: list[str]
) -> None:
    own = {f"{NAME_PREFIX}{name}": value for name, value in {**MINIMAL, "enabled": enabled}.items()}
    theirs = {f"{PROVIDER}bucket": bucket, f"{PROVIDER}sse_customer_enabled": encrypts}
    assert problems({**own, **theirs}) == expected
    if enabled:
        tool = f"{NAME_PREFIX}tool"
        wrong = f"{tool}: 'sshfs' is not supported. Use 'rclone' or 's3fs' or 'goofys'."
        assert problems({**own, **theirs, tool: "sshfs"}) == [wrong, *expected]


def test_cache_below_the_mount_is_told_once_where_the_path_is_wrong() -> None:
    assert told(path="media") == [f"{NAME_PREFIX}path: 'media' is not an absolute path. Begin it with '/'."]


def test_nothing_is_judged_before_something_is_wanted() -> None:
    assert problems({f"{NAME_PREFIX}enabled": "", f"{NAME_PREFIX}tool": "sshfs"}) == []
    assert problems({}) == []


def test_removal_needs_no_bucket() -> None:
    assert problems({f"{NAME_PREFIX}enabled": False}) == []
    assert problems({f"{NAME_PREFIX}enabled": False, f"{NAME_PREFIX}accept_unserved_media": "yes"}) == [
        f"{NAME_PREFIX}accept_unserved_media: is the text 'yes', not true or false. Write true without quotes, and on"
        " the command line as JSON."
    ]


@given(st.text(min_size=5), st.sampled_from(["secret_access_key"]))
def test_no_message_holds_the_secret(secret: str, name: str) -> None:
    secret = f"<{secret}>"
    assert not any(secret in message for message in told(**{name: secret}))


def test_filter() -> None:
    judge = FilterModule().filters()["bucket_mount_problems"]
    assert judge({}) == []
    with pytest.raises(
        AnsibleFilterError, match=r"^Could not run the filter matrixops\.synapse_s3\.bucket_mount_problems: "
    ):
        judge([])
