# SPDX-License-Identifier: GPL-3.0-or-later
"""What Synapse's key may do and what not, tried from outside with that key; nothing of it stays."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

from .._media.engine.encryption import TEST_OBJECT
from .._media.rules.endpoint import is_other_endpoint
from .._media.rules.settings import BucketSettings
from .._media.stores.libraries import botocore
from .._media.stores.object_store import PermissionDenied
from .._media.stores.s3 import FIRST_CONTACT
from .._media.stores.s3_errors import http_status
from .._media.stores.s3_failures import server_name
from .._media.stores.s3_trial import TrialBucket
from .administration import Administration
from .refusals import tells_nothing
from .undo import undone

_CONTENT = b"matrixops.synapse_s3 tries Synapse's key.\n"
# The MD5 of nothing: an upload that is let in fails by it, and leaves nothing.
_ANOTHER_DIGEST = "1B2M2Y8AsgTpgAmY7PhCfg=="

# What is tried; and with which codes a server says that it would have done it.
_Tried = tuple[Callable[[], object], frozenset[str]]
_DONE: frozenset[str] = frozenset()


class SynapsesBucket(TrialBucket):
    """The bucket by Synapse's key."""

    def __init__(self, user: BucketSettings) -> None:
        super().__init__(user, 1, FIRST_CONTACT)
        self._user = user

    def see(self) -> None:
        """List what is below the prefix, and see that something is missing there.

        :raises MediaError: the key can't.
        """
        next(self.list(self._user.prefix, page_size=1), None)
        action = f"see what is missing in bucket {self._bucket!r}"
        with self._words.explained(action):
            try:
                self._client.head_object(Bucket=self._bucket, Key=self.new_key())
            except botocore.exceptions.ClientError as error:
                if http_status(error) == 403:
                    # Not every service lets whoever may list a prefix see that.
                    raise PermissionDenied(
                        f"Could not {action}: the server {server_name(self._user)} refuses it (HTTP 403), which Synapse"
                        " takes for a failure. Allow the key s3:ListBucket; where it is allowed that for the prefix,"
                        " allow it for the whole bucket."
                    ) from error
                if http_status(error) != 404:
                    raise

    def use(self) -> None:
        """Store, read and delete an object below the prefix.

        :raises MediaError: the key can't.
        """
        key = self.new_key()
        self.store(key)
        with undone(lambda: self.erase(key)):
            self.read_as_provider(key)

    def new_key(self) -> str:
        """A key below the prefix that nothing has."""
        return f"{self._user.prefix}{TEST_OBJECT}{secrets.token_hex(8)}"

    def store(self, key: str) -> None:
        """Store a small object, as Synapse's provider does."""
        self.put_as_provider(key, _CONTENT)

    def beyond(
        self, administrators: Administration, *, whole_list: bool, check_mode: bool
    ) -> Iterator[tuple[str, bool]]:
        """What the key has no business with, and whether it may do it all the same.

        In check mode only what is read is tried. ``whole_list``: its policy allows the list of the whole bucket.

        :raises MediaError: it can't be seen.
        """
        with ExitStack() as stack:
            tried = self._reading(administrators, whole_list=whole_list)
            if not check_mode:
                if self._user.prefix:
                    beside = stack.enter_context(administrators.trial_object(_beside(self._user.prefix)))
                    tried = {**tried, **self._beside(beside)}
                tried = {**tried, **self._administering(administrators)}
            for what, (call, let_in) in tried.items():
                yield what, self._may(what, call, let_in)

    def _reading(self, administrators: Administration, *, whole_list: bool) -> Mapping[str, _Tried]:
        client, bucket, tried = self._client, self._bucket, dict[str, _Tried]()
        if self._user.prefix and not whole_list:
            tried["list the whole bucket"] = lambda: client.list_objects_v2(Bucket=bucket, MaxKeys=1), _DONE
        if other := administrators.another_bucket():
            tried["list another bucket"] = lambda: client.list_objects_v2(Bucket=other, MaxKeys=1), _DONE
        no_policy = frozenset({"NoSuchBucketPolicy"})
        tried["read the bucket's policy"] = lambda: client.get_bucket_policy(Bucket=bucket), no_policy
        return tried

    def _beside(self, key: str) -> Mapping[str, _Tried]:
        client, bucket = self._client, self._bucket

        def store() -> object:
            return client.put_object(Bucket=bucket, Key=key, Body=_CONTENT, ContentMD5=_ANOTHER_DIGEST)

        return {
            "read beside the prefix": (lambda: client.head_object(Bucket=bucket, Key=key), _DONE),
            "store beside the prefix": (store, frozenset({"BadDigest"})),
            "delete beside the prefix": (lambda: client.delete_object(Bucket=bucket, Key=key), _DONE),
        }

    def _administering(self, administrators: Administration) -> Mapping[str, _Tried]:
        client, bucket, tried = self._client, self._bucket, dict[str, _Tried]()
        if administrators.has_no_tags():
            tried["change the bucket's settings"] = lambda: client.delete_bucket_tagging(Bucket=bucket), _DONE
        # Amazon makes a bucket's ACL anew by it in its oldest region.
        if is_other_endpoint(self._user.endpoint_url or ""):
            there = frozenset({"BucketAlreadyExists", "BucketAlreadyOwnedByYou"})
            tried["make buckets"] = lambda: client.create_bucket(Bucket=bucket), there
        return tried

    def _may(self, what: str, call: Callable[[], object], let_in: frozenset[str]) -> bool:
        with self._words.explained(f"see whether Synapse's key may {what}"):
            try:
                call()
            except botocore.exceptions.ClientError as error:
                if tells_nothing(error):
                    raise
                return error.response.get("Error", {}).get("Code") in let_in
        return True


def _beside(prefix: str) -> str:
    """The beginning of a key that does not begin with the prefix."""
    return "beside-" if TEST_OBJECT.startswith(prefix[: len(TEST_OBJECT)]) else ""
