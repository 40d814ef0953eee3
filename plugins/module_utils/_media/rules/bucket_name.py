# SPDX-License-Identifier: GPL-3.0-or-later
"""S3's naming rules for general purpose buckets.

Source: "General purpose bucket naming rules" of the Amazon S3 user guide. ``problems`` are for a name that an
administrator writes; ``obstacles`` only name what boto3 can't use, for a name that Synapse uses already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .endpoint import is_other_endpoint
from .region import aws_endpoint_url

_PLACEHOLDER = "your-bucket-name"
_MINIMUM_LENGTH, _MAXIMUM_LENGTH = 3, 63
_FORBIDDEN_CHARACTER = re.compile(r"[^a-z0-9.-]")
_IP_ADDRESS = re.compile(r"[0-9]+(\.[0-9]+){3}")
_RESERVED_PREFIXES: Mapping[str, str] = {
    "xn--": "internationalised domain names",
    "sthree-": "its own use",
    "sthree-configurator": "its own use",
    "amzn-s3-demo-": "examples in its documentation",
}
_RESERVED_SUFFIXES: Mapping[str, str] = {
    "-s3alias": "access point aliases",
    "--ol-s3": "Object Lambda access points",
    ".mrap": "Multi-Region Access Points",
    "--x-s3": "directory buckets",
    "--table-s3": "table buckets",
}
_TLS_MISMATCH = "the TLS certificate of Amazon S3 does not cover in host names"
# What botocore's validate_bucket_name lets through: looser than S3, for the names of old buckets.
_USABLE_NAME = re.compile(r"[a-zA-Z0-9._-]{1,255}")
_USABLE_ARN = re.compile(
    r"arn:aws[^:]*:(s3|s3-object-lambda):[a-z0-9-]*:[0-9]{12}:accesspoint[/:][a-zA-Z0-9.-]{1,63}"
    r"|arn:aws[^:]*:s3-outposts:[a-z0-9-]+:[0-9]{12}:outpost[/:][a-zA-Z0-9-]{1,63}[/:]accesspoint[/:][a-zA-Z0-9-]{1,63}"
)


def bucket_name_problems(name: str, endpoint_url: str) -> list[str]:
    """What makes ``name`` useless: S3's naming rules on Amazon S3, and elsewhere only what boto3 can't use."""
    if not name:
        return ["is empty. Write the name of the bucket."]
    if name == _PLACEHOLDER:
        return [f"{name!r} is still the example of the documentation. Write the name of your bucket."]
    if "/" in name or name.startswith("arn:"):
        return [f"{name!r} is more than a name. Write the bucket's name only; a path in it belongs into prefix."]
    return bucket_name_obstacles(name) if is_other_endpoint(endpoint_url) else _naming_rules(name)


def bucket_name_warnings(name: str, endpoint_url: str) -> list[str]:
    """What is no problem at another service than Amazon S3, if it takes such names."""
    if not is_other_endpoint(endpoint_url) or bucket_name_problems(name, endpoint_url) or not _naming_rules(name):
        return []
    return [f"{name!r} is no name of a bucket by Amazon's rules. Whether the server takes it, the trial of it tells."]


def _naming_rules(name: str) -> list[str]:
    """Everything that S3's naming rules hold against ``name``."""
    return [
        *_length_problems(name),
        *_character_problems(name),
        *_edge_problems(name),
        *_shape_problems(name),
        *_reserved_problems(name),
    ]


def bucket_dots_problems(name: str, region: str, endpoint_url: str) -> list[str]:
    """What speaks against dots in the name.

    Only Amazon S3 without an endpoint is concerned: there the bucket is part of the host name. boto3 avoids the
    mismatch by switching to path-style addresses on its own, which other programs at the same bucket don't do. With an
    endpoint every request is path-style, so a dotted name is no problem: that is the way out for an existing bucket.
    """
    if "." not in name or endpoint_url:
        return []
    endpoint = aws_endpoint_url(region or "REGION")
    return [
        f"{name!r} has dots, which {_TLS_MISMATCH}. Use a bucket without dots, or set endpoint_url to {endpoint!r}."
    ]


def bucket_name_obstacles(name: str) -> list[str]:
    """What makes it impossible for boto3 to use ``name``."""
    if not _USABLE_NAME.fullmatch(name) and not _USABLE_ARN.fullmatch(name):
        return [f"{name!r} can't be the name of a bucket. Write the name of the bucket."]
    return [problem for problem in _reserved_problems(name) if name.endswith("--x-s3")]


def _length_problems(name: str) -> list[str]:
    if _MINIMUM_LENGTH <= len(name) <= _MAXIMUM_LENGTH:
        return []
    return [f"{name!r} has {len(name)} characters. Use a name of {_MINIMUM_LENGTH} to {_MAXIMUM_LENGTH} characters."]


def _character_problems(name: str) -> list[str]:
    forbidden = dict.fromkeys(_FORBIDDEN_CHARACTER.findall(name))
    if not forbidden:
        return []
    cause = f"{name!r} has characters that S3 does not allow ({', '.join(map(repr, forbidden))})"
    return [f"{cause}. Use only lower-case letters, digits, dots and hyphens."]


def _edge_problems(name: str) -> list[str]:
    return [
        f"{name!r} {verb} with {character!r}. Use a name that {verb} with a lower-case letter or a digit."
        for verb, character in (("begins", name[0]), ("ends", name[-1]))
        if character in ".-"
    ]


def _shape_problems(name: str) -> list[str]:
    problems = []
    if ".." in name:
        problems.append(f"{name!r} has two dots in a row. Use single dots.")
    if _IP_ADDRESS.fullmatch(name):
        problems.append(f"{name!r} looks like an IP address. Use a name that does not.")
    return problems


def _reserved_problems(name: str) -> list[str]:
    prefix = max((prefix for prefix in _RESERVED_PREFIXES if name.startswith(prefix)), key=len, default=None)
    suffix = max((suffix for suffix in _RESERVED_SUFFIXES if name.endswith(suffix)), key=len, default=None)
    problems = []
    if prefix is not None:
        problems.append(_reserved(name, "begins", prefix, _RESERVED_PREFIXES[prefix]))
    if suffix is not None:
        problems.append(_reserved(name, "ends", suffix, _RESERVED_SUFFIXES[suffix]))
    return problems


def _reserved(name: str, verb: str, part: str, purpose: str) -> str:
    return f"{name!r} {verb} with {part!r}, which S3 reserves for {purpose}. Use another bucket."
