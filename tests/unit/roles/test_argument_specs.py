# SPDX-License-Identifier: GPL-3.0-or-later
"""A variable of the role is described in three places, which must say the same: defaults, argument specs, rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.kinds import Kind
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.variables import (
    LAYOUTS,
    NAME_PREFIX,
    PROVIDER_VERSIONS,
    VARIABLES,
)

ROLE = Path(__file__).parents[3] / "roles" / "storage_provider"


def load(path: str) -> Any:
    """A YAML file of the role."""
    return yaml.safe_load((ROLE / path).read_text(encoding="utf-8"))


OPTIONS = load("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
DEFAULTS = load("defaults/main.yml")


def test_names() -> None:
    names = [f"{NAME_PREFIX}{name}" for name in VARIABLES]
    assert sorted(OPTIONS) == sorted(DEFAULTS) == sorted(names)


def test_defaults() -> None:
    rules = {f"{NAME_PREFIX}{name}": variable.default for name, variable in VARIABLES.items()}
    specs = {name: option["default"] for name, option in OPTIONS.items()}
    # repr: True equals 1, and "1" is not 1.
    assert {name: repr(value) for name, value in specs.items()} == {
        name: repr(value) for name, value in DEFAULTS.items()
    }
    assert {name: repr(value) for name, value in rules.items()} == {
        name: repr(value) for name, value in DEFAULTS.items()
    }


# Ansible itself stops at the first value of another kind, and shows the whole file: it is left to the rules.
IN_WORDS = {
    Kind.BOOLEAN: "V(true) or V(false).",
    Kind.INTEGER: "A whole number.",
    Kind.LIST: "A list of texts.",
}


def test_types() -> None:
    kinds = {f"{NAME_PREFIX}{name}": variable.kind for name, variable in VARIABLES.items()}
    assert {name: option["type"] for name, option in OPTIONS.items()} == {
        name: "str" if kind is Kind.TEXT else "raw" for name, kind in kinds.items()
    }
    last = {name: option["description"][-1] for name, option in OPTIONS.items()}
    assert {name: text for name, text in last.items() if text in IN_WORDS.values()} == {
        name: IN_WORDS[kind] for name, kind in kinds.items() if kind in IN_WORDS
    }


def test_secrets() -> None:
    secrets = {f"{NAME_PREFIX}{name}" for name, variable in VARIABLES.items() if variable.secret}
    assert {name for name, option in OPTIONS.items() if option.get("no_log")} == secrets


@pytest.mark.parametrize("name", OPTIONS)
def test_described(name: str) -> None:
    """In whole sentences; without `choices` and `required`, which would stop before all problems are told at once."""
    assert set(OPTIONS[name]) - {"no_log", "elements"} == {"description", "type", "default"}
    assert all(sentence.endswith(".") for sentence in OPTIONS[name]["description"])


@pytest.mark.parametrize("version", PROVIDER_VERSIONS)
def test_each_version_has_its_requirements(version: str) -> None:
    lines = (ROLE / "files" / f"requirements-{version}.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==")[0] for line in lines if "==" in line]
    hashes = [line for line in lines if line.startswith("    --hash=sha256:")]
    assert f"synapse-s3-storage-provider=={version} \\" in lines
    assert len(pins) == len(hashes) == len(set(pins))


def layout_values(layout: str) -> dict[str, Any]:
    """What a layout gives for variables."""
    values: dict[str, Any] = load(f"vars/{layout}.yml")["variables"]
    return values


# What a layout has no value for: containers, an image with a name that stays.
NOTHING = {"native": {"synapse_image": "", "synapse_volumes": [], "synapse_network": ""}, "mdad": {"synapse_image": ""}}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_gives_what_is_left_empty(layout: str) -> None:
    values = layout_values(layout)
    empty = {
        name
        for name in VARIABLES
        if name.startswith("synapse_") or name in {"base_path", "bin_path", "systemd_path"}
        if DEFAULTS[f"{NAME_PREFIX}{name}"] in ("", [])
    }
    assert set(values) == empty
    assert all(type(value) is type(DEFAULTS[f"{NAME_PREFIX}{name}"]) for name, value in values.items())
    assert {name: value for name, value in values.items() if not value} == NOTHING.get(layout, {})


def test_layouts_say_the_same_things_of_themselves() -> None:
    """But for what only containers have."""
    container = {"image_of", "without_provider", "unit_arguments"}
    assert {layout: set(load(f"vars/{layout}.yml")) for layout in LAYOUTS} == {
        layout: set(load("vars/native.yml")) | (set() if layout == "native" else container) for layout in LAYOUTS
    }


def test_descriptions_name_the_layouts_values() -> None:
    for layout in LAYOUTS:
        for name, value in layout_values(layout).items():
            description = " ".join(OPTIONS[f"{NAME_PREFIX}{name}"]["description"])
            for item in value if isinstance(value, list) else [value]:
                assert not item or f"V({item})" in description, name
