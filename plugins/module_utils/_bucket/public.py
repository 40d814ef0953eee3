# SPDX-License-Identifier: GPL-3.0-or-later
"""Which statements of a bucket's policy let anybody in. Pure.

What is public is as Amazon has it, 'The meaning of "public"' in
https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html: whatever does not name
fixed principals, or has no condition that holds for fixed ones, or for those in few places, alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv6Network, ip_network
from typing import Any, NamedTuple

from .._role.bucket_policy import Document, Statement
from .policy import statements_of

# A pattern, and a policy variable.
_NOT_FIXED = re.compile(r"[*?]|\$\{")
# The name of the access point may be a pattern, but not whose it is.
_ACCESS_POINT = re.compile(r"arn:[a-z-]+:s3:[a-z0-9-]*:[0-9]{12}:accesspoint/.*")
# How many bits of an address must be given, by the version of IP.
_BITS = {4: 8, 6: 32}
_BITS_BEFORE_IPV4 = 96
_ALL_OF_IPV4 = IPv6Network("::ffff:0:0/96")
# Nobody comes from these through the internet, however many addresses they have.
_LOCAL = (IPv6Network("fc00::/7"), IPv6Network("fe80::/10"))


def _is_fixed(value: str) -> bool:
    return bool(value) and not _NOT_FIXED.search(value)


def _is_of_an_account(value: str) -> bool:
    return "${" not in value and bool(_ACCESS_POINT.fullmatch(value))


def _is_narrow(value: str) -> bool:
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        return False
    if isinstance(network, IPv6Network):
        # Servers take such an address for what it is within IPv4.
        if network.network_address.ipv4_mapped or _ALL_OF_IPV4.subnet_of(network):
            return network.prefixlen - _BITS_BEFORE_IPV4 >= _BITS[4]
        if any(network.subnet_of(local) for local in _LOCAL):
            return True
    return network.prefixlen >= _BITS[network.version]


class _Pin(NamedTuple):
    """How a key fixes who is let in: with one of these operators, where each value is of this kind."""

    operators: frozenset[str]
    is_fixed: Callable[[str], bool]


# Those that deny, and those with IfExists or ForAllValues, hold for a request without the key.
_EQUALS = frozenset({"stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike"})
# In lower case, as S3 takes them in any.
_PINS: Mapping[str, _Pin] = {
    # Principals, of which the page names the first alone. Not aws:userid, which it names too, nor aws:username: MinIO
    # takes them from a header or a query of the request where that has no key.
    "aws:principalorgid": _Pin(_EQUALS, _is_fixed),
    "aws:principalarn": _Pin(_EQUALS, _is_fixed),
    "aws:principalaccount": _Pin(_EQUALS, _is_fixed),
    # The rest is named.
    "aws:sourcearn": _Pin(_EQUALS, _is_fixed),
    "aws:sourcevpc": _Pin(_EQUALS, _is_fixed),
    "aws:sourcevpce": _Pin(_EQUALS, _is_fixed),
    "aws:sourceowner": _Pin(_EQUALS, _is_fixed),
    "aws:sourceaccount": _Pin(_EQUALS, _is_fixed),
    "aws:sourceip": _Pin(frozenset({"ipaddress"}), _is_narrow),
    "s3:dataaccesspointaccount": _Pin(_EQUALS, _is_fixed),
    "s3:dataaccesspointarn": _Pin(_EQUALS, _is_of_an_account),
}
_ANY_OF_SEVERAL = "foranyvalue:"


def is_public(statement: Statement) -> bool:
    """Whether a statement lets anybody in."""
    return _is_for_anybody(statement) and not _is_pinned(statement)


def on_a_condition(statement: Statement) -> bool:
    """Whether a statement is for anybody, on a condition that holds for some alone."""
    return _is_for_anybody(statement) and _is_pinned(statement)


def public_in(document: Document | None) -> list[Statement]:
    return [statement for statement in statements_of(document) if is_public(statement)]


def not_public_in(document: Document | None) -> list[Statement]:
    return [statement for statement in statements_of(document) if not is_public(statement)]


def names(which: Callable[[Statement], bool], document: Document | None) -> list[str]:
    """How a message calls such statements of a policy: by their Sid, or by their number."""
    statements = enumerate(statements_of(document), 1)
    return [repr(each["Sid"]) if each.get("Sid") else f"number {number}" for number, each in statements if which(each)]


def _is_for_anybody(statement: Statement) -> bool:
    # A pattern for some users is met by their keys alone.
    is_open = "NotPrincipal" in statement or any(not text.strip("*?") for text in _texts(statement.get("Principal")))
    return statement.get("Effect") == "Allow" and is_open


def _is_pinned(statement: Statement) -> bool:
    for operator, key, values in _conditions(statement):
        pin = _PINS.get(key)
        if pin and operator in pin.operators and values and all(map(pin.is_fixed, values)):
            return True
    return False


def _conditions(statement: Statement) -> Iterator[tuple[str, str, list[str]]]:
    """Each operator with a key and its values, which are alternatives. All of these have to hold."""
    condition = statement.get("Condition")
    for operator, keys in condition.items() if isinstance(condition, Mapping) else ():
        for key, values in keys.items() if isinstance(keys, Mapping) else ():
            yield str(operator).lower().removeprefix(_ANY_OF_SEVERAL), str(key).lower(), list(_texts(values))


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value: one, several, or several of different kinds."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)
    elif value is not None:
        yield str(value)
