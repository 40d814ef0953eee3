# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets among the provider's settings, which no message may show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

SECRETS = ("secret_access_key", "session_token", "sse_customer_key")


def without_secrets(text: str, settings: Iterable[Mapping[str, Any]]) -> str:
    """The text, with stars for each secret of these settings, one mapping a provider."""
    secrets = {str(given[name]) for given in settings for name in SECRETS if given.get(name)}
    # The longest first: one may be a part of another.
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "********")
    return text
