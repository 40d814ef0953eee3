# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage classes."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.storage_class import (
    STORAGE_CLASSES,
    storage_class_problems,
)

CHOICE = "Use STANDARD, REDUCED_REDUNDANCY, STANDARD_IA or INTELLIGENT_TIERING."

TEST_BAD = [
    (
        "ONEZONE_IA",
        f"'ONEZONE_IA' is accepted by s3_media_upload only: with it, Synapse does not start. {CHOICE}",
    ),
    ("GLACIER", f"'GLACIER' is an archive: Synapse could not read media back at once. {CHOICE}"),
    ("DEEP_ARCHIVE", f"'DEEP_ARCHIVE' is an archive: Synapse could not read media back at once. {CHOICE}"),
    ("GLACIER_IR", f"'GLACIER_IR' is not a storage class that Synapse's storage provider accepts. {CHOICE}"),
    ("standard_ia", "'standard_ia' is in lower case. Write it as 'STANDARD_IA'."),
    ("", f"'' is not a storage class that Synapse's storage provider accepts. {CHOICE}"),
    ("COLD", f"'COLD' is not a storage class that Synapse's storage provider accepts. {CHOICE}"),
]


@pytest.mark.parametrize("storage_class", ["STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "INTELLIGENT_TIERING"])
def test_good_classes(storage_class: str) -> None:
    assert storage_class_problems(storage_class) == []


@pytest.mark.parametrize(("storage_class", "problem"), TEST_BAD)
def test_bad_classes(storage_class: str, problem: str) -> None:
    assert storage_class_problems(storage_class) == [problem]


def test_every_class_of_boto3_is_judged() -> None:
    client = boto3.session.Session().client("s3", region_name="us-east-1")
    shape: Any = client.meta.service_model.shape_for("StorageClass")
    accepted = [name for name in shape.enum if not storage_class_problems(name)]
    assert sorted(accepted) == sorted(STORAGE_CLASSES)
