# SPDX-License-Identifier: GPL-3.0-or-later
"""Another bucket or prefix: what is said of the media that would be left behind, told whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.media_counts import (
    move_problems,
    offline_words,
)

NOW = {"bucket": "media", "prefix": "synapse/", "endpoint_url": "https://s3.example.org"}
NEW = {"bucket": "other", "prefix": "", "endpoint_url": ""}
ACCEPT = "set matrix_synapse_ext_synapse_s3_storage_provider_accept_unserved_media to true."
NOT_COUNTED = "Could not count the media that Synapse would not find in bucket 'other': "


def answer(told: dict[str, Any], rc: int = 0, stderr: str = "") -> dict[str, Any]:
    return {"rc": rc, "stdout": f"On the local disk\n{json.dumps(told)}\n", "stderr": stderr}


def count(files: int, size: int) -> dict[str, int]:
    return {"files": files, "bytes": size}


def test_another_prefix_that_takes_older_media_offline() -> None:
    assert move_problems(answer({"unserved": count(12345, 6789012)}), NOW, NEW) == [
        "Could not take Synapse from bucket 'media' with prefix 'synapse/' at https://s3.example.org to bucket 'other':"
        " 12,345 files (6,789,012 bytes) that its database knows would not be served, being neither on the local disk"
        f" nor there. Copy the objects first, or {ACCEPT}"
    ]


def test_a_place_that_has_all_of_it() -> None:
    assert move_problems(answer({"unserved": count(0, 0)}), NOW, NEW) == []


@pytest.mark.parametrize(
    ("told", "cause"),
    [
        (answer({"local": count(1, 1)}), "the program does not tell it."),
        (answer({"unserved": 7}), "the program does not tell it."),
        (answer({"unserved": count(0, 0), "errors": ["Could not list: no."]}, rc=1), "Could not list: no."),
        (answer({}, rc=69, stderr="first\nCould not reach the database"), "Could not reach the database."),
        ({"rc": 126}, "it ended with status 126."),
        ({"rc": 1, "stdout": "{not JSON", "stderr": ""}, "it ended with status 1."),
        ({"msg": "No such file or directory"}, "No such file or directory."),
    ],
)
def test_a_count_that_can_t_be_relied_upon_is_no_zero(told: dict[str, Any], cause: str) -> None:
    assert move_problems(told, NOW, NEW) == [f"{NOT_COUNTED}{cause} Correct that, or {ACCEPT}"]


def test_removal_tells_how_much_is_not_served() -> None:
    again = "until the provider is enabled again or the media is copied back to the local disk"
    assert [
        offline_words(told)
        for told in (
            answer({"stored_only": count(1, 20)}),
            answer({"stored_only": count(0, 0)}),
            answer({}),
        )
    ] == [
        f"1 file (20 bytes) that Synapse's database knows are only there, and are not served {again}.",
        "The local disk has all of the media that Synapse's database knows and the bucket holds.",
        f"Synapse does not serve what is only there {again}. Could not count that: the program does not tell it.",
    ]
