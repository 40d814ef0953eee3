# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets in what is shown."""

from __future__ import annotations

from ansible_collections.matrixops.synapse_s3.plugins.filter.without_secrets import without_secrets

ALL = {"secret_access_key": "s3cr3t/+key", "session_token": "t0ken", "sse_customer_key": "s3cr3t", "bucket": "media"}


def test_every_secret_goes() -> None:
    assert without_secrets("s3cr3t/+key, t0ken, s3cr3t: media", [ALL]) == "********, ********, ********: media"


def test_one_that_is_empty_is_none() -> None:
    assert without_secrets("media", [{"secret_access_key": "", "bucket": "media"}]) == "media"


def test_of_several_stores() -> None:
    stores = [{"secret_access_key": "new"}, {"secret_access_key": "former"}]
    assert without_secrets("former, new: media", stores) == "********, ********: media"
