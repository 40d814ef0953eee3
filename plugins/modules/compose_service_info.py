#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``compose_service_info``: whether Synapse, as a service of Compose, runs with the files on the disk."""

from __future__ import annotations

DOCUMENTATION = r"""
module: compose_service_info
short_description: Tells whether Synapse's services of a Compose project run with the files that are on the disk
version_added: 0.1.0
author:
  - The matrixops.synapse_s3 authors (@matrixops)
description:
  - Does for a Compose project with Docker what M(matrixops.synapse_s3.synapse_service_info) does for systemd.
  - Compares the time when each service's container started with the time when the files that it reads at its start
    last changed.
requirements:
  - Docker on the host, with Docker Compose, version 2 or version 1.
options:
  project_path:
    description:
      - The directory of the Compose project.
    type: path
    required: true
  command:
    description:
      - How Compose is called, as a list of words.
    type: list
    elements: str
    default: [docker, compose]
  services:
    description:
      - The project's services that run Synapse, each with the path of what is there only while it has the provider.
    type: dict
    required: true
  override_path:
    description:
      - The file with which the caller changes the project. Compose must read it by itself beside the project's own
        file, as it does with C(compose.override.yaml).
    type: path
    required: true
  image:
    description:
      - What the names of the caller's images begin with.
    type: str
    required: true
  base_image:
    description:
      - The image that the caller's is built from, which the services must have until the override file names the
        caller's.
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
  matrixops.synapse_s3.compose_service_info:
    project_path: /srv/compose
    services:
      synapse: /srv/compose/compose.override.yaml
    override_path: /srv/compose/compose.override.yaml
    image: "localhost/example:"
"""

RETURN = r"""
problems:
  description: What would keep the services from working with the override file. Each says what to change.
  returned: success
  type: list
  elements: str
  sample:
    - >-
      Could not find the service 'synapse': the Compose project in '/srv/compose' has 'postgres'. Give the services that
      run Synapse.
health_problems:
  description: Why nothing could be seen at O(health_url) after a restart, since nothing is to be seen there now.
  returned: success
  type: list
  elements: str
  sample: []
outdated:
  description:
    - The services that are to be restarted. With the provider, those that run with older files, or not from an image
      of the caller's although the override file says so; without it, those that still run from an image of the
      caller's.
  returned: success
  type: list
  elements: str
  sample: [synapse]
stopped:
  description:
    - The services of the project of which no container runs. Docker does not tell whether somebody has stopped one, or
      it has ended by itself. One that is started again and again counts as running.
  returned: success
  type: list
  elements: str
  sample: []
foreign:
  description: The path of the override file, if that is somebody else's.
  returned: success
  type: list
  elements: str
  sample: [/srv/compose/compose.override.yaml]
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.matrixops.synapse_s3.plugins.module_utils import _processes as processes
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._changes import newest_change
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._health import health_problems
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._images import base_problems

# What the caller's own files have in their first lines.
MARK = "matrixops.synapse_s3.storage_provider"
# The files that Compose reads beside the project's own: of several it takes one, or none.
# https://docs.docker.com/compose/how-tos/multiple-compose-files/merge/
OVERRIDES = (
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
)


@dataclass(frozen=True)
class Container:
    """A container that runs for a service. ``started``: seconds since 1970."""

    service: str
    image: str
    started: float


def parse_containers(text: str) -> list[Container]:
    """The services' containers that run, from the output of ``docker container inspect``.

    One of ``docker compose run`` is none of them: Compose does not make it anew with the service.
    """
    return [
        Container(
            labels["com.docker.compose.service"], found["Config"]["Image"], parse_time(found["State"]["StartedAt"])
        )
        for found in json.loads(text)
        if found["State"]["Running"]
        and (labels := found["Config"]["Labels"]).get("com.docker.compose.oneoff", "").lower() != "true"
    ]


def parse_time(text: str) -> float:
    """Seconds since 1970 of ``2026-11-22T21:50:20.123456789Z``, as Docker writes every time."""
    seconds, _unused, fraction = text.rstrip("Z").partition(".")
    whole = datetime.strptime(seconds, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc).timestamp()
    return whole + float(f"0.{fraction or 0}")


def is_outdated(
    containers: Sequence[Container], newest: float, image: str, *, has_provider: bool, by_image: bool = True
) -> bool:
    """Whether the service is to be restarted, when the newest of the files that it reads changed at ``newest``.

    Without containers it may be stopped on purpose.
    ``by_image``: the provider comes with an image of ours, so a container of another has been made without our file.
    """
    ours = [container.image.startswith(image) for container in containers]
    if has_provider:
        return any(container.started < newest for container in containers) or (by_image and not all(ours))
    # Without the provider, only a container that still has our image matters.
    return any(ours)


def image_problems(containers: Sequence[Container], image: str, base: str) -> list[str]:
    """Why services that run without the override file can't be given images of ours, which are built from ``base``."""
    others = {(container.service, container.image) for container in containers if not container.image.startswith(image)}
    return [problem for service, now in sorted(others) for problem in base_problems(service, now, base)]


def foreign_overrides(override: Path) -> list[Path]:
    """The files that Compose may read in place of, or instead of, the caller's own."""
    found = [path for name in OVERRIDES if (path := override.with_name(name)).exists()]
    return [path for path in found if path != override or MARK not in path.read_text(errors="replace")]


def override_problems(foreign: Sequence[Path]) -> list[str]:
    """Why the project can't be given an override file."""
    return [
        f"Could not give the Compose project an override file: there is {str(path)!r} already, which is not this"
        " role's. Move what it says into the project's own file, and remove it."
        for path in foreign
    ]


def settings_problems(project: Path) -> list[str]:
    """Why Compose would not read an override file by itself.

    https://docs.docker.com/compose/how-tos/environment-variables/envvars/#compose_file
    """
    settings = project / ".env"
    if not settings.is_file() or not re.search(
        r"^\s*(export\s+)?COMPOSE_FILE\s*=", settings.read_text(errors="replace"), re.MULTILINE
    ):
        return []
    problem = "Could not give the Compose project an override file: Compose would not read it"
    advice = "Remove that, and let the project's own file include the others."
    return [f"{problem}, since {str(settings)!r} sets COMPOSE_FILE. {advice}"]


def service_problems(services: Sequence[str], known: Sequence[str], project: Path) -> list[str]:
    """Which of the services the project does not have."""
    return [
        f"Could not find the service {service!r}: the Compose project in {str(project)!r} has"
        f" {', '.join(map(repr, sorted(known))) or 'none'}. Give the services that run Synapse."
        for service in services
        if service not in known
    ]


def last_line(errors: str) -> str:
    """The cause as a whole sentence, from what a command wrote to its standard error."""
    line = (errors.strip().splitlines() or ["it says nothing"])[-1]
    return line if line.endswith(("?", ".")) else f"{line}."


def project_problem(project: Path, errors: str) -> str:
    """Why Compose can't read the project."""
    return (
        f"Could not read the Compose project in {str(project)!r}: {last_line(errors)}"
        " Give its directory, and see that Compose can read what is there."
    )


def engine_problem(project: Path, errors: str) -> str:
    """Why Compose can't tell which containers there are."""
    return (
        f"Could not list the containers of the Compose project in {str(project)!r}: {last_line(errors)}"
        " See that the container engine runs."
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "project_path": {"type": "path", "required": True},
            "command": {"type": "list", "elements": "str", "default": ["docker", "compose"]},
            "services": {"type": "dict", "required": True},
            "paths": {"type": "list", "elements": "path", "default": []},
            "override_path": {"type": "path", "required": True},
            "image": {"type": "str", "required": True},
            "base_image": {"type": "str", "default": ""},
            "config_path": {"type": "str", "default": ""},
            "worker_path": {"type": "str", "default": ""},
            "health_url": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    project, override = Path(module.params["project_path"]), Path(module.params["override_path"])
    marks = {service: Path(path) for service, path in module.params["services"].items()}
    newest = newest_change([*map(Path, module.params["paths"]), *marks.values()])
    foreign = foreign_overrides(override)

    def compose(*arguments: str) -> tuple[int, str, str]:
        if not project.is_dir():
            return 1, "", "there is no such directory"
        command = [*module.params["command"], *arguments]
        status: int
        status, output, errors = module.run_command(command, cwd=str(project), handle_exceptions=False)
        return status, output, errors

    def running() -> list[Container]:
        # Of the whole project: for a service without containers, Compose's versions differ in the exit status.
        status, numbers, errors = compose("ps", "--quiet")
        if status:
            module.fail_json(msg=engine_problem(project, errors))
        if not numbers.split():
            return []
        inspect = [module.get_bin_path("docker", required=True), "container", "inspect", *numbers.split()]
        return parse_containers(module.run_command(inspect, check_rc=True)[1])

    by_image = override in marks.values()
    problems = override_problems(foreign) + settings_problems(project) if by_image else []
    outdated: list[str] = []
    stopped: list[str] = []
    all_run = False
    try:
        status, output, errors = compose("config", "--services")
    except OSError as error:
        status, output, errors = 1, "", f"{module.params['command'][0]!r}: {error.strerror}"
    if status:
        problems.append(project_problem(project, errors))
    else:
        known = output.split()
        problems += service_problems(list(marks), known, project)
        containers = running()
        running_services = {container.service for container in containers}
        stopped = [service for service in marks if service in known and service not in running_services]
        all_run = running_services.issuperset(marks)
        for service in [service for service in marks if service in known]:
            own = [container for container in containers if container.service == service]
            has_provider = marks[service].exists() and marks[service] not in foreign
            if is_outdated(own, newest, module.params["image"], has_provider=has_provider, by_image=by_image):
                outdated.append(service)
            if by_image and not has_provider:
                problems += image_problems(own, module.params["image"], module.params["base_image"])
    if module.params["config_path"]:
        servers = processes.synapse_processes()
        worker = PurePosixPath(module.params["worker_path"]) if module.params["worker_path"] else None
        config_path = PurePosixPath(module.params["config_path"])
        problems += processes.unread_problems(servers, config_path, worker, all_run=all_run)
        has_provider = any(path.exists() and path not in foreign for path in marks.values())
        if worker is not None and has_provider and processes.is_outdated(servers, worker, newest):
            outdated.append(f"the worker of {str(worker)!r}")
    module.exit_json(
        changed=False,
        problems=problems,
        health_problems=health_problems(module.params["health_url"], all_run=all_run),
        outdated=outdated,
        stopped=stopped,
        foreign=[str(path) for path in foreign if path == override],
    )


if __name__ == "__main__":
    main()
