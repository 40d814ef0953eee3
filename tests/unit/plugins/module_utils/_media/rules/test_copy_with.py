# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import fnmatch
from dataclasses import replace

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.copy_with import (
    IMAGES,
    TOOLS,
    Call,
    Copy,
    Secret,
    build_call,
    overwrites,
    shown_endpoint,
    takes_list,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import ConfigurationError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings

KEY = "0123456789abcdef0123456789abcdef"
OWN = BucketSettings(
    "media",
    prefix="hs/",
    region_name="eu-1",
    endpoint_url="https://s3.example.com",
    access_key_id="the-id",
    secret_access_key="the-secret",
)
OF_OWN = Copy("/srv/media", ["local_content", "remote_thumbnail"], OWN, OWN.endpoint_url, 3600, 10_000, "/tmp/d")
AMAZON = Copy("/srv/media", ["local_content"], BucketSettings("media"), None, 60, 10_000, "/tmp/d", is_terminal=True)
ENCRYPTED = replace(
    OF_OWN,
    roots=["local_content"],
    bucket=replace(
        OWN,
        sse_customer_key=KEY,
        session_token="the-token",
        storage_class="STANDARD_IA",
        ca_bundle_path="/etc/ca.pem",
        prefix="no-slash",
    ),
)
B2 = "https://s3.us-west-004.backblazeb2.com"
OF_B2 = replace(OF_OWN, bucket=replace(OWN, endpoint_url=B2), endpoint_url=B2)
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": Secret("access_key_id", "the-id"),
    "AWS_SECRET_ACCESS_KEY": Secret("secret_access_key", "the-secret"),
}
WITH_TOKEN = {**CREDENTIALS, "AWS_SESSION_TOKEN": Secret("session_token", "the-token")}
CHECKSUMS = {
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    "BOTO_EXPERIMENTAL__NO_EMPTY_CONTINUE": "true",
}
OVERWRITES = (
    "aws can't be told to leave alone an object that is there and has another length. 'copy-with aws' leaves out by"
    " name what differs when it begins; a local file that is damaged meanwhile could replace a good object. rclone,"
    " s5cmd and b2 can be told."
)
YOUNG = (
    "{} can't be told to leave files alone that are written just then. Where it copies a part of one, Synapse replaces"
    " that when it stores the whole file; what it does not store, 'migrate' names as a conflict."
)
RCLONE = (
    "--ignore-existing --s3-list-version 2 --s3-no-check-bucket --s3-no-head --s3-chunk-size 8M --s3-upload-cutoff 8M"
    " --transfers 32 --checkers 32"
)
OTHERS_OF_RCLONE = "--exclude .* --exclude .*/** --exclude lost+found/**"
LINES = "--stats 30s --stats-one-line --stats-log-level NOTICE"
OTHERS = "--exclude .* --exclude */.* --exclude lost+found/*"
B2_SYNC = (
    "b2 sync --compare-versions none --allow-empty-source --exclude-all-symlinks --exclude-if-modified-after 6400"
    r" --exclude-dir-regex (.*/)?(\.[^/]*|lost[+]found)$ --exclude-regex (.*/)?\.[^/]*$ --threads 32"
)


def words(text: str) -> tuple[str, ...]:
    """The words of a command; '' stands for an empty one."""
    return tuple("" if word == "''" else word for word in text.split(" "))


@pytest.mark.parametrize(
    ("tool", "copy", "call"),
    [
        (
            "rclone",
            replace(OF_OWN, is_listed=True),
            Call(
                "rclone",
                [
                    words(
                        "rclone copy --config '' --s3-provider Other --s3-env-auth --s3-endpoint https://s3.example.com"
                        " --s3-force-path-style=true --s3-region eu-1 --s3-storage-class STANDARD"
                        f" {RCLONE} {LINES} --files-from-raw /tmp/d/{root} /srv/media/{root} :s3:media/hs/{root}"
                    )
                    for root in ("local_content", "remote_thumbnail")
                ],
                {},
                CREDENTIALS,
            ),
        ),
        (
            "rclone",
            AMAZON,
            Call(
                "rclone",
                [
                    words(
                        "rclone copy --config '' --s3-provider AWS --s3-env-auth --s3-storage-class STANDARD"
                        f" {RCLONE} --progress {OTHERS_OF_RCLONE} /srv/media/local_content :s3:media/local_content"
                    )
                ],
                lacks=[YOUNG.format("rclone")],
            ),
        ),
        (
            "rclone",
            ENCRYPTED,
            Call(
                "rclone",
                [
                    words(
                        "rclone copy --config '' --s3-provider Other --s3-env-auth --s3-endpoint https://s3.example.com"
                        " --s3-force-path-style=true --s3-region eu-1 --s3-storage-class STANDARD_IA --ca-cert"
                        f" /etc/ca.pem {RCLONE} {LINES} {OTHERS_OF_RCLONE} /srv/media/local_content"
                        " :s3:media/no-slashlocal_content"
                    )
                ],
                {"RCLONE_S3_SSE_CUSTOMER_ALGORITHM": "AES256"},
                {**WITH_TOKEN, "RCLONE_S3_SSE_CUSTOMER_KEY": Secret("sse_customer_key", KEY)},
                lacks=[YOUNG.format("rclone")],
            ),
        ),
        (
            "s5cmd",
            OF_OWN,
            Call(
                "s5cmd",
                [
                    words(
                        "s5cmd --log error --numworkers 64 --endpoint-url https://s3.example.com cp --no-clobber"
                        " --no-follow-symlinks --part-size 8 --storage-class STANDARD --destination-region eu-1"
                        f" {OTHERS} /srv/media/{root}/ s3://media/hs/{root}/"
                    )
                    for root in ("local_content", "remote_thumbnail")
                ],
                {"AWS_REGION": "eu-1"},
                CREDENTIALS,
                lacks=[YOUNG.format("s5cmd")],
            ),
        ),
        (
            "s5cmd",
            AMAZON,
            Call(
                "s5cmd",
                [
                    words(
                        "s5cmd --log error --numworkers 64 cp --no-clobber --no-follow-symlinks --part-size 8"
                        f" --storage-class STANDARD {OTHERS} --show-progress /srv/media/local_content/"
                        " s3://media/local_content/"
                    )
                ],
                lacks=[YOUNG.format("s5cmd")],
            ),
        ),
        (
            "aws",
            replace(OF_OWN, left_out=["local_content/aa/bb/c", "remote_thumbnail/[::1]/aa/bb/c/1-1-a-b-crop"]),
            Call(
                "aws",
                [
                    words(
                        "aws s3 sync --size-only --no-follow-symlinks --endpoint-url https://s3.example.com --region"
                        f" eu-1 --storage-class STANDARD {OTHERS} --only-show-errors --exclude {left_out}"
                        f" /srv/media/{root} s3://media/hs/{root}"
                    )
                    for root, left_out in (
                        ("local_content", "aa/bb/c"),
                        ("remote_thumbnail", "[[]::1]/aa/bb/c/1-1-a-b-crop"),
                    )
                ],
                CHECKSUMS,
                CREDENTIALS,
                lacks=[OVERWRITES, YOUNG.format("aws")],
            ),
        ),
        (
            "aws",
            AMAZON,
            Call(
                "aws",
                [
                    words(
                        f"aws s3 sync --size-only --no-follow-symlinks --storage-class STANDARD {OTHERS}"
                        " /srv/media/local_content s3://media/local_content"
                    )
                ],
                CHECKSUMS,
                lacks=[OVERWRITES, YOUNG.format("aws")],
            ),
        ),
        (
            "aws",
            ENCRYPTED,
            Call(
                "aws",
                [
                    words(
                        "aws s3 sync --size-only --no-follow-symlinks --endpoint-url https://s3.example.com --region"
                        " eu-1 --storage-class STANDARD_IA --sse-c AES256 --sse-c-key fileb:///tmp/d/sse-c-key"
                        f" {OTHERS} --only-show-errors /srv/media/local_content s3://media/no-slashlocal_content"
                    )
                ],
                {**CHECKSUMS, "AWS_CA_BUNDLE": "/etc/ca.pem"},
                WITH_TOKEN,
                {"sse-c-key": Secret("sse_customer_key", KEY)},
                [OVERWRITES, YOUNG.format("aws")],
            ),
        ),
        (
            "b2",
            OF_B2,
            Call(
                "b2",
                [
                    words(f"{B2_SYNC} --no-progress /srv/media/{root} b2://media/hs/{root}")
                    for root in ("local_content", "remote_thumbnail")
                ],
                {"B2_ACCOUNT_INFO": "/tmp/d/b2-account"},
                {
                    "B2_APPLICATION_KEY_ID": Secret("access_key_id", "the-id"),
                    "B2_APPLICATION_KEY": Secret("secret_access_key", "the-secret"),
                },
            ),
        ),
        (
            "b2",
            replace(OF_B2, roots=["local_content"], bucket=replace(OF_B2.bucket, sse_customer_key=KEY)),
            Call(
                "b2",
                [
                    words(
                        f"{B2_SYNC} --destination-server-side-encryption SSE-C"
                        " --destination-server-side-encryption-algorithm AES256 --no-progress"
                        " /srv/media/local_content b2://media/hs/local_content"
                    )
                ],
                {"B2_ACCOUNT_INFO": "/tmp/d/b2-account"},
                {
                    "B2_APPLICATION_KEY_ID": Secret("access_key_id", "the-id"),
                    "B2_APPLICATION_KEY": Secret("secret_access_key", "the-secret"),
                    "B2_DESTINATION_SSE_C_KEY_B64": Secret(
                        "sse_customer_key, in base64", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
                    ),
                },
            ),
        ),
    ],
)
def test_call(tool: str, copy: Copy, call: Call) -> None:
    assert build_call(tool, copy) == call


@pytest.mark.parametrize("tool", TOOLS)
def test_no_secret_is_among_the_arguments_or_in_the_text(tool: str) -> None:
    bucket = replace(OWN, sse_customer_key=None if tool == "s5cmd" else KEY, session_token="the-token")
    call = build_call(tool, replace(OF_B2, bucket=bucket))

    shown = f"{call.commands} {call.environment} {call}"
    assert not [secret for secret in ("the-id", "the-secret", "the-token", KEY) if secret in shown]


@pytest.mark.parametrize("tool", TOOLS)
def test_nothing_that_deletes(tool: str) -> None:
    for command in build_call(tool, OF_B2).commands:
        assert not [word for word in command if word in ("mv", "move", "rm", "--delete", "--keep-days", "--remove")]


@pytest.mark.parametrize(
    ("endpoint_url", "provider"),
    [(None, "AWS"), ("https://storage.googleapis.com", "GCS"), ("https://s3.example.com", "Other")],
)
def test_service_that_rclone_is_told(endpoint_url: str | None, provider: str) -> None:
    words = build_call("rclone", replace(OF_OWN, endpoint_url=endpoint_url)).commands[0]
    assert words[words.index("--s3-provider") + 1] == provider


@pytest.mark.parametrize(
    ("tool", "copy", "message"),
    [
        (
            "s5cmd",
            ENCRYPTED,
            "Could not use s5cmd: it can't encrypt with a key of the customer's (SSE-C), and Synapse could not read"
            " what it stores. Use rclone, aws or 'migrate'.",
        ),
        (
            "s5cmd",
            replace(OF_OWN, media_store="/srv/media[1]"),
            "Could not use s5cmd: it takes '*', '?' and '[' in the media store's path for a pattern. Use rclone or"
            " 'migrate'.",
        ),
        (
            "s5cmd",
            replace(OF_OWN, bucket=replace(OF_OWN.bucket, prefix="hs*/")),
            "Could not use s5cmd: it takes '*' and '?' in the prefix for a pattern. Use rclone, aws or 'migrate'.",
        ),
        (
            "aws",
            replace(OF_OWN, media_store="/srv/media[1]"),
            "Could not use aws: it takes '*', '?' and '[' in the media store's path for a pattern. Use rclone or"
            " 'migrate'.",
        ),
        (
            "b2",
            OF_OWN,
            "Could not use b2: it speaks to Backblaze B2 only, and endpoint_url is https://s3.example.com. Use rclone,"
            " s5cmd or aws.",
        ),
        (
            "b2",
            AMAZON,
            "Could not use b2: it speaks to Backblaze B2 only, and endpoint_url is that of Amazon. Use rclone, s5cmd or"
            " aws.",
        ),
        (
            "b2",
            replace(OF_B2, bucket=replace(OF_B2.bucket, access_key_id=None)),
            "Could not use b2: it needs access_key_id and secret_access_key, which are not in Synapse's configuration.",
        ),
        (
            "b2",
            replace(OF_B2, bucket=replace(OF_B2.bucket, storage_class="STANDARD_IA")),
            "Could not use b2: Backblaze B2 has no storage class STANDARD_IA. Use STANDARD.",
        ),
        (
            "rclone",
            replace(OF_OWN, endpoint_url="https://user:password@s3.example.com"),
            "Could not use rclone: endpoint_url has a user's name in it, which would stand among the arguments, where"
            " all users of this host see it. Take it out of Synapse's configuration, or use 'migrate'.",
        ),
        (
            "aws",
            replace(OF_OWN, bucket=replace(OWN, prefix="a//b/")),
            "Could not use aws: the prefix 'a//b/' has '//', which some S3 servers refuse. Use single slashes. With"
            " such a prefix use 'migrate'.",
        ),
    ],
)
def test_what_a_tool_can_not_do(tool: str, copy: Copy, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build_call(tool, copy)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("given", "resolved", "shown"),
    [
        ("https://s3.example.com", "https://s3.example.com", "https://s3.example.com"),
        (None, "https://s3.eu-central-1.amazonaws.com", None),
        ("https://s3.eu-central-1.amazonaws.com", "", "https://s3.eu-central-1.amazonaws.com"),
        # From the environment of Synapse's service.
        (None, "https://s3.example.com", "https://s3.example.com"),
    ],
)
def test_endpoint(given: str | None, resolved: str, shown: str | None) -> None:
    assert shown_endpoint(given, resolved) == shown


def test_each_tool_has_an_image_and_which_needs_a_listing() -> None:
    assert set(IMAGES) == set(TOOLS)
    assert [tool for tool in TOOLS if overwrites(tool)] == ["aws"]
    assert [tool for tool in TOOLS if takes_list(tool)] == ["rclone"]


def test_a_name_that_is_left_out_by_aws_fits_itself_alone() -> None:
    path = "remote_content/[2001:db8::1]:8448/aa/bb/c"
    (command,) = build_call("aws", replace(OF_OWN, roots=["remote_content"], left_out=[path])).commands
    pattern = command[command.index("--only-show-errors") + 2]

    assert fnmatch.fnmatch("[2001:db8::1]:8448/aa/bb/c", pattern)
    assert not fnmatch.fnmatch("2:8448/aa/bb/c", pattern)
