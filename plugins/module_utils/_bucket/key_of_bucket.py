# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of a service whose admin interface is at the address of S3, and where the bucket's policy says what they may."""

from __future__ import annotations

import hashlib
from urllib.parse import quote, urlencode

from .._media.rules.errors import UnavailableError
from .._media.stores.libraries import botocore, urllib3
from .._role.bucket_policy import Document
from . import policy
from .administration import Administration
from .key_interface import ACTION, what_was_said

_DEFAULT_REGION = "us-east-1"


class KeysOfBucket:
    """What such services have in common of a KeyInterface."""

    makes_keys = True
    lists_by_prefix = True

    def __init__(self, bucket: Administration) -> None:
        self._bucket = bucket
        self._settings = bucket.settings
        self._http = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=5, read=15),
            retries=urllib3.Retry(1),
            ca_certs=bucket.settings.ca_bundle_path,
        )

    def principal(self, name: str, /) -> str:
        return name

    def policy(self, name: str) -> Document | None:
        if not self._bucket.exists():
            return None
        own = policy.statements_for(self.principal(name), self._bucket.policy())
        return policy.with_statements(None, own)

    def other_policies(self, _name: str, /) -> list[str]:
        """Which there can't be: a user has none."""
        return []

    def set_policy(self, name: str, document: Document) -> None:
        before = self._bucket.policy()
        own = policy.statements_for(self.principal(name), before)
        others = [statement for statement in policy.statements_of(before) if statement not in own]
        self._bucket.set_policy(policy.with_statements(before, [*others, *policy.statements_of(document)]))

    def by(self, _name: str, /) -> str:
        return f"by the policy of bucket {self._settings.bucket!r}"

    def close(self) -> None:
        self._http.clear()

    def _send(
        self, what: str, method: str, path: str, query: dict[str, str], body: str = "", *, secret: str = ""
    ) -> tuple[int, str]:
        """The status and the text of the answer to a request, signed as those of S3 are.

        ``secret``: Synapse's, where that is sent.
        """
        settings, content = self._settings, body.encode()
        url = f"{(settings.endpoint_url or '').rstrip('/')}/{path}"
        if query:
            # As secrets are looked for in what is said: with %20 for a space.
            url += f"?{urlencode(query, quote_via=quote)}"
        request = botocore.awsrequest.AWSRequest(
            method, url, {"x-amz-content-sha256": hashlib.sha256(content).hexdigest()}, content
        )
        credentials = botocore.credentials.Credentials(
            settings.access_key_id or "", settings.secret_access_key or "", settings.session_token
        )
        botocore.auth.SigV4Auth(credentials, "s3", settings.region_name or _DEFAULT_REGION).add_auth(request)
        try:
            answer = self._http.request(method, url, body=content, headers=dict(request.headers.items()))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            said = what_was_said(str(error), settings, secret)
            raise UnavailableError(f"{ACTION} ({what}): {said}. Try again.") from error
        return answer.status, answer.data.decode(errors="replace")
