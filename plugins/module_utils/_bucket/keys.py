# SPDX-License-Identifier: GPL-3.0-or-later
"""A key of Synapse's own, which may do in the bucket what it must, by the interface that the service has for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import urllib3

from .._media.rules.errors import AccessError, MediaError, UnavailableError
from .._media.rules.settings import BucketSettings
from .._media.stores.s3 import FIRST_CONTACT
from .._media.stores.s3_said import shortened, without_secrets
from .._media.stores.s3_trial import TrialBucket
from .._role.bucket_policy import Document, bucket_policy, partition_of
from . import policy
from .administration import Administration, failure
from .features import Wanted
from .report import Feature, State

NAME = "key"
POLICY_NAME = "matrixops-synapse-s3-"
_PASTE = (
    "Make a key there for Synapse, and give it the policy that the filter matrixops.synapse_s3.bucket_policy writes:"
    " docs/bucket.md tells how."
)


def apply(bucket: Administration, wanted: Wanted, *, is_wanted: bool, check_mode: bool) -> Feature:
    """Give Synapse's key its policy, and make the key where there is none. What fails is the feature's state."""
    if not is_wanted:
        return Feature(NAME, State.NOT_WANTED)
    settings = bucket.settings
    if wanted.user is None:
        return Feature(
            NAME,
            State.FAILED,
            "Could not give Synapse a key of its own: synapse_access_key_id and synapse_secret_access_key are not set,"
            " or name the key that administers the bucket. Write another, or set key to false.",
        )
    if not bucket.software.startswith("MinIO") or not settings.access_key_id or not settings.secret_access_key:
        return Feature(
            NAME, State.UNSUPPORTED, f"{bucket.server} has no interface for keys that this collection knows. {_PASTE}"
        )
    try:
        document = bucket_policy(
            settings.bucket,
            settings.prefix,
            tls_only=wanted.tls_only,
            partition=partition_of(settings.region_name or ""),
        )
    except ValueError as error:
        return Feature(NAME, State.FAILED, f"Could not write the policy of Synapse's key: {error}")
    try:
        return _on_minio(settings, wanted.user, document, check_mode=check_mode)
    except ImportError:
        text = f"MinIO's interface for keys needs the Python library minio (PyPI), which is missing here. {_PASTE}"
        return Feature(NAME, State.UNSUPPORTED, text)
    except MediaError as error:
        return Feature(NAME, State.FAILED, str(error))


def _on_minio(settings: BucketSettings, user: BucketSettings, document: Document, *, check_mode: bool) -> Feature:
    admin = _Minio(settings)
    name = user.access_key_id or ""
    policy_name = f"{POLICY_NAME}{name}"
    had_policy, had_user = admin.policy(policy_name), admin.user(name)
    before = {"policy": had_policy, "attached": policy_name in had_user.policies, "is_there": had_user.is_there}
    after = {"policy": document, "attached": True, "is_there": True}
    # A key that is refused is one of another secret: no server tells it.
    knows_secret = had_user.is_there and not isinstance(_try(user), _WrongKey)
    changes: list[Callable[[], object]] = []
    if not policy.same(had_policy, document):
        changes.append(lambda: admin.set_policy(policy_name, document))
    if not knows_secret:
        changes.append(lambda: admin.set_user(name, user.secret_access_key or ""))
    if policy_name not in had_user.policies:
        changes.append(lambda: admin.attach(policy_name, name))
    others = sorted(set(had_user.policies) - {policy_name})
    more = f"; it has other policies too: {', '.join(others)}" if others else ""
    message = f"{name!r} may do what Synapse needs, by the policy {policy_name!r}{more}"
    if not check_mode:
        for change in changes:
            change()
        if refusal := _try(user):
            return Feature(NAME, State.FAILED, str(refusal), changed=bool(changes))
    if not changes:
        return Feature(NAME, State.OK, message, before, after)
    if not knows_secret and had_user.is_there:
        message += "; its secret is another now"
    return Feature(NAME, State.CHANGED, message, before, after)


class _WrongKey(AccessError):
    """The server does not know the key, or its secret is another."""


def _try(user: BucketSettings) -> MediaError | None:
    """Why Synapse's key can't list its part of the bucket, None if it can."""
    bucket = TrialBucket(user, 1, FIRST_CONTACT)
    try:
        refusal = failure(lambda: next(bucket.list(user.prefix, page_size=1), None))
    finally:
        bucket.close()
    is_wrong = refusal is not None and type(refusal) is AccessError
    return _WrongKey(str(refusal)) if is_wrong else refusal


class _User:
    """A user as MinIO describes it."""

    def __init__(self, answer: str) -> None:
        told: dict[str, Any] = json.loads(answer) if answer else {}
        self.is_there = bool(told)
        self.policies = [name for name in str(told.get("policyName") or "").split(",") if name]


class _Minio:
    """MinIO's admin interface, by its own library: what is sent is encrypted in a way of MinIO's own."""

    def __init__(self, settings: BucketSettings) -> None:
        from minio import MinioAdmin
        from minio.credentials.providers import StaticProvider
        from minio.error import MinioAdminException

        self._settings = settings
        self._refusal = MinioAdminException
        parts = urlsplit(settings.endpoint_url or "")
        self._admin = MinioAdmin(
            endpoint=parts.netloc.rpartition("@")[2],
            credentials=StaticProvider(
                access_key=settings.access_key_id or "", secret_key=settings.secret_access_key or ""
            ),
            region=settings.region_name or "",
            secure=parts.scheme.lower() == "https",
            http_client=urllib3.PoolManager(
                timeout=urllib3.Timeout(connect=5, read=15),
                retries=urllib3.Retry(1),
                ca_certs=settings.ca_bundle_path,
            ),
        )

    def policy(self, name: str) -> Document | None:
        told = self._ask("look up its policy", lambda: self._admin.policy_info(policy_name=name))
        document: Document | None = json.loads(told) if told else None
        return document

    def user(self, name: str) -> _User:
        return _User(self._ask("look it up", lambda: self._admin.user_info(access_key=name)))

    def set_policy(self, name: str, document: Document) -> None:
        self._ask("write its policy", lambda: self._admin.policy_add(policy_name=name, policy=document))

    def set_user(self, name: str, secret: str) -> None:
        self._ask("make it", lambda: self._admin.user_add(access_key=name, secret_key=secret))

    def attach(self, policy_name: str, name: str) -> None:
        self._ask("give it its policy", lambda: self._admin.attach_policy(policies=[policy_name], user=name))

    def _ask(self, what: str, call: Callable[[], str]) -> str:
        """'' for what is not there."""
        action = f"Could not give Synapse a key of its own ({what})"
        try:
            return call()
        except self._refusal as error:
            code, body = str(error._code), str(error._body)
            told = _error_of(body)
            if code == "404":
                return ""
            said = shortened(without_secrets(told.get("Message") or body, self._settings)).rstrip(".")
            raise AccessError(
                f"{action}: MinIO refused it (HTTP {code} {told.get('Code', '')}: {said!r}). Use an access key that may"
                f" administer users, or set key to false. {_PASTE}"
            ) from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            said = without_secrets(str(error), self._settings)
            raise UnavailableError(f"{action}: {said.rstrip('.')}. Try again.") from error


def _error_of(body: str) -> dict[str, str]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
