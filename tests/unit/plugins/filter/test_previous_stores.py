# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that makes Synapse's configuration of former stores, as Ansible calls it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.plugins.filter import previous_stores

FILTERS = previous_stores.FilterModule().filters()


@pytest.mark.parametrize("value", [[], None, "old", ["old"], {"bucket": "old"}])
def test_what_is_no_list_of_stores_is_none(value: object) -> None:
    """It is judged elsewhere, and not at all where the provider is taken away."""
    assert FILTERS["previous_store_entries"](value) == []


def test_an_entry() -> None:
    (entry,) = FILTERS["previous_store_entries"]([{"bucket": "old", "ec2_instance_profile": True}])
    assert entry["config"] == {"bucket": "old", "storage_class": "STANDARD"}
    assert (entry["store_local"], entry["store_remote"]) == (False, False)


@pytest.mark.parametrize("name", FILTERS)
def test_documentation(name: str) -> None:
    text = Path(previous_stores.__file__).with_name(f"{name}.yml").read_text(encoding="utf-8")
    documentation = yaml.safe_load(text)
    assert documentation["DOCUMENTATION"]["name"] == name
    assert f"matrixops.synapse_s3.{name}" in documentation["EXAMPLES"]
