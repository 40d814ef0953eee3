# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a storage provider's settings have the media."""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = ("bucket", "prefix", "endpoint_url")


def place_of(settings: Mapping[str, object]) -> dict[str, str]:
    """Bucket, prefix and endpoint_url, '' for what is not set. The same place has one spelling."""
    place = {name: str(settings.get(name) or "") for name in _NAMES}
    return {**place, "endpoint_url": place["endpoint_url"].rstrip("/")}
