# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module returns is described with a sample of it, of the kind that is described."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[4]
PACKAGE = "ansible_collections.matrixops.synapse_s3.plugins.modules"
MODULES = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py") if path.stem != "__init__")
KINDS = {"bool": bool, "int": int, "str": str, "list": list, "dict": dict}


def returned(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What has to have a sample: each value, but in place of a dictionary what it contains."""
    for name, value in values.items():
        if "contains" in value and "sample" not in value:
            yield from returned(value["contains"], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@pytest.mark.parametrize("module", MODULES)
def test_each_has_a_sample_of_its_kind(module: str) -> None:
    values = dict(returned(yaml.safe_load(importlib.import_module(f"{PACKAGE}.{module}").RETURN)))
    assert values
    assert [name for name, value in values.items() if "sample" not in value] == []
    assert [name for name, value in values.items() if value["sample"].__class__ is not KINDS[value["type"]]] == []
    lists = {name: value for name, value in values.items() if value["type"] == "list"}
    assert [
        name
        for name, value in lists.items()
        if any(element.__class__ is not KINDS[value["elements"]] for element in value["sample"])
    ] == []
