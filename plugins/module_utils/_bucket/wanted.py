# SPDX-License-Identifier: GPL-3.0-or-later
"""How a bucket is to be, and what a feature needs to see to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .._media.rules.settings import BucketSettings
from .administration import Administration


@dataclass(frozen=True)
class Wanted:
    """How a bucket is to be. 0 days and '' mean: not wanted.

    ``plain_url``: where the same service answers without TLS, '' to work it out. ``synapse_endpoint_url``: where
    Synapse reaches it, '' where that is as here. ``user``: the bucket by Synapse's own key, where that is another than
    the administrator's.
    """

    private: bool = True
    unfinished_uploads_days: int = 7
    versioning: bool = False
    old_versions_days: int = 30
    encryption: str = ""
    kms_key_id: str = ""
    tls_only: bool = False
    plain_url: str = ""
    synapse_endpoint_url: str = ""
    user: BucketSettings | None = None


@dataclass(frozen=True)
class Run:
    """A feature's surroundings. ``is_there``: whether the bucket exists; in check mode it may be about to be made."""

    bucket: Administration
    wanted: Wanted
    check_mode: bool
    is_there: bool


def ignored(bucket: Administration, what: str) -> str:
    """That the server has not what it was given."""
    return f"{bucket.server} takes {what}, and does not keep it."


def listed(words: Sequence[str]) -> str:
    """One after the other, as a sentence has them."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
