# SPDX-License-Identifier: GPL-3.0-or-later
"""Each file can be read where no library is; nothing can be done there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MODULE_UTILS = Path(__file__).parents[6] / "plugins/module_utils"
FILES = sorted(
    path.relative_to(MODULE_UTILS).with_suffix("").as_posix().replace("/", ".")
    for path in (MODULE_UTILS / "_media").rglob("*.py")
    if path.name != "__init__.py"
)


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Run it without an installed library."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(MODULE_UTILS)!r}); {program}"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_file_can_be_imported_without_them() -> None:
    result = run(f"import importlib; [importlib.import_module(name) for name in {FILES!r}]")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("program", "missing"),
    [
        ("import _media.stores.s3_description", "None\n"),
        ("import _media.stores.synapse_config", "yaml\n"),
        ("import _media.stores.s3_versions", "botocore\n"),
        ("import _media.cli.program, _media.cli.migrate", "yaml\n"),
    ],
)
def test_what_is_missing_is_known_by_name(program: str, missing: str) -> None:
    result = run(f"{program}; from _media.stores.libraries import missing_library; print(missing_library())")
    assert (result.stdout, result.stderr) == (missing, "")


@pytest.mark.parametrize("library", ["boto3", "botocore", "urllib3", "yaml"])
def test_what_is_missing_can_not_be_used(library: str) -> None:
    result = run(f"from _media.stores.libraries import {library}; {library}.some.function(1)")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == f"ModuleNotFoundError: No module named {library!r}"


def test_what_is_there_is_the_library_itself() -> None:
    import yaml
    from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores import libraries

    assert libraries.yaml is yaml
    assert libraries.missing_library() is None
    with pytest.raises(AttributeError, match=r"^module '.*\.libraries' has no attribute 'humanize'$"):
        _unused = libraries.humanize  # type: ignore[attr-defined]
