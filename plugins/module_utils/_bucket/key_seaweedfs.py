# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of SeaweedFS: its IAM interface is at the address of S3, and takes a key and a secret of one's choice."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

from .._media.rules.errors import AccessError, MediaError, UnavailableError
from .._media.stores.libraries import boto3, botocore
from .._media.stores.s3_errors import LIBRARY_ERRORS, http_status
from .._role.bucket_policy import Document
from .administration import Administration
from .key_interface import ACTION, PASTE, what_was_said
from .refusals import Unsupported

POLICY_NAME = "matrixops-synapse-s3-"
# It has one version of each policy.
_VERSION = "v1"
_NAME, _SECRET = re.compile(r"[0-9A-Za-z]{4,128}"), re.compile(r".{8,128}", re.DOTALL)
_READ_ONLY = "write operations are disabled"
_NO_INTERFACE = frozenset({404, 405, 501})


class SeaweedfsKeys:
    """A KeyInterface. A key has a policy of its own, managed and attached to its user.

    One within the user (PutUserPolicy) could neither deny anything nor allow all that is needed: SeaweedFS refuses
    some of the actions there.
    """

    makes_keys = True
    lists_by_prefix = True

    def __init__(self, bucket: Administration, client: Any = None) -> None:
        settings = self._settings = bucket.settings
        self._chosen: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        self._client = client or boto3.session.Session().client(
            "iam",
            region_name=settings.region_name or "us-east-1",
            endpoint_url=settings.endpoint_url,
            aws_access_key_id=settings.access_key_id,
            aws_secret_access_key=settings.secret_access_key,
            aws_session_token=settings.session_token,
            verify=settings.ca_bundle_path,
            # Its keys may be shorter than Amazon's.
            config=botocore.config.Config(
                connect_timeout=5,
                read_timeout=15,
                retries={"mode": "standard", "total_max_attempts": 2},
                parameter_validation=False,
            ),
        )
        self._client.meta.events.register("before-call.iam.CreateAccessKey", self._choose)

    def _choose(self, params: Any, **_event: object) -> None:
        # boto3 has no such parameters, as Amazon chooses keys itself.
        params["body"].update(self._chosen)

    def principal(self, _name: str, /) -> str:
        return ""

    def knows(self, name: str) -> bool:
        return bool(self._owner(name))

    def policy(self, name: str) -> Document | None:
        own = self._own_policies(name)
        if len(own) != 1:
            return None
        answer = self._ask(
            "look up its policy",
            lambda: self._client.get_policy_version(PolicyArn=_arn(own[0]), VersionId=_VERSION),
        )
        document: Document | None = (answer or {}).get("PolicyVersion", {}).get("Document")
        return document

    def other_policies(self, name: str) -> list[str]:
        user = self._owner(name)
        if not user:
            return []
        within = self._ask("look up its policies", lambda: self._client.list_user_policies(UserName=user)) or {}
        return sorted({*within.get("PolicyNames", ()), *self._policies(name)} - {*self._own_policies(name)})

    def set_user(self, name: str, secret: str, *, is_there: bool) -> None:
        if not (is_there or _NAME.fullmatch(name)) or not _SECRET.fullmatch(secret):
            raise AccessError(
                f"{ACTION}: SeaweedFS takes an access key ID of 4 to 128 letters and digits, and a secret of 8 to 128"
                " characters. Write such ones as synapse_access_key_id and synapse_secret_access_key."
            )
        user, what = self._owner(name) or name, "make it"
        if is_there:
            # A secret can't be changed there.
            self._ask("delete it", lambda: self._client.delete_access_key(UserName=user, AccessKeyId=name))
            if name in self._keys_of(user):
                raise AccessError(
                    f"{ACTION}: the access key {name!r} is written in SeaweedFS's own configuration, with another"
                    " secret. Write that as synapse_secret_access_key, or another key as Synapse's."
                )
            what = "make it anew; it is deleted"
        elif not self._ask("look up its user", lambda: self._client.get_user(UserName=user)):
            self._ask("make its user", lambda: self._client.create_user(UserName=user))
        self._chosen = {"AccessKeyId": name, "SecretAccessKey": secret}
        self._ask(what, lambda: self._client.create_access_key(UserName=user))
        self._owners[name] = user

    def set_policy(self, name: str, document: Document) -> None:
        """By a new policy: SeaweedFS refuses some of the actions where one is changed, and not where one is made."""
        user, before = self._owner(name), self._own_policies(name)
        new, text = f"{POLICY_NAME}{name}-{secrets.token_hex(4)}", json.dumps(document)
        self._ask("write its policy", lambda: self._client.create_policy(PolicyName=new, PolicyDocument=text))
        self._ask("give it its policy", lambda: self._client.attach_user_policy(UserName=user, PolicyArn=_arn(new)))
        for old in map(_arn, before):
            detach = partial(self._client.detach_user_policy, UserName=user, PolicyArn=old)
            self._ask("take its old policy", detach)
            self._ask("delete its old policy", partial(self._client.delete_policy, PolicyArn=old))

    def by(self, name: str) -> str:
        return f"by its policy '{POLICY_NAME}{name}-…'"

    def close(self) -> None:
        self._client.close()

    def _owner(self, name: str) -> str:
        """The user that a key is of, '' where there is no such key."""
        if name not in self._owners:
            listed = self._ask("look it up", self._client.list_users) or {}
            users = [each["UserName"] for each in listed.get("Users", ())]
            # The one that was made here has the key's name.
            users.sort(key=lambda user: bool(user != name))
            self._owners[name] = next((user for user in users if name in self._keys_of(user)), "")
        return self._owners[name]

    def _keys_of(self, user: str) -> list[str]:
        answer = self._ask("look it up", lambda: self._client.list_access_keys(UserName=user)) or {}
        return [each["AccessKeyId"] for each in answer.get("AccessKeyMetadata", ())]

    def _policies(self, name: str) -> list[str]:
        user = self._owner(name)
        if not user:
            return []
        answer = self._ask("look up its policies", lambda: self._client.list_attached_user_policies(UserName=user))
        return [each["PolicyName"] for each in (answer or {}).get("AttachedPolicies", ())]

    def _own_policies(self, name: str) -> list[str]:
        return [each for each in self._policies(name) if each.rpartition("-")[0] == f"{POLICY_NAME}{name}"]

    def _ask(self, what: str, call: Callable[[], Any]) -> Any:
        """None for what is not there."""
        try:
            return call()
        except botocore.exceptions.ClientError as error:
            told, status = error.response.get("Error", {}), http_status(error)
            code, said = str(told.get("Code", "")), self._said(str(told.get("Message") or ""))
            if code == "NoSuchEntity":
                return None
            answer = f"HTTP {status}{f' {code}' if code else ''}{f': {said!r}' if said else ''}"
            if _READ_ONLY in said or status in _NO_INTERFACE:
                raise _switched_off(answer) from error
            refusal: MediaError = AccessError(
                f"{ACTION} ({what}): SeaweedFS refused it ({answer}). Use an access key that may administer users, or"
                f" set key to false. {PASTE}"
            )
            raise refusal from error
        except botocore.parsers.ResponseParserError as error:
            # With -s3.iam=false its answer is empty.
            raise _switched_off("its answer is none of IAM's") from error
        except LIBRARY_ERRORS as error:
            raise UnavailableError(f"{ACTION} ({what}): {self._said(str(error))}. Try again.") from error

    def _said(self, text: str) -> str:
        return what_was_said(text, self._settings, self._chosen.get("SecretAccessKey", ""))


def _switched_off(answer: str) -> Unsupported:
    return Unsupported(
        f"SeaweedFS's interface for keys is not switched on ({answer}): start it with -s3.iam=true"
        " -s3.iam.readOnly=false"
    )


def _arn(policy_name: str) -> str:
    return f"arn:aws:iam:::policy/{policy_name}"
