# SPDX-License-Identifier: GPL-3.0-or-later
"""A bucket that Synapse only reads from is tried without a write; what is said of it is told whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.preflight_reading import check_reading
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import MediaError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    ObjectMissing,
    PermissionDenied,
    RemoteObject,
    StoreUnavailable,
)
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import MemoryStore

SETTINGS = BucketSettings(bucket="old-media", prefix="hs/")
MEDIA = "hs/local_content/aa/bb/ccdd"
MEANING = " Synapse reads from it too, as S3 provider 2 of its configuration: what is only there could not be served."


class ReadOnly(MemoryStore):
    """Fails where something is written."""

    def put(self, *_arguments: object) -> NoReturn:
        raise AssertionError

    def delete(self, *_arguments: object) -> NoReturn:
        raise AssertionError


class Unlisted(ReadOnly):
    def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
        raise StoreUnavailable(f"Could not list {prefix}{after}{page_size}: it is gone. Try again.")


class Unreadable(ReadOnly):
    error: MediaError = PermissionDenied("Could not read it: forbidden. Allow s3:GetObject.")

    def open(self, key: str) -> NoReturn:
        assert key == MEDIA
        raise self.error


def told(store: MemoryStore) -> list[tuple[str, int]]:
    return [(found.message, found.exit_status) for found in check_reading(SETTINGS, 2, lambda _settings: store)]


@pytest.mark.parametrize("objects", [{}, {MEDIA: b"media"}, {MEDIA: b""}, {"hs/": b"", "hs/backup.tar": b"x"}], ids=str)
def test_a_bucket_that_can_be_read(objects: dict[str, bytes]) -> None:
    assert told(ReadOnly(objects)) == []


def test_a_bucket_that_is_gone() -> None:
    assert told(Unlisted()) == [("Could not list hs/1000: it is gone. Try again." + MEANING, 69)]


def test_objects_that_can_t_be_read() -> None:
    assert told(Unreadable({"hs/a": b"", MEDIA: b"media"})) == [
        ("Could not read it: forbidden. Allow s3:GetObject." + MEANING, 77)
    ]


def test_objects_in_an_archive_are_none_that_synapse_serves() -> None:
    store = ReadOnly({MEDIA: b"media"})
    store.archived[MEDIA] = "ARCHIVE_ACCESS"
    assert told(store) == [
        (
            f"Could not read object {MEDIA!r}: it is in an archive and can't be read at once. "
            "Restore it from the archive, and keep media out of archive storage classes." + MEANING,
            78,
        )
    ]


def test_an_object_that_goes_meanwhile() -> None:
    store = Unreadable({MEDIA: b"media"})
    store.error = ObjectMissing("Could not read it: there is no such object.")
    assert told(store) == []
