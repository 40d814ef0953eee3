# SPDX-License-Identifier: GPL-3.0-or-later
"""Access keys."""

from __future__ import annotations

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.credentials import (
    Credentials,
    access_key_id_problems,
    instance_profile_problems,
    pasted_text_problems,
    secret_access_key_problems,
    session_token_problems,
    session_token_warnings,
)
from hypothesis import given
from hypothesis import strategies as st

PROFILE = "or set ec2_instance_profile to true on an EC2 instance with a profile."
NO_KEY_ID = f"is empty. Write the access key ID, {PROFILE}"
NO_SECRET = f"is empty. Write the secret key, {PROFILE}"

TEST_PASTED = [
    ("", []),
    ("AKIAIOSFODNN7EXAMPLE", []),
    ("wJalr/K7+DENG=", []),
    ("access-key-goes-here", ["is still the example of the documentation. Write your own."]),
    ("secret-key-goes-here", ["is still the example of the documentation. Write your own."]),
    (" key", ["begins or ends with white space. Remove it."]),
    ("key\n", ["begins or ends with white space. Remove it."]),
    ("k\ney", ["has a line break or another control character. Write it in one line."]),
    ("'key'", ["has quotes inside of its quotes. Remove the inner ones."]),
    ('"key"', ["has quotes inside of its quotes. Remove the inner ones."]),
    ("'", []),
    (
        " k\ty ",
        [
            "begins or ends with white space. Remove it.",
            "has a line break or another control character. Write it in one line.",
        ],
    ),
]

TEST_COMBINATIONS = [
    (Credentials("key", "secret"), [], [], [], []),
    (Credentials("key", "secret", "token"), [], [], [], []),
    (Credentials(instance_profile=True), [], [], [], []),
    (Credentials(), [NO_KEY_ID], [NO_SECRET], [], []),
    (
        Credentials(access_key_id="key"),
        [],
        ["is empty, but access_key_id is set. Write the secret access key that belongs to it."],
        [],
        [],
    ),
    (
        Credentials(secret_access_key="secret"),
        ["is empty, but secret_access_key is set. Write the access key ID that belongs to it."],
        [],
        [],
        [],
    ),
    (
        Credentials(session_token="token"),
        [NO_KEY_ID],
        [NO_SECRET],
        ["is set without access_key_id and secret_access_key, and has no effect. Set all three, or remove it."],
        [],
    ),
    (
        Credentials("key", "secret", instance_profile=True),
        [],
        [],
        [],
        ["is true, but access_key_id and secret_access_key would be used instead. Remove one or the other."],
    ),
    (
        Credentials("key", instance_profile=True),
        [],
        [],
        [],
        ["is true, but access_key_id would be used instead. Remove one or the other."],
    ),
    (
        Credentials("wJalr", "AKIAIOSFODNN7EXAMPLE"),
        [],
        ["is an access key ID of Amazon's. Write the secret access key that belongs to it."],
        [],
        [],
    ),
]


@pytest.mark.parametrize(("text", "problems"), TEST_PASTED)
def test_pasted_texts(text: str, problems: list[str]) -> None:
    assert pasted_text_problems(text) == problems


@pytest.mark.parametrize(("credentials", "key_id", "secret", "token", "profile"), TEST_COMBINATIONS)
def test_combinations(
    credentials: Credentials, key_id: list[str], secret: list[str], token: list[str], profile: list[str]
) -> None:
    assert access_key_id_problems(credentials) == key_id
    assert secret_access_key_problems(credentials) == secret
    assert session_token_problems(credentials) == token
    assert instance_profile_problems(credentials) == profile


def test_session_token_warnings() -> None:
    assert session_token_warnings(Credentials("key", "secret")) == []
    assert session_token_warnings(Credentials("key", "secret", "token")) == [
        "is set: such credentials expire, and media is then neither stored nor served. Use a permanent access key."
    ]


@given(st.text(max_size=5), st.text(max_size=5), st.booleans())
def test_no_credential_is_shown(before: str, after: str, profile: bool) -> None:
    secret = f"{before}hidden{after}"
    for credentials in (
        Credentials(secret, secret, secret, profile),
        Credentials(access_key_id=secret, instance_profile=profile),
        Credentials(secret_access_key=secret, instance_profile=profile),
        Credentials(session_token=secret, instance_profile=profile),
    ):
        texts = [
            *access_key_id_problems(credentials),
            *secret_access_key_problems(credentials),
            *session_token_problems(credentials),
            *session_token_warnings(credentials),
            *instance_profile_problems(credentials),
        ]
        assert not [text for text in texts if "hidden" in text]
