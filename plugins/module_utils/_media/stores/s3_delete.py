# SPDX-License-Identifier: GPL-3.0-or-later
"""Many objects, or versions of them, deleted by one request; one by one where the server does not know that request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from ..rules.errors import MediaError
from ..rules.settings import BucketSettings
from .libraries import botocore
from .object_store import ObjectFailure, PermissionDenied
from .s3_errors import http_status
from .s3_explainer import Explainer
from .s3_failures import Failure, describe

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# What one request takes.
MOST = 1000
# Refusals of the request that may mean that the server does not know it: what it says of a single deletion tells.
_MAYBE_UNKNOWN = frozenset({400, 403, 404, 405, 411, 501})
_SINGLE_AT_ONCE = 16


class Target(NamedTuple):
    """An object, or one version of it where ``version_id`` is not ''."""

    key: str
    version_id: str = ""


class ManyDeletes:
    """DeleteObjects of one bucket, for many threads at once."""

    def __init__(self, client: S3Client, settings: BucketSettings, words: Explainer) -> None:
        self._client = client
        self._settings = settings
        self._bucket = settings.bucket
        self._words = words
        self._is_known = True

    def delete(self, targets: Sequence[Target]) -> Mapping[Target, MediaError]:
        """Delete at most ``MOST`` targets; the answer is why each that may still be there could not be deleted.

        Raises what concerns all of them.
        """
        if not targets:
            return {}
        is_denied = False
        if self._is_known:
            try:
                return self._by_one_request(targets)
            except botocore.exceptions.ClientError as error:
                if http_status(error) not in _MAYBE_UNKNOWN:
                    with self._words.explained(self._words.to_delete_many()):
                        raise
                is_denied = http_status(error) == 403
        return self._one_by_one(targets, is_denied)

    def _by_one_request(self, targets: Sequence[Target]) -> Mapping[Target, MediaError]:
        objects = [{"Key": key, **({"VersionId": version} if version else {})} for key, version in targets]

        def ask() -> Any:
            return self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects})  # type: ignore[typeddict-item]

        answer = _explained_but_refusals(self._words, ask)
        # Quiet answers name no object that was deleted, and so can't be told from one of a server that did nothing.
        done = {_named(entry, objects[0]) for entry in answer.get("Deleted", ())}
        refused = {_named(entry, objects[0]): self._refusal(entry) for entry in answer.get("Errors", ())}
        return {
            target: refused.get(target) or self._not_confirmed(target)
            for target in targets
            if target in refused or target not in done
        }

    def _refusal(self, entry: Mapping[str, Any]) -> MediaError:
        code, said = str(entry.get("Code", "")), str(entry.get("Message", ""))
        # A status that leads to what the server said, where the code alone tells nothing.
        status = 500 if code == "InternalError" else 400
        failure = Failure(code, status, _operation(str(entry.get("VersionId", ""))), said)
        return describe(failure, self._settings, self._words.to_delete(entry.get("Key", "")))

    def _not_confirmed(self, target: Target) -> MediaError:
        return ObjectFailure(
            f"Could not {self._words.to_delete(target.key)}: the server's answer does not say that it was deleted. Run"
            " this again."
        )

    def _one_by_one(self, targets: Sequence[Target], is_denied: bool) -> Mapping[Target, MediaError]:
        """The first is deleted before the others: what is refused to all is raised, once."""
        first, rest = targets[0], iter(targets[1:])
        failed = {}
        if (error := self._deleted(first)) is None:
            self._is_known = False
        elif is_denied:
            raise error
        else:
            failed[first] = error
        with ThreadPoolExecutor(_SINGLE_AT_ONCE) as threads:
            while some := list(islice(rest, _SINGLE_AT_ONCE)):
                answers = zip(some, threads.map(self._deleted, some), strict=True)
                failed.update({target: error for target, error in answers if error is not None})
        return failed

    def _deleted(self, target: Target) -> MediaError | None:
        version = {"VersionId": target.version_id} if target.version_id else {}
        try:
            with self._words.explained(self._words.to_delete(target.key), _operation(target.version_id)):
                self._client.delete_object(Bucket=self._bucket, Key=target.key, **version)  # type: ignore[arg-type]
        except (ObjectFailure, PermissionDenied) as error:
            return error
        return None


def _explained_but_refusals(words: Explainer, ask: Callable[[], Any]) -> Any:
    """A refusal is the caller's to judge; no answer at all is explained here."""
    try:
        return ask()
    except botocore.exceptions.ClientError:
        raise
    except Exception:
        with words.explained(words.to_delete_many()):
            raise


def _operation(version_id: str) -> str:
    """What is refused: to delete a version is allowed apart."""
    return "DeleteObjectVersion" if version_id else "DeleteObject"


def _named(entry: Mapping[str, Any], asked: Mapping[str, str]) -> Target:
    """What an entry of the answer is about; some servers name a version also where none was ``asked`` for.

    SeaweedFS names a delete marker that is gone as S3 names one that is new, which has the number of none asked for.
    """
    version = entry.get("VersionId") or entry.get("DeleteMarkerVersionId", "")
    return Target(str(entry.get("Key", "")), str(version) if "VersionId" in asked else "")
