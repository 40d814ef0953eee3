# SPDX-License-Identifier: GPL-3.0-or-later
"""A bucket that is being tried: requests as Synapse's storage provider makes them, and nothing left behind."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

from .libraries import botocore
from .object_store import ObjectFailure
from .s3 import S3ObjectStore
from .s3_errors import LIBRARY_ERRORS, http_status

# More versions of one object than a check makes.
_VERSIONS = 10
_AS_PROVIDER = "as Synapse's storage provider does"


class TrialBucket(S3ObjectStore):
    """An S3ObjectStore on which also the check of a bucket (``preflight``) relies."""

    def put_as_provider(self, key: str, content: bytes) -> None:
        """Store as synapse-s3-storage-provider 1.7.0 does: without a checksum, and whatever is there already."""
        self._expects_continue = True
        try:
            with self._words.explained(f"{self._words.to_store(key)} {_AS_PROVIDER}"):
                self._client.upload_fileobj(io.BytesIO(content), self._bucket, key, ExtraArgs=self._new_object)
        finally:
            self._expects_continue = False

    def read_as_provider(self, key: str) -> bytes:
        """Look up, and read, as synapse-s3-storage-provider 1.7.0 does."""
        with self._words.explained(f"{self._words.to_look_up(key)} {_AS_PROVIDER}"):
            self._client.head_object(Bucket=self._bucket, Key=key, **self._encryption)
        with self._words.explained(f"{self._words.to_read(key)} {_AS_PROVIDER}"):
            answer = self._client.get_object(Bucket=self._bucket, Key=key, **self._encryption)
            with answer["Body"] as body:
                content: bytes = body.read()
                return content

    def abort_as_provider(self, key: str) -> None:
        """Abort an upload in parts that nobody has begun: who may do it is told that there is none."""
        with suppress(ObjectFailure), self._words.explained(f"abort an upload to bucket {self._bucket!r}"):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId="matrixops")

    def erase(self, key: str) -> str:
        """Delete an object and, where the bucket keeps versions and lets us, all of its versions.

        Raises what ``delete`` raises. Returns until when a version is locked, and so stays; '' for none.
        """
        with self._words.explained(self._words.to_delete(key)):
            answer = self._client.delete_object(Bucket=self._bucket, Key=key)
        try:
            # Where versions are suspended, the marker is the version "null", and some servers don't tell of it.
            self._delete_version(key, answer.get("VersionId", "null"))
        except LIBRARY_ERRORS:
            # It needs a permission of its own. The object is deleted; the bucket's rules will see to its versions.
            return ""
        return self._erase_versions(key) if "VersionId" in answer else ""

    def _erase_versions(self, key: str) -> str:
        """Delete version after version, each of which uncovers the one before it; what stays is covered again."""
        answer: Any = {}
        try:
            for _turn in range(_VERSIONS):
                answer = self._client.head_object(Bucket=self._bucket, Key=key, **self._encryption)
                self._delete_version(key, answer["VersionId"])
        except (*LIBRARY_ERRORS, KeyError) as error:
            if isinstance(error, botocore.exceptions.ClientError) and http_status(error) == 404:
                return ""
        with suppress(*LIBRARY_ERRORS):
            self._client.delete_object(Bucket=self._bucket, Key=key)
        end = str(answer.get("ObjectLockRetainUntilDate", ""))
        return f"{end[:16].replace('T', ' ')} UTC" if end else ""

    def _delete_version(self, key: str, version: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=key, VersionId=version)
