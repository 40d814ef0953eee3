# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of MinIO, by its own library: what its admin interface is sent, is encrypted in a way of MinIO's own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from urllib.parse import urlsplit

from .._media.rules.errors import AccessError, UnavailableError
from .._media.stores.libraries import urllib3
from .._role.bucket_policy import Document
from .administration import Administration
from .key_interface import ACTION, PASTE, told_in, what_was_said

POLICY_NAME = "matrixops-synapse-s3-"


class MinioKeys:
    """A KeyInterface. A key has a policy of its own name."""

    makes_keys = True
    lists_by_prefix = True

    def __init__(self, bucket: Administration) -> None:
        """:raises UnavailableError: the library is missing."""
        try:
            from minio import MinioAdmin
            from minio.credentials.providers import StaticProvider
            from minio.error import MinioAdminException
        except ImportError as error:
            raise UnavailableError(
                f"{ACTION}: the Python library minio, by which MinIO's keys are made, is missing in {sys.executable}."
                " Install it there (pip install minio; with Ansible from pipx: pipx inject ansible-core minio), or set"
                f" key to false. {PASTE}"
            ) from error
        settings = self._settings = bucket.settings
        self._refusal = MinioAdminException
        parts = urlsplit(settings.endpoint_url or "")
        self._http = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=5, read=15),
            retries=urllib3.Retry(1),
            ca_certs=settings.ca_bundle_path,
        )
        self._admin = MinioAdmin(
            endpoint=parts.netloc.rpartition("@")[2],
            credentials=StaticProvider(
                access_key=settings.access_key_id or "", secret_key=settings.secret_access_key or ""
            ),
            region=settings.region_name or "",
            secure=parts.scheme.lower() == "https",
            http_client=self._http,
        )

    def principal(self, _name: str, /) -> str:
        return ""

    def knows(self, name: str) -> bool:
        """:raises AccessError: it is switched off; another secret would switch it on again."""
        user = self._user(name)
        if user.get("status") == "disabled":
            raise AccessError(
                f"{ACTION}: somebody has disabled the key {name!r} at MinIO. If Synapse is to use it, enable it there"
                " (mc admin user enable); if not, write another as synapse_access_key_id."
            )
        return bool(user)

    def policy(self, name: str) -> Document | None:
        if self.by_name(name) not in self._policies(name):
            return None
        told = self._ask("look up its policy", lambda: self._admin.policy_info(policy_name=self.by_name(name)))
        document: Document | None = json.loads(told) if told else None
        return document

    def other_policies(self, name: str) -> list[str]:
        return sorted(set(self._policies(name)) - {self.by_name(name)})

    def set_user(self, name: str, secret: str, *, is_there: bool) -> None:
        what = "give it another secret" if is_there else "make it"
        self._ask(what, lambda: self._admin.user_add(access_key=name, secret_key=secret))

    def set_policy(self, name: str, document: Document) -> None:
        own = self.by_name(name)
        self._ask("write its policy", lambda: self._admin.policy_add(policy_name=own, policy=document))
        if own not in self._policies(name):
            self._ask("give it its policy", lambda: self._admin.attach_policy(policies=[own], user=name))

    def by(self, name: str) -> str:
        return f"by the policy {self.by_name(name)!r}"

    def close(self) -> None:
        self._http.clear()

    @staticmethod
    def by_name(name: str) -> str:
        """The name of the key's policy."""
        return f"{POLICY_NAME}{name}"

    def _user(self, name: str) -> dict[str, str]:
        told = self._ask("look it up", lambda: self._admin.user_info(access_key=name))
        return dict(json.loads(told)) if told else {}

    def _policies(self, name: str) -> list[str]:
        return [each for each in str(self._user(name).get("policyName") or "").split(",") if each]

    def _ask(self, what: str, call: Callable[[], str]) -> str:
        """'' for what is not there."""
        try:
            return call()
        except self._refusal as error:
            code, body = str(error._code), str(error._body)
            if code == "404":
                return ""
            told = told_in(body)
            said = what_was_said(told.get("Message") or body, self._settings)
            raise AccessError(
                f"{ACTION} ({what}): MinIO refused it (HTTP {code} {told.get('Code', '')}: {said!r}). Use an access key"
                f" that may administer users, or set key to false. {PASTE}"
            ) from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            said = what_was_said(str(error), self._settings)
            raise UnavailableError(f"{ACTION} ({what}): {said}. Try again.") from error
