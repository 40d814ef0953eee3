# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of Amazon's: IAM chooses them itself, so that one is made there, and gets its policy here."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .._media.rules.errors import AccessError, MediaError, UnavailableError
from .._media.stores.libraries import boto3, botocore
from .._media.stores.s3_errors import LIBRARY_ERRORS
from .._role.bucket_policy import Document
from .administration import Administration
from .key_interface import ACTION, PASTE, what_was_said

# The name of the policy, which is within the user.
POLICY_NAME = "matrixops-synapse-s3"


class IamKeys:
    """A KeyInterface."""

    makes_keys = False
    lists_by_prefix = True

    def __init__(self, bucket: Administration, client: Any = None) -> None:
        settings = self._settings = bucket.settings
        self._client = client or boto3.session.Session().client(
            "iam",
            region_name=settings.region_name,
            aws_access_key_id=settings.access_key_id,
            aws_secret_access_key=settings.secret_access_key,
            aws_session_token=settings.session_token,
        )

    def principal(self, _name: str, /) -> str:
        return ""

    def knows(self, name: str) -> bool:
        return bool(self._owner(name))

    def policy(self, name: str) -> Document | None:
        user = self._owner(name)
        if not user:
            return None
        answer = self._ask(
            "iam:GetUserPolicy", lambda: self._client.get_user_policy(UserName=user, PolicyName=POLICY_NAME)
        )
        document = (answer or {}).get("PolicyDocument")
        return json.loads(document) if isinstance(document, str) else document

    def other_policies(self, name: str) -> list[str]:
        user = self._owner(name)
        if not user:
            return []
        own = self._ask("iam:ListUserPolicies", lambda: self._client.list_user_policies(UserName=user))
        attached = self._ask(
            "iam:ListAttachedUserPolicies", lambda: self._client.list_attached_user_policies(UserName=user)
        )
        names = {
            *(own or {}).get("PolicyNames", ()),
            *(each["PolicyName"] for each in (attached or {}).get("AttachedPolicies", ())),
        }
        return sorted(names - {POLICY_NAME})

    def set_user(self, name: str, secret: str, *, is_there: bool) -> None:
        """:raises AccessError: always."""
        del secret
        if is_there:
            raise AccessError(
                f"{ACTION}: the secret access key does not belong to the access key ID {name!r}. Correct"
                " synapse_secret_access_key."
            )
        raise AccessError(
            f"{ACTION}: IAM knows no access key {name!r}, and chooses keys itself. Make a user for Synapse with an"
            " access key there, without any policy, write that key as Synapse's, and run this again: it gets its policy"
            " here."
        )

    def set_policy(self, name: str, document: Document) -> None:
        user, text = self._owner(name), json.dumps(document)
        self._ask(
            "iam:PutUserPolicy",
            lambda: self._client.put_user_policy(UserName=user, PolicyName=POLICY_NAME, PolicyDocument=text),
        )

    def by(self, name: str) -> str:
        return f"by the policy {POLICY_NAME!r} of the user {self._owner(name)!r}"

    def close(self) -> None:
        self._client.close()

    def _owner(self, name: str) -> str:
        """The user that a key is of, '' where there is no such key."""
        answer = self._ask("iam:GetAccessKeyLastUsed", lambda: self._client.get_access_key_last_used(AccessKeyId=name))
        return str((answer or {}).get("UserName") or "")

    def _ask(self, permission: str, call: Callable[[], Any]) -> Any:
        """None for what is not there."""
        try:
            return call()
        except botocore.exceptions.ClientError as error:
            told = error.response.get("Error", {})
            if told.get("Code") == "NoSuchEntity":
                return None
            said = what_was_said(str(told.get("Message") or ""), self._settings)
            refusal: MediaError = AccessError(
                f"{ACTION}: IAM refused it ({told.get('Code', '')}: {said!r}). Use an access key that has the"
                f" permission {permission}, or set key to false. {PASTE}"
            )
            raise refusal from error
        except LIBRARY_ERRORS as error:
            raise UnavailableError(f"{ACTION}: {what_was_said(str(error), self._settings)}. Try again.") from error
