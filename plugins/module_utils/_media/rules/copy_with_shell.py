# SPDX-License-Identifier: GPL-3.0-or-later
"""The call of another program as a script of the shell's, which somebody may run by hand. No secret is in it."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .copy_with import CREDENTIALS, OF_TOOLS, OTHER_CREDENTIALS, Call, Secret
from .environment import ENDPOINTS
from .errors import ConfigurationError

# Stands in a call for the directory that the script makes for its files.
DIRECTORY = "$COPY_WITH_FILES"
# The number of the user whose a user's own Podman is, and of root: what they make is the container's already.
_OWNER = "0:0"


@dataclass(frozen=True)
class Container:
    """Where a tool is run from an image: as what user (numbers), with which of Synapse's arguments for the engine, and
    with what of the host below which path.

    ``volumes``: the host's path and the one in the container; all are read only.
    """

    engine: str
    image: str
    user: str
    arguments: Sequence[str]
    volumes: Sequence[tuple[str, str]]


def container_on(
    host: Mapping[str, Any], image: str, media_store: str, ca_bundle_path: str | None, user: str
) -> Container:
    """The container of a tool beside Synapse's, which ``host`` tells of: its ``engine``, ``arguments`` and ``volumes``,
    each as the engine is told it. Where Synapse has none, ``host`` is empty. ``user``: the one that this runs as.

    :raises ConfigurationError: when only Synapse's image has the file of certificates.
    """
    arguments = host.get("arguments", ["--network=host"])
    mounts = [_mount(volume) for volume in host.get("volumes", ())]
    own = [_mount(volume) for volume in _values(arguments, "--volume", "-v")]
    all_mounts = [*mounts, *own]
    below = [target for target, _source in mounts if target.startswith(f"{media_store}/")]
    if ca_bundle_path and host and not _holding(ca_bundle_path, all_mounts):
        raise ConfigurationError(
            f"Could not print the command: the file of certificates {ca_bundle_path} is in Synapse's image alone, and"
            " the tool's image does not have it. Put it on this host too, and mount it there with synapse_volumes."
        )
    paths = dict.fromkeys([media_store, *below, *([ca_bundle_path] if ca_bundle_path else [])])
    is_mounted = {target for target, _source in own}
    return Container(
        engine=host.get("engine", "docker"),
        image=image,
        user=user,
        arguments=arguments,
        volumes=[(_on_host(path, all_mounts), path) for path in paths if path not in is_mounted],
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
    else:
        lines.append("# Synapse's configuration has no credentials: the tool takes those of whoever runs this.")
    if container is None:
        lines += ["# Nothing else of yours is to lead it elsewhere, or to change what it does.", _unset(call)]
    if uses_files:
        lines += ["umask 077", "COPY_WITH_FILES=$(mktemp -d)", f"trap 'rm -rf \"{DIRECTORY}\"' EXIT"]
        # Debian's sh ends without the trap for EXIT where a signal has no trap of its own.
        lines.append("trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM")
        for name, secret in call.files.items():
            lines.append(f'printf %s {_given_by_caller(secret.setting.upper(), secret)} >"{DIRECTORY}/{name}"')
        if container is not None and container.user != _OWNER:
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
    yield from container.arguments
    yield from (f"--volume={source}:{target}:ro" for source, target in container.volumes)
    if uses_files:
        # SELinux keeps containers from what has no label of theirs.
        yield f"--volume={DIRECTORY}:{DIRECTORY}:z"
    # Without a value the engine takes the caller's.
    yield from (f"--env={name}" for name in call.secrets or CREDENTIALS)
    yield from (f"--env={name}={value}" for name, value in call.environment.items())
    yield container.image


def _unset(call: Call) -> str:
    kept = [name for name in call.secrets if name.startswith(OF_TOOLS)]
    but = f" | grep -vxE '{'|'.join(kept)}'" if kept else ""
    others = [name for name in OTHER_CREDENTIALS if name not in call.secrets] if call.secrets else []
    names = [*ENDPOINTS, *others]
    return f"unset {' '.join(names)} $(env | grep -oE '^({'|'.join(OF_TOOLS)})[A-Z0-9_]+'{but})"


def _values(arguments: Sequence[str], *options: str) -> list[str]:
    """What an option is given among arguments, in one word or in two."""
    return [
        after if word in options else word.partition("=")[2]
        for word, after in zip(arguments, [*arguments[1:], ""], strict=True)
        if word.partition("=")[0] in options
    ]


def _mount(volume: str) -> tuple[str, str]:
    """The path in the container, in its plain form, and the host's."""
    source, _colon, rest = volume.partition(":")
    return posixpath.normpath(rest.partition(":")[0]), source.rstrip("/")


def _holding(path: str, mounts: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """The volumes that hold a path of a container."""
    return [(target, source) for target, source in mounts if f"{path}/".startswith(f"{target.rstrip('/')}/")]


def _on_host(path: str, mounts: Sequence[tuple[str, str]]) -> str:
    """Where the host has ``path`` of a container: below the innermost of the volumes that hold it."""
    target, source = max(_holding(path, mounts), key=lambda mount: len(mount[0]), default=("", ""))
    return f"{source}{path[len(target.rstrip('/')) :]}"


def _quoted(word: str) -> str:
    """For the shell; the name of the directory is the only variable."""
    return f'"{DIRECTORY}"'.join(shlex.quote(part) if part else "" for part in word.split(DIRECTORY)) or "''"
