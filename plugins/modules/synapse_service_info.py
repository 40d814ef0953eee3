#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``synapse_service_info``: whether Synapse runs with the files that are on the disk."""

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_service_info
short_description: Tells whether Synapse's services run with the files that are on the disk
version_added: 0.1.0
author:
  - The matrixops.synapse_s3 authors (@matrixops)
description:
  - Compares the time when each service started with the time when the files that it reads at its start last changed.
  - So a change that was made, but never taken up because the run was interrupted before the restart, is found by the
    next run without anything being remembered.
requirements:
  - systemd 247 or newer on the host (C(systemctl show --timestamp)).
options:
  services:
    description:
      - Synapse's systemd units, each with the path of the drop-in that the caller gives it. Where there are no
        drop-ins, it is the path of what else is there only while Synapse has the provider.
    type: dict
    required: true
  variable:
    description:
      - The environment variable that the drop-ins set.
    type: str
    required: true
  value:
    description:
      - What the drop-ins set it to, or what that begins with.
    type: str
    required: true
  base_image:
    description:
      - The image that the services' own units have to set the variable to already, because they run what it names, and
        the drop-ins' is built from it.
      - If it is empty, the units must not set the variable.
    type: str
    default: ""
  user:
    description:
      - The user that the services are expected to run as. Empty, it is not judged.
    type: str
    default: ""
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - matrixops.synapse_s3.attributes
  - matrixops.synapse_s3.attributes.reads_only
  - matrixops.synapse_s3.attributes.start_paths
"""

EXAMPLES = r"""
- name: Look at Synapse
  matrixops.synapse_s3.synapse_service_info:
    services:
      matrix-synapse.service: /etc/systemd/system/matrix-synapse.service.d/example.conf
    paths:
      - /etc/matrix-synapse/conf.d/example.yaml
    variable: PYTHONPATH
    value: /opt/example/import
"""

RETURN = r"""
problems:
  description: What would keep the services from working with the drop-ins. Each says what to change.
  returned: success
  type: list
  elements: str
  sample:
    - >-
      Could not find the service 'synapse.service': systemd has no such unit that it can load. Give the units that run
      Synapse.
health_problems:
  description: Why nothing could be seen at O(health_url) after a restart, since nothing is to be seen there now.
  returned: success
  type: list
  elements: str
  sample: []
outdated:
  description:
    - The services that are to be restarted. With the drop-in, those that have failed or are not up, or run with older
      files; without it, those that still run with what it said.
  returned: success
  type: list
  elements: str
  sample: [matrix-synapse.service]
stopped:
  description:
    - The services that somebody has stopped, or never started. They are none of RV(outdated), and not to be started.
      One that has failed is none of them.
  returned: success
  type: list
  elements: str
  sample: []
failed_services:
  description: The services that have failed, and do not run now.
  returned: success
  type: list
  elements: str
  sample: []
user_problems:
  description: Which services run as another user than O(user), but for root.
  returned: success
  type: list
  elements: str
  sample: []
root_problems:
  description: Which services run as root, which no permission keeps out, where O(user) is given.
  returned: success
  type: list
  elements: str
  sample: []
dependent_problems:
  description:
    - Which other units run now that systemd stops with one of the services, by their C(Requires=), C(BindsTo=) or
      C(PartOf=), and would not start again with it. Looked for where O(user) is given.
  returned: success
  type: list
  elements: str
  sample: []
working_directory:
  description: The directory in which the first of the services runs.
  returned: success
  type: str
  sample: /
"""

import pwd
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.matrixops.synapse_s3.plugins.module_utils import _processes as processes
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._changes import newest_change
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._health import health_problems
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._images import base_problems

PROPERTIES = (
    "LoadState",
    "ActiveState",
    "Result",
    "NeedDaemonReload",
    "ExecMainStartTimestamp",
    "Environment",
    "WorkingDirectory",
    "User",
    "MainPID",
)
RUNNING = ("active", "reloading")
# What is stopped with a unit: those that name it in Requires=, BindsTo= and PartOf=
STOPPED_WITH_IT = ("RequiredBy", "BoundBy", "ConsistsOf")


@dataclass(frozen=True)
class Setting:
    """The environment variable that the drop-ins set."""

    variable: str
    value: str
    base_image: str = ""


def parse_properties(text: str) -> dict[str, str]:
    """The output of ``systemctl show``."""
    return {name: value for name, _unused, value in (line.partition("=") for line in text.splitlines())}


def parse_timestamp(text: str) -> float:
    """Seconds since 1970 of ``Sun 2026-11-22 21:50:10.123456 UTC``; 0 when systemd has no time to tell."""
    words = text.split()
    if len(words) != 4:
        return 0.0
    return datetime.strptime(" ".join(words[1:3]), "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=timezone.utc).timestamp()


def is_stopped(properties: Mapping[str, str]) -> bool:
    """Whether somebody has stopped the service, or never started it: it does not run, and has not failed."""
    # A unit that is none of a service's, such as a target, has no result. What is not there is not known to be stopped.
    has_failed = properties.get("Result", "success") != "success"
    return properties.get("ActiveState") == "inactive" and not has_failed and properties.get("LoadState") != "not-found"


def has_failed(properties: Mapping[str, str]) -> bool:
    """Whether the service has failed, also where systemd is about to start it again."""
    state = properties.get("ActiveState")
    return state == "failed" or (state not in RUNNING and properties.get("Result", "success") != "success")


def is_outdated(properties: Mapping[str, str], newest: float, setting: Setting, *, has_dropin: bool) -> bool:
    """Whether the service is to be restarted, when the newest of the files that it reads changed at ``newest``."""
    runs = properties.get("ActiveState") in RUNNING
    if is_stopped(properties):
        return False
    if not has_dropin:
        # Without our drop-in, only a process that still has our setting matters.
        return runs and (set_value(properties, setting.variable) or "").startswith(setting.value)
    return (
        not runs
        or properties.get("NeedDaemonReload") == "yes"
        or parse_timestamp(properties.get("ExecMainStartTimestamp", "")) < newest
    )


def set_value(properties: Mapping[str, str], variable: str) -> str | None:
    """What the service's unit, as systemd has loaded it, sets the variable to."""
    settings = dict(setting.partition("=")[::2] for setting in shlex.split(properties.get("Environment", "")))
    return settings.get(variable)


def service_problems(service: str, properties: Mapping[str, str], setting: Setting, *, has_dropin: bool) -> list[str]:
    """Why a drop-in can't be given to this service."""
    if properties.get("LoadState") != "loaded":
        problem = f"Could not find the service {service!r}: systemd has no such unit that it can load."
        return [f"{problem} Give the units that run Synapse."]
    if has_dropin:
        return []
    other = set_value(properties, setting.variable)
    if setting.base_image and other:
        return [] if other.startswith(setting.value) else base_problems(service, other, setting.base_image)
    if setting.base_image:
        problem = f"Could not give {service!r} another image: its unit does not set {setting.variable}."
        advice = (
            f"Write Environment={setting.variable}=, with the image that Synapse has now, into its section [Service],"
            f" start ${{{setting.variable}}} instead of that image, and run systemctl daemon-reload."
        )
        return [f"{problem} {advice}"]
    if other not in (None, setting.value):
        problem = (
            f"Could not set {setting.variable} for {service!r}: its unit sets it to {other!r} already,"
            " and systemd can't add to it."
        )
        advice = "Install what needs it into Synapse's environment, remove the setting and run systemctl daemon-reload."
        return [f"{problem} {advice}"]
    return []


def user_name(properties: Mapping[str, str]) -> str:
    """As whom the service runs; '' where that is not known: a program may take another user than its unit has."""
    user = properties.get("User") or _owner(properties.get("MainPID", "0"))
    try:
        return pwd.getpwuid(int(user)).pw_name if user.isdecimal() else user
    except KeyError:
        return user


def _owner(pid: str) -> str:
    """The number of the user whose a process is; '' where there is none (0)."""
    try:
        return "" if pid == "0" else str(Path("/proc", pid).stat().st_uid)
    except OSError:  # It may have ended since.
        return ""


def user_problems(service: str, properties: Mapping[str, str], user: str) -> list[str]:
    """Why ``user`` is not the one that is to have the media."""
    other = user_name(properties)
    if not user or properties.get("LoadState") != "loaded" or other in (user, "root", ""):
        return []
    return [f"bucket_mount_synapse_user: {user!r} is not the user of {service!r}, which is {other!r}. Set it to that."]


def root_problems(service: str, properties: Mapping[str, str], user: str) -> list[str]:
    """Why nothing could keep the service from writing where nothing is mounted."""
    if not user or properties.get("LoadState") != "loaded" or user_name(properties) != "root":
        return []
    problem = f"Could not keep {service!r} from writing to the disk while the bucket is not mounted: it runs as root."
    return [f"{problem} Give its unit a user of its own (User=), and bucket_mount_synapse_user that user."]


def dependents(services: Iterable[str], show: Callable[[str], Mapping[str, str]]) -> dict[str, str]:
    """The units that run and are stopped with the services, each with the unit that it is stopped with."""
    found: dict[str, str] = {}
    to_ask = list(services)
    seen = set(to_ask)
    for unit in to_ask:
        for other in sorted({name for kind in STOPPED_WITH_IT for name in show(unit).get(kind, "").split()}):
            if other not in seen:
                seen.add(other)
                if show(other).get("ActiveState") in (*RUNNING, "activating"):
                    found[other] = unit
                    to_ask.append(other)
    return found


def dependent_problems(found: Mapping[str, str]) -> list[str]:
    """What is stopped with the services, and would stay so. A target does nothing itself."""
    return [
        f"bucket_mount_synapse_services: systemd stops {unit!r} with {with_what!r}, and would not start it again."
        " Write it there too, or let it have Wants= instead of Requires=, BindsTo= or PartOf=."
        for unit, with_what in found.items()
        if not unit.endswith(".target")
    ]


def working_directory(properties: Mapping[str, str]) -> str:
    """Where the service runs; systemd puts ``-`` or ``!`` before a directory that may be missing."""
    return properties.get("WorkingDirectory", "").lstrip("-!") or "/"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "dict", "required": True},
            "paths": {"type": "list", "elements": "path", "default": []},
            "variable": {"type": "str", "required": True},
            "value": {"type": "str", "required": True},
            "base_image": {"type": "str", "default": ""},
            "user": {"type": "str", "default": ""},
            "config_path": {"type": "str", "default": ""},
            "worker_path": {"type": "str", "default": ""},
            "health_url": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    dropins = {service: Path(path) for service, path in module.params["services"].items()}
    newest = newest_change([*map(Path, module.params["paths"]), *dropins.values()])
    setting = Setting(module.params["variable"], module.params["value"], module.params["base_image"])
    systemctl = module.get_bin_path("systemctl", required=True)
    shown: dict[str, dict[str, str]] = {}
    user = module.params["user"]
    problems, outdated, stopped = [], [], []

    def show(unit: str) -> dict[str, str]:
        command = [systemctl, "show", f"--property=ActiveState,{','.join(STOPPED_WITH_IT)}", "--", unit]
        return parse_properties(module.run_command(command, check_rc=True)[1])

    for service, dropin in dropins.items():
        command = [systemctl, "show", "--timestamp=us+utc", f"--property={','.join(PROPERTIES)}", service]
        _status, output, _errors = module.run_command(command, check_rc=True)
        shown[service] = properties = parse_properties(output)
        has_dropin = dropin.exists()
        problems += service_problems(service, properties, setting, has_dropin=has_dropin)
        if is_outdated(properties, newest, setting, has_dropin=has_dropin):
            outdated.append(service)
        if is_stopped(properties):
            stopped.append(service)
    all_run = all(properties.get("ActiveState") in RUNNING for properties in shown.values())
    if module.params["config_path"]:
        running = processes.synapse_processes()
        worker = PurePosixPath(module.params["worker_path"]) if module.params["worker_path"] else None
        config_path = PurePosixPath(module.params["config_path"])
        problems += processes.unread_problems(running, config_path, worker, all_run=all_run)
        if worker is not None:
            problems += processes.unnamed_problems(running, worker, list(dropins))
            if any(dropin.exists() for dropin in dropins.values()) and processes.is_outdated(running, worker, newest):
                outdated.append(f"the worker of {str(worker)!r}")
    directory = working_directory(next(iter(shown.values()), {}))
    module.exit_json(
        changed=False,
        problems=problems,
        health_problems=health_problems(module.params["health_url"], all_run=all_run),
        outdated=outdated,
        stopped=stopped,
        failed_services=[service for service, properties in shown.items() if has_failed(properties)],
        user_problems=[text for name, properties in shown.items() for text in user_problems(name, properties, user)],
        root_problems=[text for name, properties in shown.items() for text in root_problems(name, properties, user)],
        dependent_problems=dependent_problems(dependents(dropins, show)) if user else [],
        working_directory=directory,
    )


if __name__ == "__main__":
    main()
