#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``files``: a set of small text files, links and directories in one remote call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: files
short_description: Puts a set of small text files, links and directories in place
version_added: 0.1.0
author:
  - The matrixops.synapse_s3 authors (@matrixops)
description:
  - Brings a whole set of files, symbolic links and directories into the wanted state in one remote call.
    The same with M(ansible.builtin.copy) and M(ansible.builtin.file) is two or three calls for each of them.
  - When something can't be done, what was done before it is put back, and the module fails.
  - Files and links are replaced atomically, so that a program that reads them meanwhile sees the old or the new one,
    whole.
  - Check mode works on a host where the directories do not exist yet.
  - It is the role's own, and made for small sets of text files. Outside it, M(ansible.builtin.template) and
    M(ansible.builtin.file) serve better.
  - Returns what was there before in the form that this module accepts, so that a failed change can be taken back.
  - A text file that is replaced is expected to be UTF-8.
  - With SELinux, what is replaced keeps its context. What is new gets the one that the host's policy has for its
    place, or that of its directory, where that has been given another than the policy's, as for a container.
options:
  present:
    description:
      - What is to be there, in the order in which it is made.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The absolute path.
        type: path
        required: true
      state:
        description: What is to be at O(present[].path).
        type: str
        choices: [file, link, directory]
        default: file
      content:
        description: The text of the file. Required with O(present[].state=file), unless O(present[].template) is given.
        type: str
      template:
        description: A template to render as the text of the file, looked for where M(ansible.builtin.template) looks.
        type: str
      target:
        description: Where the link points to. Required with O(present[].state=link).
        type: str
      owner:
        description: Name or number of the owner. A link has none of its own.
        type: str
        default: root
      group:
        description: Name or number of the group. A link has none of its own.
        type: str
        default: root
      mode:
        description:
          - The permissions as an octal number. By default V(0755) for a directory and V(0644) for a file.
          - A directory that is there already, and is given none, keeps its owner, group and permissions.
        type: str
      context:
        description:
          - The whole SELinux context of what is made or replaced. It is part of RV(previous); another context alone is
            no difference. Without SELinux it is not used.
        type: str
  absent:
    description:
      - Paths where nothing is to be, in the order in which it is removed.
      - A directory is removed only when it is empty, or when all that it holds is removed too.
    type: list
    elements: path
    default: []
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - matrixops.synapse_s3.attributes
attributes:
  action:
    support: full
    description: Templates are rendered on the controller.
  check_mode:
    support: full
    description: Can run in check mode and predict the changes.
  diff_mode:
    support: full
    description: Returns the differences of every changed file.
"""

EXAMPLES = r"""
- name: Install two commands
  matrixops.synapse_s3.files:
    present:
      - path: /usr/local/bin/example
        template: example.j2
        mode: "0755"
      - path: /usr/local/bin/example-latest
        state: link
        target: example
  register: result

- name: Take it back
  matrixops.synapse_s3.files:
    present: "{{ result.previous.present }}"
    absent: "{{ result.previous.absent }}"
"""

RETURN = r"""
paths:
  description: The paths that were changed, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [/usr/local/bin/example, /usr/local/bin/example-latest]
previous:
  description: What was at these paths before, as arguments for this module.
  returned: success
  type: dict
  contains:
    present:
      description: As O(present).
      type: list
      elements: dict
    absent:
      description: As O(absent).
      type: list
      elements: str
  sample:
    present: []
    absent: [/usr/local/bin/example-latest, /usr/local/bin/example]
"""

import grp
import os
import pwd
import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._selinux import SELinux, selinux_of

DEFAULT_MODES = {"file": "0644", "directory": "0755", "link": "0777"}
WITHOUT_SELINUX = SELinux()
Difference = dict[str, str]


class FilesError(Exception):
    """A path can't be brought into the wanted state; the text is for the administrator."""


@dataclass(frozen=True)
class Entry:
    """What is, or is to be, at a path. ``text`` is a file's content, a link's target, and empty for a directory.

    ``context`` is that of SELinux. Where it is empty, it is left to the host.
    """

    path: Path
    state: str
    text: str
    uid: int
    gid: int
    mode: int
    context: str = field(default="", compare=False)


def wanted_entry(option: Mapping[str, Any]) -> Entry:
    """The entry for one item of the option ``present``."""
    path, state, context = Path(option["path"]), option["state"], option["context"] or ""
    text = {"file": option["content"], "link": option["target"], "directory": ""}[state]
    mode = int(option["mode"] or DEFAULT_MODES[state], 8)
    if state == "link":
        return Entry(path, state, text, 0, 0, mode, context)
    now = look(path) if state == "directory" and not option["mode"] else None
    if now is not None and now.state == "directory":
        return now
    return Entry(path, state, text, _uid(option["owner"]), _gid(option["group"]), mode, context)


def option_for(entry: Entry) -> dict[str, str]:
    """The item of the option ``present`` that `wanted_entry` turns into this entry."""
    text = {"file": {"content": entry.text}, "link": {"target": entry.text}, "directory": {}}[entry.state]
    owner = {"owner": str(entry.uid), "group": str(entry.gid), "mode": f"{entry.mode:04o}"}
    context = {"context": entry.context} if entry.context else {}
    return {"path": str(entry.path), "state": entry.state, **text, **owner, **context}


def look(path: Path, selinux: SELinux = WITHOUT_SELINUX) -> Entry | None:
    """What is at ``path`` now, or None."""
    try:
        seen = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    mode, context = stat.S_IMODE(seen.st_mode), selinux.context(path)
    if stat.S_ISLNK(seen.st_mode):
        return Entry(path, "link", str(path.readlink()), 0, 0, 0o777, context)
    if stat.S_ISDIR(seen.st_mode):
        return Entry(path, "directory", "", seen.st_uid, seen.st_gid, mode, context)
    if not stat.S_ISREG(seen.st_mode):
        raise FilesError(f"Could not use {str(path)!r}: neither a file nor a directory is there. Move it away.")
    try:
        content = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise FilesError(
            f"Could not replace {str(path)!r}: a file is there that is not UTF-8 text. Move it away."
        ) from error
    return Entry(path, "file", content, seen.st_uid, seen.st_gid, mode, context)


def check_replaceable(now: Entry | None, wanted: Entry) -> None:
    """A directory is never replaced by something else, nor anything else by a directory."""
    if now is not None and now.state != wanted.state and "directory" in (now.state, wanted.state):
        raise FilesError(
            f"Could not make the {wanted.state} {str(wanted.path)!r}: a {now.state} is there. Move it away."
        )


def put(entry: Entry, selinux: SELinux) -> None:
    """Bring ``entry`` about, a file or a link by one atomic rename."""
    try:
        context = entry.context or selinux.context(entry.path)
        if entry.state == "directory":
            entry.path.mkdir(mode=0o700, exist_ok=True)
            selinux.give(entry.path, entry.path, context)
            os.chown(entry.path, entry.uid, entry.gid)
            entry.path.chmod(entry.mode)
            return
        # A hidden directory keeps the half-written file from programs that read whole directories, as Synapse does.
        with tempfile.TemporaryDirectory(prefix=".", dir=entry.path.parent) as directory:
            new = Path(directory) / "new"
            if entry.state == "link":
                new.symlink_to(entry.text)
            else:
                _write(new, entry)
            selinux.give(new, entry.path, context)
            new.replace(entry.path)
    except OSError as error:
        raise FilesError(f"Could not write {str(entry.path)!r}: {error.strerror}.") from error


def remove(path: Path) -> None:
    """Remove a file, a link or an empty directory."""
    try:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
    except OSError as error:
        raise FilesError(f"Could not remove {str(path)!r}: {error.strerror}.") from error


def removable(paths: Sequence[Path], selinux: SELinux) -> list[Entry]:
    """What is there at ``paths`` and can go: a directory only if it holds nothing but what goes before it."""
    gone: dict[Path, Entry] = {}
    for path in paths:
        now = look(path, selinux)
        if now is not None and (now.state != "directory" or all(child in gone for child in path.iterdir())):
            gone[path] = now
    return list(gone.values())


def difference(path: Path, before: Entry | None, after: Entry | None) -> Difference:
    """What ``--diff`` shows: the text, or where that stays, the kind, owner and permissions."""
    old, new = _attributes(before), _attributes(after)
    headers = {"before_header": f"{path} ({old})", "after_header": f"{path} ({new})"}
    old_text, new_text = _shown_text(before), _shown_text(after)
    if old_text == new_text:
        return {"before": f"{old}\n", "after": f"{new}\n", **headers}
    return {"before": old_text, "after": new_text, **headers}


def change(
    to_put: Sequence[Entry], to_remove: Sequence[Entry], before: Mapping[Path, Entry | None], selinux: SELinux
) -> None:
    """Do all of it or, when some of it fails, nothing."""
    try:
        for entry in to_put:
            put(entry, selinux)
        for entry in to_remove:
            remove(entry.path)
    except FilesError:
        old = {**{entry.path: before[entry.path] for entry in to_put}, **{entry.path: entry for entry in to_remove}}
        for path, was in reversed(old.items()):
            if look(path) != was:
                remove(path) if was is None else put(was, selinux)
        raise


def apply(
    present: Sequence[Entry], absent: Sequence[Path], *, check_mode: bool, selinux: SELinux = WITHOUT_SELINUX
) -> dict[str, Any]:
    """Do what is to be done and return the module's result."""
    before = {entry.path: look(entry.path, selinux) for entry in present}
    for entry in present:
        check_replaceable(before[entry.path], entry)
    to_put = [entry for entry in present if before[entry.path] != entry]
    to_remove = removable(absent, selinux)
    if not check_mode:
        change(to_put, to_remove, before, selinux)
    old = [entry for entry in map(before.get, (entry.path for entry in to_put)) if entry is not None]
    # Directories were removed after what they held: they come back before it. What is new goes in reverse order.
    return {
        "changed": bool(to_put or to_remove),
        "paths": [str(entry.path) for entry in [*to_put, *to_remove]],
        "previous": {
            "present": [option_for(entry) for entry in [*old, *reversed(to_remove)]],
            "absent": [str(entry.path) for entry in reversed(to_put) if before[entry.path] is None],
        },
        "diff": [
            *(difference(entry.path, before[entry.path], entry) for entry in to_put),
            *(difference(entry.path, entry, None) for entry in to_remove),
        ],
    }


def _write(path: Path, entry: Entry) -> None:
    with open(
        path, "x", encoding="utf-8", newline="", opener=lambda name, flags: os.open(name, flags, 0o600)
    ) as target:
        target.write(entry.text)
        target.flush()
        os.fchown(target.fileno(), entry.uid, entry.gid)
        os.fchmod(target.fileno(), entry.mode)
        os.fsync(target.fileno())


def _shown_text(entry: Entry | None) -> str:
    if entry is None:
        return ""
    return f"{entry.text}\n" if entry.state == "link" else entry.text


def _attributes(entry: Entry | None) -> str:
    if entry is None:
        return "absent"
    if entry.state == "link":
        return "link"
    return f"{entry.state}, owner {entry.uid}, group {entry.gid}, mode {entry.mode:04o}"


def _uid(owner: str) -> int:
    try:
        return int(owner) if owner.isdecimal() else pwd.getpwnam(owner).pw_uid
    except KeyError as error:
        raise FilesError(f"Could not find the user {owner!r}: this host has none of that name.") from error


def _gid(group: str) -> int:
    try:
        return int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise FilesError(f"Could not find the group {group!r}: this host has none of that name.") from error


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "present": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "state": {"type": "str", "choices": ["file", "link", "directory"], "default": "file"},
                    "content": {"type": "str"},
                    # The action of that name renders it, and gives its text as content.
                    "template": {"type": "str"},
                    "target": {"type": "str"},
                    "owner": {"type": "str", "default": "root"},
                    "group": {"type": "str", "default": "root"},
                    "mode": {"type": "str"},
                    "context": {"type": "str"},
                },
                "required_if": [("state", "file", ["content"]), ("state", "link", ["target"])],
            },
            "absent": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        present = [wanted_entry(option) for option in module.params["present"]]
        absent = [Path(path) for path in module.params["absent"]]
        result = apply(present, absent, check_mode=module.check_mode, selinux=selinux_of(module))
    except FilesError as error:
        module.fail_json(msg=str(error))
    if not module._diff:
        del result["diff"]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
