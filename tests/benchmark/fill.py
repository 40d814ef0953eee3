# SPDX-License-Identifier: GPL-3.0-or-later
"""Fill a MinIO bucket with a great many small objects of the same content, faster than requests could."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from ansible_collections.matrixops.synapse_s3.tests.benchmark.server import BenchServer

_BODY = b"x"


def fill(server: BenchServer, bucket: str, keys: Iterable[str]) -> None:
    """Have an object under each key.

    MinIO keeps a small object in one file, ``KEY/xl.meta``, in which the key does not stand. So the file of one object
    that was uploaded is linked to wherever another is to be. That all are there and can be read is for the caller to
    see, through the server.
    """
    client: Any = server.client()
    first, *others = keys
    client.put_object(Bucket=bucket, Key=first, Body=_BODY)
    root = f"{server.data}/{bucket}"
    source = f"{root}/{first}/xl.meta"
    for key in others:
        directory = f"{root}/{key}"
        os.makedirs(directory)  # noqa: PTH103 (a million times)
        os.link(source, f"{directory}/xl.meta")
