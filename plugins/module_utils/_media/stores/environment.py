# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of this process, as libraries read it: Synapse's own in place of the caller's.

What a service of Synapse's got is read from its running process, or, where it does not run, from its unit. Everything
else goes, so that no library can meet it, and is kept aside to be named where it would have mattered.
"""

# pylint: disable=ansible-bad-function
# This runs without Ansible, which has functions of its own for that.

from __future__ import annotations

import os
import pwd
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..rules.environment import ENDPOINTS, FILES, HARMLESS, WAYS, is_of_libraries, lacks_something, refuse_callers
from ..rules.errors import ConfigurationError, UnavailableError
from ..rules.settings import BucketSettings

if TYPE_CHECKING:
    # Ansible's modules have no YAML.
    from .synapse_config import DatabaseSettings

# In a container this holds the names of those endpoints that the caller had set outside.
CALLER = "MATRIX_SYNAPSE_S3_STORAGE_PROVIDER_CALLER"
_PROPERTIES = "LoadState,MainPID,User,Environment,EnvironmentFiles,UnsetEnvironment,PassEnvironment"
# The syntax of systemd.exec(5): what is quoted goes on over lines; a comment begins a line.
_ASSIGNMENT = re.compile(
    r"""^[ \t]*(?P<name>[A-Za-z_]\w*)[ \t]*=(?P<value>(?:[ \t]*(?:'[^']*'|"(?:\\.|[^"\\])*"))*(?:\\.|[^\n\\])*)""",
    re.MULTILINE | re.DOTALL,
)
_QUOTED = re.compile(r"""[ \t]*(?:'(?P<single>[^']*)'|"(?P<double>(?:\\.|[^"\\])*)")""", re.DOTALL)


@dataclass(frozen=True)
class Adopted:
    """What came of `adopt`: ``caller`` holds what was taken out, ``services`` whose environment took its place.

    ``processes`` are the numbers of those that run.
    """

    caller: Mapping[str, str] = field(default_factory=dict, repr=False)
    services: Sequence[str] = ()
    processes: Sequence[int] = ()

    def check(self, buckets: Sequence[BucketSettings], database: DatabaseSettings | None) -> None:
        """Refuse what would have decided which server, bucket or database is used, and is not Synapse's.

        To be called when Synapse's configuration is read, before anything is sent.

        :raises ConfigurationError: naming every such variable, or a file of Synapse's that can't be read here.
        """
        uses_libpq = database is not None and database.engine == "psycopg2"
        refuse_callers(self.caller, buckets, database.arguments if database is not None and uses_libpq else None)
        if self.services and any(map(lacks_something, buckets)):
            _check_files(os.environ, self.services, self.processes)


def adopt(services: Sequence[str], *, is_synapses: bool = False) -> Adopted:
    """Make this process's environment Synapse's, before any library reads it.

    ``services`` are Synapse's units, whose environment counts. Without them it is the caller's, of which nothing that
    leads somewhere is left; ``is_synapses`` tells that it is Synapse's own already, as in a container of its image.

    :raises ConfigurationError: a service that is not there, or two that do not agree.
    :raises UnavailableError: what a service gets can't be found out.
    """
    if is_synapses:
        return Adopted(dict.fromkeys(set(os.environ.get(CALLER, "").split()) - set(os.environ), "set"))
    units = {service: _unit(service) for service in services}
    processes = {service: int(unit.get("MainPID", ["0"])[0]) for service, unit in units.items()}
    own = _merged({service: _environment_of(service, processes[service], units[service]) for service in services})
    caller = {name: value for name, value in os.environ.items() if is_of_libraries(name)}
    if not services:
        caller.update((path, "there") for path in _files_of_caller(os.environ))
    # Synapse's services tell by which way it goes.
    kept = HARMLESS - WAYS if services else HARMLESS
    _replace(
        os.environ, [name for name in caller if name not in kept], own if services else dict.fromkeys(FILES, os.devnull)
    )
    if services:
        # Only of an endpoint is it plain that it was meant to have an effect.
        caller = {name: caller[name] for name in ENDPOINTS if name in caller and caller[name] != own.get(name)}
    return Adopted(caller, tuple(services), tuple(filter(None, processes.values())))


def _replace(environment: MutableMapping[str, str], old: Iterable[str], new: Mapping[str, str]) -> None:
    for name in old:
        environment.pop(name, None)
    environment.update(new)


def _files_of_caller(environment: Mapping[str, str]) -> Iterator[str]:
    for variable, place in FILES.items():
        path = Path(environment.get("HOME", "/"), place)
        with suppress(OSError):
            if variable not in environment and path.is_file():
                yield str(path)


def _merged(environments: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """What all services get together. One may have variables that another lacks: not each of them serves media."""
    merged: dict[str, str] = {}
    owner: dict[str, str] = {}
    for service, environment in environments.items():
        for name, value in environment.items():
            if merged.setdefault(name, value) != value:
                raise ConfigurationError(
                    f"Could not start: {name} is not the same for {owner[name]} and {service}, so that they may not use"
                    " the same bucket. Give both the same, and restart them."
                )
            owner.setdefault(name, service)
    return merged


def _unit(service: str) -> dict[str, list[str]]:
    properties = _show(service)
    if properties.get("LoadState") != ["loaded"]:
        raise ConfigurationError(
            f"Could not find Synapse's service {service!r}: systemd has no unit of that name. Correct"
            " --synapse-service, or run the role again."
        )
    return properties


def _environment_of(service: str, process: int, unit: Mapping[str, list[str]]) -> dict[str, str]:
    """The variables of a service that libraries read, and its home directory."""
    everything = _environment_of_process(process) or _environment_of_unit(service, unit)
    return {name: value for name, value in everything.items() if name == "HOME" or is_of_libraries(name)}


def _show(service: str) -> dict[str, list[str]]:
    """Property -> its values, as many as lines: EnvironmentFiles has one for each file."""
    # Not the caller's: this is before it is replaced.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SYSTEMD_")}
    command = ["systemctl", "show", f"--property={_PROPERTIES}", "--", service]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, env=clean)
        failure = shown.stderr.strip() if shown.returncode else ""
    except OSError as error:
        failure = f"systemctl: {error.strerror}"
    except subprocess.TimeoutExpired:
        failure = "systemd does not answer"
    if failure:
        raise UnavailableError(
            f"Could not ask systemd what {service} gets: {failure.rstrip('.')}. See that systemd and D-Bus run."
        )
    properties: dict[str, list[str]] = {}
    for line in shown.stdout.splitlines():
        name, _unused, value = line.partition("=")
        properties.setdefault(name, []).append(value)
    return properties


def _environment_of_process(number: int) -> dict[str, str] | None:
    """What the process was started with; None where there is no such process, or it may not be looked at."""
    try:
        content = Path(f"/proc/{number}/environ").read_bytes() if number else b""
    except OSError:
        return None
    variables = (os.fsdecode(item).partition("=") for item in content.split(b"\0") if item)
    return {name: value for name, _unused, value in variables} or None


def _environment_of_unit(service: str, properties: Mapping[str, list[str]]) -> dict[str, str]:
    """What systemd would start the service with, as far as its unit tells."""
    environment = {"HOME": _home(properties.get("User", [""])[0])}
    environment.update(_assignments(properties.get("Environment", [""])[0]))
    for entry in properties.get("EnvironmentFiles", []):
        path, _unused, options = entry.rpartition(" (")
        environment.update(_environment_file(service, path, is_optional="ignore_errors=yes" in options))
    passed = [name for name in properties.get("PassEnvironment", [""])[0].split() if is_of_libraries(name)]
    if passed:
        raise UnavailableError(
            f"Could not find out what {service} gets for {passed[0]}: systemd passes on its own, and the service does"
            " not run. Start it."
        )
    for unset in _words(properties.get("UnsetEnvironment", [""])[0]):
        name, assigned, value = unset.partition("=")
        if not assigned or environment.get(name) == value:
            environment.pop(name, None)
    return environment


def _home(user: str) -> str:
    try:
        return (pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user or "root")).pw_dir
    except KeyError:
        return "/"


def _environment_file(service: str, path: str, *, is_optional: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    # Systemd takes a pattern too.
    for name in sorted(map(str, Path("/").glob(path.lstrip("/")))) or [path]:
        found.update(parse_environment_file(_read_environment_file(service, name, is_optional=is_optional)))
    return found


def _read_environment_file(service: str, path: str, *, is_optional: bool) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        if is_optional and isinstance(error, FileNotFoundError):
            return ""
        raise _unread(service, path, error) from error


def _unread(service: str, path: str, error: OSError) -> UnavailableError:
    return UnavailableError(
        f"Could not find out what {service} gets from {path!r}: {error.strerror}, and the service does not run, which"
        " would tell. Start it, or let its user read that file."
    )


def parse_environment_file(text: str) -> dict[str, str]:
    """The variables of a file for systemd's ``EnvironmentFile=``."""
    return {found["name"]: _value(found["value"]) for found in _ASSIGNMENT.finditer(text)}


def _value(text: str) -> str:
    parts = []
    while quoted := _QUOTED.match(text):
        single, double = quoted.groups()
        parts.append(single if double is None else re.sub(r'\\(?:\n|(["\\`$]))', r"\1", double))
        text = text[quoted.end() :]
    rest = text.lstrip(" \t") if not parts else text
    # What a backslash keeps at the end is no blank to be stripped.
    ends = re.search(r"(?:\\.|[^\s\\])\s*\Z", rest, re.DOTALL)
    kept = rest[: ends.start()] + ends[0].rstrip() if ends and not ends[0].startswith("\\") else rest
    return "".join(parts) + re.sub(r"\\(?:\n|(.))", r"\1", kept if kept.strip() else "")


def _assignments(shown: str) -> dict[str, str]:
    return {name: value for name, _unused, value in (word.partition("=") for word in _words(shown))}


def _words(shown: str) -> list[str]:
    """The items of a list as ``systemctl show`` prints it: in double quotes, with backslashes, where need be."""
    found = re.findall(r'"((?:\\.|[^"\\])*)"|(\S+)', shown)
    return [re.sub(r"\\(.)", _unescaped, quoted) if quoted else plain for quoted, plain in found]


def _unescaped(escape: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t", "r": "\r"}.get(escape[1], escape[1])


def _check_files(environment: Mapping[str, str], services: Sequence[str], processes: Sequence[int]) -> None:
    """Boto3 passes over a settings file that it can't read, and goes elsewhere than Synapse, which could."""
    for variable, place in FILES.items():
        path = Path(environment.get(variable) or Path(environment.get("HOME", "/"), place))
        try:
            with path.open("rb"):
                continue
        except OSError as error:
            if variable not in environment and not _is_for_synapse(path, error, processes):
                continue
            named = f"which {variable} of {services[0]} names" if variable in environment else "of Synapse's user"
            raise ConfigurationError(
                f"Could not read {str(path)!r}, {named}: {error.strerror}. Write what it holds into Synapse's"
                " configuration, or put it where this can read it too."
            ) from error


def _is_for_synapse(path: Path, error: OSError, processes: Sequence[int]) -> bool:
    """Whether a file that can't be opened here is there for Synapse: the nightly job's unit hides people's homes."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return False
    try:
        return any(Path(f"/proc/{process}/root", *path.parts[1:]).is_file() for process in processes)
    except OSError:
        return True
