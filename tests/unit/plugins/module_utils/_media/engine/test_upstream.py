# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import stat
from pathlib import Path
from typing import TextIO

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.upstream import (
    greeting,
    script_arguments,
    shell_environment,
    work_directory,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import UnavailableError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.synapse_config import DatabaseSettings

BUCKET = BucketSettings(
    bucket="media",
    prefix="hs/",
    region_name="eu-central-1",
    access_key_id="key-id",
    secret_access_key="hunter2",
    storage_class="STANDARD_IA",
)
ENCRYPTED = BucketSettings(bucket="media", sse_customer_key="0123456789abcdef0123456789abcdef")
POSTGRESQL = DatabaseSettings("psycopg2", {"user": "synapse", "password": "hunter2"})


def test_greeting() -> None:
    """What is set and what to do with it, and no secret."""
    environment = shell_environment(BUCKET, "https://key:hidden@s3.example", Path("/srv/my media"), 30)
    text = greeting(environment)
    assert text.splitlines() == [
        "This shell is Synapse's user's. Set from Synapse's configuration, beside the credentials:",
        "  MEDIA_PATH='/srv/my media'",
        f"  BUCKET={BUCKET.bucket}",
        f"  PREFIX={BUCKET.prefix}",
        "  ENDPOINT=https://s3.example",
        f"  STORAGE_CLASS={BUCKET.storage_class}",
        "  UPDATE_DB_DURATION=30d",
        "The three commands, with Synapse's prefix and encryption key; --delete removes only what is proven stored:",
        "  s3_media_upload update-db $UPDATE_DB_DURATION",
        "  s3_media_upload check-deleted $MEDIA_PATH",
        "  s3_media_upload upload $MEDIA_PATH $BUCKET --delete --storage-class $STORAGE_CLASS --endpoint-url $ENDPOINT",
    ]
    assert "hunter2" not in text
    assert "hidden" not in text


def test_shell_environment() -> None:
    assert shell_environment(BUCKET, "https://s3.example", Path("/srv/media"), 30) == {
        "MEDIA_PATH": "/srv/media",
        "BUCKET": "media",
        "ENDPOINT": "https://s3.example",
        "STORAGE_CLASS": "STANDARD_IA",
        "PREFIX": "hs/",
        "UPDATE_DB_DAYS": "30",
        "UPDATE_DB_DURATION": "30d",
        "AWS_ACCESS_KEY_ID": "key-id",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        "BOTO_EXPERIMENTAL__NO_EMPTY_CONTINUE": "true",
    }


TEST_ARGUMENTS: list[tuple[BucketSettings, list[str], list[str]]] = [
    (BUCKET, ["update-db", "0d"], ["update-db", "0d"]),
    (BUCKET, ["upload", "/srv/media", "media"], ["upload", "--prefix", "hs/", "/srv/media", "media"]),
    (
        BUCKET,
        ["--no-progress", "upload", "/srv/media", "media", "--prefix", "mine/"],
        ["--no-progress", "upload", "--prefix", "hs/", "/srv/media", "media", "--prefix", "mine/"],
    ),
    (
        ENCRYPTED,
        ["upload", "/srv/media", "media"],
        [
            "upload",
            "--sse-customer-key",
            "0123456789abcdef0123456789abcdef",
            "--sse-customer-algo",
            "AES256",
            "/srv/media",
            "media",
        ],
    ),
]


@pytest.mark.parametrize(("bucket", "arguments", "expected"), TEST_ARGUMENTS)
def test_script_arguments(bucket: BucketSettings, arguments: list[str], expected: list[str]) -> None:
    assert script_arguments(arguments, bucket) == expected


def test_work_directory_is_private_and_keeps_no_password(tmp_path: Path) -> None:
    with work_directory(tmp_path, POSTGRESQL) as directory:
        file = directory / "database.yaml"
        assert yaml.safe_load(file.read_text()) == {"postgres": {"user": "synapse", "password": "hunter2"}}
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        (directory / "cache.db").write_bytes(b"kept")

    assert [path.name for path in directory.iterdir()] == ["cache.db"]


def test_sqlite_database(tmp_path: Path) -> None:
    settings = DatabaseSettings("sqlite3", {"database": "/srv/homeserver.db"})

    with work_directory(tmp_path, settings) as directory:
        content = yaml.safe_load((directory / "database.yaml").read_text())

    assert content == {"sqlite": {"database": "/srv/homeserver.db"}}


def test_work_directory_without_parent(tmp_path: Path) -> None:
    missing = tmp_path / "missing"

    with pytest.raises(UnavailableError) as caught, work_directory(missing, POSTGRESQL):
        pass

    assert str(caught.value) == (
        f"Could not create {str(missing / 's3_media_upload')!r}: No such file or directory."
        " Create its parent directory, owned by Synapse's user, or name another with --state-directory."
    )


def test_work_directory_that_cannot_be_written(tmp_path: Path) -> None:
    # Root may write everywhere, but not a file in place of a directory.
    in_the_way = tmp_path / "s3_media_upload" / "database.yaml"
    in_the_way.mkdir(parents=True)

    with pytest.raises(UnavailableError) as caught, work_directory(tmp_path, POSTGRESQL):
        pass

    assert str(caught.value) == (
        f"Could not write {str(in_the_way)!r}: Is a directory. Give its directory to Synapse's user and see that there"
        " is space, or name another with --state-directory."
    )


def test_full_disk_keeps_no_part_of_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dump(_content: object, target: TextIO) -> None:
        target.write("postgres: {password: hunter2")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(yaml, "safe_dump", dump)
    directory = tmp_path / "s3_media_upload"

    with pytest.raises(UnavailableError) as caught, work_directory(tmp_path, POSTGRESQL):
        pass

    assert str(caught.value) == (
        f"Could not write {str(directory / 'database.yaml')!r}: No space left on device. Give its directory to"
        " Synapse's user and see that there is space, or name another with --state-directory."
    )
    assert list(directory.iterdir()) == []
