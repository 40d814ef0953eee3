# SPDX-License-Identifier: GPL-3.0-or-later
"""The host plan: everything on a host that follows from the layout and the role's variables.

One pure function, `host_plan`. It opens no file and asks no host: what has to be looked up there is given to it as
`Found`. Templates and tasks read the plan and compute nothing. No secret is in it.

Paths of Synapse's are as Synapse sees them; in a container, its volumes say where the host has them.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from .variables import NAME_PREFIX, Values
from .volumes import host_path

NAME = "matrix-synapse-s3-storage-provider"
IMAGE_NAME = f"localhost/{NAME}"
STATE_PATH = f"/var/lib/{NAME}"
# The variables of a caller's environment that the commands keep. An endpoint is never used: the program refuses it by
# name, which it can do only when it sees it.
KEPT_VARIABLES = (
    *("PATH", "SHELL", "TERM", "COLORTERM", "NO_COLOR", "COLUMNS", "LINES"),
    *("LANG", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TZ", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"),
)
# What every container of Synapse's image is started with, beside Synapse's files and network: no power.
_CONTAINER_ARGUMENTS = (
    *("--rm", "--init", "--interactive", "--pull=never", "--log-driver=none", "--no-healthcheck"),
    *("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--env=HOME=/tmp"),
)
# Options of the engine's, each with its value in the same word or in the next
_SETTING_VARIABLES = frozenset({"--env", "-e", "--env-file", "--secret"})
# What is compared with paths that a host tells, which have no slash too many
_PATHS = frozenset(
    {
        *("base_path", "bin_path", "systemd_path", "compose_path", "metrics_path", "ca_bundle_path"),
        *("synapse_python", "synapse_dropin_path", "synapse_config_paths"),
    }
)
# All that the role and Python make below base_path, as the module own_places takes it. Each library is a tree of
# pip's; nothing else goes with what it holds.
BASE_NAMES = (
    rf"{NAME}\.pyz",
    "lib -> lib-[0-9a-f]{16}",
    "lib-[0-9a-f]{16}/",
    r"import/s3_storage_provider\.py",
    r"import/__pycache__/s3_storage_provider\..+\.pyc",
    "bin/s3_media_upload",
)
# All that the program leaves in its directory
STATE_NAMES = (
    r"s3_media_upload/database\.yaml",
    r"s3_media_upload/cache\.db(-journal|-wal|-shm)?",
    r"runs/[0-9]+-[0-9]+\.(json|new)",
    # What was purged, each key before its deletion
    r"purge-orphans\.jsonl",
)

Item = Mapping[str, str]
Items = Sequence[Item]
Texts = Sequence[str]


@dataclass(frozen=True)
class Layout:
    """How Synapse runs: the content of vars/<layout>.yml, which tells what each is."""

    variables: Mapping[str, Any]
    container_engine: str
    supervisor: str
    provider_source: str
    owns_config: bool
    owns_units: bool
    after: str
    confined: bool
    service_variables: Texts
    run_user: str = ""
    image_of: str = ""
    without_provider: str = ""
    unit_arguments: Texts = ()


@dataclass(frozen=True)
class Found:
    """What only the host, or the play, can tell. Empty where it has not been looked for, or where there is none."""

    # The image of the container that the layout's image_of names
    image: str = ""
    # The ID of Synapse's image, what is built on it as text, and the SHA-256 of the certificates that go into it
    base_image_id: str = ""
    image_texts: Texts = ()
    ca_checksum: str = ""
    # Where Synapse keeps its media, and the configuration of the worker that serves it, if one does, as they see them
    media_store_path: str = ""
    worker_path: str = ""
    # The role's temporary directory
    staging_path: str = ""
    # The host's number among those of the play, from 1 on, and their number
    shard: str = "1/1"


@dataclass(frozen=True)
class Run:
    """How the program is run: where Synapse's Python is, in a container of ``image`` where there is an engine."""

    words: Texts
    environment: Mapping[str, str]
    # The name of a container that has the image, where it is not known before
    image_of: str
    image: str
    container_arguments: Texts
    # What must be there for it: Docker would make an empty directory, and no failure.
    volume_paths: Texts
    # Directories that it sees where the host has them
    optional_volumes: Texts


@dataclass(frozen=True)
class HostPlan:
    """See the module. Each of `Items` is what the module `files` takes; a `template` is one of the role's."""

    found: Found

    # Of the layout
    container_engine: str
    supervisor: str
    provider_source: str
    owns_config: bool
    owns_units: bool
    confined: bool
    without_provider: str
    unit_arguments: Texts
    # The public variables, or the layout's values where those are empty
    synapse_python: str
    synapse_user: str
    synapse_config_paths: Texts
    synapse_dropin_path: str
    synapse_services: Texts
    synapse_health_url: str
    synapse_image: str
    base_path: str
    # Names
    name: str
    command: str
    program_path: str
    script_path: str
    import_path: str
    module_path: str
    library_path: str
    library_name: str
    state_path: str
    service: str
    timer: str
    service_path: str
    timer_path: str
    timer_stamp: str
    config_path: str
    override_path: str
    compose_words: Texts
    log_words: Texts
    start_words: Texts
    # Synapse's services
    service_marks: Mapping[str, str]
    service_variable: str
    service_value: str
    service_environment: Mapping[str, str]
    start_paths: Texts
    read_path: str
    # Containers
    image_name: str
    image: str
    base_image: str
    image_of: str
    container_user: str
    # What a container of another tool's is told of Synapse's, by `copy-with --print`
    copy_container: Mapping[str, Any]
    # How the program is run: as it is installed, and before that from the temporary directory
    run: Run
    staged_run: Run
    staged_command: str
    run_user: str
    kept_variables: Texts
    # What runs the container engine, and Synapse's Python for what is not the program's, from the temporary directory
    staged_engine: str
    python_words: Texts
    pip_words: Texts
    candidate_path: str
    media_store_path: str
    migrate_arguments: Texts
    # Of the purge after it; none where there is no purge
    purge_arguments: Texts
    after: Texts
    writable_paths: Texts
    protect_home: str
    # Whose what stands there is
    required_directories: Mapping[str, str]
    named_files: Mapping[str, str]
    named_directories: Sequence[Mapping[str, Any]]
    state_directory: Mapping[str, Any]
    # What is put on the host, and taken away; each directory before what it holds, and when it goes, after it
    program_files: Items
    synapse_files: Items
    config_files: Items
    command_files: Items
    unit_files: Items
    unwanted_paths: Texts
    installed_for_synapse: Texts
    installed_overrides: Texts
    installed_config: Texts
    installed_commands: Texts


def host_plan(layout: Layout, given: Values, requirements: str, found: Found) -> HostPlan:
    """The plan of a host.

    :param given: all public variables by short name, of the right kinds, as `variables.usable_values` returns them.
    :param requirements: the text of the file of pinned requirements; each has a library directory of its own.
    """

    given = {name: _one_spelling(value) if name in _PATHS else value for name, value in given.items()}

    def value(name: str) -> Any:
        return given[name] or layout.variables[name]

    engine = layout.container_engine
    provider_source = "given" if given["synapse_image_has_provider"] and engine else layout.provider_source
    is_given = provider_source == "given"
    podman_user = given["podman_user"] if engine == "podman" else ""
    synapse_user = given["synapse_user"] or given["podman_user"] or layout.variables["synapse_user"]
    run_user = podman_user or layout.run_user or synapse_user
    synapse_python, services = value("synapse_python"), list(value("synapse_services"))
    config_paths, volumes = list(value("synapse_config_paths")), list(value("synapse_volumes"))
    base_path, systemd_path = value("base_path"), value("systemd_path")
    ca_bundle_path, metrics_path = given["ca_bundle_path"], given["metrics_path"]
    metrics_directory = str(PurePosixPath(metrics_path).parent) if metrics_path else ""
    config_path = host_path(value("synapse_dropin_path"), volumes)

    command = f"{value('bin_path')}/{NAME}"
    commands = [command, f"{command}-shell", f"{command}-migrate"]
    program_path, script_path = f"{base_path}/{NAME}.pyz", f"{base_path}/bin/s3_media_upload"
    import_path, library_path = f"{base_path}/import", f"{base_path}/lib"
    module_path = f"{import_path}/s3_storage_provider.py"
    library_name = f"lib-{_sha256(requirements)[:16]}"
    service, timer = f"{NAME}-migrate.service", f"{NAME}-migrate.timer"
    # Files of the units themselves, or drop-ins that take the place of what another playbook's units say
    unit_suffix = "" if layout.owns_units else ".d/synapse-s3-storage-provider.conf"
    service_path, timer_path = f"{systemd_path}/{service}{unit_suffix}", f"{systemd_path}/{timer}{unit_suffix}"
    unit_directories = [] if layout.owns_units else [_parent(service_path), _parent(timer_path)]
    timer_stamp = f"/var/lib/systemd/timers/stamp-{timer}"

    is_compose = layout.supervisor == "compose"
    override_path = f"{given['compose_path']}/compose.override.yaml" if is_compose else ""
    overrides = {
        name: override_path or f"{systemd_path}/{name}.d/synapse-s3-storage-provider.conf" for name in services
    }
    # They may hold others' files, and may have been there before.
    override_directories = [] if is_compose else [_parent(path) for path in overrides.values()]
    override_paths = list(dict.fromkeys(overrides.values()))
    installed_overrides = [*override_paths, *override_directories]
    compose_words = given["compose_command"].split()

    synapse_image = given["synapse_image"] or layout.variables["synapse_image"] or found.image
    image_of = "" if given["synapse_image"] else layout.image_of
    parts = [found.base_image_id, library_name, *found.image_texts, found.ca_checksum]
    image = f"{IMAGE_NAME}:{_sha256(chr(10).join(parts))[:16]}" if provider_source == "image" else synapse_image
    service_values = {"PYTHONPATH": import_path, "AWS_CA_BUNDLE": ca_bundle_path, "SYNAPSE_IMAGE": image}
    # Where somebody else gives the provider, the variables are none of the role's.
    service_variables = [] if is_given else list(layout.service_variables)
    staging_path = found.staging_path
    staged_engine = f"{staging_path}/engine"
    ca_volumes = [f"{ca_bundle_path}:{ca_bundle_path}:ro"] if ca_bundle_path else []
    container_volumes = [*volumes, *ca_volumes]
    # What a container of another image gets too. Podman would pass the caller's proxies on.
    shared_arguments = [
        f"--network={value('synapse_network')}",
        *given["container_arguments"],
        *(["--http-proxy=false"] if engine == "podman" else []),
    ]
    # What every container of Synapse's image gets.
    container_arguments = [
        *_CONTAINER_ARGUMENTS,
        *(f"--volume={volume}" for volume in container_volumes),
        *shared_arguments,
    ]
    volume_paths = [source for source in (volume.split(":")[0] for volume in container_volumes) if source[:1] == "/"]
    metrics_directories = [metrics_directory] if metrics_directory else []

    def program_words(program: str, imports: str) -> Texts:
        # Whose environment the program has: that of the container, or what Synapse's services get
        environment = ["--synapse-environment"] if engine else _each("--synapse-service", services)
        import_words = [] if is_given else ["--import-path", imports]
        return [synapse_python, program, *environment, *import_words, *_each("--config", config_paths)]

    def program_environment(library: str) -> Mapping[str, str]:
        return {
            # The C library would give a heap of its own to each of dozens of threads: 12 MB more.
            "MALLOC_ARENA_MAX": "2",
            **({} if is_given else {"PYTHONPATH": library}),
            **({"AWS_CA_BUNDLE": ca_bundle_path} if ca_bundle_path else {}),
        }

    python_words = [synapse_python]
    if engine:
        python_words = [
            *(staged_engine, "run", *container_arguments, f"--volume={staging_path}:{staging_path}"),
            *("--env=http_proxy", "--env=https_proxy", "--env=no_proxy", "--user=0:0"),
            *(f"--entrypoint={synapse_python}", synapse_image),
        ]
    installed_environment = program_environment(library_path)
    # What is in the temporary directory comes first; in the beginning there may be no library at all.
    staged_environment = program_environment(f"{staging_path}/lib:{library_path}")

    return HostPlan(
        found=found,
        container_engine=engine,
        supervisor=layout.supervisor,
        provider_source=provider_source,
        owns_config=layout.owns_config,
        owns_units=layout.owns_units,
        confined=layout.confined,
        without_provider=layout.without_provider,
        unit_arguments=list(layout.unit_arguments),
        synapse_python=synapse_python,
        synapse_user=synapse_user,
        synapse_config_paths=config_paths,
        synapse_dropin_path=value("synapse_dropin_path"),
        synapse_services=services,
        synapse_health_url=value("synapse_health_url"),
        synapse_image=synapse_image,
        base_path=base_path,
        name=NAME,
        command=command,
        program_path=program_path,
        script_path=script_path,
        import_path=import_path,
        module_path=module_path,
        library_path=library_path,
        library_name=library_name,
        state_path=STATE_PATH,
        service=service,
        timer=timer,
        service_path=service_path,
        timer_path=timer_path,
        timer_stamp=timer_stamp,
        config_path=config_path,
        override_path=override_path,
        compose_words=compose_words,
        log_words=(
            [*compose_words, "logs", "--no-color", "--tail=30", *services]
            if is_compose
            else ["journalctl", "--no-pager", "--output=cat", "--lines=30", *_each("--unit", services)]
        ),
        # Compose makes a container anew then, as the project now has it; "start" would take the old one.
        start_words=[*compose_words, "up", "--detach"] if is_compose else ["systemctl", "start"],
        service_marks=dict.fromkeys(services, config_path) if is_given else overrides,
        service_variable=next(iter(service_variables), ""),
        service_value=f"{IMAGE_NAME}:" if engine else import_path,
        service_environment={name: service_values[name] for name in service_variables if service_values[name]},
        start_paths=[library_path, module_path, config_path],
        # What Synapse must have been started with, or it would run without the provider
        read_path=value("synapse_dropin_path") if layout.owns_config and given["enabled"] is True else "",
        image_name=IMAGE_NAME,
        image=image,
        # What the services must have before they get it
        base_image=synapse_image if provider_source == "image" else "",
        image_of=image_of,
        container_user=_container_user(synapse_user, run_user),
        copy_container={
            "engine": engine,
            "arguments": _without_environment(shared_arguments),
            "volumes": container_volumes,
        },
        run=Run(
            words=program_words(program_path, import_path),
            environment=installed_environment,
            # Where the commands are to take the image that Synapse's container has when they run
            image_of=image_of,
            image=image,
            container_arguments=[
                *container_arguments,
                f"--volume={base_path}:{base_path}:ro",
                f"--volume={STATE_PATH}:{STATE_PATH}",
                *(f"--volume={path}:{path}" for path in metrics_directories),
                *(f"--env={name}={text}" for name, text in installed_environment.items()),
            ],
            volume_paths=[*volume_paths, *metrics_directories],
            optional_volumes=[],
        ),
        staged_run=Run(
            words=program_words(f"{staging_path}/program.pyz", f"{staging_path}/import"),
            environment=staged_environment,
            image_of="",
            image=synapse_image,
            container_arguments=[
                *container_arguments,
                f"--volume={staging_path}:{staging_path}:ro",
                *(f"--env={name}={text}" for name, text in staged_environment.items()),
            ],
            volume_paths=volume_paths,
            # Where an earlier run has put the library
            optional_volumes=[base_path],
        ),
        staged_command=f"{staging_path}/run",
        run_user=run_user,
        staged_engine=staged_engine,
        python_words=python_words,
        pip_words=[
            # Synapse's user is to read what it writes.
            *("/bin/sh", "-c", 'umask 0022; exec "$@"', "pip", *python_words, "-m", "pip", "install"),
            *(f"--requirement={staging_path}/requirements.txt", f"--target={staging_path}/lib"),
            *("--no-deps", "--require-hashes", "--only-binary=:all:", "--no-input", "--disable-pip-version-check"),
        ],
        # The list of storage providers that is to come, which Synapse reads last
        candidate_path=f"{staging_path}/provider.yaml",
        kept_variables=[*KEPT_VARIABLES, *(["SYNAPSE_S3_CONTAINER"] if engine else [])],
        media_store_path=host_path(found.media_store_path, volumes),
        migrate_arguments=_migrate_arguments(given, found.shard),
        purge_arguments=_purge_arguments(given, found.shard),
        after=["network-online.target", *([layout.after] if layout.after else []), *([] if is_compose else services)],
        # What the service itself writes to; a container has its own view.
        writable_paths=(
            [] if engine else [path for path in (found.media_store_path, STATE_PATH, *metrics_directories) if path]
        ),
        protect_home="read-only" if not engine and _is_in_a_home(found.media_store_path) else "yes",
        required_directories={metrics_directory: f"{NAME_PREFIX}metrics_path"} if metrics_directory else {},
        named_files={
            **dict.fromkeys(commands, f"{NAME_PREFIX}bin_path"),
            **dict.fromkeys([service_path, timer_path], f"{NAME_PREFIX}systemd_path"),
            # Compose's override file has rules of its own.
            **({} if is_compose else dict.fromkeys(override_paths, f"{NAME_PREFIX}systemd_path")),
            **({config_path: f"{NAME_PREFIX}synapse_dropin_path"} if layout.owns_config else {}),
        },
        named_directories=[
            {
                "path": base_path,
                "variable": f"{NAME_PREFIX}base_path",
                "proof": f"{NAME}.pyz",
                "named": NAME,
                "names": list(BASE_NAMES),
            }
        ],
        state_directory={"path": STATE_PATH, "named": NAME, "names": list(STATE_NAMES)},
        program_files=[
            # With a mode of its own, so that Synapse's user can read it also where somebody has made it before.
            *(_directory(path, mode="0755") for path in (base_path, import_path, _parent(script_path))),
            _directory(STATE_PATH, owner=synapse_user, mode="0700"),
        ],
        synapse_files=(
            []
            if is_given
            else [
                {"path": library_path, "state": "link", "target": library_name},
                _file(module_path, "s3_storage_provider.py.j2"),
                *(_directory(path) for path in override_directories),
                *(_file(path, f"dropin/{layout.supervisor}.j2") for path in override_paths),
            ]
        ),
        # The only file with secrets is by itself.
        config_files=(
            [_file(config_path, "provider.yaml.j2", owner=synapse_user, mode="0400")] if layout.owns_config else []
        ),
        command_files=[_file(path, f"{PurePosixPath(path).name}.j2", mode="0755") for path in [*commands, script_path]],
        unit_files=[
            *(_directory(path) for path in unit_directories),
            _file(service_path, "migrate.service.j2"),
            _file(timer_path, "migrate.timer.j2"),
        ],
        # What an earlier run may have left that now must not be read
        unwanted_paths=installed_overrides if layout.owns_config and is_given else [],
        installed_for_synapse=[library_path, module_path],
        installed_overrides=installed_overrides,
        installed_config=[config_path] if layout.owns_config else [],
        installed_commands=[
            *commands,
            service_path,
            timer_path,
            *unit_directories,
            *([timer_stamp] if layout.owns_units else []),
        ],
    )


def _migrate_arguments(given: Values, shard: str) -> Texts:
    """Options of `migrate`, one a line in the wrapper."""
    unused_days, workers = given["update_db_day_count"], given["migration_workers"]
    options = {
        "--engine": given["migration_engine"],
        "--minimum-age": given["migration_minimum_age"],
        "--unused-days": unused_days if unused_days > 0 else "",
        "--workers": workers,
        "--bandwidth": given["migration_bandwidth"],
        "--shard": shard if given["migration_shards"] else "",
    }
    keep = [] if given["migration_delete_local"] else ["--keep-local"]
    metrics = [f"--metrics-file {shlex.quote(given['metrics_path'])}"] if given["metrics_path"] else []
    return [f"{name} {shlex.quote(str(text))}" for name, text in options.items() if text] + keep + metrics


def _purge_arguments(given: Values, shard: str) -> Texts:
    """Options of `purge-orphans`, one a line in the wrapper; none where the host does not purge.

    Of hosts that share one media store the first does, and waits for the migrations of the others.
    """
    is_shared = bool(given["migration_shards"])
    if not given["purge_orphans_enabled"] or (is_shared and not shard.startswith("1/")):
        return []
    age, share = given["purge_orphans_minimum_age"], given["purge_orphans_maximum_share"]
    options = [f"--minimum-age {shlex.quote(age)}", f"--maximum-share {shlex.quote(share)}"]
    return ["--delete", *options, *(["--wait"] if is_shared else [])]


def _container_user(synapse_user: str, run_user: str) -> str:
    """For the option --user, in a shell: to the containers of a user's own Podman, that user is 0.

    Else the name of a user of the host, or the number of one that only the container knows, whose group has the same.
    """
    if run_user != "root":
        return "0:0"
    if synapse_user.isdecimal():
        return f"{synapse_user}:{synapse_user}"
    return f'"$(id -u {synapse_user}):$(id -g {synapse_user})"'


def _without_environment(arguments: Texts) -> Texts:
    """What of a container's arguments sets no variable: their values may be secrets, and are for Synapse's image."""
    kept: list[str] = []
    is_value = False
    for argument in arguments:
        if not is_value and argument.partition("=")[0] not in _SETTING_VARIABLES:
            kept.append(argument)
        is_value = not is_value and argument in _SETTING_VARIABLES
    return kept


def _one_spelling(value: Any) -> Any:
    """A path, or each of a list, without a slash at the end and two in a row."""
    if isinstance(value, list):
        return [_one_spelling(path) for path in value]
    return re.sub("/+", "/", value).rstrip("/")


def _is_in_a_home(path: str) -> bool:
    """The unit can't hide the directories of people when it needs what is in one."""
    return path.startswith(("/home/", "/root/", "/run/user/"))


def _file(path: str, template: str, **more: str) -> Item:
    return {"path": path, "template": template, **more}


def _directory(path: str, **more: str) -> Item:
    return {"path": path, "state": "directory", **more}


def _each(option: str, values: Texts) -> list[str]:
    return [word for value in values for word in (option, value)]


def _parent(path: str) -> str:
    return str(PurePosixPath(path).parent)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
