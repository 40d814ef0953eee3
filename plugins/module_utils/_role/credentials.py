# SPDX-License-Identifier: GPL-3.0-or-later
"""Access keys. No text here holds any part of a credential."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_PLACEHOLDERS = frozenset({"access-key-goes-here", "secret-key-goes-here"})
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
# Amazon's form of an access key ID, permanent (AKIA) or temporary (ASIA).
_AMAZON_ACCESS_KEY_ID = re.compile(r"A[KS]IA[A-Z2-7]{16}")


@dataclass(frozen=True)
class Credentials:
    """The settings that belong together; '' when not given."""

    access_key_id: str = ""
    secret_access_key: str = ""
    session_token: str = ""
    instance_profile: bool = False


def pasted_text_problems(text: str) -> list[str]:
    """What went wrong while a credential was copied. Never shows ``text``."""
    problems = []
    if text in _PLACEHOLDERS:
        problems.append("is still the example of the documentation. Write your own.")
    if text != text.strip():
        problems.append("begins or ends with white space. Remove it.")
    if _CONTROL_CHARACTER.search(text.strip()):
        problems.append("has a line break or another control character. Write it in one line.")
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        problems.append("has quotes inside of its quotes. Remove the inner ones.")
    return problems


def access_key_id_problems(credentials: Credentials) -> list[str]:
    """What is wrong with the access key ID."""
    if credentials.access_key_id:
        return pasted_text_problems(credentials.access_key_id)
    if credentials.instance_profile:
        return []
    if credentials.secret_access_key:
        return ["is empty, but secret_access_key is set. Write the access key ID that belongs to it."]
    return ["is empty. Write the access key ID, or set ec2_instance_profile to true on an EC2 instance with a profile."]


def secret_access_key_problems(credentials: Credentials) -> list[str]:
    """What is wrong with the secret access key."""
    if _AMAZON_ACCESS_KEY_ID.fullmatch(credentials.secret_access_key.strip()):
        return ["is an access key ID of Amazon's. Write the secret access key that belongs to it."]
    if credentials.secret_access_key:
        return pasted_text_problems(credentials.secret_access_key)
    if credentials.instance_profile:
        return []
    if credentials.access_key_id:
        return ["is empty, but access_key_id is set. Write the secret access key that belongs to it."]
    return ["is empty. Write the secret key, or set ec2_instance_profile to true on an EC2 instance with a profile."]


def session_token_problems(credentials: Credentials) -> list[str]:
    """What is wrong with the session token."""
    if credentials.session_token and not (credentials.access_key_id or credentials.secret_access_key):
        return ["is set without access_key_id and secret_access_key, and has no effect. Set all three, or remove it."]
    return pasted_text_problems(credentials.session_token)


def session_token_warnings(credentials: Credentials) -> list[str]:
    """What an administrator should know of the session token."""
    if not credentials.session_token:
        return []
    return ["is set: such credentials expire, and media is then neither stored nor served. Use a permanent access key."]


def instance_profile_problems(credentials: Credentials) -> list[str]:
    """What contradicts the instance profile."""
    given: Mapping[str, str] = {
        "access_key_id": credentials.access_key_id,
        "secret_access_key": credentials.secret_access_key,
    }
    names = [name for name, value in given.items() if value]
    if not credentials.instance_profile or not names:
        return []
    return [f"is true, but {' and '.join(names)} would be used instead. Remove one or the other."]
