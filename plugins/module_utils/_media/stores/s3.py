# SPDX-License-Identifier: GPL-3.0-or-later
"""A bucket on an S3 server, by way of boto3; what is asked for nearly every file goes by way of ``s3_direct``."""

from __future__ import annotations

import base64
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from ..rules.content import Content
from ..rules.errors import MediaError
from ..rules.settings import BucketSettings
from .libraries import boto3, botocore
from .object_store import MULTIPART_THRESHOLD, ObjectExists, Readable, RemoteObject
from .s3_address import object_address
from .s3_delete import ManyDeletes, Target
from .s3_description import Receipt, archived_as, described_object, http_date, md5_of, receipt
from .s3_direct import Credentials, DirectClient, SourceChanged, Taken, Unrecognised
from .s3_direct_body import Cut, DirectBody, hexadecimal
from .s3_errors import LIBRARY_ERRORS, REDIRECTS, http_status, region_named
from .s3_explainer import Explainer
from .s3_failures import SLOW_DOWN_CODES
from .s3_list import listed_objects
from .s3_list_parser import ListParserFactory
from .s3_multipart import PARTS_AT_ONCE, Multipart
from .s3_part import Part
from .s3_versions import S3Versions

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# The largest upload, in bytes, that is sent twice to find out whether the server does conditional writes.
_TRIED_SIZE = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """How long to wait for the server, in seconds, and how often to try."""

    connect_timeout: float = 10
    read_timeout: float = 60
    attempts: int = 5


# For somebody who waits for the answer: a server that takes connections and says nothing is given up after half a
# minute, and a whole check of a bucket within 90 seconds.
FIRST_CONTACT = Limits(connect_timeout=5, read_timeout=15, attempts=2)


class S3ObjectStore:
    """An ObjectStore on an S3 bucket: see that protocol for the contract.

    ``pass_on`` is called before so many bytes of content are sent, and may wait: a limit to the bandwidth.
    ``conditional``: whether the server is known to do conditional writes; None: to be found out with the first
    small upload, which is sent twice. As long as it is not known, each key is looked up right before it is written.
    """

    def __init__(
        self,
        settings: BucketSettings,
        max_connections: int,
        limits: Limits | None = None,
        pass_on: Callable[[int], None] | None = None,
        conditional: bool | None = True,
    ) -> None:
        self._settings = settings
        self._bucket = settings.bucket
        self._words = Explainer(settings)
        self._pass_on = pass_on or (lambda _size: None)
        self._lock = threading.Lock()
        self._requests = 0
        self._slow_downs = 0
        self._redirected_to = ""
        self._clock_ahead: float | None = None
        self._conditional = conditional
        # False once the server has refused every request with a condition.
        self._sends_condition = True
        self._is_tried = conditional is not None
        self._expects_continue = False
        self._encryption = _encryption_arguments(settings)
        self._new_object = {**self._encryption, "StorageClass": settings.storage_class}
        limits = limits or Limits()
        session = botocore.session.get_session()
        session.register_component("response_parser_factory", ListParserFactory())
        self._client = self._connect(session, max_connections, limits)
        self._direct = self._connect_directly(session, limits)
        self._multipart = Multipart(
            self._client,
            self._bucket,
            self._words,
            new_object=self._new_object,
            encryption=self._encryption,
            pass_on=self._pass_on,
        )
        self._deletes = ManyDeletes(self._client, settings, self._words)
        self.versions = S3Versions(self._client, self._bucket, self._words, self._deletes)
        self._client.meta.events.register("before-send.s3", self._before_send)
        self._client.meta.events.register("response-received.s3", self._note_refusal)
        self._client.meta.events.register("response-received.s3", self._note_clock)

    def _connect(self, session: botocore.session.Session, max_connections: int, limits: Limits) -> S3Client:
        """Make the client as Synapse's storage provider makes its own, so that both meet the same server."""
        settings = self._settings
        config = botocore.config.Config(
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=max_connections + PARTS_AT_ONCE,
            connect_timeout=limits.connect_timeout,
            read_timeout=limits.read_timeout,
            retries={"mode": "standard", "total_max_attempts": limits.attempts},
        )
        action = self._words.to_use()
        with self._words.explained(action):
            try:
                return boto3.session.Session(botocore_session=session).client(
                    "s3",
                    region_name=settings.region_name,
                    endpoint_url=settings.endpoint_url,
                    aws_access_key_id=settings.access_key_id,
                    aws_secret_access_key=settings.secret_access_key,
                    aws_session_token=settings.session_token,
                    verify=settings.ca_bundle_path,
                    config=config,
                )
            except ValueError as error:
                raise self._words.refusal("bad_endpoint", action) from error

    def _connect_directly(self, session: botocore.session.Session, limits: Limits) -> DirectClient | None:
        """The shorter way to the same place; None where only boto3 knows it: a proxy, SSE-C, an unusual address."""
        try:
            address = object_address(self._client, self._bucket)
            credentials = self._given_credentials() or session.get_credentials()
            if address is None or credentials is None or self._encryption:
                return None
            if botocore.utils.get_environ_proxies(f"{address.scheme}://{address.host_header}"):
                return None
            bundle = (
                self._settings.ca_bundle_path
                or session.get_config_variable("ca_bundle")
                or botocore.httpsession.get_cert_path(True)
            )
            tls = ssl.create_default_context(cafile=bundle) if address.scheme == "https" else None
        except (*LIBRARY_ERRORS, OSError):
            # boto3 will meet the cause too, and tell it.
            return None
        return DirectClient(
            address,
            partial(_frozen, credentials),
            tls,
            storage_class=self._settings.storage_class,
            connect_timeout=limits.connect_timeout,
            read_timeout=limits.read_timeout,
            count=self._count_request,
            pass_on=self._pass_on,
        )

    def _given_credentials(self) -> botocore.credentials.Credentials | None:
        settings = self._settings
        if not settings.access_key_id or not settings.secret_access_key:
            return None
        return botocore.credentials.Credentials(
            settings.access_key_id, settings.secret_access_key, settings.session_token
        )

    def close(self) -> None:
        """Close idle connections. Nothing may be under way."""
        self._multipart.close()
        if self._direct is not None:
            self._direct.close()
        self._client.close()

    def _count_request(self) -> None:
        with self._lock:
            self._requests += 1

    def _before_send(self, request: Any, **_event: object) -> None:
        self._count_request()
        if request.method in ("HEAD", "GET"):
            # What a cache on the way remembers of a deleted object is no answer.
            request.headers["Cache-Control"] = "no-cache"
        if not self._expects_continue:
            # A server may answer an upload without asking for its body, and does when that is empty. botocore before
            # 1.44 then takes that answer's status, a success, for the next one's on this connection (its issue 3755).
            request.headers.pop("Expect", None)
        if isinstance(request.body, Part):
            request.body.is_sent = True

    def _note_refusal(self, parsed_response: dict[str, Any] | None = None, **_event: object) -> None:
        """Remember what boto3 meets without a word: another region, to which it goes, and a server that is too busy."""
        code = (parsed_response or {}).get("Error", {}).get("Code")
        if code in REDIRECTS:
            self._redirected_to = region_named(parsed_response) or self._redirected_to
        if code in SLOW_DOWN_CODES:
            self._note_slow_down()

    def _note_slow_down(self) -> None:
        with self._lock:
            self._slow_downs += 1

    @property
    def requests(self) -> int:
        return self._requests

    @property
    def slow_downs(self) -> int:
        return self._slow_downs

    @property
    def conditional(self) -> bool | None:
        """Whether the server does conditional writes; None: not found out yet.

        Without, an object that somebody else stores between the look at its key and the upload is overwritten.
        """
        return self._conditional

    @property
    def redirected_to(self) -> str:
        """The region in which the server says the bucket is, '' when it took the configured one."""
        return "" if self._redirected_to == self._settings.region_name else self._redirected_to

    @property
    def endpoint_url(self) -> str:
        """Where requests go: the configured endpoint, or Amazon's own for the region."""
        return self._client.meta.endpoint_url

    def _directly(self) -> DirectClient | None:
        return self._direct if self._direct is not None and self._direct.is_understood else None

    def head(self, key: str) -> RemoteObject | None:
        if direct := self._directly():
            try:
                return direct.head(key)
            except Unrecognised as error:
                self._note_unrecognised(error)
        answer = self._describe(key)
        return answer and described_object(
            key,
            self._words.given(answer, "ContentLength", self._words.to_look_up(key)),
            answer.get("ETag", ""),
            storage_class=answer.get("StorageClass"),
            modified=answer.get("LastModified"),
            archive_status=answer.get("ArchiveStatus"),
            restore=answer.get("Restore"),
            expires=answer.get("Expiration"),
        )

    def _note_unrecognised(self, error: Unrecognised) -> None:
        if error.busy:
            self._note_slow_down()

    def _describe(self, key: str) -> Any:
        with self._words.explained(self._words.to_look_up(key)):
            try:
                return self._client.head_object(Bucket=self._bucket, Key=key, **self._encryption)
            except botocore.exceptions.ClientError as error:
                if http_status(error) == 404:
                    return None
                if http_status(error) in (400, 401, 403):
                    # The answer to a HEAD has no words. The same refusal of a GET tells an expired token from an object
                    # that was stored with another encryption key.
                    self._ask_why(key)
                raise

    def _ask_why(self, key: str) -> None:
        """Raise what a GET is refused with, if the server gives it a name."""
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key, Range="bytes=0-0", **self._encryption)
            answer["Body"].close()
        except botocore.exceptions.ClientError as error:
            if 400 <= http_status(error) < 404 and not str(error.response.get("Error", {}).get("Code", "")).isdigit():
                raise
        except LIBRARY_ERRORS:
            return

    def put(self, key: str, source: BinaryIO, content: Content) -> RemoteObject:
        if content.size < MULTIPART_THRESHOLD:
            stored = self._put_whole(key, source, content)
        else:
            stored = self._multipart.put(key, source, content, self._complete)
        storage_class = self._settings.storage_class
        return RemoteObject(
            key,
            content.size,
            stored.etag,
            storage_class,
            archive_status=archived_as(storage_class),
            expires=stored.expires,
        )

    def _put_whole(self, key: str, source: BinaryIO, content: Content) -> Receipt:
        if not self._conditional:
            self._refuse_if_taken(key)
        stored = self._send(key, source, content)
        if self._is_first_try(content):
            self._try_condition(key, source, content)
        return stored

    def _is_first_try(self, content: Content) -> bool:
        if self._is_tried or content.size > _TRIED_SIZE:
            return False
        with self._lock:
            is_first, self._is_tried = not self._is_tried, True
        return is_first

    def _try_condition(self, key: str, source: BinaryIO, content: Content) -> None:
        """Store once more what was just stored: a server with conditional writes refuses, any other has the same."""
        source.seek(0)
        with suppress(MediaError):
            try:
                self._send(key, source, content)
            except ObjectExists:
                return
        # Also when it can't be told: to look once too often costs a request.
        self._conditional = False

    def _taken(self, key: str) -> MediaError:
        return self._words.refusal("PreconditionFailed", self._words.to_store(key))

    def _refused_as_taken(self, key: str) -> MediaError | None:
        """What it means that the server takes nothing under this key. It knows conditional writes.

        None: the key is deleted, in a bucket with versions, and the server (versitygw) takes its delete marker for an
        object. There a write without the condition covers the marker, and replaces nothing.
        """
        self._conditional = self._is_tried = True
        with suppress(MediaError):
            if self.head(key) is None:
                return None if self._is_marked_deleted(key) else self._hidden(key)
        return self._taken(key)

    def _hidden(self, key: str) -> MediaError:
        return self._words.refusal("hidden", self._words.to_store(key))

    def _is_marked_deleted(self, key: str) -> bool:
        """Whether the newest version of a key is a delete marker, in the words of the server's answer to a GET."""
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key, Range="bytes=0-0", **self._encryption)
            answer["Body"].close()
        except botocore.exceptions.ClientError as error:
            headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            return http_status(error) == 404 and headers.get("x-amz-delete-marker") == "true"
        except LIBRARY_ERRORS:
            return False
        return False

    def _send(self, key: str, source: BinaryIO, content: Content) -> Receipt:
        if direct := self._directly():
            try:
                return direct.put(key, source, content, conditional=self._sends_condition)
            except Taken as error:
                if refusal := self._refused_as_taken(key):
                    raise refusal from error
                source.seek(0)
            except SourceChanged as error:
                raise self._words.source_changed(key) from error
            except Unrecognised as error:
                self._note_unrecognised(error)
                source.seek(0)
        body = source.read(content.size + 1)
        if len(body) != content.size:
            raise self._words.source_changed(key)
        self._pass_on(content.size)
        request = partial(
            self._client.put_object,
            Bucket=self._bucket,
            Key=key,
            Body=body,
            ContentMD5=_base64(content.md5),
            **self._new_object,
        )
        with self._words.explained(self._words.to_store(key)):
            return receipt(self._unless_taken(key, request))

    def _complete(self, key: str, request: Callable[..., Any]) -> Any:
        # Some servers ignore the condition just here.
        self._refuse_if_taken(key)
        return self._unless_taken(key, request)

    def abort_unfinished(self, key: str) -> None:
        self._multipart.abort_unfinished(key)

    def _unless_taken(self, key: str, request: Callable[..., Any]) -> Any:
        """Make a request that may only create an object; on a server that refuses conditions, look first."""
        if self._sends_condition:
            try:
                return request(IfNoneMatch="*")
            except botocore.exceptions.ClientError as error:
                if http_status(error) == 412:
                    if refusal := self._refused_as_taken(key):
                        raise refusal from error
                    return self._over_marker(key, request)
                if http_status(error) != 501:
                    raise
                self._sends_condition, self._conditional, self._is_tried = False, False, True
        self._refuse_if_taken(key)
        return request()

    def _over_marker(self, key: str, request: Callable[..., Any]) -> Any:
        try:
            return request()
        except botocore.exceptions.ClientError as error:
            if http_status(error) != 412:
                raise
            raise self._hidden(key) from error

    def _refuse_if_taken(self, key: str) -> None:
        if self.head(key):
            raise self._taken(key)

    @contextmanager
    def open(self, key: str) -> Iterator[Readable]:
        action = self._words.to_read(key)
        if (body := self._open_directly(key)) is not None:
            with closing(body):
                yield _DirectContent(body, partial(self._words.refusal, "cut", action))
            return
        with self._words.explained(action):
            answer = self._client.get_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED", **self._encryption)
        with closing(answer["Body"]):
            # Not each server says that it has taken the customer's key.
            yield _Content(answer, partial(self._words.explained, action), is_encrypted=bool(self._encryption))

    def _open_directly(self, key: str) -> DirectBody | None:
        if direct := self._directly():
            try:
                return direct.open(key)
            except Unrecognised as error:
                self._note_unrecognised(error)
        return None

    def list(self, prefix: str, after: str = "", page_size: int = 1000) -> Iterator[RemoteObject]:
        action = self._words.to_list()

        def ask(**position: str) -> Any:
            with self._words.explained(action):
                return self._client.list_objects_v2(
                    Bucket=self._bucket,
                    Prefix=prefix,
                    MaxKeys=page_size,
                    **position,  # type: ignore[arg-type]  # boto3's types want each argument by its name
                )

        return listed_objects(ask, lambda code: self._words.refusal(code, action), prefix, after)

    def delete(self, key: str) -> None:
        with self._words.explained(self._words.to_delete(key)):
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def unfinished_uploads(self, prefix: str) -> int | None:
        return self._multipart.unfinished(prefix)

    def delete_many(self, keys: Sequence[str]) -> Mapping[str, MediaError]:
        refused = self._deletes.delete([Target(key) for key in keys])
        return {target.key: error for target, error in refused.items()}

    @property
    def clock_ahead(self) -> float | None:
        """By how many seconds the server's clock was ahead of this host's at its last answer; None: not known yet."""
        return self._clock_ahead

    def _note_clock(self, parsed_response: dict[str, Any] | None = None, **_event: object) -> None:
        headers = (parsed_response or {}).get("ResponseMetadata", {}).get("HTTPHeaders", {})
        with suppress(TypeError, ValueError):
            if date := http_date(headers.get("date", "")):
                # In whole seconds: within the one that it names the clocks may agree.
                self._clock_ahead = date.timestamp() + 1 - time.time()


class _DirectContent:
    """The body of a download that boto3 has no part in."""

    def __init__(self, body: DirectBody, cut: Callable[[], MediaError]) -> None:
        self._body = body
        self._cut = cut
        self.sha256 = body.sha256
        self.md5 = body.md5

    def read(self, size: int, /) -> bytes:
        try:
            return self._body.read(size)
        except Cut as error:
            raise self._cut() from error


class _Content:
    """The body of a download, with its errors in plain words. ``is_encrypted``: with a customer's key."""

    def __init__(
        self, answer: Any, explained: Callable[[], AbstractContextManager[None]], *, is_encrypted: bool
    ) -> None:
        self._body = answer["Body"]
        self._explained = explained
        self.sha256 = (
            None if answer.get("ChecksumType") == "COMPOSITE" else hexadecimal(answer.get("ChecksumSHA256", ""))
        )
        encryption = "SSE-C" if is_encrypted else answer.get("ServerSideEncryption", "")
        self.md5 = md5_of(answer.get("ETag", ""), encryption, answer.get("StorageClass", ""))

    def read(self, size: int, /) -> bytes:
        with self._explained():
            content: bytes = self._body.read(size)
            return content


def _frozen(credentials: botocore.credentials.Credentials) -> Credentials:
    """The credentials of this moment: boto3 renews them, in place, before they expire."""
    now = credentials.get_frozen_credentials()
    return Credentials(now.access_key or "", now.secret_key or "", now.token)


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _encryption_arguments(settings: BucketSettings) -> dict[str, Any]:
    if not settings.sse_customer_key:
        return {}
    return {"SSECustomerKey": settings.sse_customer_key, "SSECustomerAlgorithm": settings.sse_customer_algo}
