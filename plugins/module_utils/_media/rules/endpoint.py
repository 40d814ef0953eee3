# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoint URL of an S3 server; '' stands for Amazon S3.

A URL can hold credentials: before an ``@``, or in a query. Those parts are never shown.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from .aws_regions import AWS_PARTITIONS

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?P<host>\[[^]/?#]*\]|[^:/?#]*)"
    r"(?::(?P<port>[^/?#]*))?"
    r"(?P<path>[^?#]*)"
    r"(?P<rest>.*)",
    re.DOTALL,
)
_WITHOUT_SCHEME = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?/?")
_USER = re.compile(r"\A([^/?#@]*://)[^/?#]*@")
_HOST_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_PLACEHOLDERS = ("https://..", "https://s3.REGION_NAME.amazonaws.com")
_EXAMPLE = "such as 'https://s3.example.org'"


@dataclass(frozen=True)
class _Url:
    """The parts of a URL; ``host`` keeps the brackets of an IPv6 address, ``port`` is None without a colon."""

    scheme: str
    host: str
    port: str | None
    path: str
    rest: str

    @property
    def origin(self) -> str:
        """The scheme, the host and the port: all that an endpoint has."""
        return f"{self.scheme}://{self.host}{'' if self.port is None else f':{self.port}'}"

    @property
    def shown(self) -> str:
        """The URL for a message, without its query."""
        return repr(self.origin + self.path)


@dataclass(frozen=True)
class _AwsHost:
    """What a host name of Amazon's stands for."""

    service: str
    bucket: str
    region: str | None


def endpoint_problems(url: str, bucket: str) -> list[str]:
    """What is wrong with ``url`` as the endpoint of ``bucket``."""
    if not url:
        return []
    if url in _PLACEHOLDERS:
        return [f"{url!r} is still the example of the documentation. Write your server's URL, or '' for Amazon S3."]
    parsed = _parse(url)
    if parsed is None:
        return [_not_a_url(url)]
    return [*_server_problems(parsed), *_rest_problems(parsed, bucket), *_aws_problems(parsed)]


def endpoint_warnings(url: str, bucket: str) -> list[str]:
    """What may work, but is probably not meant: the bucket's own address, and a path where the server has none."""
    parsed = _parse(url)
    if parsed is None or _aws_host(parsed.host):
        return []
    found = []
    if bucket and parsed.host.startswith(f"{bucket}."):
        server = _replace_host(parsed, parsed.host[len(bucket) + 1 :])
        found.append(
            f"{parsed.origin!r} begins with the bucket's name. If it is the bucket's own address, write {server!r}."
        )
    if parsed.path.strip("/"):
        found.append(
            f"{parsed.shown} has a path. That is right where the service says so, as Supabase does;"
            " a path in the bucket belongs into prefix."
        )
    return found


def endpoint_obstacles(url: str | None) -> list[str]:
    """What makes it impossible for boto3 to use ``url`` (None: Amazon S3)."""
    if url is None:
        return []
    if not url:
        return ["is empty. Write the URL of the server, or remove the line for Amazon S3."]
    parsed = _parse(without_user(url))
    if parsed is None:
        return [_not_a_url(url)]
    problems = _server_problems(parsed)
    if parsed.rest.startswith("?"):
        problems.append(f"{parsed.shown} has a query. Remove the '?' and what follows it.")
    return problems


def without_user(url: str) -> str:
    """The URL without what may be credentials before an ``@``."""
    return _USER.sub(r"\1", url)


def is_aws_endpoint(url: str) -> bool:
    """Whether ``url`` names a server of Amazon's. '' is no URL: it lets boto3 choose the server."""
    parsed = _parse(url)
    return parsed is not None and _aws_host(parsed.host) is not None


def is_other_endpoint(url: str) -> bool:
    """Whether ``url`` names a server of somebody else than Amazon."""
    return bool(url) and not is_aws_endpoint(url)


def find_aws_region(url: str) -> str | None:
    """The region in the host name of Amazon's endpoint ``url``; None when it has none."""
    parsed = _parse(url)
    host = _aws_host(parsed.host) if parsed else None
    return host.region if host else None


def host_name(url: str) -> str:
    """The host of ``url`` in lower case, '' when it is no URL."""
    parsed = _parse(url)
    return parsed.host.lower().removesuffix(".") if parsed else ""


def http_url_problems(url: str) -> list[str]:
    """What is wrong with ``url`` as the address of any HTTP server; it may have a path."""
    parsed = _parse(url)
    return [_not_a_url(url)] if parsed is None else _server_problems(parsed)


def _parse(url: str) -> _Url | None:
    """The parts of ``url``; None when it is no URL, or has an ``@``: any part of it could be a password then."""
    match = None if "@" in url else _URL.fullmatch(url)
    return None if match is None else _Url(**match.groupdict())


def _not_a_url(url: str) -> str:
    if "@" in url:
        return f"has an '@', as if there were credentials in it. Write only a scheme and a host, {_EXAMPLE}."
    if _WITHOUT_SCHEME.fullmatch(url):
        return f"{url!r} has no scheme. Write {'https://' + url!r}."
    shown = "is" if "?" in url or "#" in url else f"{url!r} is"
    return f"{shown} not a URL. Write a scheme and a host, {_EXAMPLE}."


def _server_problems(url: _Url) -> list[str]:
    return [*_scheme_problems(url), *_host_problems(url), *_port_problems(url)]


def _scheme_problems(url: _Url) -> list[str]:
    if url.scheme.lower() in ("http", "https"):
        return []
    return [f"{url.shown} has the scheme {url.scheme!r}. Use https, or http for a server without TLS."]


def _host_problems(url: _Url) -> list[str]:
    if not url.host and not url.port:
        return [f"{url.shown} has no host. Write a scheme and a host, {_EXAMPLE}."]
    if url.host.startswith("["):
        if _is_ipv6(url.host[1:-1]):
            return []
        return [f"{url.shown} has no IPv6 address in its brackets. Correct the address."]
    if url.port is not None and ":" in url.port:
        return [f"{url.shown} has too many colons. Write an IPv6 address in brackets, such as 'http://[::1]:9000'."]
    if _is_host_name(url.host):
        return []
    return [f"{url.shown} has a malformed host, {url.host!r}. Use only letters, digits, hyphens and dots."]


def _port_problems(url: _Url) -> list[str]:
    if url.port is None or ":" in url.port:
        return []
    if re.fullmatch(r"[0-9]{1,5}", url.port) and 1 <= int(url.port) <= 65535:
        return []
    return [f"{url.shown} has a wrong port. Use a number from 1 to 65535, or leave out the colon."]


def _rest_problems(url: _Url, bucket: str) -> list[str]:
    if not url.host:
        return []
    problems = []
    if bucket and url.path.strip("/") == bucket:
        problems.append(f"{url.shown} ends with the name of the bucket. Write {url.origin!r}.")
    elif url.path not in ("", "/") and _aws_host(url.host):
        problems.append(f"{url.shown} has a path. Write {url.origin!r}; a path in the bucket belongs into prefix.")
    if url.rest:
        problems.append(f"{url.shown} is followed by a '?' or '#'. Write {url.origin!r}.")
    return problems


def _aws_problems(url: _Url) -> list[str]:
    host = _aws_host(url.host)
    if host is None:
        return []
    if host.service not in ("s3", "s3-fips", "s3-accelerate"):
        return [f"{url.origin!r} is not an S3 endpoint of Amazon's. Write '' for Amazon S3."]
    if host.bucket:
        server = _replace_host(url, url.host[len(host.bucket) + 1 :])
        return [f"{url.origin!r} has the bucket {host.bucket!r} in its host. Write {server!r}, or '' for Amazon S3."]
    return []


def _replace_host(url: _Url, host: str) -> str:
    return _Url(url.scheme, host, url.port, "", "").origin


def _is_host_name(host: str) -> bool:
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_HOST_LABEL.fullmatch(label) for label in labels):
        return False
    return not labels[-1].isdigit() or _is_ipv4(host)  # digits at the end: an IPv4 address or nothing


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _aws_host(host: str) -> _AwsHost | None:
    """Read BUCKET.s3.REGION.amazonaws.com and its relatives; None when the host is not Amazon's."""
    host = host.lower()
    suffixes = {partition.dns_suffix for partition in AWS_PARTITIONS.values()}
    suffix = next((suffix for suffix in suffixes if host.endswith(f".{suffix}")), None)
    if suffix is None:
        return None
    labels = host[: -len(suffix) - 1].split(".")
    if labels[-1] == "vpce" and len(labels) > 3:  # bucket.vpce-ID.s3.REGION.vpce: "bucket" stands there literally
        return _AwsHost(labels[-3], "", labels[-2])
    position = max((index for index, label in enumerate(labels) if re.match(r"s3(-|$)", label)), default=None)
    if position is None:
        return _AwsHost(labels[0], "", None)
    service, region = _split_service(labels[position])
    regions = [label for label in labels[position + 1 :] if label != "dualstack"]
    return _AwsHost(service, ".".join(labels[:position]), regions[0] if regions else region)


def _split_service(label: str) -> tuple[str, str | None]:
    """The service, and the region of old names: s3-eu-west-1, s3-external-1, and s3 alone for us-east-1."""
    known = {region for partition in AWS_PARTITIONS.values() for region in partition.regions}
    if label.removeprefix("s3-") in known:
        return "s3", label.removeprefix("s3-")
    if label in ("s3", "s3-external-1"):
        return "s3", "us-east-1"
    return label, None
