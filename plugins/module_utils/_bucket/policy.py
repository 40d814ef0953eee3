# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy of a bucket: its statements, and whether it asks for TLS. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .._role.bucket_policy import SIDS, TLS_ONLY_FOR_USER, Document, Statement, partition_of, tls_only_statement

# By it the collection's own statement is found again.
TLS_ONLY = "MatrixopsSynapseS3OnlyByTls"
# Ceph has no aws:SecureTransport without TLS, where only the first holds; not every server knows it.
OPERATORS = ("BoolIfExists", "Bool")


def statements_of(document: Document | None) -> list[Statement]:
    """A document's statements; a single one needs no list."""
    found = (document or {}).get("Statement", [])
    return [dict(found)] if isinstance(found, Mapping) else list(found)


def with_statements(document: Document | None, statements: Sequence[Statement]) -> Document | None:
    """The document with these statements; None for none, which is no document."""
    if not statements:
        return None
    return {**({"Version": "2012-10-17"} if document is None else document), "Statement": list(statements)}


def tls_only(bucket: str, region: str | None, operator: str, *, key: str | None = None) -> Statement:
    """The collection's statement in a bucket's policy that forbids what does not come by TLS.

    With ``key`` it is for that object alone.
    """
    partition = partition_of(region or "")
    statement = {
        **tls_only_statement(bucket, partition=partition, operator=operator),
        "Sid": TLS_ONLY,
        "Principal": "*",
    }
    return statement if key is None else {**statement, "Resource": [f"arn:{partition}:s3:::{bucket}/{key}"]}


def has_tls_only(statements: Sequence[Statement], bucket: str, region: str | None) -> bool:
    wanted = [_plain(tls_only(bucket, region, operator)) for operator in OPERATORS]
    return any(_plain(statement) in wanted for statement in statements)


def own_tls_only(statements: Sequence[Statement]) -> list[Statement]:
    """The collection's own, whatever they say."""
    return [statement for statement in statements if statement.get("Sid") == TLS_ONLY]


def without_tls_only(statements: Sequence[Statement]) -> list[Statement]:
    return [statement for statement in statements if statement.get("Sid") != TLS_ONLY]


def missing(wanted: Sequence[Statement], statements: Sequence[Statement]) -> list[Statement]:
    """Those that are not among the statements."""
    there = [_plain(statement) for statement in statements]
    return [statement for statement in wanted if _plain(statement) not in there]


def statements_for(principal: str, document: Document | None) -> list[Statement]:
    """The collection's own statements for a user in a bucket's policy, by their names and whom they are for."""
    names = (*SIDS.values(), TLS_ONLY_FOR_USER)
    return [
        statement
        for statement in statements_of(document)
        if statement.get("Sid") in names and _plain(statement.get("Principal")) == principal
    ]


def same(one: Document | None, other: Document | None) -> bool:
    """Whether two documents say the same: the order of what is in a list, and a list of one, mean nothing."""
    return [_plain(each) for each in statements_of(one)] == [_plain(each) for each in statements_of(other)]


def lost(had: Document | None, wanted: Document) -> list[str]:
    """The objects that one of the collection's documents lets a key use, and the other does not."""
    kept = _objects(wanted)
    return sorted(each for each in _objects(had) if not any(each.startswith(other.rstrip("*")) for other in kept))


def _objects(document: Document | None) -> set[str]:
    resources = [each.get("Resource", []) for each in statements_of(document) if each.get("Effect") == "Allow"]
    names = (name for each in resources for name in ([each] if isinstance(each, str) else each))
    return {name for name in names if name.endswith("*")}


def _plain(value: Any) -> Any:
    """A form that is equal for what means the same: servers write a single text or a list of one, in any order."""
    if isinstance(value, Mapping):
        if set(value) == {"AWS"}:
            return _plain(value["AWS"])
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return sorted((_plain(item) for item in value), key=json.dumps) if len(value) != 1 else _plain(value[0])
    return str(value).lower() if isinstance(value, bool) else value
