# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters that put counts into words, as Ansible calls them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.matrixops.synapse_s3.plugins.filter import media_counts

FILTERS = media_counts.FilterModule().filters()
PLACE = {"bucket": "media", "prefix": "", "endpoint_url": ""}
NOTHING = {"files": 0, "bytes": 0}
COUNTS = dict.fromkeys(("unserved", "damaged", "unreadable", "stored_only", "stored_elsewhere", "repairable"), NOTHING)
ANSWER = {"rc": 0, "stdout": json.dumps(COUNTS)}


def test_filters() -> None:
    assert FILTERS["media_dropped_places"]([PLACE], [{"bucket": "other"}]) == [PLACE]
    assert FILTERS["media_move_problems"](ANSWER, {}, [PLACE], [PLACE]) == []
    assert FILTERS["media_removal_problems"](ANSWER) == []
    assert str(FILTERS["media_offline_words"](ANSWER)).startswith("The local disk has all")


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("media_move_problems", ({}, [PLACE], [PLACE])),
        ("media_removal_problems", ()),
        ("media_offline_words", ()),
    ],
)
def test_wrong_input(name: str, more: tuple[Any, ...]) -> None:
    message = f"Could not run the filter matrixops.synapse_s3.{name}: its input is not what a command returned."
    with pytest.raises(AnsibleFilterError, match=f"^{re.escape(message)}$"):
        FILTERS[name](None, *more)


@pytest.mark.parametrize("name", FILTERS)
def test_documentation(name: str) -> None:
    documentation = yaml.safe_load(Path(media_counts.__file__).with_name(f"{name}.yml").read_text(encoding="utf-8"))
    assert documentation["DOCUMENTATION"]["name"] == name
    assert f"matrixops.synapse_s3.{name}" in documentation["EXAMPLES"]
