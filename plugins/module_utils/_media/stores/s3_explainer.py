# SPDX-License-Identifier: GPL-3.0-or-later
"""The words for what is done with a bucket, and the errors that are raised with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..rules.errors import MediaError
from ..rules.settings import BucketSettings
from .object_store import ObjectFailure
from .s3_errors import LIBRARY_ERRORS, explain
from .s3_failures import Failure, describe


class Explainer:
    """Names what is done with objects of one bucket, and explains why it fails."""

    def __init__(self, settings: BucketSettings) -> None:
        self._settings = settings
        self._bucket = settings.bucket

    def to_use(self) -> str:
        return f"use bucket {self._bucket!r}"

    def to_list(self) -> str:
        return f"list bucket {self._bucket!r}"

    def to_look_up(self, key: str) -> str:
        return f"look up object {key!r} in bucket {self._bucket!r}"

    def to_store(self, key: str) -> str:
        return f"store object {key!r} in bucket {self._bucket!r}"

    def to_read(self, key: str) -> str:
        return f"read object {key!r} from bucket {self._bucket!r}"

    def to_delete(self, key: str) -> str:
        return f"delete object {key!r} from bucket {self._bucket!r}"

    def to_delete_many(self) -> str:
        return f"delete objects from bucket {self._bucket!r}"

    def to_list_versions(self) -> str:
        return f"list the versions in bucket {self._bucket!r}"

    def to_ask_versioning(self) -> str:
        return f"ask whether bucket {self._bucket!r} keeps old versions"

    def to_ask_lifecycle(self) -> str:
        return f"ask for the lifecycle rules of bucket {self._bucket!r}"

    def refusal(self, code: str, action: str) -> MediaError:
        """The error of a code of ``s3_failures``. ``action`` completes "Could not ..."."""
        return describe(Failure(code), self._settings, action)

    def source_changed(self, key: str) -> ObjectFailure:
        return ObjectFailure(
            f"Could not {self.to_store(key)}: the file changed while it was read. Try again when it is at rest."
        )

    def given(self, answer: Any, name: str, action: str) -> Any:
        """A value that every S3 server gives. Any web page with status 200 would pass for an answer without it."""
        if name not in answer:
            raise self.refusal("not_s3", action)
        return answer[name]

    @contextmanager
    def explained(self, action: str, operation: str = "") -> Iterator[None]:
        """Turn the errors of boto3 into those of an ObjectStore. ``operation``: see `explain`."""
        try:
            yield
        except LIBRARY_ERRORS as error:
            raise explain(error, self._settings, action, operation) from error
