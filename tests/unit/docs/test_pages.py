# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages say by name or number is what the program has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine import migrate, upstream
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.verification import VerifyStep
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules import errors
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.aws_environment import SAFE
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.variables import LAYOUTS, problems, warnings
from ansible_collections.matrixops.synapse_s3.tests.documents import PAGES, ROOT, code_spans

DOCS = ROOT / "docs"
OPERATE = DOCS / "operate.md"


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def test_each_exit_status_is_explained() -> None:
    statuses = {
        value.exit_status
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.MediaError)
    }
    rows = re.findall(r"^\| (\d+) \|", text_of(DOCS / "exit-statuses.md"), re.MULTILINE)
    assert sorted(map(int, rows)) == sorted({errors.ALL_DONE, *statuses})


def test_each_metric_is_named() -> None:
    written = migrate.new_summary().as_metrics(0.0)
    names = set(re.findall(r"^(synapse_s3_migrate_\w+)", written, re.MULTILINE))
    told = {re.split(r"[{]", span)[0] for span in code_spans(OPERATE) if span.startswith("synapse_s3_migrate_")}
    assert told == names
    results = set(re.findall(r'result="(\w+)"', written))
    row = next(line for line in text_of(OPERATE).splitlines() if line.startswith("| `synapse_s3_migrate_files"))
    assert set(re.findall(r"`(\w+)`", row)) == results


def test_each_result_of_verify_is_named() -> None:
    paragraph = next(part for part in text_of(OPERATE).split("\n\n") if part.startswith("`verify --metrics-file FILE`"))
    assert {step.key for step in VerifyStep} <= set(re.findall(r"`(\w+)`", paragraph))


def test_alerts_ask_for_metrics_that_there_are() -> None:
    rules = yaml.safe_load(text_of(DOCS / "examples/alert/synapse-s3.rules.yml"))["groups"][0]["rules"]
    asked = {name for rule in rules for name in re.findall(r"synapse_s3_\w+", rule["expr"])}
    written = migrate.new_summary().as_metrics(0.0)
    assert asked
    assert all(re.search(rf"^{name}\b", written, re.MULTILINE) for name in asked)
    assert all(set(rule) == {"alert", "expr", "annotations"} for rule in rules)


def test_each_variable_of_the_shell_is_named() -> None:
    bucket = BucketSettings(
        bucket="b", access_key_id="i", secret_access_key="s", session_token="t", region_name="r", ca_bundle_path="/c"
    )
    variables = upstream.shell_environment(bucket, "https://s3.example.org", Path("/media"), 0)
    section = text_of(OPERATE).partition("## The shell")[2]
    named = set(re.findall(r"`([A-Z_]+)`", section))
    # How boto3 makes its requests, and nothing to use.
    assert set(variables) - set(SAFE) == named


def layouts() -> list[str]:
    return sorted(path.parent.name for path in (DOCS / "examples").glob("*/inventory"))


def test_each_layout_has_an_example() -> None:
    assert layouts() == sorted(LAYOUTS)
    shown = re.findall(
        r"\{literalinclude\} examples/(\w+)/inventory/host_vars/\S+/vars.yml", text_of(DOCS / "examples.md")
    )
    assert sorted(shown) == sorted(LAYOUTS)


def example(layout: str) -> dict[str, Any]:
    """The variables of an example's host, with the secret from its vault."""
    directory = DOCS / "examples" / layout / "inventory/host_vars/matrix.example.org"
    variables, vault = (yaml.safe_load(text_of(directory / f"{name}.yml")) for name in ("vars", "vault"))
    for name, value in variables.items():
        if isinstance(value, str) and value.startswith("{{ vault_"):
            variables[name] = vault[value.strip("{} ")]
    return dict(variables)


@pytest.mark.parametrize("layout", layouts())
def test_examples_pass_the_rules_of_the_role(layout: str) -> None:
    variables = example(layout)
    assert variables.get("matrix_synapse_ext_synapse_s3_storage_provider_layout", "native") == layout
    assert problems(variables) == []
    # That playbook, too, reads what is about the bucket: the role says that it is not for itself.
    assert layout == "mdad" or warnings(variables) == []


@pytest.mark.parametrize("layout", layouts())
def test_examples_have_the_same_host_and_vault(layout: str) -> None:
    for name in ("hosts", "host_vars/matrix.example.org/vault.yml"):
        same = {(DOCS / "examples" / other / "inventory" / name).read_text() for other in ("native", layout)}
        assert len(same) == 1


def test_the_readme_begins_with_the_example() -> None:
    block = re.findall(r"```yaml\n(.*?)```", text_of(ROOT / "README.md"), re.DOTALL)[0]
    vault = "vault_media_secret_access_key"
    assert {**yaml.safe_load(block)} == yaml.safe_load(
        text_of(DOCS / "examples/native/inventory/host_vars/matrix.example.org/vars.yml")
    )
    assert vault in block


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_tree_lead_somewhere(page: Path) -> None:
    """On GitHub too, where no site is built."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        path, _unused, fragment = target.partition("#")
        if path.startswith(("https://", "http://")):
            continue
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (fragment and fragment not in anchors(file)):
            broken.append(target)
    assert broken == []


def anchors(page: Path) -> set[str]:
    """What GitHub makes of headings."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_each_page_is_in_the_site() -> None:
    index = text_of(DOCS / "index.md")
    listed = re.findall(r"^([a-z0-9-]+)$", index, re.MULTILINE)
    assert sorted([*listed, "index"]) == sorted(path.stem for path in DOCS.glob("*.md"))
