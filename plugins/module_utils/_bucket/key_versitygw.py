# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of versitygw: its admin interface is at the address of S3, and what a user may do is in the bucket's policy."""

from __future__ import annotations

import hashlib
from urllib.parse import urlencode
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from .._media.rules.errors import AccessError, UnavailableError
from .._media.stores.libraries import botocore, urllib3
from .._media.stores.s3_said import shortened, without_secrets
from .._role.bucket_policy import Document
from . import policy
from .administration import Administration
from .key_interface import ACTION, PASTE

# The role of versitygw's that may do nothing but what policies allow.
_ROLE = "user"
_DEFAULT_REGION = "us-east-1"


class VersitygwKeys:
    """A KeyInterface."""

    makes_keys = True

    def __init__(self, bucket: Administration) -> None:
        self._bucket = bucket
        self._settings = bucket.settings
        self._http = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=5, read=15),
            retries=urllib3.Retry(1),
            ca_certs=bucket.settings.ca_bundle_path,
        )

    def knows(self, name: str) -> bool:
        answer = self._ask("look it up", "list-users")
        try:
            # It comes from the server that the administrator has named, and tells nothing but names.
            users = ET.fromstring(answer)  # noqa: S314 (the administrator's own server, and boto3 reads its answers so too)
        except ET.ParseError as error:
            raise UnavailableError(f"{ACTION} (look it up): versitygw's answer is no list of users.") from error
        return name in {found.text for found in users.iter() if found.tag.rpartition("}")[2] == "Access"}

    def policy(self, name: str) -> Document | None:
        if not self._bucket.exists():
            return None
        own = policy.statements_for(name, self._bucket.policy())
        return policy.with_statements(None, own)

    def other_policies(self, _name: str, /) -> list[str]:
        """Which there can't be: a user has none."""
        return []

    def set_user(self, name: str, secret: str, *, is_there: bool) -> None:
        if is_there:
            body = f"<MutableProps><Secret>{escape(secret)}</Secret></MutableProps>"
            self._ask("give it another secret", f"update-user?{urlencode({'access': name})}", body)
        else:
            fields = f"<Access>{escape(name)}</Access><Secret>{escape(secret)}</Secret><Role>{_ROLE}</Role>"
            self._ask("make it", "create-user", f"<Account>{fields}</Account>")

    def set_policy(self, name: str, document: Document) -> None:
        before = self._bucket.policy()
        own = policy.statements_for(name, before)
        others = [statement for statement in policy.statements_of(before) if statement not in own]
        self._bucket.set_policy(policy.with_statements(before, [*others, *policy.statements_of(document)]))

    def by(self, _name: str, /) -> str:
        return f"by the policy of bucket {self._settings.bucket!r}"

    def close(self) -> None:
        self._http.clear()

    def _ask(self, what: str, path: str, body: str = "") -> str:
        settings = self._settings
        content = body.encode()
        url = f"{(settings.endpoint_url or '').rstrip('/')}/{path}"
        request = botocore.awsrequest.AWSRequest(
            "PATCH", url, {"x-amz-content-sha256": hashlib.sha256(content).hexdigest()}, content
        )
        credentials = botocore.credentials.Credentials(
            settings.access_key_id or "", settings.secret_access_key or "", settings.session_token
        )
        botocore.auth.SigV4Auth(credentials, "s3", settings.region_name or _DEFAULT_REGION).add_auth(request)
        try:
            answer = self._http.request("PATCH", url, body=content, headers=dict(request.headers.items()))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            said = shortened(without_secrets(str(error), settings)).rstrip(".")
            raise UnavailableError(f"{ACTION} ({what}): {said}. Try again.") from error
        text = answer.data.decode(errors="replace")
        if answer.status >= 300:
            said = shortened(without_secrets(text, settings)).rstrip(".")
            raise AccessError(
                f"{ACTION} ({what}): versitygw refused it (HTTP {answer.status}: {said!r}). Use an access key that may"
                f" administer users, or set key to false. {PASTE}"
            )
        return text
