# SPDX-License-Identifier: GPL-3.0-or-later
"""``check-config`` as a process, with a Synapse that a test has written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

MODULE_UTILS = Path(__file__).parents[5] / "plugins" / "module_utils"
YAML = Path(yaml.__file__).parent
CONFIG = """\
media_store_path: {0}/media
database: {{name: psycopg2, args: {{}}}}
media_storage_providers:
- module: s3_storage_provider.S3StorageProviderBackend
  store_local: true
  config: {{bucket: media, access_key_id: AKID, secret_access_key: hunter2}}
"""
# Prints what it is called with; refuses a configuration with a line "refused", quoting it.
SYNAPSE = """\
import os, sys
text = open(sys.argv[2]).read()
if "refused" in text:
    print("\\n".join(str(number) for number in range(20)))
    sys.exit(text)
print(sys.argv[1:], os.environ.get("PYTHONPATH"), file=open(os.environ["SEEN"], "w"))
"""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A right configuration, and a Synapse."""
    (tmp_path / "media").mkdir()
    (tmp_path / "homeserver.yaml").write_text(CONFIG.format(tmp_path))
    (tmp_path / "python/synapse/config").mkdir(parents=True)
    (tmp_path / "python/synapse/config/__main__.py").write_text(SYNAPSE)
    return tmp_path


def run(etc: Path, *arguments: str, isolated: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the program, without a library that it need not have."""
    options = ["--import-path", f"{etc}/python", "--config", f"{etc}/homeserver.yaml"]
    # -S: no installed library. PyYAML is all that it needs.
    switches = ["-S"] if isolated else []
    (etc / "libraries").mkdir(exist_ok=True)
    if not (etc / "libraries/yaml").exists():
        (etc / "libraries/yaml").symlink_to(YAML)
    return subprocess.run(
        [sys.executable, *switches, "-m", "_media", *options, *arguments],
        env={**os.environ, "PYTHONPATH": f"{MODULE_UTILS}:{etc}/libraries", "SEEN": f"{etc}/seen"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_all_is_right(etc: Path) -> None:
    result = run(etc, "check-config")
    message = "Synapse's configuration is right: it serves media, and the provider is in it.\n"
    assert (result.returncode, result.stdout, result.stderr) == (0, message, "")
    assert (etc / "seen").read_text() == f"['-c', '{etc}/homeserver.yaml'] {etc}/python\n"


def test_an_image_that_has_the_provider(etc: Path) -> None:
    """Where its own PYTHONPATH leads to it, nothing else is named."""
    libraries = f"{MODULE_UTILS}:{YAML.parent}:{etc}/python"
    command = [sys.executable, "-m", "_media", "--config", f"{etc}/homeserver.yaml", "check-config"]
    result = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": libraries, "SEEN": f"{etc}/seen"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert (etc / "seen").read_text() == f"['-c', '{etc}/homeserver.yaml'] {libraries}\n"


def test_as_json_and_without_boto3(etc: Path) -> None:
    result = run(etc, "check-config", "--without-synapse", "--json", isolated=True)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == {
        "command": "check-config",
        "problems": [],
        "media_problems": [],
        "worker_path": "",
        "places": [{"bucket": "media", "prefix": "", "endpoint_url": ""}],
        "media_store_path": f"{etc}/media",
        "database": "psycopg2",
        "exit_code": 0,
    }
    assert not (etc / "seen").exists()


def test_synapse_refuses_it(etc: Path) -> None:
    """Its last words, and no secret of ours in them."""
    with (etc / "homeserver.yaml").open("a") as target:
        target.write("refused: hunter2\n")
    result = run(etc, "check-config")
    lines = result.stdout.splitlines()
    assert lines[0] == "Could not use the configuration: Synapse refuses it. Correct what it says:"
    assert lines[-1] == "refused: ********"
    assert len(lines) == 11
    assert "hunter2" not in result.stdout + result.stderr
    assert result.returncode == 78


def test_what_synapse_refuses_need_not_look_like_providers(etc: Path) -> None:
    with (etc / "homeserver.yaml").open("a") as target:
        target.write("refused: yes\nmedia_storage_providers: [s3]\n")
    result = run(etc, "check-config", "--without-provider")
    assert (result.returncode, result.stderr) == (78, "")
    assert result.stdout.startswith("Could not use the configuration: Synapse refuses it.")


def test_what_is_wrong_is_told_before_synapse_is_asked(etc: Path) -> None:
    (etc / "media").rmdir()
    result = run(etc, "check-config")
    message = (
        f"Could not find the media store '{etc}/media': there is no such directory. Mount it, or correct"
        " media_store_path in Synapse's configuration.\n"
    )
    assert (result.returncode, result.stdout) == (78, message)
    assert not (etc / "seen").exists()


def test_the_provider_is_to_be_gone(etc: Path) -> None:
    (etc / "gone.yaml").write_text("media_storage_providers: []\n")
    arguments = ["--config", f"{etc}/gone.yaml", "check-config"]
    assert run(etc, *arguments).returncode == 78
    result = run(etc, *arguments, "--without-provider")
    message = "Synapse's configuration is right: it serves media, and no provider was looked for.\n"
    assert (result.returncode, result.stdout, result.stderr) == (0, message, "")


def test_a_python_without_boto3(etc: Path) -> None:
    result = run(etc, "preflight", "--json", isolated=True)
    message = (
        f"Could not start: this Python ({sys.executable}) has no boto3. Run the program by the command that the role"
        " has installed, or with a Python that has it."
    )
    assert (result.returncode, result.stderr) == (78, f"{message}\n")
    assert json.loads(result.stdout) == {"command": "preflight", "errors": [message], "exit_code": 78}
