# SPDX-License-Identifier: GPL-3.0-or-later
"""The call of another program as a script of the shell's, which somebody may run by hand. No secret is in it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .copy_with import Call, Secret

# Stands in a call for the directory that the script makes for its files.
DIRECTORY = "$COPY_WITH_FILES"


@dataclass(frozen=True)
class Container:
    """Where a tool is run from an image: as what user, on which network, with what of the host below which path.

    ``volumes``: the host's path and the one in the container; all are read only.
    """

    engine: str
    image: str
    user: str
    network: str
    volumes: Sequence[tuple[str, str]]


def container_on(
    host: Mapping[str, Any], image: str, media_store: str, ca_bundle_path: str | None, user: str
) -> Container:
    """The container of a tool beside Synapse's, which ``host`` tells of: its ``engine``, ``user``, ``network`` and
    ``volumes``, each as the engine is told it. Where Synapse has none, ``host`` is empty, and ``user`` is Synapse's.
    """
    mounts = [volume.split(":")[:2] for volume in host.get("volumes", ())]
    paths = [media_store, *([ca_bundle_path] if ca_bundle_path else [])]
    return Container(
        engine=host.get("engine", "docker"),
        image=image,
        user=host.get("user", user),
        network=host.get("network", "host"),
        volumes=[(_on_host(path, mounts), path) for path in paths],
    )


def shell_script(call: Call, container: Container | None = None) -> str:
    """The script, with what has to be known about it as comments. Secrets are read from variables of the caller's."""
    uses_files = bool(call.files) or any(DIRECTORY in value for value in call.environment.values())
    lines = [f"# {sentence}" for sentence in call.lacks]
    # In a shell of its own, so that the caller's outlasts a failure, which ends the script.
    lines += ["(", "set -eu"]
    if call.secrets:
        lines.append("# Set these before, from Synapse's configuration.")
        lines += [f"export {name}={_given_by_caller(name, secret)}" for name, secret in call.secrets.items()]
    if uses_files:
        lines += [f"COPY_WITH_FILES=$(mktemp -d) && trap 'rm -rf \"{DIRECTORY}\"' EXIT"]
        for name, secret in call.files.items():
            lines.append(f'printf %s {_given_by_caller(secret.setting.upper(), secret)} >"{DIRECTORY}/{name}"')
        if container is not None:
            lines.append(f'chown -R {container.user} "{DIRECTORY}"')
    exported = [f"{name}={_quoted(value)}" for name, value in call.environment.items()]
    if exported and container is None:
        lines.append(f"export {' '.join(exported)}")
    for command in call.commands:
        words = command if container is None else (*_run(call, container, uses_files), *command[1:])
        lines.append(" ".join(map(_quoted, words)))
    return "\n".join([*lines, ")"])


def _given_by_caller(name: str, secret: Secret) -> str:
    return f'"${{{name}:?is {secret.setting} in the configuration of Synapse}}"'


def _run(call: Call, container: Container, uses_files: bool) -> Iterable[str]:
    yield from (container.engine, "run", "--rm", "--init", f"--user={container.user}")
    yield f"--network={container.network}"
    yield from (f"--volume={source}:{target}:ro" for source, target in container.volumes)
    if uses_files:
        yield f"--volume={DIRECTORY}:{DIRECTORY}"
    # Without a value the engine takes the caller's.
    yield from (f"--env={name}" for name in call.secrets)
    yield from (f"--env={name}={value}" for name, value in call.environment.items())
    yield container.image


def _on_host(path: str, mounts: Sequence[Sequence[str]]) -> str:
    """Where the host has ``path`` of a container: below the innermost of the volumes that hold it."""
    holding = [(target, source) for source, target in mounts if f"{path}/".startswith(f"{target.rstrip('/')}/")]
    target, source = max(holding, key=lambda mount: len(mount[0]), default=("", ""))
    return f"{source}{path[len(target) :]}"


def _quoted(word: str) -> str:
    """For the shell; the name of the directory is the only variable."""
    return f'"{DIRECTORY}"'.join(shlex.quote(part) if part else "" for part in word.split(DIRECTORY)) or "''"
