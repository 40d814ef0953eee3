# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage classes that Synapse's storage provider accepts."""

from __future__ import annotations

DEFAULT_STORAGE_CLASS = "STANDARD"
# _VALID_STORAGE_CLASSES of synapse-s3-storage-provider 1.7.0. With any other, Synapse does not start.
STORAGE_CLASSES = ("STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "INTELLIGENT_TIERING")
# Their objects have to be restored, for hours, before they can be read.
_ARCHIVE_CLASSES = ("GLACIER", "DEEP_ARCHIVE", "SNOW", "AWS_BACKUP_WARM", "AWS_BACKUP_LOW_COST_WARM")
_CHOICE = f"Use {', '.join(STORAGE_CLASSES[:-1])} or {STORAGE_CLASSES[-1]}."


def storage_class_problems(storage_class: str) -> list[str]:
    """What is wrong with ``storage_class``; whether the bucket's server has that class, only the server can tell."""
    if storage_class in STORAGE_CLASSES:
        return []
    return [f"{storage_class!r} {_cause(storage_class)}"]


def _cause(storage_class: str) -> str:
    if storage_class.upper() in STORAGE_CLASSES:
        return f"is in lower case. Write it as {storage_class.upper()!r}."
    if storage_class == "ONEZONE_IA":
        return f"is accepted by s3_media_upload only: with it, Synapse does not start. {_CHOICE}"
    if storage_class in _ARCHIVE_CLASSES:
        return f"is an archive: Synapse could not read media back at once. {_CHOICE}"
    return f"is not a storage class that Synapse's storage provider accepts. {_CHOICE}"
