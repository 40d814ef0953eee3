# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``bucket`` where it can't begin."""

from __future__ import annotations

import json
import sys

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.matrixops.synapse_s3.plugins.modules import bucket


def test_a_python_without_boto3(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bucket, "missing_library", lambda: "boto3")
    with patch_module_args({"bucket": "media"}), pytest.raises(SystemExit):
        bucket.main()
    assert json.loads(capsys.readouterr().out)["msg"] == (
        f"Could not look at the bucket: the Python library 'boto3' is missing in {sys.executable}. Install it there"
        " (pip install boto3; with Ansible from pipx: pipx inject ansible-core boto3), or give it one with PYTHONPATH."
    )
