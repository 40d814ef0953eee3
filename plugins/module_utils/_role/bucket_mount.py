# SPDX-License-Identifier: GPL-3.0-or-later
"""The public variables of the role ``bucket_mount``: kinds and rules. Those of a bucket are storage_provider's too."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from .._media.rules.bucket_name import bucket_dots_problems, bucket_name_problems
from .._media.rules.endpoint import endpoint_problems, http_url_problems
from .._media.rules.prefix import prefix_problems
from .._media.rules.region import region_problems
from .._media.rules.storage_class import storage_class_problems
from .credentials import Credentials, access_key_id_problems, secret_access_key_problems
from .host import own_directory_problems, path_problems, unit_names_problems, user_name_problems
from .kinds import TRUE_WORDS, Kind, kind_problems
from .names import unknown_problems

NAME_PREFIX = "bucket_mount_"
# Variables of the role storage_provider that are judged too, since the bucket may be its.
_PROVIDER_BUCKET = "matrix_synapse_ext_synapse_s3_storage_provider_config_bucket"
_PROVIDER_ENCRYPTS = "matrix_synapse_ext_synapse_s3_storage_provider_config_sse_customer_enabled"
TOOLS = ("rclone", "s3fs", "goofys")
# As rclone reads them. Without a unit its sizes are KiB, which nobody means.
_SIZE = re.compile(r"[1-9][0-9]*[MGT]")
_DURATION = re.compile(r"[1-9][0-9]*[smh]")
# By systemd, at a reboot or after some weeks (tmpfiles.d)
_EMPTIED = ("/tmp", "/var/tmp", "/run", "/var/run", "/dev/shm")  # noqa: S108 (nothing is written there)
# What the role itself says to rclone, and looks for later.
_OF_THE_ROLE = re.compile(r"--(cache-dir|config|daemon)(=.*)?")
# What stands in the tool's options, between commas, or in its own files.
_UNSAFE_IN_OPTIONS = re.compile(r"[\s,'\"\\$`%]")

Values = Mapping[str, Any]
Texts = Sequence[str]
Rule = Callable[[Any, Values], Texts]


def problems(variables: Mapping[str, object]) -> list[str]:
    """Everything that is wrong with ``variables`` (full name -> value), one message each; none when they can work.

    A variable that is not given, or is of a wrong kind, counts as empty to the rules of others.
    """
    given = {
        name.removeprefix(NAME_PREFIX): value
        for name, value in sorted(variables.items())
        if name.startswith(NAME_PREFIX)
    }
    enabled = given.get("enabled", "")
    if enabled == "":
        return []
    values = {
        name: given[name] if name in given and not kind_problems(variable.kind, given[name]) else variable.empty
        for name, variable in VARIABLES.items()
    }
    found = []
    for name, variable in VARIABLES.items():
        if enabled is not True and not variable.when_disabled:
            continue
        wrong_kind = kind_problems(variable.kind, given[name], secret=variable.secret) if name in given else []
        found += _messages(name, wrong_kind or variable.problems(values[name], values))
    if enabled is True:
        found += _encryption_problems(variables, values["bucket"])
    return found + unknown_problems(NAME_PREFIX, given, VARIABLES)


def _encryption_problems(variables: Mapping[str, object], bucket: object) -> list[str]:
    """Why the provider's own bucket can't be mounted: its objects are encrypted with a key that no tool is given."""
    is_encrypted = str(variables.get(_PROVIDER_ENCRYPTS, "")).strip().lower() in TRUE_WORDS
    if not is_encrypted or variables.get(_PROVIDER_BUCKET) != bucket:
        return []
    cause = "is true, but a mount could not read what is encrypted with that key, and would store new media in plain"
    return [f"{_PROVIDER_ENCRYPTS}: {cause}. Keep the role storage_provider, or mount a bucket without such objects."]


def _messages(name: str, texts: Texts) -> list[str]:
    return [f"{NAME_PREFIX}{name}: {text}" for text in texts]


def _alone(rule: Callable[[Any], Texts]) -> Rule:
    return lambda value, _values: rule(value)


def _unless_empty(rule: Callable[[Any], Texts]) -> Rule:
    return lambda value, _values: rule(value) if value else ()


def _nothing(_value: object, _values: Values) -> Texts:
    return ()


def _enabled_problems(value: object, _values: Values) -> Texts:
    return kind_problems(Kind.BOOLEAN, value)


def _tool_problems(value: str) -> Texts:
    wanted = " or ".join(map(repr, TOOLS))
    return () if value in TOOLS else [f"{value!r} is not supported. Use {wanted}."]


def _bucket_problems(value: str, values: Values) -> Texts:
    dots = bucket_dots_problems(value, values["region_name"], values["endpoint_url"])
    return [*bucket_name_problems(value, values["endpoint_url"]), *dots]


def _prefix_problems(value: str, _values: Values) -> Texts:
    found = prefix_problems(value)
    if value and not value.endswith("/"):
        cause = f"{value!r} does not end with '/': what a mount has below a directory has keys with a slash"
        found.append(f"{cause}. Write '{value}/', or use the role storage_provider.")
    if unsafe := _UNSAFE_IN_OPTIONS.findall(value):
        characters = ", ".join(map(repr, dict.fromkeys(unsafe)))
        found.append(f"{value!r} has characters that do not work in the options of a mount ({characters}).")
    return found


def _endpoint_problems(value: str, values: Values) -> Texts:
    if value and _UNSAFE_IN_OPTIONS.search(value):
        return ["has characters that do not work in the options of a mount. Write an address, 'https://host[:port]'."]
    return endpoint_problems(value, values["bucket"])


def _region_problems(value: str, values: Values) -> Texts:
    return region_problems(value, values["endpoint_url"])


def _credentials(rule: Callable[[Credentials], Texts]) -> Rule:
    def check(_value: object, values: Values) -> Texts:
        found = rule(Credentials(values["access_key_id"], values["secret_access_key"]))
        # A mount has no instance profile: that part of the advice is storage_provider's.
        return [text.partition(", or set ec2_instance_profile")[0].rstrip(".") + "." for text in found]

    return check


def _access_key_id_problems(value: str, values: Values) -> Texts:
    if ":" in value:
        return ["has a colon, which ends it in the file of s3fs. Write the access key ID alone."]
    return _credentials(access_key_id_problems)(value, values)


def _size_problems(value: str) -> Texts:
    return () if _SIZE.fullmatch(value) else [f"{value!r} is no size. Write a whole number and M, G or T, as '2G'."]


def _age_problems(value: str) -> Texts:
    return (
        () if _DURATION.fullmatch(value) else [f"{value!r} is no time. Write a whole number and s, m or h, as '168h'."]
    )


def _path_problems(value: str, values: Values) -> Texts:
    if found := path_problems(value):
        return found
    inside = f"{value.rstrip('/')}/"
    if f"{values['cache_path']}/".startswith(inside):
        return [
            f"{value!r} holds bucket_mount_cache_path, which would be hidden by the mount. Write another path there."
        ]
    if value.count("/") < 2 or value.endswith("/"):
        return [f"{value!r} is no place for a mount. Write Synapse's media_store_path, without a slash at its end."]
    return ()


def _cache_path_problems(value: str, values: Values) -> Texts:
    if found := own_directory_problems(value, [values["path"]]):
        return found
    directory = PurePosixPath(value)
    if any(directory.is_relative_to(emptied) for emptied in _EMPTIED):
        return [f"{value!r} is emptied in time, and media that waits there for the bucket with it. Write another path."]
    if directory.parts[-2:] == (".cache", "rclone"):
        return [f"{value!r} is where rclone keeps the files of other mounts. Write a path of its own."]
    return ()


def _services_problems(value: Sequence[str], _values: Values) -> Texts:
    if not value:
        return ["is empty: nothing would wait for the mount. Write the units that run Synapse."]
    return unit_names_problems(value, services_only=True)


def _timeout_problems(value: int) -> Texts:
    return () if value >= 1 else [f"{value} is too low. Use 1 or more."]


def _options_problems(value: Sequence[object], values: Values) -> Texts:
    # The health check takes those of the connection, and could not tell whose a value is.
    if values["tool"] != "rclone":
        return ()
    texts = [str(text) for text in value]
    return [
        f"{text!r} is no option. Write an option of rclone and its value as one text, '--name=value'."
        for text in texts
        if not text.startswith("-")
    ] + [
        f"{text!r} is for the role to say. Leave it out; bucket_mount_cache_path is where the cache is."
        for text in texts
        if _OF_THE_ROLE.fullmatch(text)
    ]


@dataclass(frozen=True)
class Variable:
    """One public variable. ``empty`` stands for a value that is not given. ``when_disabled``: the removal uses it."""

    kind: Kind
    empty: Any
    problems: Rule = _nothing
    secret: bool = False
    when_disabled: bool = False


VARIABLES: Mapping[str, Variable] = {
    "enabled": Variable(Kind.RAW, "", _enabled_problems, when_disabled=True),
    "tool": Variable(Kind.TEXT, TOOLS[0], _alone(_tool_problems), when_disabled=True),
    "bucket": Variable(Kind.TEXT, "", _bucket_problems),
    "prefix": Variable(Kind.TEXT, "", _prefix_problems),
    "region_name": Variable(Kind.TEXT, "", _region_problems),
    "endpoint_url": Variable(Kind.TEXT, "", _endpoint_problems),
    "access_key_id": Variable(Kind.TEXT, "", _access_key_id_problems),
    "secret_access_key": Variable(Kind.TEXT, "", _credentials(secret_access_key_problems), secret=True),
    "storage_class": Variable(Kind.TEXT, "STANDARD", _alone(storage_class_problems)),
    "ca_bundle_path": Variable(Kind.TEXT, "", _unless_empty(path_problems)),
    "path": Variable(Kind.TEXT, "/var/lib/matrix-synapse/media", _path_problems, when_disabled=True),
    "synapse_user": Variable(Kind.TEXT, "matrix-synapse", _alone(user_name_problems), when_disabled=True),
    "synapse_services": Variable(Kind.LIST, ["matrix-synapse.service"], _services_problems, when_disabled=True),
    "synapse_health_url": Variable(
        Kind.TEXT, "http://127.0.0.1:8008/health", _alone(http_url_problems), when_disabled=True
    ),
    "synapse_start_timeout": Variable(Kind.INTEGER, 120, _alone(_timeout_problems), when_disabled=True),
    "cache_path": Variable(Kind.TEXT, "/var/lib/matrix-synapse-bucket-mount", _cache_path_problems, when_disabled=True),
    "cache_size": Variable(Kind.TEXT, "2G", _alone(_size_problems)),
    "cache_age": Variable(Kind.TEXT, "168h", _alone(_age_problems)),
    "goofys_path": Variable(Kind.TEXT, "/usr/local/bin/goofys", _alone(path_problems)),
    "options": Variable(Kind.LIST, [], _options_problems),
    "accept_unserved_media": Variable(Kind.BOOLEAN, False, when_disabled=True),
}
