#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``own_places``: what at the caller's paths is the caller's, and what is somebody else's."""

from __future__ import annotations

DOCUMENTATION = r"""
module: own_places
short_description: Tells the caller's own files and directories from those of others, and removes its own directories
version_added: 0.1.0
author:
  - The matrixops.synapse_s3 authors (@matrixops)
description:
  - Variables name the paths where the caller writes, and a wrong one may lead to files of somebody else.
    This tells them apart, before anything is written or removed.
  - A file is the caller's if it holds O(mark). A directory is the caller's if it holds nothing but what the caller
    makes there, or the file that only the caller makes.
  - Nothing is ever followed through a symbolic link below a directory.
  - Where a variable has changed since the caller wrote its files, they still name the earlier places. What the caller
    has there is told as well.
options:
  files:
    description:
      - Paths of files that the caller writes or removes, each with the name of the variable that says where it is.
    type: dict
    default: {}
  mark:
    description:
      - A text that each of the caller's files holds.
    type: str
    required: true
  directories:
    description:
      - Directories that the caller makes and removes. They are removed only with O(state=absent).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The absolute path.
        type: path
        required: true
      variable:
        description: Name of the variable that says where it is. Empty, it is none that can be given.
        type: str
        default: ""
      proof:
        description: Name of a file that the caller alone makes, and removes last.
        type: str
        default: ""
      named:
        description:
          - A name that only the caller gives to a directory. A directory of this name is the caller's, whatever it
            holds, as after a removal that has left the files of others in it.
        type: str
        default: ""
      names:
        description:
          - What the caller makes below it, as regular expressions for paths, each part between slashes by itself.
          - With a slash at the end it is a directory that is removed with all it holds. With C( -> ) it is a link, and
            what it points to. The directories in between are removed when they are empty.
        type: list
        elements: str
        required: true
  required_directories:
    description:
      - Directories of others, which must be there, each with the name of the variable that leads to it.
    type: dict
    default: {}
  temporary:
    description:
      - What the absolute paths of the caller's temporary directories begin with, before the eight characters that
        M(ansible.builtin.tempfile) adds. Those that this user owns are told.
    type: str
    default: ""
  state:
    description:
      - With V(absent), what the caller has made below O(directories) is removed, and the directories that this leaves
        empty. A directory that is not the caller's is left alone.
    type: str
    choices: [told, absent]
    default: told
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - matrixops.synapse_s3.attributes
attributes:
  check_mode:
    support: full
    description: Can run in check mode and predict the changes.
  diff_mode:
    support: none
    description: What is removed is named, not shown.
"""

EXAMPLES = r"""
- name: Look whose the places are
  matrixops.synapse_s3.own_places:
    mark: Written by Ansible (role example)
    files:
      /usr/local/bin/example: example_bin_path
    directories:
      - path: /opt/example
        variable: example_base_path
        proof: example.pyz
        names: ['example\.pyz', 'lib -> lib-[0-9]+', 'lib-[0-9]+/']
"""

RETURN = r"""
problems:
  description:
    - What is somebody else's at the places where the caller writes, and which directory is missing.
      Each says what to change.
  returned: success
  type: list
  elements: str
  sample:
    - >-
      Could not write '/usr/local/bin/example': what is there was not written by this role. Move it away, or
      give another place in example_bin_path.
foreign:
  description: The paths of O(files) that are somebody else's.
  returned: success
  type: list
  elements: str
  sample: [/usr/local/bin/example]
temporary:
  description: The caller's temporary directories that are there now, as after a run that was interrupted.
  returned: success
  type: list
  elements: str
  sample: [/opt/example.abc_1234]
paths:
  description: What was removed, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [/opt/example]
former_files:
  description:
    - The caller's own files at places where O(files) were before. One of the caller's files still names one of them
      there, and those that are beside it now were beside it then.
  returned: success
  type: list
  elements: str
  sample: [/usr/bin/example]
former_directories:
  description:
    - In the form of O(directories), to be given to it, the places where one of the caller's files still names an
      O(directories[].proof) that is there, but which O(directories) no longer has.
  returned: success
  type: list
  elements: dict
  sample: [{"path": "/srv/example", "variable": "example_base_path", "proof": "example.pyz", "named": "", "names": []}]
left:
  description: With O(state=absent), what stays below O(directories), since the caller has not made it.
  returned: success
  type: list
  elements: str
  sample: [/opt/example/notes.txt]
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._own_directory import (
    OwnDirectory,
    directory_problems,
    parse_name,
    removal,
    remove,
)

# How much of a file is read to find the mark, and to find what it names, in bytes
HEAD = 2000
WHOLE = 100_000
PATH = re.compile(r"""(?:^|(?<=[\s'"]))(?:\w+=)?(/[^\s'"]+)""")


def is_foreign(path: Path, mark: str) -> bool:
    """Whether a file, or whatever is at its place, is somebody else's."""
    if path.is_symlink():
        return True
    try:
        with path.open("rb") as source:
            return mark.encode() not in source.read(HEAD)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def named_paths(text: str) -> list[Path]:
    """The absolute paths that are words of their own in a script, or the value of a line in a unit; each once."""
    return list(dict.fromkeys(map(Path, PATH.findall(text))))


def former_places(files: Sequence[Path], proofs: Mapping[Path, str], mark: str) -> tuple[list[Path], list[Path]]:
    """The caller's own files and directories at other places than it is given, as its files there name them.

    :param proofs: for each directory the name of the file that the caller alone makes in it.
    """
    # The same place by way of a link is no other.
    places = {path.resolve() for path in (*files, *proofs)}
    found: dict[Path, None] = {}
    directories: dict[Path, None] = {}
    waiting = [path for path in files if path.exists() and not is_foreign(path, mark)]
    while waiting:
        named = _named_in(waiting.pop(0))
        for path in named:
            if path.name in proofs.values() and path.is_file() and path.parent.resolve() not in places:
                directories[path.parent] = None
        new = [path for path in moved(named, files) if path not in found and path.resolve() not in places]
        own = [path for path in new if path.exists() and not is_foreign(path, mark)]
        found |= dict.fromkeys(own)
        waiting += own
    if is_in_use(directories, files, mark):
        return [], []
    return list(found), list(directories)


def is_in_use(directories: Iterable[Path], files: Sequence[Path], mark: str) -> bool:
    """Whether another drop-in of the caller's leads into one of the directories.

    It may be that of a service which is no longer named, or of another installation on this host.
    """
    dropins = {dropin for file in files for dropin in file.parent.glob("*.d/*.conf")} - set(files)
    named = [path for dropin in dropins if not is_foreign(dropin, mark) for path in _named_in(dropin)]
    return any(path.is_relative_to(directory) for path in named for directory in directories)


def _named_in(file: Path) -> list[Path]:
    with file.open("rb") as source:
        return named_paths(source.read(WHOLE).decode(errors="replace"))


def moved(named: Sequence[Path], files: Sequence[Path]) -> list[Path]:
    """Where files have been that are named at another place, and with each of them those beside it."""
    return [
        path.with_name(beside.name)
        for path in named
        for file in files
        if path.name == file.name and path.parent != file.parent
        for beside in files
        if beside.parent == file.parent
    ]


def file_problem(path: str, variable: str) -> str:
    """Why the file can't be written."""
    problem = f"Could not write {path!r}: what is there was not written by this role"
    return f"{problem}. Move it away, or give another place in {variable}."


def missing_problems(required: Mapping[str, str]) -> list[str]:
    """Which of the directories (path -> variable) are not there."""
    return [
        f"Could not find the directory {path!r}: this host has none. Make it, so that Synapse's user can write into it,"
        f" or give another place in {variable}."
        for path, variable in required.items()
        if not Path(path).is_dir()
    ]


def temporary_directories(beginning: str) -> list[Path]:
    """The directories of this user's whose paths begin so, and end as the module ``tempfile`` has it."""
    place = Path(beginning)
    if not beginning or not place.parent.is_dir():
        return []
    name = re.compile(rf"{re.escape(place.name)}[a-z0-9_]{{8}}")
    found = sorted(path for path in place.parent.iterdir() if name.fullmatch(path.name))
    return [path for path in found if not path.is_symlink() and path.is_dir() and path.stat().st_uid == os.geteuid()]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "dict", "default": {}},
            "mark": {"type": "str", "required": True},
            "directories": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "variable": {"type": "str", "default": ""},
                    "proof": {"type": "str", "default": ""},
                    "named": {"type": "str", "default": ""},
                    "names": {"type": "list", "elements": "str", "required": True},
                },
            },
            "required_directories": {"type": "dict", "default": {}},
            "temporary": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": ["told", "absent"], "default": "told"},
        },
        supports_check_mode=True,
    )
    if os.geteuid() != 0:
        module.fail_json(
            msg="Could not look at what is this role's on the host: only root may. Give the play `become: true`."
        )
    files, mark = module.params["files"], module.params["mark"]
    foreign = [path for path in files if is_foreign(Path(path), mark)]
    problems = [file_problem(path, files[path]) for path in foreign]
    problems += missing_problems(module.params["required_directories"])
    options = [option for option in module.params["directories"] if option["proof"]]
    proofs = {Path(option["path"]): option["proof"] for option in options}
    former_files, former_directories = former_places(list(map(Path, files)), proofs, mark)
    gone: dict[Path, bool] = {}
    left: list[Path] = []
    for option in module.params["directories"]:
        names = [parse_name(text) for text in option["names"]]
        directory = OwnDirectory(
            Path(option["path"]), names, option["proof"], named=option["named"], variable=option["variable"]
        )
        problems += directory_problems(directory)
        if module.params["state"] == "absent":
            content = removal(directory)
            gone |= content.own
            left += content.foreign
    if not module.check_mode:
        try:
            remove(gone)
        except OSError as error:
            problem = f"Could not remove {error.filename!r}: {error.strerror}"
            module.fail_json(msg=f"{problem}. See what is there, and run this again.")
    temporary = [str(path) for path in temporary_directories(module.params["temporary"])]
    result: dict[str, Any] = {
        "problems": problems,
        "foreign": foreign,
        "temporary": temporary,
        "former_files": [str(path) for path in former_files],
        "former_directories": [
            {**option, "path": str(path)}
            for path in former_directories
            for option in options
            if (path / option["proof"]).is_file()
        ],
        "left": [str(path) for path in left],
    }
    module.exit_json(changed=bool(gone), paths=[str(path) for path in gone], **result)


if __name__ == "__main__":
    main()
