# SPDX-License-Identifier: GPL-3.0-or-later
"""The public variables of the role ``bucket``: their names. What they hold is judged by the argument specs."""

from __future__ import annotations

from collections.abc import Iterable

from .names import misspelt_problems

NAME_PREFIX = "bucket_"
# Those of the role bucket_mount begin so too.
_OTHERS_PREFIX = "bucket_mount_"
VARIABLES = (
    "name",
    "prefix",
    "region_name",
    "endpoint_url",
    "ca_bundle_path",
    "delegate_to",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "synapse_endpoint_url",
    "synapse_access_key_id",
    "synapse_secret_access_key",
    "key",
    "private",
    "unfinished_uploads_days",
    "versioning",
    "old_versions_days",
    "encryption",
    "kms_key_id",
    "tls_only",
    "plain_url",
    "required",
)


def problems(names: Iterable[str]) -> list[str]:
    """Which of ``names``, in full, are nearly those of this role's variables; one message each.

    All others that begin so may be of another role.
    """
    own = [name.removeprefix(NAME_PREFIX) for name in sorted(names) if not name.startswith(_OTHERS_PREFIX)]
    return misspelt_problems(NAME_PREFIX, own, VARIABLES)
