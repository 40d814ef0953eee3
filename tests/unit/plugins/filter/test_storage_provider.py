# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters: a type check and one call."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.matrixops.synapse_s3.plugins.filter import storage_provider
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.variables import NAME_PREFIX

FILTERS = storage_provider.FilterModule().filters()

TEST_WRONG_INPUT = [
    (None, "its input is no mapping of variables to values."),
    ([NAME_PREFIX], "its input is no mapping of variables to values."),
    (
        {f"{NAME_PREFIX}enabled": True, "config_bucket": "media", 5: "x"},
        f"these names do not begin with {NAME_PREFIX}: 5, config_bucket.",
    ),
]


def test_problems() -> None:
    variables = {f"{NAME_PREFIX}enabled": "yes", f"{NAME_PREFIX}config_bucket": "My_Bucket"}
    assert FILTERS["storage_provider_problems"](variables)[:2] == [
        f"{NAME_PREFIX}enabled: is the text 'yes', not true or false. "
        "Write true without quotes, and on the command line as JSON.",
        f"{NAME_PREFIX}config_bucket: 'My_Bucket' has characters that S3 does not allow ('M', '_', 'B'). "
        "Use only lower-case letters, digits, dots and hyphens.",
    ]


def test_warnings() -> None:
    variables = {f"{NAME_PREFIX}enabled": True, f"{NAME_PREFIX}something_else": 1}
    assert FILTERS["storage_provider_warnings"](variables) == [
        f"{NAME_PREFIX}something_else: is not a variable of this role and has no effect. Remove it."
    ]


@pytest.mark.parametrize("name", FILTERS)
def test_no_variables(name: str) -> None:
    assert FILTERS[name]({}) == []


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize(("value", "cause"), TEST_WRONG_INPUT)
def test_wrong_input(name: str, value: object, cause: str) -> None:
    message = f"Could not run the filter matrixops.synapse_s3.{name}: {cause}"
    with pytest.raises(AnsibleFilterError, match=f"^{re.escape(message)}$"):
        FILTERS[name](value)


@pytest.mark.parametrize(("name", "function"), FILTERS.items())
def test_documentation(name: str, function: Callable[[object], list[str]]) -> None:
    path = Path(storage_provider.__file__).with_name(f"{name}.yml")
    documentation = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert documentation["DOCUMENTATION"]["name"] == name
    assert f"matrixops.synapse_s3.{name}" in documentation["EXAMPLES"]
    sample = documentation["RETURN"]["_value"]["sample"]
    prefix, bucket = f"{NAME_PREFIX}config_prefix", f"{NAME_PREFIX}config_bucket"
    assert sample[0] in function({f"{NAME_PREFIX}enabled": True, prefix: "synapse", bucket: "My_Bucket"})
