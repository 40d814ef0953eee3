# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that writes the policy, as Ansible calls it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.matrixops.synapse_s3.plugins.filter import bucket_policy

FILTERS = bucket_policy.FilterModule().filters()


def test_document() -> None:
    document = FILTERS["bucket_policy"]("media", prefix="hs/", without=["s3:GetBucketVersioning"])
    assert document["Statement"][2]["Resource"] == ["arn:aws:s3:::media/hs/*"]


def test_what_can_not_be_used() -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        FILTERS["bucket_policy"]("media", prefix="?")
    assert str(caught.value) == (
        "Could not write a policy with the filter matrixops.synapse_s3.bucket_policy: the prefix '?' has '?', which a"
        " policy takes for something else. Use a prefix without."
    )


@pytest.mark.parametrize("name", FILTERS)
def test_documentation(name: str) -> None:
    text = Path(bucket_policy.__file__).with_name(f"{name}.yml").read_text(encoding="utf-8")
    documentation = yaml.safe_load(text)
    assert documentation["DOCUMENTATION"]["name"] == name
    assert f"matrixops.synapse_s3.{name}" in documentation["EXAMPLES"]
