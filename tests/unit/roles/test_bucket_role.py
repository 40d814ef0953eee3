# SPDX-License-Identifier: GPL-3.0-or-later
"""The role ``bucket``: its variables are described, have the defaults that are described, and reach the module."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.matrixops.synapse_s3.plugins.filter.bucket import FilterModule
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.bucket import NAME_PREFIX, VARIABLES
from ansible_collections.matrixops.synapse_s3.plugins.modules import bucket

ROLE = Path(__file__).parents[3] / "roles" / "bucket"
# Named for the bucket itself.
NAMES = {"bucket": "name"}


def load(path: str) -> Any:
    return yaml.safe_load((ROLE / path).read_text(encoding="utf-8"))


OPTIONS = load("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
DEFAULTS = load("defaults/main.yml")


def test_names_and_defaults() -> None:
    assert sorted(OPTIONS) == sorted(DEFAULTS)
    assert list(DEFAULTS) == [f"{NAME_PREFIX}{name}" for name in VARIABLES]
    for name, default in DEFAULTS.items():
        if isinstance(default, str) and "{{" in default:
            # It depends on others: the description says on which.
            assert "default" not in OPTIONS[name]
            assert "By default" in " ".join(OPTIONS[name]["description"])
        else:
            assert repr(OPTIONS[name]["default"]) == repr(default)


@pytest.mark.parametrize(
    ("own", "synapses", "expected"),
    [
        ("https://s3.example.org", "https://s3.example.org", True),
        ("", "", True),
        ("https://s3.example.org", "HTTP://minio:9000", False),
        ("http://minio.example.org:9000", "https://s3.example.org", False),
        ("https://s3.example.org", None, True),
    ],
)
def test_tls_is_not_asked_for_where_synapse_has_none(own: str, synapses: str | None, expected: bool) -> None:
    theirs = "matrix_synapse_ext_synapse_s3_storage_provider_config_endpoint_url"
    defaults = ("bucket_synapse_endpoint_url", "bucket_tls_only")
    variables = {"bucket_endpoint_url": own, **{name: trust_as_template(DEFAULTS[name]) for name in defaults}}
    if synapses is not None:
        variables[theirs] = synapses
    templar = Templar(loader=DataLoader(), variables=variables)
    assert templar.template(trust_as_template("{{ bucket_tls_only }}")) is expected


def test_descriptions() -> None:
    assert all(sentence.endswith(".") for option in OPTIONS.values() for sentence in option["description"])
    secret = {name for name, option in OPTIONS.items() if option.get("no_log")}
    assert secret == {name for name in OPTIONS if name.endswith(("secret_access_key", "session_token"))}


def test_every_variable_reaches_the_module() -> None:
    (_refusal, block) = load("tasks/main.yml")
    arguments = block["block"][0]["matrixops.synapse_s3.bucket"]
    assert sorted(arguments) == sorted(bucket.ARGUMENTS)
    for name, value in arguments.items():
        assert re.match(rf"{{{{ bucket_{NAMES.get(name, name)} (}}}}|\|)", value)
    assert sorted(DEFAULTS) == sorted(
        ["bucket_delegate_to", *(f"bucket_{NAMES.get(name, name)}" for name in arguments)]
    )


def test_the_module_and_the_role_ask_for_the_same() -> None:
    for name, argument in bucket.ARGUMENTS.items():
        option = OPTIONS[f"bucket_{NAMES.get(name, name)}"]
        assert option["type"] == argument["type"].replace("path", "str")
        assert option.get("choices") == argument.get("choices")
        if "default" in option and "default" in argument:
            assert option["default"] == argument["default"]


def test_the_module_s_documentation() -> None:
    documented = yaml.safe_load(bucket.DOCUMENTATION)["options"]
    assert {
        name: {key: value for key, value in option.items() if key != "description"}
        for name, option in documented.items()
    } == {
        name: {key: value for key, value in argument.items() if key != "no_log"}
        for name, argument in bucket.ARGUMENTS.items()
    }


def test_filter() -> None:
    judge = FilterModule().filters()["bucket_problems"]
    assert judge([]) == []
    with pytest.raises(
        AnsibleFilterError,
        match=r"^Could not run the filter matrixops\.synapse_s3\.bucket_problems: its input is no list of names\.$",
    ):
        judge("bucket_name")


def test_misspelt_variables_are_refused_all_at_once(tmp_path: Path) -> None:
    given = {
        "bucket_versionning": True,
        "bucket_requires": ["versioning"],
        # Of another role, for all that is known
        "bucket_count": 1,
        "bucket_mount_enabled": True,
        "bucket_private": True,
        "bucket_name": "media",
        # What it would come to next, to see that it does not.
        "bucket_delegate_to": "nowhere",
    }
    play = [{"hosts": "localhost", "gather_facts": False, "roles": ["matrixops.synapse_s3.bucket"], "vars": given}]
    (tmp_path / "play.yml").write_text(json.dumps(play))
    run = subprocess.run(
        ["ansible-playbook", "--inventory=localhost,", "--check", "play.yml"],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2, run.stdout + run.stderr
    message = (
        "These variables are wrong:"
        "\n- bucket_requires: is not a variable of this role. Did you mean bucket_required?"
        "\n- bucket_versionning: is not a variable of this role. Did you mean bucket_versioning?"
    )
    assert f'"msg": {json.dumps(message)}' in run.stdout
