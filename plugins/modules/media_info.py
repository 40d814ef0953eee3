#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``media_info``: what the installed program tells of the media, as facts that a play can judge."""

from __future__ import annotations

DOCUMENTATION = r"""
module: media_info
short_description: Tells where Synapse's media is, and whether it is whole
version_added: 0.1.0
author:
  - The matrixops.synapse_s3 authors (@matrixops)
description:
  - Runs C(matrix-synapse-s3-storage-provider status), which the role P(matrixops.synapse_s3.storage_provider#role) has
    installed, and returns what it counts.
  - With O(verify=true) it also runs C(matrix-synapse-s3-storage-provider verify), which looks whether every file that
    Synapse's database knows is there, in full, where Synapse finds it.
  - Media that is missing or damaged does not fail the module. It is told in RV(verify), for the play to judge.
  - It fails where the program could not look, such as while the bucket or the database can't be reached.
notes:
  - It needs nothing but the host's own Python, and root.
  - What it asks for takes minutes where there are millions of files, and hours with O(deep=true). Give the task
    C(async) and C(poll), and Ansible says meanwhile that it waits.
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - matrixops.synapse_s3.attributes
  - matrixops.synapse_s3.attributes.reads_only
options:
  command:
    description:
      - The installed command. With the layout C(mdad) the role puts it into C(/usr/local/sbin), and elsewhere where
        C(matrix_synapse_ext_synapse_s3_storage_provider_bin_path) says.
    type: path
    default: /usr/local/bin/matrix-synapse-s3-storage-provider
  verify:
    description:
      - Whether to look at every file that the database knows.
    type: bool
    default: false
  deep:
    description:
      - With O(verify=true), whether to read each file and compare its content too.
    type: bool
    default: false
  sample:
    description:
      - With O(verify=true), how many media to look at, chosen by chance, V(1000) or V(5%). Left out, all.
    type: str
  origin:
    description:
      - With O(verify=true), look only at the media of this homeserver. Left out, of all.
    type: str
"""

EXAMPLES = r"""
- name: See that nothing is only on the local disk
  hosts: matrix_servers
  become: true
  tasks:
    - name: Count the media
      matrixops.synapse_s3.media_info:
      register: media

    - name: Judge it
      ansible.builtin.assert:
        that: media.status.at_risk.files == 0

- name: See that every file that Synapse knows can be served
  hosts: matrix_servers
  become: true
  tasks:
    - name: Look at a twentieth of the media, content and all
      matrixops.synapse_s3.media_info:
        verify: true
        deep: true
        sample: 5%
      async: 7200
      poll: 15
      register: media

    - name: Judge it
      ansible.builtin.assert:
        that:
          - media.verify.missing.files == 0
          - media.verify.damaged.files == 0
        fail_msg: "{{ media.verify.problems }}"
"""

RETURN = r"""
status:
  description:
    - What C(matrix-synapse-s3-storage-provider status --json) tells. A count is a dictionary of C(files) and C(bytes),
      or null where it can't be told; then C(errors) says why.
  returned: success
  type: dict
  contains:
    local:
      description: What is on the local disk.
      type: dict
      sample: {"files": 12, "bytes": 34567}
    stored:
      description: What is in the bucket.
      type: dict
      sample: {"files": 40, "bytes": 890123}
    at_risk:
      description: What only the local disk has.
      type: dict
      sample: {"files": 2, "bytes": 4567}
    stored_only:
      description: What only the bucket has. Without the storage provider Synapse can't serve it.
      type: dict
      sample: {"files": 30, "bytes": 860123}
    stored_elsewhere:
      description: What only another bucket has that Synapse reads from, such as a former store.
      type: dict
      sample: {"files": 0, "bytes": 0}
    unserved:
      description: What the database knows and neither has.
      type: dict
      sample: {"files": 0, "bytes": 0}
    damaged:
      description: What is somewhere, and nowhere in the database's length or out of an archive.
      type: dict
      sample: {"files": 0, "bytes": 0}
    repairable:
      description: What is damaged on the local disk and whole in a bucket.
      type: dict
      sample: {"files": 0, "bytes": 0}
    unreadable:
      description:
        - Of the objects that were looked at by chance, those that are nowhere else and can't be read, or not for long.
      type: dict
      sample: {"files": 0, "bytes": 0}
    exit_code:
      description: The status with which it ended, V(0) or V(1).
      type: int
      sample: 0
    errors:
      description: What could not be looked at.
      type: list
      elements: str
      sample: []
verify:
  description:
    - What C(matrix-synapse-s3-storage-provider verify --json) tells, each count a dictionary of C(files) and C(bytes).
  returned: success, with O(verify=true)
  type: dict
  contains:
    checked:
      description: What was looked at.
      type: dict
      sample: {"files": 42, "bytes": 894690}
    missing:
      description: What is nowhere.
      type: dict
      sample: {"files": 0, "bytes": 0}
    damaged:
      description: What is there, but not as the database has it, or not in a form that Synapse can read at once.
      type: dict
      sample: {"files": 1, "bytes": 4096}
    problems:
      description: What is not well, a dictionary of C(path) and C(reason) each; at most 1000.
      type: list
      elements: dict
      sample:
        - path: local_content/ab/cd/efghijkl
          reason: >-
            the object is empty (the object has 0 bytes; the database gives 4096); no right copy is left.
    exit_code:
      description: The status with which it ended, V(0) where all is well, else V(1).
      type: int
      sample: 1
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.answer import last_words, read_answer

ARGUMENTS: Mapping[str, Any] = {
    "command": {"type": "path", "default": "/usr/local/bin/matrix-synapse-s3-storage-provider"},
    "verify": {"type": "bool", "default": False},
    "deep": {"type": "bool", "default": False},
    "sample": {"type": "str"},
    "origin": {"type": "str"},
}
# All was looked at, be it well or not.
LOOKED = (0, 1)


def verify_words(parameters: Mapping[str, Any]) -> list[str]:
    """The command line behind the program's name."""
    options = [(f"--{name}", parameters[name]) for name in ("sample", "origin")]
    return [
        "verify",
        "--json",
        *(["--deep"] if parameters["deep"] else []),
        *(word for name, value in options if value for word in (name, value)),
    ]


def failure(action: str, answer: Mapping[str, Any]) -> str:
    """Why the program could not look, '' where it could.

    :param answer: how it ended: ``rc``, ``stdout`` and ``stderr``.
    """
    told = read_answer(answer)
    # An error that ended it is told without a count.
    if answer["rc"] in LOOKED and told.keys() - {"command", "errors", "exit_code"}:
        return ""
    errors = told.get("errors")
    cause = " ".join(map(str, errors)) if isinstance(errors, list) and errors else last_words(answer)
    return f"Could not {action} the media: {cause if cause.endswith(('.', '?', '!')) else cause + '.'}"


def main() -> None:
    module = AnsibleModule(argument_spec=dict(ARGUMENTS), supports_check_mode=True)
    command = module.params["command"]
    unused = [name for name in ("deep", "sample", "origin") if module.params[name] and not module.params["verify"]]
    if unused:
        module.fail_json(
            msg=f"Could not look at the media: {', '.join(unused)} would have no effect. Set verify to true."
        )
    if not Path(command).is_file():
        module.fail_json(
            msg=f"Could not look at the media: there is no {command!r} on this host. Run matrixops.synapse_s3.install"
            " first, or say in command where the role has put it."
        )
    facts: dict[str, Any] = {}
    asked = {"status": ("count", ["status", "--json"])}
    if module.params["verify"]:
        asked["verify"] = ("verify", verify_words(module.params))
    for name, (action, words) in asked.items():
        status, stdout, stderr = module.run_command([command, *words], cwd="/")
        answer = {"rc": status, "stdout": stdout, "stderr": stderr}
        problem = failure(action, answer)
        if problem:
            module.fail_json(msg=problem, rc=status)
        facts[name] = dict(read_answer(answer))
    module.exit_json(changed=False, **facts)


if __name__ == "__main__":
    main()
