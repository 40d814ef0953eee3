# SPDX-License-Identifier: GPL-3.0-or-later
"""What is connected for a look at a bucket is closed with it: a run of hours holds no connection in vain."""

from __future__ import annotations

import gc
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket import keys
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.administration import Administration
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.wanted import Wanted
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.encryption import check_encryption
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.preflight import (
    check_bucket,
    connect_s3,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.preflight_reading import check_reading
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import ConfigurationError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.tests.minio_server import MinioServer

CUSTOMER_KEY = "an encryption key of 32 letters!"


def look_for_preflight(settings: BucketSettings) -> None:
    assert check_bucket(settings) == []
    # A key that this server refuses without TLS: the rest is tried without, on a store of its own.
    assert check_bucket(replace(settings, sse_customer_key=CUSTOMER_KEY))
    assert check_reading(settings, 2) == []


def look_for_encryption(settings: BucketSettings) -> None:
    with suppress(ConfigurationError):
        check_encryption(replace(settings, sse_customer_key=CUSTOMER_KEY), connect_s3, lambda _seconds: True)


def administer(settings: BucketSettings) -> None:
    user = replace(settings, access_key_id=f"key-{secrets.token_hex(4)}", secret_access_key="a secret of Synapse's")
    with closing(Administration(settings)) as bucket:
        assert bucket.exists()
        assert bucket.anybody_may("", change=False) == []
        assert bucket.lets_in(settings, settings.endpoint_url)
        given = keys.apply(bucket, Wanted(user=user), is_wanted=True, check_mode=False)
        assert given.is_changed, given.message


@contextmanager
def without_collector() -> Iterator[None]:
    """Connections in cycles would sooner or later be closed by the collector."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def sockets() -> set[str]:
    found = set[str]()
    for each in Path("/proc/self/fd").iterdir():
        # The one that lists them is gone already.
        with suppress(FileNotFoundError):
            target = str(each.readlink())
            found |= {target} if target.startswith("socket:") else set()
    return found


@pytest.mark.parametrize("look", [look_for_preflight, look_for_encryption, administer])
def test_nothing_stays_open(minio_http: MinioServer, look: Callable[[BucketSettings], None]) -> None:
    settings = minio_http.new_bucket()
    with without_collector():
        before = sockets()
        look(settings)
        assert sockets() - before == set()
