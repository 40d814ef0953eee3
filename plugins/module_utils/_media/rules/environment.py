# SPDX-License-Identifier: GPL-3.0-or-later
"""Environment variables that decide which server, bucket or database is used: whose they are, and when they matter.

Synapse's own count. Those of whoever runs a command never do: another server would "prove" what Synapse never finds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # not in its types

from .errors import ConfigurationError
from .settings import BucketSettings

# What boto3, urllib3, OpenSSL, libpq and the resolver of the C library read.
_LIBRARIES = re.compile(
    r"(AWS|BOTO)_.*|PG[A-Z]+|(http|https|all|no)_proxy|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|OPENSSL_CONF"
    r"|HOSTALIASES|LOCALDOMAIN|RES_OPTIONS",
    re.IGNORECASE,
)
# Whom to trust, and by which way to reach a server that proves with TLS who it is: these lead nowhere else.
# With http there is no proof, so that http_proxy is not among them.
WAYS = frozenset({"HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"})
HARMLESS = frozenset({"AWS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"}) | WAYS
ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
# Variables that name a file, and where that is left out, its place below the home directory.
FILES = {"AWS_CONFIG_FILE": ".aws/config", "AWS_SHARED_CREDENTIALS_FILE": ".aws/credentials", "BOTO_CONFIG": ".boto"}
_PROFILES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", *FILES)
# Another account is another place: on some servers (OpenStack Swift, Ceph RGW) each has buckets of its own names.
_CREDENTIALS = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
    *("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    *("AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_ENDPOINT_URL_STS"),
)
# What psycopg2 is given in Synapse's configuration -> what libpq takes in its place
_DATABASE = {
    ("host",): "PGHOST",
    ("hostaddr",): "PGHOSTADDR",  # Goes before a host that is given.
    ("port",): "PGPORT",
    ("dbname", "database"): "PGDATABASE",
    ("user",): "PGUSER",
    ("password",): "PGPASSWORD",
    ("service",): "PGSERVICE",
}


def is_of_libraries(name: str) -> bool:
    """Whether a library that the program uses reads this variable."""
    return _LIBRARIES.fullmatch(name) is not None


def lacks_something(bucket: BucketSettings) -> bool:
    """Whether boto3 looks elsewhere for what decides where it goes."""
    return bucket.endpoint_url is None or bucket.access_key_id is None


def refuse_callers(
    caller: Mapping[str, str], buckets: Sequence[BucketSettings], database: Mapping[str, object] | None
) -> None:
    """Refuse what ``caller``, a name -> value, would decide because Synapse's configuration leaves it open.

    A name that is a path stands for a file of the caller's. ``database``: the arguments of psycopg2, None for SQLite.

    :raises ConfigurationError: naming all of them.
    """
    names = {name for bucket in buckets for name in _deciding(caller, bucket)}
    names.update(() if database is None else _deciding_of_database(caller, database))
    if names:
        them = "it" if len(names) == 1 else "them"
        raise ConfigurationError(
            f"Could not start: {_enumeration(sorted(names))} of whoever runs this would decide which server, bucket or"
            f" database is used, as Synapse's configuration leaves it open. Take {them} away here. What Synapse is to"
            " use belongs into its configuration, or into the environment of its service."
        )


def _deciding(caller: Mapping[str, str], bucket: BucketSettings) -> Iterator[str]:
    ignored = caller.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true"
    decisive = set[str]()
    if bucket.endpoint_url is None:
        decisive |= {*(() if ignored else ENDPOINTS), *_PROFILES}
        if bucket.region_name is None:
            # Amazon's regions of China and of governments are worlds of their own.
            decisive.add("AWS_DEFAULT_REGION")
    if bucket.access_key_id is None:
        decisive |= {*_CREDENTIALS, *_PROFILES}
    # What names no file decides nothing.
    said = [name for name, value in caller.items() if value and not (name in FILES and value == os.devnull)]
    yield from (name for name in said if name in decisive or _file_in(name, decisive))
    yield from _deciding_proxies(caller, bucket)


def _file_in(name: str, decisive: set[str]) -> bool:
    return any(name.endswith(f"/{place}") and variable in decisive for variable, place in FILES.items())


def _deciding_proxies(caller: Mapping[str, str], bucket: BucketSettings) -> Iterator[str]:
    endpoint = urlsplit(bucket.endpoint_url or "https://")
    if endpoint.scheme == "http":
        names: tuple[str, ...] = ("http_proxy", "HTTP_PROXY")
    elif {"AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"} & caller.keys():
        # Who chooses the way and whom to trust chooses the server.
        names = ("https_proxy", "HTTPS_PROXY")
    else:
        return
    excepted = caller.get("no_proxy") or caller.get("NO_PROXY") or ""
    if not proxy_bypass_environment(endpoint.netloc, {"no": excepted}):
        yield from (name for name in names if caller.get(name))


def _deciding_of_database(caller: Mapping[str, str], arguments: Mapping[str, object]) -> Iterator[str]:
    if "dsn" in arguments:
        return
    for given, name in _DATABASE.items():
        if caller.get(name) and not any(argument in arguments for argument in given):
            yield name


def _enumeration(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
