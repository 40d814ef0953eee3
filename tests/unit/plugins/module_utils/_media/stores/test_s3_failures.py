# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import re
from dataclasses import replace
from urllib.parse import quote

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import MediaError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3_failures import (
    PERMISSIONS,
    TABLE,
    Failure,
    describe,
    server_name,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3_said import (
    says_more,
    without_secrets,
)
from hypothesis import given
from hypothesis import strategies as st

SETTINGS = BucketSettings(
    bucket="media",
    region_name="eu-test-1",
    endpoint_url="https://s3.example.org",
    access_key_id="AKIDEXAMPLE+/=",
    secret_access_key="secret key/with+odd=characters",
    session_token="session&token%",
    sse_customer_key="an encryption key of 32 letters!",
    storage_class="STANDARD_IA",
    ca_bundle_path="/etc/ssl/own.pem",
)
SECRETS = [SETTINGS.access_key_id, SETTINGS.secret_access_key, SETTINGS.session_token, SETTINGS.sse_customer_key]
FORMS = [
    form
    for secret in SECRETS
    if secret
    for form in (secret, quote(secret), quote(secret, safe=""), base64.b64encode(secret.encode()).decode())
]

# What a message looks like: "Could not <verb> <object>: <cause>. <what to do>."
SHAPE = re.compile(r"Could not read object 'key': [^:{}]+\S[^{}]*[^.]\. [A-Z][^{}]*[^.]\.")


@pytest.mark.parametrize("code", TABLE)
def test_every_explanation_is_a_whole_message(code: str) -> None:
    error = describe(Failure(code, 400, "GetObject", region="eu-test-1"), SETTINGS, "read object 'key'")
    assert isinstance(error, TABLE[code].error)
    assert SHAPE.fullmatch(str(error)), str(error)


def test_every_error_has_an_exit_status_of_the_contract() -> None:
    assert {explanation.error.exit_status for explanation in TABLE.values()} == {1, 69, 77, 78}


TEST_UNKNOWN = [
    (
        Failure("Weird", 400, "GetObject", "Said so"),
        1,
        "Could not act: the server https://s3.example.org answered HTTP 400 Weird 'Said so'. "
        "Look the answer up in the server's documentation.",
    ),
    (
        Failure("Weird", 400, "ListObjectsV2"),
        69,
        "Could not act: the server https://s3.example.org answered HTTP 400 Weird. "
        "Look the answer up in the server's documentation.",
    ),
    (
        Failure("InternalError", 500, "PutObject", "We encountered an internal error."),
        69,
        "Could not act: the server https://s3.example.org failed (HTTP 500 InternalError 'We encountered an internal "
        "error.'). Try again later; if it goes on failing, look into the server's own log.",
    ),
    (
        Failure("502", 502, "HeadObject"),
        69,
        "Could not act: the server https://s3.example.org failed (HTTP 502). "
        "Try again later; if it goes on failing, look into the server's own log.",
    ),
    (
        Failure("NewKindOfError", said="something new"),
        69,
        "Could not act: boto3 failed with NewKindOfError 'something new'. Check the settings, and try again.",
    ),
]


@pytest.mark.parametrize(("failure", "exit_status", "message"), TEST_UNKNOWN)
def test_what_no_table_knows(failure: Failure, exit_status: int, message: str) -> None:
    error = describe(failure, SETTINGS, "act")
    assert (error.exit_status, str(error)) == (exit_status, message)


TEST_SERVER_NAMES = [
    (None, "Amazon S3"),
    ("", "Amazon S3"),
    ("https://s3.example.org", "https://s3.example.org"),
    ("https://s3.example.org:9000/", "https://s3.example.org:9000"),
    ("https://user:word@s3.example.org/", "https://s3.example.org"),
    ("user:word@s3.example.org", "s3.example.org"),
    ("http://[::1]:9000", "http://[::1]:9000"),
    ("http://[::1", "http://[::1"),
]


@pytest.mark.parametrize(("endpoint_url", "name"), TEST_SERVER_NAMES)
def test_server_name(endpoint_url: str | None, name: str) -> None:
    assert server_name(replace(SETTINGS, endpoint_url=endpoint_url)) == name


@given(
    pieces=st.lists(st.one_of(st.sampled_from(FORMS), st.text(max_size=20)), max_size=6),
    code=st.one_of(st.sampled_from(sorted(TABLE)), st.sampled_from(FORMS)),
    region=st.sampled_from(["", "eu-test-1", *FORMS]),
    status=st.sampled_from([0, 301, 400, 403, 404, 412, 500, 501, 503]),
    operation=st.sampled_from(sorted(PERMISSIONS)),
    endpoint_url=st.sampled_from([None, "http://s3.example.org", "https://user:session%26token%25@s3.example.org"]),
)
def test_no_message_holds_a_secret(
    pieces: list[str], code: str, region: str, status: int, operation: str, endpoint_url: str | None
) -> None:
    failure = Failure(code, status, operation, said="".join(pieces), region=region)
    settings = replace(SETTINGS, endpoint_url=endpoint_url)
    error = describe(failure, settings, "act")
    assert isinstance(error, MediaError)
    assert [form for form in FORMS if form in str(error)] == []


@given(st.lists(st.sampled_from([*FORMS, " and "]), max_size=5).map("".join))
def test_secrets_are_taken_out(text: str) -> None:
    assert [form for form in FORMS if form in without_secrets(text, SETTINGS)] == []


def test_a_text_without_secrets_stays() -> None:
    assert without_secrets("Access Denied.", SETTINGS) == "Access Denied."
    assert without_secrets("Access Denied.", BucketSettings(bucket="media")) == "Access Denied."


TEST_WORDS = {
    ("", "AccessDenied"): False,
    ("Access Denied.", "AccessDenied"): False,
    ("Forbidden", "403"): False,
    ("none", "403"): True,
    ("slow-down!", "SlowDown"): False,
    ("...", "SlowDown"): False,
    ("Please reduce your request rate.", "SlowDown"): False,
    ("Cannot upload files, storage cap exceeded.", "AccessDenied"): True,
}


@pytest.mark.parametrize(("said", "code"), TEST_WORDS)
def test_words_that_say_more_than_the_code(said: str, code: str) -> None:
    assert says_more(said, code) is TEST_WORDS[said, code]
