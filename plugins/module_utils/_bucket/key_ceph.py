# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of Ceph's RADOS Gateway, by its admin operations API (https://docs.ceph.com/en/latest/radosgw/adminops/)."""

from __future__ import annotations

from http import HTTPStatus

from .._media.rules.errors import AccessError
from .key_interface import ACTION, PASTE, told_in, what_was_said
from .key_of_bucket import KeysOfBucket
from .refusals import Unsupported

_NOT_THERE = "NoSuchUser"
# It may make no buckets of its own.
_NO_BUCKETS = "-1"


class CephKeys(KeysOfBucket):
    """A KeyInterface. A user that is made here has the name of its key."""

    # Where the policy's list is of a prefix, Ceph answers 403 for what is missing (its issue 74398), which Synapse
    # takes for a failure.
    lists_by_prefix = False

    def principal(self, name: str, /) -> str:
        return f"arn:aws:iam:::user/{name}"

    def knows(self, name: str) -> bool:
        # It looks no user up by a key alone before release 19.
        status, text = self._send("look it up", "GET", "admin/user", {"uid": name})
        told = told_in(text)
        if status < 300:
            return name in [each.get("access_key") for each in told.get("keys", ())]
        if told.get("Code") == _NOT_THERE:
            return False
        raise Unsupported(
            f"Ceph does not let this key into its admin API ({self._answer(status, text)}): give its user the"
            " capability users=*"
        )

    def set_user(self, name: str, secret: str, *, is_there: bool) -> None:
        keys = {"uid": name, "access-key": name, "secret-key": secret, "generate-key": "false"}
        if is_there:
            self._change("give it another secret", {"key": "", **keys}, secret)
        else:
            new = {"display-name": "Synapse", "max-buckets": _NO_BUCKETS, "exclusive": "true"}
            self._change("make it", {**keys, **new}, secret)

    def _change(self, what: str, query: dict[str, str], secret: str) -> None:
        status, text = self._send(what, "PUT", "admin/user", query, secret=secret)
        if status >= 300:
            if status == HTTPStatus.CONFLICT:
                raise AccessError(
                    f"{ACTION} ({what}): it is of a user of another name, or its name is that of a user without it"
                    f" ({self._answer(status, text, secret)}). Write another as synapse_access_key_id."
                )
            raise AccessError(
                f"{ACTION} ({what}): Ceph refused it ({self._answer(status, text, secret)}). Use an access key whose"
                f" user has the capability users=*, or set key to false. {PASTE}"
            )

    def _answer(self, status: int, text: str, secret: str = "") -> str:
        told = told_in(text)
        said = str(told.get("Code") or text) + (f": {told['Message']}" if told.get("Message") else "")
        return f"HTTP {status}: {what_was_said(said, self._settings, secret)!r}"
