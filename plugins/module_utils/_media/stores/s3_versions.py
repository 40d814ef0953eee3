# SPDX-License-Identifier: GPL-3.0-or-later
"""The versions in a bucket on an S3 server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..rules.errors import MediaError
from .libraries import botocore
from .object_versions import ObjectVersion
from .s3_delete import ManyDeletes, Target
from .s3_description import listed_date
from .s3_errors import http_status
from .s3_explainer import Explainer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3Versions:
    """A VersionStore: see that protocol."""

    def __init__(self, client: S3Client, bucket: str, words: Explainer, deletes: ManyDeletes) -> None:
        self._client = client
        self._bucket = bucket
        self._words = words
        self._deletes = deletes

    def are_kept(self) -> bool:
        action = self._words.to_ask_versioning()
        with self._words.explained(action):
            try:
                answer = self._client.get_bucket_versioning(Bucket=self._bucket)
            except botocore.exceptions.ClientError as error:
                if http_status(error) not in (405, 501):
                    raise
                raise self._words.refusal("NotImplemented", action) from error
        return answer.get("Status") in ("Enabled", "Suspended")

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectVersion]:
        action = self._words.to_list_versions()
        position: dict[str, str] = {"KeyMarker": after} if after else {}
        previous = ""
        while True:
            with self._words.explained(action):
                page: Any = self._client.list_object_versions(Bucket=self._bucket, Prefix=prefix, **position)  # type: ignore[arg-type]
            if "IsTruncated" not in page:
                raise self._words.refusal("not_s3", action)
            for found in _of_page(page, self._words, action):
                if not found.key.startswith(prefix):
                    raise self._words.refusal("list_foreign", action)
                if found.key < previous:
                    raise self._words.refusal("list_order", action)
                previous = found.key
                if found.key > after:
                    yield found
            if not page["IsTruncated"]:
                return
            following = {
                "KeyMarker": page.get("NextKeyMarker", ""),
                "VersionIdMarker": page.get("NextVersionIdMarker", ""),
            }
            if not following["KeyMarker"]:
                raise self._words.refusal("list_cut", action)
            if following == position:
                raise self._words.refusal("list_repeated", action)
            position = following

    def delete(self, versions: Sequence[ObjectVersion]) -> Mapping[ObjectVersion, MediaError]:
        by_target = {Target(each.key, each.version_id): each for each in versions}
        return {by_target[target]: error for target, error in self._deletes.delete(list(by_target)).items()}

    def expiry(self, prefix: str) -> str:
        with self._words.explained(self._words.to_ask_lifecycle()):
            try:
                answer: Any = self._client.get_bucket_lifecycle_configuration(Bucket=self._bucket)
            except botocore.exceptions.ClientError as error:
                if error.response["Error"].get("Code") != "NoSuchLifecycleConfiguration":
                    raise
                return ""
        return expiry_of(answer.get("Rules", ()), prefix)


def expiry_of(rules: Sequence[Mapping[str, Any]], prefix: str) -> str:
    """What a bucket's lifecycle rules say of old versions below ``prefix``: see `VersionStore.expiry`."""
    for rule in rules:
        expiration = rule.get("NoncurrentVersionExpiration", {})
        # With NewerNoncurrentVersions the newest ones stay, which of deleted media are mostly all.
        days = None if expiration.get("NewerNoncurrentVersions") else expiration.get("NoncurrentDays")
        condition = rule.get("Filter", {})
        # Rules for some sizes or tags leave others.
        whole = not set(condition) - {"Prefix"}
        below = condition.get("Prefix", rule.get("Prefix", ""))
        if rule.get("Status") == "Enabled" and days is not None and whole and prefix.startswith(below):
            return f"the lifecycle rule {rule.get('ID', '')!r} ends them after {days} days"
    return ""


def _of_page(page: Mapping[str, Any], words: Explainer, action: str) -> list[ObjectVersion]:
    """boto3 gives versions and delete markers apart; together they ascend by key."""
    entries = [
        *((entry, False) for entry in page.get("Versions", ())),
        *((entry, True) for entry in page.get("DeleteMarkers", ())),
    ]
    if any("Key" not in entry or "VersionId" not in entry for entry, _unused in entries):
        raise words.refusal("not_s3", action)
    found = (
        ObjectVersion(
            entry["Key"],
            entry["VersionId"],
            entry.get("Size", 0),
            listed_date(entry.get("LastModified")),
            bool(entry.get("IsLatest")),
            is_delete_marker,
        )
        for entry, is_delete_marker in entries
    )
    return sorted(found, key=lambda each: each.key.encode())
