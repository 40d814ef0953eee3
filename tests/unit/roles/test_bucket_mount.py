# SPDX-License-Identifier: GPL-3.0-or-later
"""The role bucket_mount: its variables in the three places that describe them, and what it writes."""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.bucket_mount import (
    NAME_PREFIX,
    TOOLS,
    VARIABLES,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.kinds import Kind

ROLE = Path(__file__).parents[3] / "roles" / "bucket_mount"
SECRET = "s3cr3t/+key"
CACHE = "/var/lib/matrix-synapse-bucket-mount"


def load(path: str) -> Any:
    return yaml.safe_load((ROLE / path).read_text(encoding="utf-8"))


OPTIONS = load("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
DEFAULTS = load("defaults/main.yml")


def test_names() -> None:
    assert sorted(OPTIONS) == sorted(DEFAULTS) == sorted(f"{NAME_PREFIX}{name}" for name in VARIABLES)


def test_defaults() -> None:
    assert {name: repr(option["default"]) for name, option in OPTIONS.items()} == {
        name: repr(value) for name, value in DEFAULTS.items()
    }
    own = {name: value for name, value in DEFAULTS.items() if not str(value).startswith("{{")}
    rules = {f"{NAME_PREFIX}{name}": variable.empty for name, variable in VARIABLES.items()}
    assert {name: repr(rules[name]) for name in own} == {name: repr(value) for name, value in own.items()}


def test_connection_is_that_of_storage_provider() -> None:
    own = load("../storage_provider/defaults/main.yml")
    for name in ("bucket", "prefix", "region_name", "endpoint_url", "access_key_id", "secret_access_key"):
        theirs = f"matrix_synapse_ext_synapse_s3_storage_provider_config_{name}"
        assert theirs in own
        assert DEFAULTS[f"{NAME_PREFIX}{name}"] == f"{{{{ {theirs} | default('') }}}}"


def test_kinds_and_secrets() -> None:
    kinds = {f"{NAME_PREFIX}{name}": variable.kind for name, variable in VARIABLES.items()}
    assert {name: option["type"] for name, option in OPTIONS.items()} == {
        name: "str" if kind is Kind.TEXT else "raw" for name, kind in kinds.items()
    }
    assert [name for name, option in OPTIONS.items() if option.get("no_log")] == [f"{NAME_PREFIX}secret_access_key"]


@pytest.mark.parametrize("name", OPTIONS)
def test_described(name: str) -> None:
    assert set(OPTIONS[name]) - {"no_log"} == {"description", "type", "default"}
    assert all(sentence.endswith(".") for sentence in OPTIONS[name]["description"])


PLAYBOOK = """\
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    rendered: {}
  vars_files:
    - "{{ role_path }}/defaults/main.yml"
    - "{{ role_path }}/vars/main.yml"
  tasks:
    - ansible.builtin.set_fact:
        rendered: "{{ rendered | combine({item.path: lookup('ansible.builtin.template', item.template)}) }}"
      vars:
        all: "{{ __bucket_mount_files + __bucket_mount_secret_files + __bucket_mount_synapse_files }}"
      loop: "{{ all | selectattr('template', 'defined') }}"
    - ansible.builtin.copy:
        dest: "{{ playbook_dir }}/result.json"
        mode: "0600"
        content: "{{ {'files': rendered, 'removed': __bucket_mount_all_paths} | to_json }}"
"""


def rendered(root: Path, **variables: object) -> tuple[Mapping[str, str], list[str]]:
    """What the role writes (path -> text), and what its removal takes away."""
    values = {
        "bucket": "media",
        "access_key_id": "AKID",
        "secret_access_key": SECRET,
        "endpoint_url": "https://s3.example.org",
        "region_name": "eu-central-1",
        "prefix": "synapse/media/",
        **variables,
    }
    root.mkdir(exist_ok=True)
    (root / "play.yml").write_text(PLAYBOOK)
    (root / "templates").symlink_to(ROLE / "templates")
    extra = {"role_path": str(ROLE), **{f"{NAME_PREFIX}{name}": value for name, value in values.items()}}
    play = subprocess.run(
        ["ansible-playbook", "--inventory=localhost,", f"--extra-vars={json.dumps(extra)}", "play.yml"],
        cwd=root,
        env={
            **os.environ,
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_COLLECTIONS_PATH": os.environ["PYTHONPATH"].split(os.pathsep)[0],
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert play.returncode == 0, play.stdout + play.stderr
    result = json.loads((root / "result.json").read_text())
    return result["files"], result["removed"]


@pytest.fixture(scope="module", params=TOOLS)
def tool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def host(tool: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Mapping[str, str], list[str]]:
    return rendered(
        tmp_path_factory.mktemp(tool) / "host",
        tool=tool,
        ca_bundle_path="/etc/ssl/private ca.pem",
        options=["--s3-v2-auth=true", "--volname=a 'quoted' one"],
        synapse_services=["matrix-synapse.service", "matrix-synapse-worker@media1.service"],
    )


def content(files: Mapping[str, str], name: str) -> str:
    (found,) = [text for path, text in files.items() if Path(path).name == name]
    return found


def test_the_secret_is_in_one_file(host: tuple[Mapping[str, str], list[str]], tool: str) -> None:
    names = {"rclone": "rclone.conf", "s3fs": "passwd-s3fs", "goofys": "aws-credentials"}
    assert [path for path, text in host[0].items() if SECRET in text] == [
        f"/etc/matrix-synapse-bucket-mount/{names[tool]}"
    ]


def test_all_that_is_written_is_removed(host: tuple[Mapping[str, str], list[str]]) -> None:
    files, removed = host
    assert set(files) <= set(removed)
    # A directory comes after what is in it.
    for path in files:
        assert str(Path(path).parent) not in removed or removed.index(path) < removed.index(str(Path(path).parent))


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
def test_command_is_a_clean_script(host: tuple[Mapping[str, str], list[str]], tmp_path: Path) -> None:
    script = tmp_path / "command"
    script.write_text(content(host[0], "matrix-synapse-bucket-mount"))
    found = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_command_tells_how_it_is_used(host: tuple[Mapping[str, str], list[str]], tmp_path: Path) -> None:
    script = tmp_path / "command"
    script.write_text(content(host[0], "matrix-synapse-bucket-mount"))
    found = subprocess.run(["sh", script], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (1, "Usage: matrix-synapse-bucket-mount check | pending | is-mounted\n")


@pytest.fixture
def linked_store(tmp_path: Path) -> Path:
    """A media store with a file, at a place that is a link to it."""
    (tmp_path / "disk" / "local_content").mkdir(parents=True)
    (tmp_path / "disk" / "local_content" / "file").touch()
    (tmp_path / "media").symlink_to("disk")
    return tmp_path / "media"


def test_a_file_behind_a_link_is_not_hidden_by_the_mount(
    host: tuple[Mapping[str, str], list[str]], linked_store: Path, tmp_path: Path
) -> None:
    command = content(host[0], "matrix-synapse-bucket-mount")
    for path, place in (("/var/lib/matrix-synapse/media", linked_store), (CACHE, tmp_path / "cache")):
        command = command.replace(f"={path}\n", f"={place}\n")
    # Root's alone, as the host's is.
    command = command.replace("set -eu\n", "set -eu\nchown() { :; }\nchmod() { :; }\n", 1)
    (tmp_path / "command").write_text(command)
    found = subprocess.run(["sh", tmp_path / "command", "prepare"], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (
        1,
        f"Could not mount the bucket at {linked_store}: {linked_store}/local_content/file is in the way, and the mount"
        f" would hide it. Move what is in {linked_store} elsewhere.\n",
    )


def test_the_role_looks_behind_a_link_too(linked_store: Path) -> None:
    (task,) = [task for task in load("tasks/preflight.yml") if task["name"] == "Look for what the mount would hide"]
    argv = [
        word.replace("{{ bucket_mount_path }}", str(linked_store)) for word in task["ansible.builtin.command"]["argv"]
    ]
    found = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert found.stdout == f"{linked_store}/local_content/file\n"


def test_what_nobody_uploads_is_no_good_check(
    host: tuple[Mapping[str, str], list[str]], tool: str, tmp_path: Path
) -> None:
    for program, says in (("findmnt", f"fuse.{tool}"), ("timeout", "No such file or directory")):
        (tmp_path / program).write_text(f"#!/bin/sh\necho {says}\n")
        (tmp_path / program).chmod(0o755)
    command = content(host[0], "matrix-synapse-bucket-mount")
    (tmp_path / "command").write_text(command.replace(CACHE, f"{tmp_path}/cache"))
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def check(place: str) -> tuple[int, str]:
        (tmp_path / "cache" / "vfsMeta" / place).mkdir(parents=True)
        (tmp_path / "cache" / "vfsMeta" / place / "file").write_text('{\n\t"Dirty": true\n}')
        words = ["sh", f"{tmp_path}/command", "check"]
        found = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        shutil.rmtree(tmp_path / "cache")
        return found.returncode, found.stderr

    refused = (
        1,
        f"1 files that Synapse has written are not in the bucket, and nothing uploads them: they are in"
        f" {tmp_path}/cache, and wait for rclone with the bucket and the options that it had. Run the role with"
        f" bucket_mount_tool set to rclone, and those, until 'matrix-synapse-bucket-mount pending' says 0.\n",
    )
    assert check("bucket/media/synapse/media/local_content") == ((0, "") if tool == "rclone" else refused)
    assert check("bucket{C_ZIC}/media/synapse/media/local_content") == ((0, "") if tool == "rclone" else refused)
    assert check("bucket/old/synapse/media/local_content") == refused


def test_a_cache_that_can_not_be_read_is_not_an_empty_one(
    host: tuple[Mapping[str, str], list[str]], tmp_path: Path
) -> None:
    (tmp_path / "cache" / "vfsMeta").mkdir(parents=True)
    # As grep says it of a broken disk.
    said = f"grep: {tmp_path}/cache/vfsMeta/bucket/file: Input/output error"
    (tmp_path / "find").write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    (tmp_path / "find").chmod(0o755)
    command = content(host[0], "matrix-synapse-bucket-mount").replace(CACHE, f"{tmp_path}/cache")
    (tmp_path / "command").write_text(command)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    for words in (["pending"], ["wait-until-uploaded", "0"]):
        found = subprocess.run(
            ["sh", tmp_path / "command", *words], env=environment, capture_output=True, text=True, check=False
        )
        assert (found.returncode, found.stdout, found.stderr) == (
            1,
            "",
            f"Could not see which files are not in the bucket yet: {said}\n",
        )


def test_what_waits_is_counted(host: tuple[Mapping[str, str], list[str]], tmp_path: Path) -> None:
    command = content(host[0], "matrix-synapse-bucket-mount").replace(CACHE, f"{tmp_path}/cache")
    (tmp_path / "command").write_text(command)

    def pending() -> tuple[int, str, str]:
        found = subprocess.run(["sh", tmp_path / "command", "pending"], capture_output=True, text=True, check=False)
        return found.returncode, found.stdout, found.stderr

    assert pending() == (0, "0\n", "")
    (tmp_path / "cache" / "vfsMeta").mkdir(parents=True)
    assert pending() == (0, "0\n", "")
    for name, is_dirty in (("a", "true"), ("b", "false"), (r"c\n d", "true")):
        (tmp_path / "cache" / "vfsMeta" / name).write_text(f'{{\n\t"Dirty": {is_dirty}\n}}')
    assert pending() == (0, "2\n", "")
    # As a full disk leaves them: nothing says that the file is uploaded.
    (tmp_path / "cache" / "vfsMeta" / "d").write_text("")
    (tmp_path / "cache" / "vfsMeta" / "e").write_text('{\n\t"Size": 5,\n')
    assert pending() == (0, "4\n", "")


class Programs:
    """The command of a host, where some programs say what a test has written."""

    def __init__(self, directory: Path, command: str, **says: str) -> None:
        self.cache, self.place = directory / "cache", directory / "media"
        self._directory = directory
        command = command.replace(CACHE, str(self.cache)).replace("/var/lib/matrix-synapse/media", str(self.place))
        # Root's alone, as the host's is.
        command = command.replace("set -eu\n", "set -eu\nchown() { :; }\n", 1)
        (directory / "command").write_text(command)
        (directory / "command").chmod(0o755)
        for name, text in says.items():
            self.let(name, f"printf '{text}'")

    def let(self, name: str, does: str) -> None:
        (self._directory / name).write_text(f"#!/bin/sh\n{does}\n")
        (self._directory / name).chmod(0o755)

    def run(self, *words: str, **environment: str) -> tuple[int, str, str]:
        path = f"{self._directory}:{os.environ['PATH']}"
        found = subprocess.run(
            [self._directory / "command", *words],
            env={"PATH": path, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return found.returncode, found.stdout, found.stderr


@pytest.fixture
def programs(host: tuple[Mapping[str, str], list[str]], tool: str, tmp_path: Path) -> Programs:
    """The bucket is mounted, and answers; there is much room."""
    command = content(host[0], "matrix-synapse-bucket-mount")
    return Programs(
        tmp_path, command, findmnt=f"fuse.{tool}\\n", timeout="No such file or directory\\n", df="Avail\\n9999\\n"
    )


def test_what_rclone_would_delete_is_set_aside(programs: Programs, tool: str) -> None:
    """At its start it deletes what it has no notes of, and what its notes can't be read of."""
    (programs.cache / "vfsMeta" / "bucket" / "m").mkdir(parents=True)
    (programs.cache / "vfs" / "bucket" / "m").mkdir(parents=True)
    for name, note in (("a b", ""), ("none", None), ("dirty", "true"), ("clean", "false")):
        (programs.cache / "vfs" / "bucket" / "m" / name).write_text(name)
        if note is not None:
            text = f'{{\n\t"Size": 1,\n\t"Dirty": {note}\n}}\n' if note else note
            (programs.cache / "vfsMeta" / "bucket" / "m" / name).write_text(text)
    programs.let("findmnt", "true")

    assert programs.run("prepare") == (0, "", "")

    left = sorted(path.name for path in (programs.cache / "vfs" / "bucket" / "m").iterdir())
    assert left == (["clean", "dirty"] if tool == "rclone" else ["a b", "clean", "dirty", "none"])
    if tool != "rclone":
        return
    aside = programs.cache / "aside" / "bucket" / "m"
    assert {path.name: path.read_text() for path in aside.iterdir()} == {"a b": "a b", "none": "none"}
    # As they are again after a second failure: nothing of the first is lost.
    (programs.cache / "vfs" / "bucket" / "m" / "none").write_text("other")
    assert programs.run("prepare") == (0, "", "")
    assert sorted(path.read_text() for path in aside.iterdir()) == ["a b", "none", "other"]
    (programs.cache / "vfsMeta" / "bucket" / "m" / "dirty").unlink()
    (programs.cache / "vfs" / "bucket" / "m" / "dirty").unlink()
    (programs.cache / "vfsMeta" / "bucket" / "m" / "a b").unlink()
    programs.let("findmnt", "echo fuse.rclone")
    assert programs.run("check") == (
        1,
        "",
        f"3 files are in {programs.cache}/aside, by their names in the bucket: rclone's notes of them were lost, and it"
        f" would have deleted them. The bucket may not have them. Copy into {programs.place} what is missing there,"
        " with cp --recursive --no-clobber, and then remove them.\n",
    )


def test_a_disk_that_is_nearly_full_is_told(programs: Programs, tool: str) -> None:
    programs.let("df", "printf 'Avail\\n1023\\n'")
    programs.cache.mkdir()
    why = {
        "rclone": "1024 MiB are free where {}: Synapse can't store media until there is more, since rclone would lose"
        " what waits for upload",
        "s3fs": "1100 MiB are free where {}: s3fs would not start again",
    }
    says = f"Less than {why[tool].format(f'{programs.cache} is')}. Make room there.\n" if tool in why else ""

    assert programs.run("check")[::2] == (1 if says else 0, says)


def test_a_mount_that_stays_read_only_is_told(programs: Programs) -> None:
    programs.cache.mkdir()
    programs.let("sleep", "true")
    programs.let("findmnt", 'case "$*" in *OPTIONS*) echo ro,nosuid ;; *) echo fuse ;; esac')

    assert programs.run("check") == (
        1,
        "",
        f"Synapse can't store media: the mount at {programs.place} is read-only, though there is room. 'systemctl"
        " restart matrix-synapse-bucket-mount.service' mounts it anew.\n",
    )


def test_a_trial_without_room_leaves_nothing(programs: Programs, tool: str) -> None:
    programs.let("df", "printf 'Avail\\n1\\n'")
    programs.let("mount", "exit 9")
    programs.let("findmnt", "true")
    if tool == "goofys":  # It needs none.
        return
    status, _output, said = programs.run("try")
    assert (status, said.startswith("Less than 1")) == (1, True)
    assert not programs.cache.exists()


def test_the_upper_of_two_mounts_counts(programs: Programs, tool: str) -> None:
    """It is the one that Synapse sees, and not the role's to unmount."""
    programs.cache.mkdir()
    programs.let("findmnt", f"printf 'fuse.{tool}\\next4\\n'")

    assert programs.run("is-mounted") == (
        1,
        "",
        f"Synapse's media is not there: the bucket is not mounted at {programs.place}. See 'journalctl"
        " --unit=matrix-synapse-bucket-mount.service'.\n",
    )
    for words in ("unmount", "prepare"):
        assert programs.run(words) == (
            1,
            "",
            f"Could not unmount the bucket at {programs.place}: something else is mounted over it (ext4). Unmount that,"
            " and take it out of /etc/fstab.\n",
        )
    programs.let("findmnt", f"printf 'ext4\\nfuse.{tool}\\n'")
    assert programs.run("is-mounted") == (0, "", "")


def test_nothing_of_the_caller_s_changes_the_connection(programs: Programs) -> None:
    """Ansible's session has the proxies of /etc/environment, and systemd has not: both are to try the same."""
    programs.let("timeout", 'env >"$0.sees"; echo "No such file or directory"')
    programs.cache.mkdir()
    others = {"https_proxy": "http://proxy", "NO_PROXY": "x", "AWS_CA_BUNDLE": "/x", "RCLONE_CONFIG": "/x"}

    assert programs.run("check", **others, HOME="/root")[0] == 0

    seen = {line.partition("=")[0] for line in (programs.cache.parent / "timeout.sees").read_text().splitlines()}
    assert seen - {"PWD", "OLDPWD", "SHLVL", "_", "LC_ALL"} == {"PATH", "HOME"}


def test_the_bucket_is_asked_by_the_connection_of_the_mount(
    host: tuple[Mapping[str, str], list[str]], tool: str
) -> None:
    """Else a mount that is well was called away; but what is a mount's alone, no other command of rclone's knows."""
    command = content(host[0], "matrix-synapse-bucket-mount").replace("\\\n", "")
    asks = [line for line in command.splitlines() if "rclone lsf" in line]
    assert [("--s3-v2-auth=true" in line, "--volname" in line) for line in asks] == [(True, False)] * (tool == "rclone")


def test_synapse_waits_for_the_mount_and_is_not_ended_with_it(host: tuple[Mapping[str, str], list[str]]) -> None:
    dropins = {path: text for path, text in host[0].items() if path.endswith(".conf") and ".service.d/" in path}
    assert sorted(Path(path).parent.name for path in dropins) == [
        "matrix-synapse-worker@media1.service.d",
        "matrix-synapse.service.d",
    ]
    for text in dropins.values():
        lines = [line for line in text.splitlines() if line and not line.startswith(("#", "["))]
        assert lines == [
            "Wants=matrix-synapse-bucket-mount.service",
            "After=matrix-synapse-bucket-mount.service",
            "ExecStartPre=/usr/local/bin/matrix-synapse-bucket-mount is-mounted",
        ]


PREFLIGHT = """\
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    answers: {}
    nothing:
      problems: []
      health_problems: []
      user_problems: []
      root_problems: []
      dependent_problems: []
      outdated: []
      stopped: []
    __bucket_mount_user: {rc: 0}
    __bucket_mount_needed: {results: []}
    __bucket_mount_mounted: {stdout_lines: [], rc: 1}
    __bucket_mount_fstab: {stdout: ""}
    __bucket_mount_media_lines: {stdout_lines: []}
    __bucket_mount_aside: {stdout_lines: []}
    __bucket_mount_hidden: {}
    __bucket_mount_left: {stdout_lines: []}
    __bucket_mount_command_says: {stdout_lines: []}
    __bucket_mount_real_paths: {stdout_lines: []}
    __bucket_mount_service_info: "{{ nothing }}"
    __bucket_mount_synapse_info: "{{ nothing }}"
  tasks:
"""


def played(root: Path, play: str, tasks: Sequence[object], *words: str, **more: object) -> Any:
    """What the tasks have put into the mapping ``answers``; ``root`` comes first where programs are looked for."""
    answers = {"dest": f"{root}/answers", "mode": "0600", "content": "{{ answers | to_json }}"}
    (written,) = yaml.safe_load(play)
    written["tasks"] = [*tasks, {"ansible.builtin.copy": answers, "check_mode": False}]
    (root / "play.yml").write_text(json.dumps([{**written, **more}]))
    run = subprocess.run(
        ["ansible-playbook", "--inventory=localhost,", *words, "play.yml"],
        cwd=root,
        env={
            **os.environ,
            "PATH": f"{root}:{os.environ['PATH']}",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_COLLECTIONS_PATH": os.environ["PYTHONPATH"].split(os.pathsep)[0],
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads((root / "answers").read_text())


def trial(name: str, tasks: Sequence[object], variables: Mapping[str, object]) -> dict[str, object]:
    """The tasks as one, with what the last of them has refused as the answer of that name."""
    note = {"ansible.builtin.set_fact": {"answers": "{{ answers | combine({name: ansible_failed_result.msg}) }}"}}
    return {"block": tasks, "rescue": [note], "vars": {"name": name, **variables}}


AT = "at https://s3.example.org"
S3 = "--s3-upload-concurrency=8"
# What is other than in what is on the host (rclone, or what is named first); where a file waits; how it is refused.
TEST_CHANGES: dict[str, tuple[str, dict[str, object], str, str]] = {
    "nothing waits": ("rclone", {"tool": "s3fs"}, "", ""),
    "the tool": ("rclone", {"tool": "s3fs"}, "bucket/media/hs", f"Could not mount media/hs/ {AT} with s3fs now: "),
    "back to rclone": ("s3fs", {"tool": "rclone"}, "bucket/media/hs", ""),
    "no command": ("", {"tool": "goofys"}, "bucket/media/hs", f"Could not mount media/hs/ {AT} with goofys now: "),
    "the bucket": ("rclone", {"bucket": "new"}, "bucket/media/hs", f"Could not mount new/hs/ {AT} with rclone now: "),
    "the prefix": ("rclone", {"prefix": "h[s]/"}, "bucket/media/hs", f"Could not mount media/h[s]/ {AT} with rclone "),
    "back to the prefix": ("rclone", {"prefix": "h[s]/"}, "bucket/media/h[s]", ""),
    # They leave the cache where it is, and may be what lets the file be uploaded.
    "the endpoint": ("rclone", {"endpoint_url": ""}, "bucket/media/hs", ""),
    "options of the transfer": ("rclone", {"options": ["--timeout=1m", "--bwlimit=1M"]}, "bucket/media/hs", ""),
    "the options": ("rclone", {"options": [S3]}, "bucket/media/hs", f"Could not mount media/hs/ {AT} with rclone now"),
    "with options": ("rclone", {"region_name": "eu-west-1"}, "bucket{C_ZIC}/media/hs", ""),
}


def test_what_waits_in_the_cache_is_not_left_behind_by_a_change(tmp_path: Path) -> None:
    names = ("Look for media that would never be uploaded", "Stop at what is not ready")
    tasks = [task for task in load("tasks/preflight.yml") if task["name"] in names]
    look = [task for task in load("tasks/look.yml") if task["name"].startswith("Look at what the command")]
    common: dict[str, object] = {"bucket": "media", "prefix": "hs/", "accept_unserved_media": True}
    commands = {
        tool: content(rendered(tmp_path / tool, tool=tool, **common)[0], "matrix-synapse-bucket-mount")
        for tool in ("rclone", "s3fs")
    }
    trials = []
    for number, (name, (now, changed, place, _beginning)) in enumerate(TEST_CHANGES.items()):
        root = tmp_path / str(number)
        root.mkdir()
        if now:
            (root / "command").write_text(commands[now].replace(CACHE, str(root)))
        if place:
            (root / "vfsMeta" / place).mkdir(parents=True)
            (root / "vfsMeta" / place / "file").write_text('{\n\t"Dirty": true\n}')
            (root / "vfsMeta" / place / "other").write_text('{\n\t"Dirty": false\n}')
        given = {
            "endpoint_url": "https://s3.example.org",
            "region_name": "eu-central-1",
            "cache_path": str(root),
            **common,
            **changed,
        }
        variables = {f"{NAME_PREFIX}{variable}": value for variable, value in given.items()}
        trials.append(trial(name, [*look, *tasks], {**variables, "__bucket_mount_command": f"{root}/command"}))
    files = {"vars_files": [f"{ROLE}/defaults/main.yml", f"{ROLE}/vars/main.yml"]}
    told = played(tmp_path, PREFLIGHT, trials, "--check", **files)
    for number, (name, (_now, _changed, _place, beginning)) in enumerate(TEST_CHANGES.items()):
        if not beginning:
            assert name not in told
            continue
        lines = told[name].splitlines()
        assert lines[0] == "Nothing was changed, because:"
        assert len(lines) == 2
        assert lines[1].startswith(f"- {beginning}")
        assert lines[1].endswith(
            f" now: 1 files in {tmp_path}/{number} are not in the bucket yet, and would never be uploaded. Leave the"
            " bucket, its prefix, bucket_mount_tool (rclone) and what begins with --s3- in bucket_mount_options as they"
            " were until 'matrix-synapse-bucket-mount pending' says 0 on the host, and then run this again. If the"
            ' bucket does not take them that way, copy them by hand, as docs/bucket-mount.md tells ("Copy by hand").'
        )


# How Synapse is started, what is in its files, and the place that is refused.
TEST_MEDIA_PATHS: dict[str, tuple[str, str, str]] = {
    "another": ("--config-path=/etc/homeserver.yaml --config-path=/etc/conf.d", "/srv/other", "/srv/other"),
    "in a directory, quoted": ("-c /etc/conf.d", "/srv/media", "/srv/second"),
    "a link to it": ("-c /etc/homeserver.yaml", '"/srv/link"', ""),
    "a relative one": ("-c /etc/homeserver.yaml", "'media_store'", ""),
    "a script": ("/usr/local/bin/synapse", "/srv/other", ""),
}


def test_a_mount_that_synapse_would_not_use_is_refused(tmp_path: Path) -> None:
    names = ("Look with which", "Look where that has", "Follow the links", "Stop at what")
    tasks = [task for task in load("tasks/preflight.yml") if task["name"].startswith(names)]
    assert len(tasks) == len(names)
    trials = []
    for name, (start, media, _refused) in TEST_MEDIA_PATHS.items():
        root = tmp_path / name.replace(" ", "-")
        (root / "etc" / "conf.d").mkdir(parents=True)
        (root / "srv" / "media").mkdir(parents=True)
        (root / "srv" / "link").symlink_to("media")
        text = f"#media_store_path: /none\nmedia_store_path: {media}\n".replace("/srv", f"{root}/srv")
        (root / "etc" / "homeserver.yaml").write_text(text)
        if name.startswith("in a directory"):
            (root / "etc" / "conf.d" / "media.yaml").write_text(f"media_store_path: '{root}/srv/second' # there\n")
        service = f"{{ path=/usr/bin/env ; argv[]=/usr/bin/env {start.replace('/etc', f'{root}/etc')} ; status=0/0 }}"
        variables = {"path": f"{root}/srv/media", "synapse_services": [service], "bucket": "media"}
        trials.append(trial(name, tasks, {f"{NAME_PREFIX}{variable}": value for variable, value in variables.items()}))
    # It says of the service what the service is named here.
    (tmp_path / "systemctl").write_text('#!/bin/sh\necho "$4"\n')
    (tmp_path / "systemctl").chmod(0o755)
    files = [f"{ROLE}/defaults/main.yml", f"{ROLE}/vars/main.yml"]
    told = played(tmp_path, PREFLIGHT, trials, "--check", vars_files=files)
    assert told == {
        name: f"Nothing was changed, because:\n- bucket_mount_path: '{tmp_path}/{name.replace(' ', '-')}/srv/media' is"
        f" not Synapse's media_store_path, which is '{tmp_path}/{name.replace(' ', '-')}{refused}', and Synapse would"
        " not use the mount. Set it to that."
        for name, (_start, _media, refused) in TEST_MEDIA_PATHS.items()
        if refused
    }


MOUNTED = ["fuse.rclone bucket:media/hs"]
DROPIN = "/etc/systemd/system/matrix-synapse.service.d/matrix-synapse-bucket-mount.conf"
# What a run that fails takes away: the drop-ins that were there, what is mounted, the command's place, and whether its
# service is enabled.
TEST_FIRST: dict[str, tuple[Sequence[str], Sequence[str], str, int, bool]] = {
    "nothing": ([], [], "", 1, True),
    "drop-ins": ([DROPIN], [], "", 1, False),
    "services with other names now": ([], MOUNTED, "/media", 0, False),
    "those, while it is away": ([], [], "/media", 0, False),
    "mounted, without a command": ([], MOUNTED, "", 1, False),
    "a first run that was interrupted": ([], [], "/media", 1, True),
    "that, once mounted": ([], MOUNTED, "/media", 0, False),
}


@pytest.mark.parametrize("name", TEST_FIRST)
def test_only_a_mount_that_was_not_there_is_taken_away_by_a_failure(name: str) -> None:
    there, mounted, place, enabled_rc, is_first = TEST_FIRST[name]
    variables = {
        "__bucket_mount_dropins": [DROPIN],
        "__bucket_mount_compared": {"previous": {"absent": [path for path in [DROPIN] if path not in there]}},
        "__bucket_mount_seen": {"mounted": mounted},
        "__bucket_mount_state": {"place": place},
        "__bucket_mount_enabled_now": {"rc": enabled_rc},
    }
    text = load("vars/main.yml")["__bucket_mount_is_first"]
    assert Templar(loader=DataLoader(), variables=variables).template(trust_as_template(text)) is is_first


REMOVAL = """\
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    answers: {}
    __bucket_mount_mounted: {rc: 1, stdout_lines: []}
    __bucket_mount_there: {paths: [/command]}
    __bucket_mount_command_says: {stdout_lines: [place=/media, cache=/empty]}
    __bucket_mount_aside: {stdout_lines: []}
    __bucket_mount_waiting_services: {files: []}
    __bucket_mount_service_info: {outdated: []}
    __bucket_mount_synapse_info: {stopped: [], user_problems: [], dependent_problems: []}
  tasks:
"""
ON_HOST: Mapping[str, object] = {
    "bucket_mount_path": "/media",
    "bucket_mount_cache_path": "/empty",
    "bucket_mount_synapse_user": "nobody",
    # What a removal neither judges nor needs
    "bucket_mount_bucket": None,
    "bucket_mount_prefix": None,
    "bucket_mount_options": None,
    "__bucket_mount_command": "/command",
}
# Below a mount the directory is not Synapse's.
SYNAPSES: Mapping[str, object] = {"bucket_mount_synapse_user": getpass.getuser()}
WAITS: Mapping[str, object] = {
    "bucket_mount_cache_path": "/cache",
    "__bucket_mount_command_says": {"stdout_lines": ["place=/media", "cache=/cache"]},
}
# What else is so than that the media store is not mounted, and how the role's refusal begins.
TEST_REMOVALS: dict[str, tuple[Mapping[str, object], Sequence[str]]] = {
    "the mount is away, or was disabled": ({}, ["The bucket is not mounted at /media now, "]),
    "so is the directory": (
        {**SYNAPSES, "bucket_mount_path": "/none", "__bucket_mount_command_says": {"stdout_lines": []}},
        ["The bucket is not mounted at /none now, "],
    ),
    "an interrupted removal": (SYNAPSES, []),
    "that, and Synapse stopped": (
        {**SYNAPSES, **WAITS, "__bucket_mount_command_says": {"stdout_lines": ["stopped=a.service b.service"]}},
        ["1 files in /cache are not in the bucket yet, ", "Synapse stays stopped (a.service, b.service), "],
    ),
    "media in the cache": (WAITS, ["1 files in /cache ", "The bucket is not mounted "]),
    "that, and no command": (
        {**SYNAPSES, **WAITS, "__bucket_mount_there": {"paths": ["/unit"]}},
        ["1 files in /cache are not in the bucket yet, "],
    ),
    "media in the cache that is on its way": (
        {**WAITS, "__bucket_mount_mounted": {"rc": 0, "stdout_lines": MOUNTED}},
        [],
    ),
    "a file where the cache is to be, and the command names another": (
        {**SYNAPSES, "bucket_mount_cache_path": "/cache/vfsMeta/bucket/file"},
        ["bucket_mount_cache_path: "],
    ),
    "a file where the cache is to be, and no command": (
        {
            **SYNAPSES,
            "bucket_mount_cache_path": "/cache/vfsMeta/bucket/file",
            "__bucket_mount_command_says": {"stdout_lines": []},
            "__bucket_mount_there": {"paths": ["/cache/vfsMeta/bucket/file"]},
        },
        ["Could not see what is only in the cache /cache/vfsMeta/bucket/file: "],
    ),
    "services that are not named": (
        {
            **SYNAPSES,
            "__bucket_mount_waiting_services": {
                "files": [
                    {"path": f"/etc/systemd/system/{unit}.service.d/matrix-synapse-bucket-mount.conf"}
                    for unit in ("worker@1", "matrix-synapse", "worker@2")
                ]
            },
        },
        ["bucket_mount_synapse_services: worker@1.service and worker@2.service would not start "],
    ),
}


def test_removal_is_refused_where_media_would_be_lost_or_unserved(tmp_path: Path) -> None:
    names = ("Look whether a", "Look for what is only", "Refuse where media would be")
    tasks = [task for task in load("tasks/uninstall.yml") if task["name"].startswith(names)]
    assert len(tasks) == len(names)
    (tmp_path / "media").mkdir()
    (tmp_path / "cache" / "vfsMeta" / "bucket").mkdir(parents=True)
    (tmp_path / "cache" / "vfsMeta" / "bucket" / "file").write_text('{\n\t"Dirty": true\n}')

    def here(text: str) -> str:
        return re.sub("/(media|cache|none)(?![a-z:])", rf"{tmp_path}/\1", text)

    given = json.loads(here(json.dumps({name: {**ON_HOST, **given} for name, (given, _told) in TEST_REMOVALS.items()})))
    files = [f"{ROLE}/defaults/main.yml", f"{ROLE}/vars/main.yml"]
    trials = [trial(name, tasks, values) for name, values in given.items()]
    told = played(tmp_path, here(REMOVAL), trials, vars_files=files)
    assert sorted(told) == sorted(name for name, (_given, beginnings) in TEST_REMOVALS.items() if beginnings)
    for name, text in told.items():
        lines = text.split("\n- ")
        beginnings = ["Nothing was changed, because:", *map(here, TEST_REMOVALS[name][1])]
        assert len(lines) == len(beginnings), lines
        assert all(map(str.startswith, lines, beginnings)), lines


def test_the_role_judges_the_provider_s_encryption_too(tmp_path: Path) -> None:
    (task, *_others) = load("tasks/validate.yml")
    provider = "matrix_synapse_ext_synapse_s3_storage_provider_config_"
    given = {f"{provider}bucket": "media", f"{provider}sse_customer_enabled": True, f"{provider}prefix": "hs/"}
    own = {"bucket_mount_enabled": True, "bucket_mount_bucket": "media", "bucket_mount_region_name": "eu-central-1"}
    keys = {"bucket_mount_access_key_id": "AKID", "bucket_mount_secret_access_key": SECRET, "bucket_mount_tol": "s3fs"}
    files = [f"{ROLE}/defaults/main.yml", f"{ROLE}/vars/main.yml"]
    play = "- {hosts: localhost, connection: local, gather_facts: false, vars: {answers: {}}}"
    told = played(tmp_path, play, [trial("told", [task], {**given, **own, **keys})], vars_files=files)
    assert told["told"] == (
        f"These variables are wrong:\n- {provider}sse_customer_enabled: is true, but a mount could not read what is"
        " encrypted with that key, and would store new media in plain. Keep the role storage_provider, or mount a"
        " bucket without such objects.\n- bucket_mount_tol: is not a variable of this role. Did you mean"
        " bucket_mount_tool?"
    )


def tasks_of(tasks: Sequence[Any]) -> list[Any]:
    """Those in blocks too."""
    return [
        inner
        for task in tasks
        for inner in (task, *tasks_of([*task.get("block", []), *task.get("rescue", []), *task.get("always", [])]))
    ]


def message(path: str, name: str, **variables: object) -> str:
    """What the task of that name says."""
    (task,) = [task for task in tasks_of(load(path)) if task["name"] == name]
    own = {text: trust_as_template(value) for text, value in task.get("vars", {}).items()}
    (says,) = [task[module] for module in ("ansible.builtin.fail", "ansible.builtin.debug") if module in task]
    told: str = Templar(loader=DataLoader(), variables={**own, **variables}).template(trust_as_template(says["msg"]))
    return told


FAILED = """\
Could not give Synapse the mounted bucket: the step "Wait until Synapse serves" failed. Correct what is said below, \
and run this again.
It says: Status code was -1
The previous state was put back. Synapse serves with it.
The end of the journal:
oh"""


def test_a_failure_tells_what_was_put_back(tmp_path: Path) -> None:
    (task,) = [task for task in tasks_of(load("tasks/apply.yml")) if task["name"] == "Fail with the end of the journal"]
    variables: dict[str, object] = {
        **{
            f"__bucket_mount_put_back_{kind}": {"changed": True}
            for kind in ("dropins", "credentials", "command", "mount")
        },
        "bucket_mount_bucket": "media",
        "__bucket_mount_health": {"status": 200},
        "__bucket_mount_is_first": False,
        "__bucket_mount_journal": {"stdout": "oh"},
        "__bucket_mount_aside": {"stdout_lines": []},
        "ansible_failed_task": {"name": "Wait until Synapse serves"},
        "ansible_failed_result": {"msg": "Status code was -1"},
    }
    files = [f"{ROLE}/defaults/main.yml", f"{ROLE}/vars/main.yml"]
    assert played(tmp_path, PREFLIGHT, [trial("told", [task], variables)], vars_files=files) == {"told": FAILED}


def test_what_is_put_back_waits_for_what_synapse_stores_in_another_bucket() -> None:
    (ending,) = [task for task in tasks_of(load("tasks/apply.yml")) if task["name"].startswith("Let Synapse end what")]
    (tasks,) = [task["rescue"] for task in load("tasks/apply.yml") if "rescue" in task]
    names = [task["name"] for task in tasks]
    # Before anything is put back.
    assert names[1] == ending["name"]
    for first, another, cache, ends in (
        (False, False, False, False),
        (True, False, False, True),
        (False, True, False, True),
        (False, False, True, True),
    ):
        variables = {
            "__bucket_mount_is_first": first,
            "__bucket_mount_change": {"is_another": another, "leaves_cache": cache},
            "__bucket_mount_synapse_started": {"results": []},
        }
        template = trust_as_template("{{ " + ending["when"] + " }}")
        assert Templar(loader=DataLoader(), variables=variables).template(template) is ends


GONE = """\
Synapse does not serve: there is no answer with status 200 at http://127.0.0.1:8008/health. The mount is taken away \
already; with bucket_mount_enabled set to true it comes back. Correct what is said below, and run this again, which \
starts Synapse and waits for it.
The end of the journal:
oh"""
STAYS = """\
Synapse does not serve: Unable to start service synapse.service The mount was not taken away, since another step \
failed, which is told above. Correct what is said there and below, and run this again.
The end of the journal:
oh"""


@pytest.mark.parametrize(
    ("results", "removed", "there", "told"),
    [
        ([{"state": "started"}], {"paths": []}, ["/unit"], GONE),
        # By an earlier run
        ([{"state": "started"}], {"skipped": True}, [], GONE),
        ([{"msg": "Unable to start service synapse.service"}], {"skipped": True}, ["/unit"], STAYS),
    ],
)
def test_a_removal_after_which_synapse_does_not_serve_tells_the_way_on(
    results: object, removed: object, there: object, told: str
) -> None:
    variables = {
        "__bucket_mount_synapse_started": {"results": results},
        "__bucket_mount_removed": removed,
        "__bucket_mount_there": {"paths": there},
        "__bucket_mount_journal": {"stdout": "oh"},
        "bucket_mount_synapse_health_url": "http://127.0.0.1:8008/health",
    }
    assert message("tasks/uninstall.yml", "Fail with the end of the journal", **variables) == told


def test_a_removal_forgets_what_it_has_stopped_only_when_synapse_serves() -> None:
    (tasks,) = [task["always"] for task in load("tasks/uninstall.yml") if "always" in task]
    names = [task["name"] for task in tasks]
    assert names.index("Tell that Synapse does not serve") < names.index("Forget what was stopped, as it is started")


def test_a_removal_with_nothing_to_do_tells_that_synapse_has_failed() -> None:
    assert message(
        "tasks/uninstall.yml",
        "Fail where Synapse has failed",
        __bucket_mount_synapse_info={"failed_services": ["synapse.service", "worker.service"]},
    ) == (
        "Nothing of the mount is on this host, but Synapse has failed (synapse.service, worker.service). 'journalctl"
        " --unit=synapse.service' says why. If it fails without the mount, bucket_mount_enabled set to true brings that"
        " back."
    )


NO_PROVIDER = (
    "Nothing was changed: all media is in the bucket, and without the mount Synapse would serve none of it. Give it the"
    " storage provider first (role matrixops.synapse_s3.storage_provider, with the same bucket and prefix; the playbook"
    " matrixops.synapse_s3.move_from_mount does both), or set bucket_mount_accept_unserved_media to true."
)


@pytest.mark.parametrize(("words", "told"), [((), {"told": NO_PROVIDER}), (("--check",), {})])
def test_check_mode_does_not_ask_for_a_provider_that_is_installed_before(
    tmp_path: Path, words: Sequence[str], told: object
) -> None:
    names = ("Say what can't be", "Refuse where nothing else", "Wait until all that", "Refuse where it is not", "See t")
    tasks = [task for task in load("tasks/uninstall.yml") if task["name"].startswith(names)]
    assert len(tasks) == len(names)
    variables: dict[str, object] = {
        "__bucket_mount_provider_program": {"rc": 1},
        "__bucket_mount_mounted": {"rc": 0, "stdout_lines": MOUNTED},
        "__bucket_mount_command": "/bin/true",
        "__bucket_mount_there": {"paths": ["/bin/true"]},
    }
    files = [f"{ROLE}/defaults/main.yml", f"{ROLE}/vars/main.yml"]
    assert played(tmp_path, REMOVAL, [trial("told", tasks, variables)], *words, vars_files=files) == told


def test_what_check_mode_can_not_see_is_said() -> None:
    assert message("tasks/uninstall.yml", "Say what can't be seen in check mode") == (
        "Whether Synapse would serve its media without the mount can't be seen in check mode, since no storage provider"
        " is installed on this host. The real run asks it before anything is taken away, and refuses where there is"
        " none."
    )


TRIED = """\
#!/bin/sh
# Refuses all but one key, as the server does.
[ "$1" = try ] && grep -q good {{ __bucket_mount_credentials | quote }} || { echo "Could not mount." >&2; exit 1; }
"""


def test_what_is_refused_leaves_what_is_installed_as_it_was(tmp_path: Path) -> None:
    shutil.copytree(ROLE / "templates", tmp_path / "templates")
    (tmp_path / "templates" / "command.j2").write_text(TRIED)
    for name in ("systemd", "bin"):
        (tmp_path / name).mkdir()
    variables: dict[str, object] = {
        "__bucket_mount_systemd_path": f"{tmp_path}/systemd",
        "__bucket_mount_command": f"{tmp_path}/bin/command",
        "__bucket_mount_directory": f"{tmp_path}/etc",
        "__bucket_mount_trial_directory": f"{tmp_path}/trial",
        "__bucket_mount_state": {"stays_stopped": [], "left_stopped": []},
        "bucket_mount_bucket": "media",
        "bucket_mount_access_key_id": "AKID",
        "bucket_mount_secret_access_key": "good",
    }
    info: dict[str, list[str]] = {"outdated": [], "stopped": []}
    facts = {
        **{f"__bucket_mount_{name}_info": info for name in ("service", "synapse")},
    }
    names = ("compare", "try", "configure")
    tasks = [task for name in names for task in load(f"tasks/{name}.yml")]
    files = {"vars_files": [f"{ROLE}/defaults/main.yml", f"{ROLE}/vars/main.yml"]}

    def run(**other: object) -> Any:
        trials = [trial("told", tasks, {**variables, **facts, **other})]
        return played(tmp_path, PREFLIGHT, trials, **files).get("told", "")

    def seen() -> dict[str, tuple[int, int]]:
        places = (tmp_path / "bin", tmp_path / "etc", tmp_path / "systemd")
        found = [path for place in places for path in place.rglob("*")]
        return {str(path): (path.stat().st_ino, path.stat().st_ctime_ns) for path in found}

    assert run() == ""
    before = seen()
    assert f"{tmp_path}/bin/command" in before
    assert f"{tmp_path}/etc/rclone.conf" in before
    refused = "Nothing was changed, because: Could not mount."
    assert run(bucket_mount_secret_access_key="bad") == refused
    assert run(bucket_mount_secret_access_key="bad", bucket_mount_tool="s3fs") == refused
    assert seen() == before
    assert not (tmp_path / "trial").exists()
    # What keeps a file with the secret out is no secret.
    assert run(__bucket_mount_directory=f"{tmp_path}/bin/command") == (
        f"Nothing was changed, because: Could not make the directory '{tmp_path}/bin/command': a file is there. Move it"
        " away."
    )
    assert seen() == before
