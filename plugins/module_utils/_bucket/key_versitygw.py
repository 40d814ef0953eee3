# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of versitygw: a user is its access key."""

from __future__ import annotations

from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from .._media.rules.errors import AccessError, UnavailableError
from .key_interface import ACTION, PASTE, what_was_said
from .key_of_bucket import KeysOfBucket

# The role of versitygw's that may do nothing but what policies allow.
_ROLE = "user"


class VersitygwKeys(KeysOfBucket):
    """A KeyInterface."""

    def knows(self, name: str) -> bool:
        answer = self._ask("look it up", "list-users")
        try:
            # It comes from the server that the administrator has named, and tells nothing but names.
            users = ET.fromstring(answer)  # noqa: S314 (the administrator's own server, and boto3 reads its answers so too)
        except ET.ParseError as error:
            raise UnavailableError(f"{ACTION} (look it up): versitygw's answer is no list of users.") from error
        return name in {found.text for found in users.iter() if found.tag.rpartition("}")[2] == "Access"}

    def set_user(self, name: str, secret: str, *, is_there: bool) -> None:
        if is_there:
            body = f"<MutableProps><Secret>{escape(secret)}</Secret></MutableProps>"
            self._ask("give it another secret", "update-user", {"access": name}, body, secret=secret)
        else:
            fields = f"<Access>{escape(name)}</Access><Secret>{escape(secret)}</Secret><Role>{_ROLE}</Role>"
            self._ask("make it", "create-user", {}, f"<Account>{fields}</Account>", secret=secret)

    def _ask(
        self, what: str, path: str, query: dict[str, str] | None = None, body: str = "", *, secret: str = ""
    ) -> str:
        status, text = self._send(what, "PATCH", path, query or {}, body, secret=secret)
        if status >= 300:
            said = what_was_said(text, self._settings, secret)
            raise AccessError(
                f"{ACTION} ({what}): versitygw refused it (HTTP {status}: {said!r}). Use an access key that may"
                f" administer users, or set key to false. {PASTE}"
            )
        return text
