# SPDX-License-Identifier: GPL-3.0-or-later
"""Does an object hold the same content as a local file, and can Synapse read it back at once?"""

from __future__ import annotations

from typing import NamedTuple

from ..rules.content import Content, read_content
from ..rules.decision import Stored
from ..stores.object_store import ObjectMissing, ObjectStore, ObjectUnreadable, RemoteObject
from ..stores.s3_description import archived_as, must_be_opened


class Proof(NamedTuple):
    """What the bucket holds, and the object's ``size`` in bytes.

    ``sha256``: of the object, where it was told. ``said``: why Synapse can't read it, or when it goes.
    """

    stored: Stored
    size: int = 0
    sha256: str | None = None
    said: str = ""


NOTHING = Proof(Stored.NOTHING)


def look(store: ObjectStore, key: str, content: Content) -> Proof:
    """Look at the object with the configured key, as Synapse would, and compare it. Raises as `ObjectStore` does."""
    try:
        remote = store.head(key)
    except ObjectUnreadable as error:
        return Proof(Stored.UNREADABLE, said=str(error))
    return NOTHING if remote is None else compare(store, remote, content, listed=False)


def read_back(store: ObjectStore, key: str, content: Content) -> Proof:
    """Compare what this run has stored just now, by one request where the ETag proves nothing. Raises as `look`."""
    try:
        sha256 = hash_of(store, key)
    except ObjectMissing:
        return NOTHING
    except ObjectUnreadable as error:
        return Proof(Stored.UNREADABLE, said=str(error))
    # Of other content more is told: its length.
    return Proof(Stored.SAME, content.size, sha256) if sha256 == content.sha256 else look(store, key, content)


def compare(store: ObjectStore, remote: RemoteObject, content: Content, *, listed: bool) -> Proof:
    """Compare an object that a HEAD with the configured key has told.

    ``listed``: a listing did, which opens nothing: then at most LISTED, or LISTED_APART, where the ETag proves it.
    """
    try:
        return _compare(store, remote, content, listed=listed)
    except ObjectUnreadable as error:
        return Proof(Stored.UNREADABLE, said=str(error))


def hash_of(store: ObjectStore, key: str) -> str:
    """The SHA-256 of an object, in hexadecimal digits: the one that the store keeps, else by reading it."""
    with store.open(key) as body:
        return body.sha256 or read_content(body).sha256


def _compare(store: ObjectStore, remote: RemoteObject, content: Content, *, listed: bool) -> Proof:
    if remote.size != content.size:
        return Proof(Stored.OTHER, remote.size)
    if content.is_proven_by(remote.etag):
        if listed:
            return Proof(Stored.LISTED_APART if must_be_opened(remote) else Stored.LISTED, remote.size)
        if must_be_opened(remote) and not _is_back_for_a_while(remote):
            # The name of a class does not tell: some servers give objects of the same class at once.
            with store.open(remote.key) as body:
                body.read(1)
        return _same(remote)
    # The ETag is no hash of the content, with some encryptions and servers.
    sha256 = hash_of(store, remote.key)
    if sha256 != content.sha256:
        return Proof(Stored.OTHER, remote.size, sha256)
    # A listing does not tell when an object goes.
    described = store.head(remote.key) if listed else remote
    return NOTHING if described is None else _same(described, sha256)


def _is_back_for_a_while(remote: RemoteObject) -> bool:
    return bool(archived_as(remote.storage_class)) and not remote.archive_status


def _same(remote: RemoteObject, sha256: str | None = None) -> Proof:
    if _is_back_for_a_while(remote):
        said = f"It was brought back from {remote.storage_class} for a while only."
        return Proof(Stored.UNREADABLE, remote.size, sha256, said)
    if remote.expires:
        return Proof(Stored.EXPIRING, remote.size, sha256, f"The server says: {remote.expires}.")
    return Proof(Stored.SAME, remote.size, sha256)


def why_unreadable(store: ObjectStore, key: str) -> str:
    """Why Synapse can't read an object at once, with the configured key, or not for long.

    '' when it can, or when there is none now.
    """
    try:
        remote = store.head(key)
        if remote is not None and remote.expires:
            return f"A lifecycle rule of the bucket will delete it. The server says: {remote.expires}."
        if remote is not None and must_be_opened(remote):
            with store.open(key) as body:
                body.read(1)
    except ObjectUnreadable as error:
        return str(error)
    return ""
