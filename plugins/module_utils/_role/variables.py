# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's public variables: the one list of their names, with kinds, defaults and rules.

A rule gets the variable's own value, which is of the right kind, and the values of all variables by short name. For a
variable that is not given, or is of a wrong kind, rules see its default.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from .._media.rules.bandwidth import parse_bandwidth
from .._media.rules.duration import duration_problems
from .._media.rules.endpoint import endpoint_problems, http_url_problems, is_other_endpoint
from .._media.rules.prefix import prefix_problems, prefix_warnings
from .._media.rules.share import read_share
from .._media.rules.sse_c import SSE_ALGORITHM, sse_algorithm_problems, sse_key_problems
from .._media.rules.storage_class import DEFAULT_STORAGE_CLASS
from . import credentials, previous_stores, service
from .host import compose_names_problems, own_directory_problems, path_problems, unit_names_problems, user_name_problems
from .kinds import FALSE_WORDS, Kind, kind_problems
from .volumes import host_path, volume_problems

NAME_PREFIX = "matrix_synapse_ext_synapse_s3_storage_provider_"
# The role has a file of pinned requirements for each.
PROVIDER_VERSIONS = ("1.7.0",)
LAYOUTS = ("native", "docker", "compose", "podman", "mdad")
MIGRATION_ENGINES = ("parallel", "s3_media_upload")
MAXIMUM_WORKERS = 256
# Variables of matrix-docker-ansible-deploy's role that its vars.yml may set.
_IGNORED_BY_PROVIDER: Mapping[str, str] = {
    "config_threadpool_size": "is ignored by the provider, which always uses 40 threads. Remove it.",
    "config_request_checksum_calculation": "is ignored by the provider, which always takes 'when_required'. Remove it.",
    "config_response_checksum_validation": "is ignored by the provider, which always takes 'when_required'. Remove it.",
}

Values = Mapping[str, Any]
Texts = Sequence[str]
Rule = Callable[[Any, Values], Texts]


def problems(variables: Mapping[str, object]) -> list[str]:
    """Everything that is wrong with ``variables`` (full name -> value), one message each; none when they can work."""
    given = _by_short_name(variables)
    if _is_unset(given):
        # Nothing will be done: only a name that may be meant for `enabled` matters.
        return _misspelt_problems(given)
    values = _usable_values(given)
    disabled = _is_disabled(given)
    found = []
    for name, variable in VARIABLES.items():
        if (disabled and not variable.when_disabled) or _belongs_to_mdad(name, values):
            continue
        wrong_kind = kind_problems(variable.kind, given[name], secret=variable.secret) if name in given else []
        found += _messages(name, wrong_kind or variable.problems(values[name], values))
        if name == previous_stores.NAME:
            for part, text in previous_stores.store_problems(values[name], VARIABLES, values):
                found += _messages(part, [text])
    return found if disabled else found + _misspelt_problems(given)


def warnings(variables: Mapping[str, object]) -> list[str]:
    """What in ``variables`` works, but has no effect or is probably not meant."""
    given = _by_short_name(variables)
    if _is_unset(given) or _is_disabled(given):
        return []
    values = _usable_values(given)
    found = []
    for name, variable in VARIABLES.items():
        if not _belongs_to_mdad(name, values):
            found += _messages(name, variable.warnings(values[name], values))
            if name == previous_stores.NAME:
                for part, text in previous_stores.store_warnings(values[name], VARIABLES, values):
                    found += _messages(part, [text])
    unknown = given.keys() - VARIABLES.keys() - _misspelt(given).keys()
    for name in sorted(name for name in unknown if not _belongs_to_mdad(name, values)):
        text = _IGNORED_BY_PROVIDER.get(name, "is not a variable of this role and has no effect. Remove it.")
        found += _messages(name, [text])
    return found + _mdad_warnings(given, values)


def usable_values(variables: Mapping[str, object]) -> Values:
    """All variables by short name: a value that is not given, or of a wrong kind, is the default."""
    return _usable_values(_by_short_name(variables))


def _messages(name: str, texts: Texts) -> list[str]:
    return [f"{NAME_PREFIX}{name}: {text}" for text in texts]


def _by_short_name(variables: Mapping[str, object]) -> Values:
    return {name.removeprefix(NAME_PREFIX): value for name, value in sorted(variables.items())}


def _usable_values(given: Values) -> Values:
    return {
        name: given[name] if name in given and not kind_problems(variable.kind, given[name]) else variable.default
        for name, variable in VARIABLES.items()
    }


def _misspelt_problems(given: Values) -> list[str]:
    return [
        message
        for name, right_name in _misspelt(given).items()
        for message in _messages(name, [f"is not a variable of this role. Did you mean {NAME_PREFIX}{right_name}?"])
    ]


def _is_unset(given: Values) -> bool:
    """Whether nobody has said what is wanted."""
    enabled = given.get("enabled", "")
    return isinstance(enabled, str) and not enabled


def _is_disabled(given: Values) -> bool:
    """Whether nothing is to be set up. A text that means no is a problem, but no reason to look for others."""
    enabled = given["enabled"]
    return enabled is False or (isinstance(enabled, str) and enabled.strip().lower() in FALSE_WORDS)


def _belongs_to_mdad(name: str, values: Values) -> bool:
    """Whether matrix-docker-ansible-deploy alone uses it: it owns the provider and its configuration there."""
    is_its = name in {"version", previous_stores.NAME} or name.startswith(("config_", "store_"))
    return bool(values["layout"] == "mdad" and is_its)


def _mdad_warnings(given: Values, values: Values) -> list[str]:
    """One message for all that is set: a vars.yml that both playbooks read has many of them, and rightly so."""
    defaults = {name: variable.default for name, variable in VARIABLES.items()}
    names = [
        f"{NAME_PREFIX}{name}"
        for name, value in given.items()
        if name != previous_stores.NAME
        if _belongs_to_mdad(name, values) and (name not in defaults or value != defaults[name])
    ]
    former = []
    if given.get(previous_stores.NAME) and _belongs_to_mdad(previous_stores.NAME, values):
        text = (
            "has no effect with the layout 'mdad': matrix-docker-ansible-deploy writes Synapse's list of storage"
            " providers, and does not know this variable. Give it the former store in its own"
            " matrix_synapse_media_storage_providers, after the main one, as docs/move-to-another-service.md tells."
        )
        former = _messages(previous_stores.NAME, [text])
    if not names:
        return former
    text = (
        "without effect on this role: with the layout 'mdad', matrix-docker-ansible-deploy configures the provider, by"
        " its own variables of these names. This role reads the bucket's settings from Synapse's configuration, as that"
        " playbook has written it. To change them, run that playbook first; in a vars.yml of both, leave them."
    )
    return [f"{', '.join(names)}: {text}", *former]


def _misspelt(given: Values) -> Mapping[str, str]:
    """Unknown names that resemble a variable of ours, each with that variable's name."""
    unknown = [name for name in given if name not in VARIABLES and name not in _IGNORED_BY_PROVIDER]
    closest = {name: difflib.get_close_matches(name, VARIABLES, n=1, cutoff=0.8) for name in unknown}
    return {name: matches[0] for name, matches in closest.items() if matches}


# Rules that need no file of their own, or more than one value.


def _nothing(_value: Any, _values: Values) -> Texts:
    return ()


def _enabled_problems(value: object, _values: Values) -> Texts:
    return kind_problems(Kind.BOOLEAN, value)


def _alone(rule: Callable[[Any], Texts]) -> Rule:
    """A rule about the value only."""
    return lambda value, _values: rule(value)


def _unless_empty(rule: Callable[[Any], Texts]) -> Rule:
    """A rule about the value only, where '' stands for none, or for the layout's own."""
    return lambda value, _values: rule(value) if value else ()


def _one_of(choices: Sequence[str]) -> Rule:
    wanted = " or ".join(map(repr, choices))
    return lambda value, _values: () if value in choices else [f"{value!r} is not supported. Use {wanted}."]


def _at_least(minimum: int) -> Rule:
    return lambda value, _values: () if value >= minimum else [f"{value} is too low. Use {minimum} or more."]


def _services(names: Sequence[str], values: Values) -> Texts:
    if values["layout"] == "compose":
        return compose_names_problems(names)
    return unit_names_problems(names, services_only=True)


def _shards_problems(value: str, values: Values) -> Texts:
    if value and value != "group":
        return [f"{value!r} is not supported. Use '' or 'group'."]
    if value and values["migration_engine"] != MIGRATION_ENGINES[0]:
        engine = values["migration_engine"]
        problem = f"{value!r} can't work with the migration engine {engine!r}, which always works on all files"
        return [f"{problem}. Write '', or set migration_engine to {MIGRATION_ENGINES[0]!r}."]
    return ()


def _endpoint_problems(value: str, values: Values) -> Texts:
    return endpoint_problems(value, values["config_bucket"])


def _credentials(rule: Callable[[credentials.Credentials], Texts]) -> Rule:
    return lambda _value, values: rule(
        credentials.Credentials(
            access_key_id=values["config_access_key_id"],
            secret_access_key=values["config_secret_access_key"],
            session_token=values["config_session_token"],
            instance_profile=values["config_ec2_instance_profile"],
        )
    )


def _instance_profile_warnings(value: bool, values: Values) -> Texts:
    if not value or not is_other_endpoint(values["config_endpoint_url"]):
        return ()
    return ["is true, but endpoint_url names no server of Amazon's, which alone knows these credentials. Check both."]


def _sse_key_problems(value: str, values: Values) -> Texts:
    enabled = values["config_sse_customer_enabled"]
    if not value:
        return ["is empty, but sse_customer_enabled is true. Write the key, or set that to false."] if enabled else ()
    if not enabled:
        return [
            "is set, but sse_customer_enabled is false, and nothing would be encrypted. Set that, or remove the key."
        ]
    return credentials.pasted_text_problems(value) or sse_key_problems(value)


def _sse_algorithm_problems(value: str, values: Values) -> Texts:
    return sse_algorithm_problems(value) if values["config_sse_customer_enabled"] else ()


def _store_local_problems(value: bool, values: Values) -> Texts:
    if value or values["store_remote"]:
        return ()
    return ["is false, and so is store_remote: nothing would be stored. Set one of them to true."]


def _store_warnings(value: bool, values: Values) -> Texts:
    if value or not values["migration_enabled"]:
        return ()
    return [
        "is false, but the migration uploads such media all the same. Set it to true, or migration_enabled to false."
    ]


def _schedule_problems(value: str) -> Texts:
    if value.strip() and value.isprintable():
        return ()
    return ["is not a schedule. Write a calendar event of systemd in one line, such as '*-*-* 05:00:00'."]


def _share_problems(value: str) -> Texts:
    if read_share(value):
        return ()
    return [f"{value!r} is not a share. Write a number up to 100 with '%' behind it, such as '5%'."]


def _purge_warnings(value: bool, values: Values) -> Texts:
    if not value or values["migration_enabled"]:
        return ()
    return ["is true, but migration_enabled is false: no job runs at night. Set that to true, or this to false."]


def _container_only_warnings(value: object, values: Values) -> Texts:
    if not value or values["layout"] != "native":
        return ()
    return ["has no effect with the layout 'native', where nothing runs in a container. Remove it."]


def _synapse_user_problems(value: str, values: Values) -> Texts:
    # A container's user need not be one of the host's.
    if not value or (value.isdecimal() and values["layout"] != "native"):
        return ()
    return user_name_problems(value)


def _only_with(layout: str, rule: Rule) -> Rule:
    """A rule about a variable that another layout makes nothing of."""

    def problems(value: str, values: Values) -> Texts:
        if values["layout"] == layout:
            return rule(value, values)
        text = f"has no effect with the layout {values['layout']!r}. Remove it, or set layout to {layout!r}."
        return [text] if value else ()

    return problems


def _compose_path_problems(value: str) -> Texts:
    return path_problems(value) if value else ["is empty. Write the directory of the Compose project."]


def _compose_command_problems(value: str) -> Texts:
    if value.split() and value.isprintable():
        return ()
    return ["is not a command. Write 'docker compose', or 'docker-compose' where Compose is that."]


def _image_problems(value: str, _values: Values) -> Texts:
    if not value or re.fullmatch(r"[a-z0-9][A-Za-z0-9._:/@-]*", value):
        return ()
    return [f"{value!r} is not the name of an image. Write one such as 'docker.io/matrixdotorg/synapse:latest'."]


def _network_problems(value: str, _values: Values) -> Texts:
    if not value or re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:-]*", value):
        return ()
    return [f"{value!r} is not the name of a container network. Write one such as 'matrix'."]


def _workers_problems(value: object, _values: Values) -> Texts:
    if value == "":
        return ()
    wrong_kind = kind_problems(Kind.INTEGER, value)
    if wrong_kind or (isinstance(value, int) and 1 <= value <= MAXIMUM_WORKERS):
        return wrong_kind
    return [f"{value} is out of range. Use 1 to {MAXIMUM_WORKERS}, or '' to leave it to the program."]


def _bandwidth_problems(value: str) -> Texts:
    try:
        parse_bandwidth(value)
    except ValueError as error:
        return [str(error)]
    return ()


def _bandwidth_warnings(value: str, values: Values) -> Texts:
    if not value or values["migration_engine"] != "s3_media_upload":
        return ()
    text = (
        "has no effect with the migration engine 's3_media_upload', which knows no limit. Use 'parallel', or remove it."
    )
    return [text]


def _ca_bundle_warnings(value: str, values: Values) -> Texts:
    if not value or not values["config_endpoint_url"].lower().startswith("http:"):
        return ()
    return ["has no effect, since endpoint_url is plain http. Use an https endpoint_url, or remove it."]


def _config_paths_problems(value: Sequence[str]) -> Texts:
    return [text for path in value for text in path_problems(path)]


def _dropin_problems(value: str, values: Values) -> Texts:
    if not value:
        return ()
    found = path_problems(value)
    path, config_paths = PurePosixPath(value), [PurePosixPath(text) for text in values["synapse_config_paths"]]
    if path.suffix != ".yaml":
        found.append(f"{value!r} does not end with '.yaml', and Synapse would not read it. Add the ending.")
    if config_paths and path not in config_paths and path.parent not in config_paths:
        found.append(f"{value!r} is in no directory of synapse_config_paths: Synapse would not read it. Move it there.")
    return found


def _base_path_problems(value: str, values: Values) -> Texts:
    volumes = [volume for volume in values["synapse_volumes"] if not volume_problems([volume])]
    others = [
        values["synapse_python"],
        values["compose_path"],
        *(host_path(path, volumes) for path in [values["synapse_dropin_path"], *values["synapse_config_paths"]]),
        *(volume.partition(":")[0] for volume in volumes),
    ]
    return own_directory_problems(value, others) if value else ()


@dataclass(frozen=True)
class Variable:
    """One public variable. ``when_disabled``: the removal uses it, so that it is checked with enabled false as well."""

    kind: Kind
    default: Any
    problems: Rule = _nothing
    warnings: Rule = _nothing
    secret: bool = False
    when_disabled: bool = False


# '' and [] as the default of a variable from synapse_python on stand for the layout's own value.
VARIABLES: Mapping[str, Variable] = {
    # '' is neither true nor false: what nobody has written must not take anything away.
    "enabled": Variable(Kind.RAW, "", _enabled_problems, when_disabled=True),
    "version": Variable(Kind.TEXT, PROVIDER_VERSIONS[-1], _one_of(PROVIDER_VERSIONS)),
    "layout": Variable(Kind.TEXT, "native", _one_of(LAYOUTS), when_disabled=True),
    "config_provider": Variable(Kind.TEXT, "", service.provider_problems_of),
    "config_bucket": Variable(Kind.TEXT, "", service.bucket_problems_of, service.bucket_warnings_of),
    "config_prefix": Variable(Kind.TEXT, "", _alone(prefix_problems), _alone(prefix_warnings)),
    "config_region_name": Variable(Kind.TEXT, "", service.region_problems_of, service.region_warnings_of),
    "config_endpoint_url": Variable(Kind.TEXT, "", _endpoint_problems, service.endpoint_warnings_of),
    "config_access_key_id": Variable(Kind.TEXT, "", _credentials(credentials.access_key_id_problems)),
    "config_secret_access_key": Variable(
        Kind.TEXT, "", _credentials(credentials.secret_access_key_problems), secret=True
    ),
    "config_session_token": Variable(
        Kind.TEXT,
        "",
        _credentials(credentials.session_token_problems),
        _credentials(credentials.session_token_warnings),
        secret=True,
    ),
    "config_ec2_instance_profile": Variable(
        Kind.BOOLEAN,
        False,
        _credentials(credentials.instance_profile_problems),
        _instance_profile_warnings,
    ),
    "config_storage_class": Variable(Kind.TEXT, DEFAULT_STORAGE_CLASS, service.storage_class_problems_of),
    "config_sse_customer_enabled": Variable(
        Kind.BOOLEAN, False, service.encryption_problems_of, service.encryption_warnings_of
    ),
    "config_sse_customer_key": Variable(Kind.TEXT, "", _sse_key_problems, secret=True),
    "config_sse_customer_algo": Variable(Kind.TEXT, SSE_ALGORITHM, _sse_algorithm_problems),
    "store_local": Variable(Kind.BOOLEAN, True, _store_local_problems, _store_warnings),
    "store_remote": Variable(Kind.BOOLEAN, True, _nothing, _store_warnings),
    "store_synchronous": Variable(Kind.BOOLEAN, False),
    "previous_stores": Variable(Kind.RAW, [], secret=True),
    "accept_unserved_media": Variable(Kind.BOOLEAN, False, when_disabled=True),
    "update_db_day_count": Variable(Kind.INTEGER, 0, _at_least(0)),
    "periodic_migration_schedule": Variable(Kind.TEXT, "*-*-* 05:00:00", _alone(_schedule_problems)),
    "migrate_systemd_required_services_list": Variable(Kind.LIST, [], _alone(unit_names_problems)),
    "migrate_systemd_wanted_services_list": Variable(Kind.LIST, [], _alone(unit_names_problems)),
    "container_arguments": Variable(Kind.LIST, [], _nothing, _container_only_warnings),
    "migration_enabled": Variable(Kind.BOOLEAN, True),
    "migration_engine": Variable(Kind.TEXT, MIGRATION_ENGINES[0], _one_of(MIGRATION_ENGINES)),
    "migration_delete_local": Variable(Kind.BOOLEAN, True),
    "migration_minimum_age": Variable(Kind.TEXT, "1h", _alone(duration_problems)),
    "migration_workers": Variable(Kind.RAW, "", _workers_problems),
    "migration_bandwidth": Variable(Kind.TEXT, "", _unless_empty(_bandwidth_problems), _bandwidth_warnings),
    "migration_shards": Variable(Kind.TEXT, "", _shards_problems),
    "purge_orphans_enabled": Variable(Kind.BOOLEAN, False, _nothing, _purge_warnings),
    "purge_orphans_minimum_age": Variable(Kind.TEXT, "7d", _alone(duration_problems)),
    "purge_orphans_maximum_share": Variable(Kind.TEXT, "5%", _alone(_share_problems)),
    "metrics_path": Variable(Kind.TEXT, "", _unless_empty(path_problems)),
    "ca_bundle_path": Variable(Kind.TEXT, "", _unless_empty(path_problems), _ca_bundle_warnings),
    "synapse_python": Variable(Kind.TEXT, "", _unless_empty(path_problems), when_disabled=True),
    "synapse_user": Variable(Kind.TEXT, "", _synapse_user_problems, when_disabled=True),
    "synapse_config_paths": Variable(Kind.LIST, [], _alone(_config_paths_problems), when_disabled=True),
    "synapse_dropin_path": Variable(Kind.TEXT, "", _dropin_problems, when_disabled=True),
    "synapse_services": Variable(Kind.LIST, [], _services, when_disabled=True),
    "synapse_health_url": Variable(Kind.TEXT, "", _unless_empty(http_url_problems), when_disabled=True),
    "synapse_start_timeout": Variable(Kind.INTEGER, 120, _at_least(1), when_disabled=True),
    "synapse_image": Variable(Kind.TEXT, "", _image_problems, _container_only_warnings, when_disabled=True),
    "synapse_image_has_provider": Variable(Kind.BOOLEAN, False, _nothing, _container_only_warnings, when_disabled=True),
    "synapse_volumes": Variable(Kind.LIST, [], _alone(volume_problems), _container_only_warnings, when_disabled=True),
    "synapse_network": Variable(Kind.TEXT, "", _network_problems, _container_only_warnings, when_disabled=True),
    "compose_path": Variable(Kind.TEXT, "", _only_with("compose", _alone(_compose_path_problems)), when_disabled=True),
    "compose_command": Variable(Kind.TEXT, "docker compose", _alone(_compose_command_problems), when_disabled=True),
    "podman_user": Variable(Kind.TEXT, "", _only_with("podman", _unless_empty(user_name_problems)), when_disabled=True),
    "base_path": Variable(Kind.TEXT, "", _base_path_problems, when_disabled=True),
    "bin_path": Variable(Kind.TEXT, "", _unless_empty(path_problems), when_disabled=True),
    "systemd_path": Variable(Kind.TEXT, "", _unless_empty(path_problems), when_disabled=True),
}
