# SPDX-License-Identifier: GPL-3.0-or-later
"""A bucket on an S3 server, as its administrator asks for it and changes it."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import Any

from .._media.engine.encryption import TEST_OBJECT
from .._media.rules.errors import AccessError, ConfigurationError
from .._media.rules.media_path import Root
from .._media.rules.service_profile import find_profile
from .._media.rules.settings import BucketSettings
from .._media.stores.libraries import boto3, botocore
from .._media.stores.s3 import FIRST_CONTACT
from .._media.stores.s3_errors import LIBRARY_ERRORS
from .._media.stores.s3_failures import server_name
from .._media.stores.s3_trial import TrialBucket
from .lifecycle import unknown_in_rules
from .refusals import (
    Unsupported,
    code_of,
    is_let_in,
    is_none,
    is_of_another_account,
    is_refusal,
    is_unknown_request,
    is_unknown_setting,
    tells_nothing,
    unsupported,
)
from .undo import undone

# The transaction, the time, the gateway's instance and the zone. Swift's, which are alike, end with the time.
_CEPHS_REQUEST = re.compile(r"tx[0-9a-f]{21}-[0-9a-f]{10}-[0-9a-f]+-.+")
# Its region has no name of its own where a bucket is made.
_FIRST_REGION = "us-east-1"
_LIFECYCLE, _ENCRYPTION = "GetBucketLifecycleConfiguration", "GetBucketEncryption"
# What asks for rules, which are changed one by one, and how boto3 calls such a rule.
_RULES = {_LIFECYCLE: "LifecycleRule", _ENCRYPTION: "ServerSideEncryptionRule"}
# What Amazon keeps beside the rules, and sets anew where rules are written without it.
_BESIDE_RULES = ("TransitionDefaultMinimumObjectSize",)
_TRIAL = b"matrixops.synapse_s3 tries this bucket.\n"
_TRIED: Mapping[str, Any] = {
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
    "connect_timeout": 5,
    "read_timeout": 10,
    "retries": {"mode": "standard", "total_max_attempts": 1},
    "s3": {"addressing_style": "path"},
}


class Administration(TrialBucket):
    """A bucket whose settings can be read and changed.

    Every method raises a MediaError for what fails, and Unsupported for what the server does not implement.
    """

    def __init__(self, settings: BucketSettings) -> None:
        super().__init__(settings, max_connections=1, limits=FIRST_CONTACT)
        self.settings = settings
        # How many changes of its settings were made.
        self.changes = 0
        # As it names itself in its answers, '' where it does not.
        self.software = ""
        self._client.meta.events.register("after-call.s3", self._note_software)
        # Parts of its rules that boto3 does not know, and would drop where it writes them, by what asked for them.
        self._unknown_in_rules: dict[str, list[str]] = {}
        # As the server has them, by their names in `_BESIDE_RULES`.
        self._beside_rules: dict[str, Any] = {}
        for operation in _RULES:
            self._client.meta.events.register(f"after-call.s3.{operation}", self._note_unknown_in_rules)

    def _note_software(self, http_response: Any = None, **_event: object) -> None:
        headers = getattr(http_response, "headers", {})
        named = str(headers.get("server") or "")
        # Ceph names itself nowhere, and what stands before it may name itself.
        if _CEPHS_REQUEST.fullmatch(str(headers.get("x-amz-request-id") or "")):
            named = "Ceph"
        self.software = named or self.software

    def _note_unknown_in_rules(self, model: Any, http_response: Any = None, **_event: object) -> None:
        known = {"Rule"} | _names_within(self._client.meta.service_model.shape_for(_RULES[model.name]))
        self._unknown_in_rules[model.name] = unknown_in_rules(getattr(http_response, "content", b""), known)

    def is_software(self, name: str) -> bool:
        """Whether the server has called itself so by now."""
        return self.software.startswith(name)

    @property
    def server(self) -> str:
        return server_name(self.settings)

    def exists(self) -> bool:
        """Whether there is such a bucket, for these credentials."""
        with self._words.explained(self._words.to_use()):
            try:
                # Unlike HEAD this says why it is refused.
                self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1)
            except botocore.exceptions.ClientError as error:
                if code_of(error) == "NoSuchBucket":
                    return False
                raise
        return True

    def create(self) -> None:
        region = self.settings.region_name
        where: Any = {}
        if region and region != _FIRST_REGION:
            where = {"CreateBucketConfiguration": {"LocationConstraint": region}}
        with self._words.explained(f"create bucket {self._bucket!r}"):
            try:
                self._client.create_bucket(Bucket=self._bucket, **where)
            except botocore.exceptions.ClientError as error:
                if code_of(error) != "BucketAlreadyOwnedByYou":
                    raise

    def public_access_block(self) -> dict[str, bool] | None:
        answer = self._read("the block of public access", self._client.get_public_access_block)
        return answer and {
            name: bool(value) for name, value in answer.get("PublicAccessBlockConfiguration", {}).items()
        }

    def block_public_access(self, block: dict[str, bool] | None) -> None:
        def change() -> object:
            if block is None:
                return self._client.delete_public_access_block(Bucket=self._bucket)
            return self._client.put_public_access_block(
                Bucket=self._bucket,
                PublicAccessBlockConfiguration=block,  # type: ignore[arg-type]  # boto3's types want a TypedDict
            )

        self._change("change the block of public access to", change)

    def policy(self) -> dict[str, Any] | None:
        answer = self._read("the policy", self._client.get_bucket_policy)
        # Some servers have an empty one for none.
        if not answer or not answer.get("Policy"):
            return None
        try:
            document: dict[str, Any] = json.loads(answer["Policy"])
        except ValueError as error:
            # A server that does not know the request lists the bucket.
            raise Unsupported(f"{self.server} answers with something else than a policy") from error
        return document

    def check_policies_can_be_written(self) -> None:
        """:raises Unsupported: those of the service have another form than all that is known here."""
        profile = find_profile(self.settings.endpoint_url)
        if profile and profile.own_policies:
            raise Unsupported(
                f"no policy of a bucket is tried or written at {profile.title}, whose policies have a form of their"
                f" own: {profile.own_policies.value}"
            )

    def set_policy(self, document: dict[str, Any] | None) -> None:
        """:raises Unsupported: as `check_policies_can_be_written`."""
        if document is not None:
            self.check_policies_can_be_written()

        def change() -> object:
            if document is None:
                return self._client.delete_bucket_policy(Bucket=self._bucket)
            return self._client.put_bucket_policy(Bucket=self._bucket, Policy=json.dumps(document))

        self._change("change the policy of", change)

    def is_website(self) -> bool:
        """Whether its objects are shown at an address of their own. Garage has an empty answer for none."""
        answer = self._read("the website", self._client.get_bucket_website)
        return bool(set(answer or {}) - {"ResponseMetadata"})

    def versioning(self) -> str:
        """'Enabled', 'Suspended', or '' where it never kept old versions."""
        answer = self._read("the versioning", self._client.get_bucket_versioning)
        return str((answer or {}).get("Status", ""))

    def enable_versioning(self) -> None:
        self._change(
            "enable versioning of",
            lambda: self._client.put_bucket_versioning(
                Bucket=self._bucket, VersioningConfiguration={"Status": "Enabled"}
            ),
        )

    def lifecycle(self) -> list[dict[str, Any]]:
        answer = self._read("the lifecycle rules", self._client.get_bucket_lifecycle_configuration)
        self._beside_rules = {name: answer[name] for name in _BESIDE_RULES if name in (answer or {})}
        return list((answer or {}).get("Rules", ()))

    def check_rules_can_be_kept(self) -> None:
        """To be called after `lifecycle`, before rules are changed.

        :raises MediaError: a rule that is there would mean something else then.
        """
        if unknown := self._unknown_in_rules.get(_LIFECYCLE):
            raise ConfigurationError(
                f"Could not change the lifecycle rules of bucket {self._bucket!r}: one that is there has"
                f" {unknown[0]!r}, which is unknown here and would be lost. Change the rules at"
                f" {self.server}, or ask for none here."
            )

    def set_lifecycle(self, rules: list[Any]) -> None:
        def change() -> object:
            if not rules:
                return self._client.delete_bucket_lifecycle(Bucket=self._bucket)
            return self._client.put_bucket_lifecycle_configuration(
                Bucket=self._bucket, LifecycleConfiguration={"Rules": rules}, **self._beside_rules
            )

        self._change("change the lifecycle rules of", change)

    def encryption(self) -> dict[str, str] | None:
        """The default encryption: ``SSEAlgorithm``, and ``KMSMasterKeyID`` where there is one."""
        # Ceph 16 has an empty answer for what it does not implement.
        return dict(self._encryption_rule().get("ApplyServerSideEncryptionByDefault") or {}) or None

    def _encryption_rule(self) -> dict[str, Any]:
        answer = self._read("the default encryption", self._client.get_bucket_encryption)
        rules = (answer or {}).get("ServerSideEncryptionConfiguration", {}).get("Rules", ())
        return dict(next(iter(rules), {}))

    def check_encryption_can_be_kept(self) -> None:
        """To be called after `encryption`, before that is changed.

        :raises MediaError: what else its rule says would be lost.
        """
        if unknown := self._unknown_in_rules.get(_ENCRYPTION):
            raise ConfigurationError(
                f"Could not change the default encryption of bucket {self._bucket!r}: the rule that is there has"
                f" {unknown[0]!r}, which is unknown here and would be lost. Install a newer boto3, or change it at"
                f" {self.server}."
            )

    def set_encryption(self, encryption: dict[str, str] | None) -> None:
        """Change the default encryption; what else the rule says, as of bucket keys and of SSE-C, it goes on saying.

        :raises MediaError: also as `check_encryption_can_be_kept`.
        """
        rule: Any = {}
        if encryption is not None:
            rule = {**self._encryption_rule(), "ApplyServerSideEncryptionByDefault": encryption}
            self.check_encryption_can_be_kept()

        def change() -> object:
            if encryption is None:
                return self._client.delete_bucket_encryption(Bucket=self._bucket)
            return self._client.put_bucket_encryption(
                Bucket=self._bucket, ServerSideEncryptionConfiguration={"Rules": [rule]}
            )

        self._change("change the default encryption of", change)

    @contextmanager
    def trial_object(self, beginning: str | None = None) -> Iterator[str]:
        """The key of a small object that is there in the block, stored as Synapse's provider does.

        ``beginning``: what the key begins with in place of the prefix.
        """
        key = (self.settings.prefix if beginning is None else beginning) + TEST_OBJECT + secrets.token_hex(8)
        self.put_as_provider(key, _TRIAL)
        with undone(partial(self.erase, key)):
            yield key

    def encrypted_as(self, key: str) -> str:
        """How the server says that an object is encrypted, '' for not at all."""
        return str((self._describe(key) or {}).get("ServerSideEncryption", ""))

    def first_key(self) -> str:
        """An object that is there already, '' for none."""
        return next((found.key for found in self.list(self.settings.prefix, page_size=1)), "")

    def another_bucket(self) -> str:
        """A bucket that is there too, '' where there is none, or these credentials may not see it."""
        with suppress(*LIBRARY_ERRORS):
            names = [each["Name"] for each in self._client.list_buckets().get("Buckets", ())]
            return next((name for name in names if name != self._bucket), "")
        return ""

    def has_no_tags(self) -> bool:
        """Whether the bucket is known to have no tags."""
        try:
            return not self._client.get_bucket_tagging(Bucket=self._bucket).get("TagSet")
        except botocore.exceptions.ClientError as error:
            return code_of(error) == "NoSuchTagSet"
        except LIBRARY_ERRORS:
            return False

    def anybody_may(self, key: str, *, change: bool) -> list[str]:
        """What works without credentials, in words: to list it, and what can be done with the object ``key``.

        ``key``: '' for none. ``change``: whether it may be stored again, and deleted.
        """
        client = boto3.session.Session().client(
            "s3",
            region_name=self._client.meta.region_name,
            endpoint_url=self.settings.endpoint_url,
            verify=self.settings.ca_bundle_path,
            config=botocore.config.Config(**_TRIED, signature_version=botocore.UNSIGNED),
        )
        with closing(client) as nobody, self._words.explained(f"see whether anybody may use bucket {self._bucket!r}"):
            one: Any = {"Bucket": self._bucket, "Key": key}
            listing = partial(nobody.list_objects_v2, Bucket=self._bucket, MaxKeys=1)
            prefix = self.settings.prefix
            # A statement may be for a prefix alone.
            places = dict.fromkeys(("", prefix, *(f"{prefix}{root.value}/" for root in Root)))
            tried: list[tuple[str, Callable[[], object]]] = [
                ("list it", partial(listing, Prefix=place) if place else listing) for place in places
            ]
            if key:
                tried.append(("read its objects", lambda: nobody.head_object(**one)))
            if key and change:
                tried.append(("store objects", lambda: nobody.put_object(**one, Body=_TRIAL)))
                tried.append(("delete objects", lambda: nobody.delete_object(**one)))
            return list(dict.fromkeys(name for name, call in tried if is_let_in(call)))

    def lets_in(self, settings: BucketSettings, url: str | None) -> bool | None:
        """Whether a signed request to ``url`` is carried out, with the key of ``settings``.

        None where nobody answers there who knows S3: nobody listens, or it is a port for TLS.
        """
        client = boto3.session.Session().client(
            "s3",
            region_name=self._client.meta.region_name,
            endpoint_url=url,
            aws_access_key_id=settings.access_key_id,
            aws_secret_access_key=settings.secret_access_key,
            aws_session_token=settings.session_token,
            verify=settings.ca_bundle_path,
            config=botocore.config.Config(**_TRIED),
        )
        with closing(client), self._words.explained(f"see whether a request to {url} is refused"):
            try:
                client.list_objects_v2(Bucket=self._bucket, Prefix=self.settings.prefix, MaxKeys=1)
            except botocore.exceptions.ClientError as error:
                if tells_nothing(error):
                    raise
                return False if is_refusal(error) else None
            except LIBRARY_ERRORS:
                return None
        return True

    def _read(self, what: str, call: Callable[..., Any]) -> Any:
        """Ask for a setting; None for none."""
        with self._words.explained(f"ask for {what} of bucket {self._bucket!r}"):
            try:
                return call(Bucket=self._bucket)
            except botocore.exceptions.ClientError as error:
                if is_none(error):
                    return None
                self._check_whose(error, f"ask for {what} of")
                if is_unknown_request(error, self.settings):
                    raise unsupported(error, self.settings) from error
                raise

    def _change(self, verb: str, call: Callable[[], object]) -> None:
        with self._words.explained(f"{verb} bucket {self._bucket!r}"):
            try:
                call()
            except botocore.exceptions.ClientError as error:
                self._check_whose(error, verb)
                if is_unknown_setting(error, self.settings):
                    raise unsupported(error, self.settings) from error
                raise
            except LIBRARY_ERRORS:
                # Without an answer it may have been made.
                self.changes += 1
                raise
            self.changes += 1

    def _check_whose(self, error: botocore.exceptions.ClientError, verb: str) -> None:
        """:raises AccessError: the bucket is another account's, of whose policy Amazon says this."""
        if is_of_another_account(error, self.settings):
            raise AccessError(
                f"Could not {verb} bucket {self._bucket!r}: {self.server} lets only the keys of the bucket's own"
                " account do that (HTTP 405). Use one of these."
            ) from error


def _names_within(shape: Any) -> set[str]:
    """The names of all elements that botocore knows in an element of this shape."""
    if shape.type_name == "list":
        return _names_within(shape.member)
    if shape.type_name != "structure":
        return set()
    names = {member.serialization.get("name", name) for name, member in shape.members.items()}
    return names.union(*(_names_within(member) for member in shape.members.values()))
