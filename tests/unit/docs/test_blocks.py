# SPDX-License-Identifier: GPL-3.0-or-later
"""Every block of commands is run by something, or marked as an example; what is written in it exists."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.cli.arguments import parse_arguments
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.bucket_policy import bucket_policy
from ansible_collections.matrixops.synapse_s3.tests.documents import PAGES, ROOT, Block, blocks, code_spans

PROGRAM = "matrix-synapse-s3-storage-provider"
MIGRATE = f"{PROGRAM}-migrate"
# Commands that stand in tables by their names, and need more than that
NAMES = {f"{PROGRAM} copy-with"}
# What runs a block with this word behind its language. An example is run by nothing: it depends on the reader's server.
RUN_BY = {
    "example": "",
    "make": "Makefile",
    "play": "tests/testinfra/lifecycle/test_playbooks.py",
    "host": "tests/integration/test_documented_commands.py",
    "role": "roles/storage_provider/tasks/prove.yml",
    "two-buckets": "tests/integration/test_documented_commands.py",
    "shell": "tests/testinfra/migrated/test_shell.py",
    "copy-with": "tests/integration/test_copy_with.py",
    **dict.fromkeys(
        ("rclone", "s5cmd", "aws", "b2"),
        "tests/unit/plugins/module_utils/_media/rules/test_copy_with_shell.py",
    ),
}
# Where each playbook is run on a host, or, for the one that has no host, against a real server.
PLAYED_BY = {
    "bucket": "tests/integration/test_bucket.py",
    "install": "tests/testinfra/lifecycle/test_playbooks.py",
    "migrate": "tests/testinfra/lifecycle/test_playbooks.py",
    "verify": "tests/testinfra/lifecycle/test_way_back.py",
    "restore": "tests/testinfra/lifecycle/test_way_back.py",
    "purge": "tests/testinfra/lifecycle/test_way_back.py",
    "move": "tests/testinfra/lifecycle/test_way_back.py",
    "uninstall": "tests/testinfra/lifecycle/test_way_back.py",
    "mount": "tests/testinfra/stores/test_bucket_mount.py",
    "move_from_mount": "tests/testinfra/stores/test_bucket_mount.py",
}
# The command of the program that a playbook's options are for
COMMANDS = {
    "verify": "verify",
    "restore": "restore",
    "uninstall": "restore",
    "purge": "purge-orphans",
    "move": "copy-bucket",
}
FLAGS = {"--check", "--diff", "--ask-vault-pass", "--force"}
ROLES = ("storage_provider", "bucket", "bucket_mount")
OPTIONS = {
    name
    for role in ROLES
    for name in yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())["argument_specs"][
        "main"
    ]["options"]
}
PREFIXES = ("matrix_synapse_ext_synapse_s3_storage_provider_", "bucket_mount_", "bucket_")
SHELL_BLOCKS = list(blocks("sh", "bash", "shell", "console"))


class Loader(yaml.SafeLoader):
    """YAML with Ansible's own tag for text that is no template."""


Loader.add_constructor("!unsafe", lambda _loader, node: str(node.value))


def place(block: Block) -> str:
    return block.place


@pytest.mark.parametrize("block", SHELL_BLOCKS, ids=place)
def test_each_block_says_what_runs_it(block: Block) -> None:
    assert block.language == "sh"
    assert block.word in RUN_BY, f"say behind ```sh what runs it, one of {', '.join(RUN_BY)}"
    assert (ROOT / RUN_BY[block.word]).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_block_stands_without_a_fence(page: Path) -> None:
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    indented = [line for line in re.findall(r"\n\n {4,}(\S.*)", text) if not re.match(r"[-*\d]", line)]
    assert indented == []


@pytest.mark.parametrize("block", [*blocks("yaml")], ids=place)
def test_yaml_is_parsed_and_its_variables_exist(block: Block) -> None:
    content = yaml.load(block.text, Loader)  # noqa: S506 (a SafeLoader)
    assert [name for name in keys(content) if name.startswith(PREFIXES) and name not in OPTIONS] == []


def keys(content: Any) -> Iterator[str]:
    """Every key of a document, at every depth."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield str(key)
            yield from keys(value)
    elif isinstance(content, list):
        for item in content:
            yield from keys(item)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_variables_in_sentences_exist(page: Path) -> None:
    names = [match for span in code_spans(page) for match in re.findall(rf"{PREFIXES[0]}\w+|…_?\w+", span)]
    full = [PREFIXES[0] + name.lstrip("…_") if name.startswith("…") else name for name in names]
    # A beginning alone stands for all that begin so.
    unknown = [
        name
        for name in full
        if not any(option.startswith(name) if name.endswith("_") else option == name for option in OPTIONS)
    ]
    assert unknown == []


def commands_of_the_program() -> Iterator[str]:
    for block in SHELL_BLOCKS:
        yield from (command for command in block.commands if command.startswith((f"{PROGRAM} ", f"{MIGRATE} ")))
    for page in PAGES:
        # The name of a command alone needs what is said beside it.
        yield from (
            span for span in code_spans(page) if span.startswith((f"{PROGRAM} ", f"{MIGRATE} ")) and span not in NAMES
        )


@pytest.mark.parametrize("command", sorted({*commands_of_the_program()}))
def test_the_program_takes_each_command(command: str) -> None:
    name, *words = shlex.split(command)
    if words == ["--help"] or words[1:] == ["--help"]:
        words = words[:-1] or ["status"]
    parse_arguments((["migrate", *words]) if name == MIGRATE else words)


def playbook_commands() -> Iterator[str]:
    for block in SHELL_BLOCKS:
        if block.word == "play":
            yield from (command for command in block.commands if command.startswith("ansible-playbook "))
    for page in PAGES:
        yield from (span for span in code_spans(page) if span.startswith("ansible-playbook ") and "NAME" not in span)


@pytest.mark.parametrize("command", sorted({*playbook_commands()}))
def test_each_playbook_command_is_understood(command: str) -> None:
    _unused, option, inventory, playbook, *words = shlex.split(command)
    assert (option, inventory) == ("-i", "inventory")
    name = playbook.removeprefix("matrixops.synapse_s3.")
    text = (ROOT / f"playbooks/{name}.yml").read_text()
    assert re.search(rf'"{name}"|"{name}.yml"|{playbook}', (ROOT / PLAYED_BY[name]).read_text())
    rest = iter(words)
    for word in rest:
        if word == "--tags":
            assert next(rest) in (ROOT / "roles/storage_provider/tasks/main.yml").read_text()
        elif word == "-e":
            check_extra_variables(name, text, next(rest))
        else:
            assert word in FLAGS


def check_extra_variables(playbook: str, text: str, given: str) -> None:
    """That what stands behind ``-e`` is read by the playbook, and options by the program."""
    pairs = json.loads(given) if given.startswith("{") else dict([given.split("=", 1)])
    for name, value in pairs.items():
        assert name in OPTIONS or re.search(rf"\b{name}\b", text)
        if name.endswith("_options"):
            parse_arguments([COMMANDS[playbook], *value.split()])


def test_the_playbooks_can_be_read_with_the_example_inventory() -> None:
    names = sorted({shlex.split(command)[3] for command in playbook_commands()})
    assert names == sorted(f"matrixops.synapse_s3.{path.stem}" for path in (ROOT / "playbooks").glob("*.yml"))
    run = ansible("ansible-playbook", "--syntax-check", "--inventory=docs/examples/native/inventory", *names)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stderr == ""


def test_other_commands_of_ansible() -> None:
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    others = {
        command.removesuffix(" --force")
        for block in SHELL_BLOCKS
        if block.word == "play"
        for command in block.commands
        if not command.startswith("ansible-playbook ")
    }
    # Of a shell, the policy in docs/bucket.md is written as it stands there.
    (policy,) = [command for command in others if command.startswith("ansible ")]
    assert others == {
        policy,
        "ansible-galaxy collection build",
        f"ansible-galaxy collection install matrixops-synapse_s3-{version}.tar.gz",
    }
    run = ansible("ansible", *shlex.split(policy)[1:])
    assert run.returncode == 0, run.stdout + run.stderr
    said = json.loads(run.stdout.partition("=>")[2])["msg"]
    assert (json.loads(said) if isinstance(said, str) else said) == bucket_policy("example-org-media", "media/")


def ansible(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Ansible's with the tree as the collection."""
    own = {
        "ANSIBLE_COLLECTIONS_PATH": os.environ["PYTHONPATH"].split(os.pathsep)[0],
        "ANSIBLE_CALLBACK_FORMAT_PRETTY": "False",
        "ANSIBLE_NOCOLOR": "1",
    }
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **own}, capture_output=True, text=True, check=False)


def test_make_has_each_target() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = {shlex.split(command)[1] for block in SHELL_BLOCKS if block.word == "make" for command in block.commands}
    assert used <= targets
    # All of them are told.
    assert targets <= used
