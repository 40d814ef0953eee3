# SPDX-License-Identifier: GPL-3.0-or-later
"""Large files, stored in parts by way of boto3.

Not left to s3transfer: it passes on neither the condition nor the MD5 of a part, and it would not notice a source that
changes.
"""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from ..rules.content import PART_SIZE, Content
from .libraries import botocore
from .s3_description import Receipt, receipt
from .s3_errors import LIBRARY_ERRORS, http_status
from .s3_explainer import Explainer
from .s3_part import Part

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Parts on their way at the same time, over all files: a few fill any line.
PARTS_AT_ONCE = 4
# Pages of unfinished uploads of keys that begin alike, 1000 each, that are looked through for those of one key.
_UPLOAD_PAGES = 10


class Multipart:
    """Uploads in parts to one bucket; serves many threads at once.

    ``new_object``: boto3's arguments for every new object; ``encryption``: those that every request for it needs.
    ``pass_on`` is called before so many bytes are sent.
    """

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        words: Explainer,
        *,
        new_object: dict[str, Any],
        encryption: dict[str, Any],
        pass_on: Callable[[int], None],
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._words = words
        self._new_object = new_object
        self._encryption = encryption
        self._pass_on = pass_on
        self._parts = ThreadPoolExecutor(PARTS_AT_ONCE, "part")

    def close(self) -> None:
        """Nothing may be under way."""
        self._parts.shutdown()

    def put(
        self, key: str, source: BinaryIO, content: Content, create: Callable[[str, Callable[..., Any]], Any]
    ) -> Receipt:
        """Store ``content``. ``create`` makes the request that completes it, if the key is free."""
        upload = ""
        try:
            with self._words.explained(self._words.to_store(key)):
                answer = self._client.create_multipart_upload(Bucket=self._bucket, Key=key, **self._new_object)
            upload = self._words.given(answer, "UploadId", self._words.to_store(key))
            parts = self._upload_parts(key, upload, source, content)
            request = partial(
                self._client.complete_multipart_upload,
                Bucket=self._bucket,
                Key=key,
                UploadId=upload,
                MultipartUpload={"Parts": parts},
                **self._encryption,
            )
            with self._words.explained(self._words.to_store(key)):
                return receipt(create(key, request))
        except BaseException:
            if upload:
                self._abort(key, upload)
            raise
        finally:
            self.abort_unfinished(key)

    def _upload_parts(self, key: str, upload: str, source: BinaryIO, content: Content) -> list[Any]:
        lock = threading.Lock()
        sources = [
            Part(source, lock, number * PART_SIZE, min(PART_SIZE, content.size - number * PART_SIZE), self._pass_on)
            for number in range(len(content.part_md5s))
        ]
        parts = [
            self._parts.submit(self._upload_part, key, upload, number, part, md5)
            for number, (part, md5) in enumerate(zip(sources, content.part_md5s, strict=True), start=1)
        ]
        try:
            uploaded = [part.result() for part in parts]
        finally:
            _cancel(parts)
        source.seek(content.size)
        if source.read(1):
            raise self._words.source_changed(key)
        return uploaded

    def _upload_part(self, key: str, upload: str, number: int, part: Part, md5: bytes) -> Any:
        try:
            with self._words.explained(self._words.to_store(key)):
                answer = self._client.upload_part(
                    Bucket=self._bucket,
                    Key=key,
                    UploadId=upload,
                    PartNumber=number,
                    Body=part,  # type: ignore[arg-type]  # boto3 takes all that can be read and sought
                    ContentLength=len(part),
                    ContentMD5=base64.b64encode(md5).decode(),
                    **self._encryption,
                )
        except Exception as error:
            if part.is_cut:
                raise self._words.source_changed(key) from error
            raise
        return {"PartNumber": number, "ETag": self._words.given(answer, "ETag", self._words.to_store(key))}

    def _abort(self, key: str, upload: str) -> None:
        # What can't be aborted now is found when the file is uploaded again.
        with suppress(*LIBRARY_ERRORS):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)

    def abort_unfinished(self, key: str) -> None:
        # Where it may not be looked for them, they are left to the bucket's rule for unfinished uploads.
        with suppress(*LIBRARY_ERRORS):
            position: dict[str, str] = {}
            for _turn in range(_UPLOAD_PAGES):
                answer: Any = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=key, **position)  # type: ignore[arg-type]
                for found in answer.get("Uploads", ()):
                    if found.get("Key") == key and "UploadId" in found:
                        self._abort(key, found["UploadId"])
                following = {
                    "KeyMarker": answer.get("NextKeyMarker", ""),
                    "UploadIdMarker": answer.get("NextUploadIdMarker", ""),
                }
                if not answer.get("IsTruncated") or following == position or not following["KeyMarker"]:
                    return
                position = following

    def unfinished(self, prefix: str) -> int | None:
        """How many uploads of keys that begin with ``prefix`` are unfinished; None when the server does not tell."""
        position: dict[str, str] = {}
        seen = 0
        action = self._words.to_list()
        while True:
            try:
                with self._words.explained(action):
                    answer: Any = self._list_uploads(prefix, position)
            except _NoListError:
                return None
            if "IsTruncated" not in answer:
                # Any web page with status 200 would pass for an empty list.
                raise self._words.refusal("not_s3", action)
            seen += sum(found.get("Key", "").startswith(prefix) for found in answer.get("Uploads", ()))
            following = {
                "KeyMarker": answer.get("NextKeyMarker", ""),
                "UploadIdMarker": answer.get("NextUploadIdMarker", ""),
            }
            if not answer["IsTruncated"]:
                return None if not seen and _is_minio(answer) else seen
            if following == position or not following["KeyMarker"]:
                # It has no way to ask for the rest.
                return None
            position = following

    def _list_uploads(self, prefix: str, position: dict[str, str]) -> Any:
        try:
            return self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=prefix, **position)  # type: ignore[arg-type]
        except botocore.exceptions.ClientError as error:
            if http_status(error) in (405, 501):
                raise _NoListError from error
            raise


class _NoListError(Exception):
    """The server has no list of unfinished uploads."""


def _is_minio(answer: Any) -> bool:
    """Whether the server is a MinIO, which lists unfinished uploads for a whole key only, and else none.

    A proxy in front of it may replace ``Server``. Its x-amz-id-2 has 64 hexadecimal digits; Amazon's is base64.
    """
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    is_named = headers.get("server", "").startswith("MinIO")
    return is_named or bool(re.fullmatch("[0-9a-f]{64}", headers.get("x-amz-id-2", "")))


def _cancel(futures: list[Future[Any]]) -> None:
    for future in futures:
        future.cancel()
    wait(futures)
