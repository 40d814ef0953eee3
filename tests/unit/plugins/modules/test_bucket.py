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


TEST_WRONG: dict[str, tuple[dict[str, object], str]] = {
    "required, and not asked for": (
        {"required": ["private", "versioning"]},
        "required: has 'versioning', which is not asked for. Ask for it, or take it out.",
    ),
    "old versions of none": (
        {"required": ["old_versions"]},
        "required: has 'old_versions', which is not asked for. Ask for it, or take it out.",
    ),
    "a key for another encryption": (
        {"encryption": "AES256", "kms_key_id": "a"},
        "kms_key_id: is for the encryption aws:kms. Set encryption to that, or leave kms_key_id empty.",
    ),
    "a plain address with TLS": (
        {"plain_url": "https://s3.example.org"},
        "plain_url: 'https://s3.example.org' is with TLS. Write where the service answers without, 'http://host[:port]'.",
    ),
    "a plain address that is none": (
        {"plain_url": "s3.example.org:9000"},
        "plain_url: 's3.example.org:9000' has no scheme. Write 'https://s3.example.org:9000'.",
    ),
}


@pytest.mark.parametrize("name", TEST_WRONG)
def test_wrong_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    options, message = TEST_WRONG[name]
    given = {"bucket": "media", "endpoint_url": "http://127.0.0.1:1", **options}
    with patch_module_args(given), pytest.raises(SystemExit):
        bucket.main()
    assert json.loads(capsys.readouterr().out)["msg"] == message


def test_private_is_required_by_default_also_where_it_is_left_as_it_is() -> None:
    defaults = {name: argument.get("default") for name, argument in bucket.ARGUMENTS.items()}
    assert bucket.option_problems({**defaults, "private": False}) == []
