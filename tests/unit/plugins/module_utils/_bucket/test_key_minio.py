# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of MinIO, where somebody has switched one off."""

from __future__ import annotations

import json
from contextlib import closing
from unittest import mock

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.key_minio import MinioKeys
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import AccessError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings

SETTINGS = BucketSettings("media", endpoint_url="http://127.0.0.1:1", access_key_id="a", secret_access_key="b")


def test_a_key_that_is_disabled_is_left_so() -> None:
    with closing(MinioKeys(mock.Mock(settings=SETTINGS))) as minio:
        minio._admin = mock.Mock()
        minio._admin.user_info.return_value = json.dumps({"status": "enabled"})
        assert minio.knows("synapse")
        minio._admin.user_info.return_value = json.dumps({"status": "disabled"})
        with pytest.raises(AccessError) as told:
            minio.knows("synapse")
    assert str(told.value) == (
        "Could not give Synapse a key of its own: somebody has disabled the key 'synapse' at MinIO. If Synapse is to"
        " use it, enable it there (mc admin user enable); if not, write another as synapse_access_key_id."
    )
