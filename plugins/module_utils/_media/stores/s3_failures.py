# SPDX-License-Identifier: GPL-3.0-or-later
"""What an S3 server, or the way to it, says when it fails -> what an administrator should read.

Pure. ``s3`` reduces a botocore error to a Failure; the table below gives each code its cause and its cure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..rules.errors import AccessError, ConfigurationError, MediaError, UnavailableError
from ..rules.profiles import AMAZON
from ..rules.service_profile import find_profile, usable_classes
from ..rules.settings import BucketSettings
from .object_store import (
    ObjectExists,
    ObjectFailure,
    ObjectMissing,
    ObjectUnreadable,
    PermissionDenied,
    StoreUnavailable,
    UnsortedList,
)
from .s3_said import says_more, shortened, without_secrets


@dataclass(frozen=True)
class Failure:
    """One failed call, free of any library's types.

    ``code`` is the S3 error code, the bare HTTP status of a HEAD ("403"), or one of our own names for
    what happened on the way (lower case: "refused", "timeout" …).
    """

    code: str
    status: int = 0
    operation: str = ""
    said: str = ""
    region: str = ""


class Explanation(NamedTuple):
    error: type[MediaError]
    cause: str
    cure: str


# Operation -> the permission it takes, in the words of bucket policies.
PERMISSIONS = {
    "HeadBucket": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "GetObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
    "ListObjectVersions": "s3:ListBucketVersions",
    "GetBucketVersioning": "s3:GetBucketVersioning",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    # No operation of its own: DeleteObject or DeleteObjects, of a version.
    "DeleteObjectVersion": "s3:DeleteObjectVersion",
    "CreateBucket": "s3:CreateBucket",
    "GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "GetBucketPolicy": "s3:GetBucketPolicy",
    "GetBucketWebsite": "s3:GetBucketWebsite",
    "PutBucketPolicy": "s3:PutBucketPolicy",
    "DeleteBucketPolicy": "s3:DeleteBucketPolicy",
    "PutBucketVersioning": "s3:PutBucketVersioning",
    "PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "DeleteBucketEncryption": "s3:PutEncryptionConfiguration",
}

_DENIED = Explanation(
    PermissionDenied,
    "the access key does not have the permission {permission}",
    "Allow it in the policy of the access key or of the bucket; if it is allowed there, check the bucket's name",
)
_WRONG_KEY = Explanation(AccessError, "the server {server} does not know the access key ID", "Correct access_key_id")
_WRONG_SECRET = Explanation(
    AccessError, "the secret access key does not belong to the access key ID", "Correct secret_access_key"
)
_WRONG_TOKEN = Explanation(
    AccessError,
    "the session token is not valid or has expired",
    "Give a new session_token with its access key, or remove session_token when the access key needs none",
)
_BLOCKED = Explanation(
    AccessError,
    "the server {server} has blocked the account, or all access to the bucket",
    "Ask the provider of the storage",
)
_WRONG_REGION = Explanation(
    ConfigurationError,
    "the bucket is in another region than {configured_region}",
    "Set region_name to {right_region}",
)
_NO_BUCKET = Explanation(
    UnavailableError, "there is no such bucket at {server}", "Create it, or correct bucket or endpoint_url"
)
_BAD_BUCKET_NAME = Explanation(ConfigurationError, "{bucket} is no valid name of a bucket", "Correct bucket")
_SKEW = Explanation(
    UnavailableError,
    "the clocks of this host and of {server} are too far apart",
    "Set this host's clock right, for example with `timedatectl set-ntp true`",
)
_STORAGE_CLASS = Explanation(
    ConfigurationError,
    "the server {server} does not support the storage class {storage_class}",
    "Set storage_class to {usable_classes}",
)
_BUSY = Explanation(
    StoreUnavailable, "the server {server} asks for fewer requests ({code})", "Try again later, or with fewer workers"
)
_SERVER_FAILED = Explanation(
    StoreUnavailable,
    "the server {server} failed ({answer})",
    "Try again later; if it goes on failing, look into the server's own log",
)
_FULL = Explanation(
    StoreUnavailable, "the server {server} has no space left for it ({code})", "Free space there, or raise the quota"
)
_CUT = Explanation(
    StoreUnavailable, "the connection to {server} broke off", "Try again later; check the server and the network"
)
_DAMAGED = Explanation(
    ObjectFailure, "the content did not arrive as it was sent ({code})", "Nothing was stored; try again"
)
_BAD_KEY = Explanation(
    ObjectFailure, "the server {server} does not accept this key ({code})", "Keep the file where it is"
)
_REFUSED_SILENTLY = Explanation(
    AccessError,
    "the server {server} refused without saying why (HTTP {status})",
    "Check access_key_id, secret_access_key, this host's clock and the permission {permission}; "
    "the command preflight finds out which",
)
_UNKNOWN = Explanation(
    ObjectFailure, "the server {server} answered {answer}", "Look the answer up in the server's documentation"
)
_REFUSED = Explanation(
    AccessError,
    "the server {server} refused with {answer}",
    "Check access_key_id, secret_access_key and the permission {permission}, and the account at the storage's provider",
)
_UNKNOWN_FOR_ALL = _UNKNOWN._replace(error=StoreUnavailable)
_LIBRARY_FAILED = Explanation(StoreUnavailable, "boto3 failed with {answer}", "Check the settings, and try again")
_NOT_S3 = Explanation(
    ConfigurationError,
    "what answers at {server} does not speak S3",
    "Correct endpoint_url: it names the S3 service itself, not its web console, and with the right port",
)
_BAD_LIST = Explanation(
    ConfigurationError, "the list is wrong", "Use a server, or a version of it, that implements ListObjectsV2"
)
_UNTRUSTED = Explanation(
    UnavailableError,
    "the TLS certificate of {server} is not signed by an authority that this host trusts",
    "Set ca_bundle_path to a file with the certificate of that authority",
)

TABLE: dict[str, Explanation] = {
    # who is asking
    "InvalidAccessKeyId": _WRONG_KEY,
    "SignatureDoesNotMatch": _WRONG_SECRET,
    "ExpiredToken": _WRONG_TOKEN,
    "InvalidToken": _WRONG_TOKEN,
    "InvalidTokenId": _WRONG_TOKEN,
    "TokenRefreshRequired": _WRONG_TOKEN,
    "ExpiredTokenException": _WRONG_TOKEN,
    "AccessDenied": _DENIED,
    # With words that say more than the code: it may be for another reason than a permission.
    "denied_because": _DENIED._replace(
        cause="the server {server} refused it",
        cure="If the permission {permission} is missing, allow it in the policy of the access key or of the bucket",
    ),
    "AccountProblem": _BLOCKED,
    "AllAccessDisabled": _BLOCKED,
    "NotSignedUp": _BLOCKED,
    "UserSuspended": _BLOCKED,
    "401": _REFUSED_SILENTLY,
    "403": _REFUSED_SILENTLY,
    "no_credentials": Explanation(
        AccessError,
        "no credentials were found",
        "Set access_key_id and secret_access_key, or give this host an instance profile",
    ),
    "credentials_unavailable": Explanation(
        AccessError,
        "the credentials of this host's instance profile or AWS settings can't be used",
        "Repair them, or set access_key_id and secret_access_key",
    ),
    # when
    "RequestTimeTooSkewed": _SKEW,
    "RequestExpired": _SKEW,
    # where
    "NoSuchBucket": _NO_BUCKET,
    "404": _NO_BUCKET,
    "InvalidBucketName": _BAD_BUCKET_NAME,
    "AuthorizationHeaderMalformed": _WRONG_REGION,
    "IllegalLocationConstraintException": _WRONG_REGION,
    "InvalidLocationConstraint": _WRONG_REGION,
    "InvalidRegion": _WRONG_REGION,
    "PermanentRedirect": _WRONG_REGION,
    "TemporaryRedirect": _WRONG_REGION,
    "301": _WRONG_REGION,
    "307": _WRONG_REGION,
    "400": Explanation(
        ObjectFailure,
        "the server {server} refused without saying why (HTTP 400)",
        "Check region_name and session_token, and whether it was stored without, or with another, sse_customer_key; "
        "the command preflight finds out which",
    ),
    "signature_malformed": Explanation(
        ConfigurationError,
        "the server {server} does not understand the signature of the request",
        "Check region_name, and access_key_id for stray characters",
    ),
    "MethodNotAllowed": _NOT_S3,
    "405": _NOT_S3,
    "not_s3": _NOT_S3,
    "bad_endpoint": Explanation(
        ConfigurationError, "{endpoint} is no usable address of a server", "Correct endpoint_url"
    ),
    # what
    "NoSuchKey": Explanation(ObjectMissing, "there is no such object", "It may have been deleted meanwhile"),
    "PreconditionFailed": Explanation(ObjectExists, "the key is taken already", "It was left as it is"),
    "hidden": Explanation(
        ObjectFailure,
        "the server {server} has no such object, and refuses all the same to store one, as some do with a key that was "
        "deleted in a bucket with versions",
        "Remove the key's delete marker there",
    ),
    "ConditionalRequestConflict": Explanation(
        ObjectFailure, "something else changes the same key just now", "Try again"
    ),
    "NoSuchUpload": Explanation(
        ObjectFailure, "its upload was ended from elsewhere, or the answer to it was lost", "Try again"
    ),
    "BadDigest": _DAMAGED,
    "InvalidDigest": _DAMAGED,
    "IncompleteBody": _DAMAGED,
    "XAmzContentSHA256Mismatch": _DAMAGED,
    "KeyTooLongError": _BAD_KEY,
    "XMinioInvalidObjectName": _BAD_KEY,
    "XMinioObjectExistsAsDirectory": _BAD_KEY,
    "XMinioParentIsObject": _BAD_KEY,
    "ObjectParentIsFile": _BAD_KEY,
    "InvalidObjectState": Explanation(
        ObjectUnreadable,
        "it is in an archive and can't be read at once",
        "Restore it from the archive, and keep media out of archive storage classes",
    ),
    "InvalidStorageClass": _STORAGE_CLASS,
    "no_checksum": Explanation(
        ConfigurationError,
        "the server {server} takes nothing into this bucket without a checksum, and Synapse's storage provider sends "
        "none",
        "Use a bucket without Object Lock, or at least without a default retention",
    ),
    "sse_needs_https": Explanation(
        ConfigurationError,
        "the server {server} takes an encryption key only over HTTPS",
        "Give an endpoint_url that begins with https://, or remove sse_customer_key",
    ),
    "sse_refused": Explanation(
        ConfigurationError,
        "the server {server} does not accept the encryption key",
        "Correct sse_customer_key and sse_customer_algo, or remove them if the server has no SSE-C",
    ),
    "sse_blocked": _DENIED._replace(
        cause="the access key does not have the permission {permission}, or the bucket takes no SSE-C, which is"
        " Amazon's default since April 2026",
        cure="Allow it in the policy of the access key or of the bucket, and set BlockedEncryptionTypes to NONE in the"
        " bucket's default encryption",
    ),
    "sse_or_denied": _DENIED._replace(
        cause="the access key does not have the permission {permission}, or it was stored without, or with another, "
        "sse_customer_key",
        cure="Allow it in the policy of the access key or of the bucket, or correct sse_customer_key",
    ),
    "sse_head": _REFUSED_SILENTLY._replace(
        cure="Check whether it was stored without, or with another, sse_customer_key, and the permission {permission}",
    ),
    "sse_other": Explanation(
        ObjectUnreadable,
        "it was stored without, or with another, sse_customer_key",
        "Set sse_customer_key to the key that it was stored with, if any",
    ),
    "sse_missing": Explanation(
        ObjectUnreadable,
        "it was stored with an sse_customer_key, and none is set",
        "Set sse_customer_key to the key that it was stored with",
    ),
    # the server's own troubles
    "SlowDown": _BUSY,
    "SlowDownRead": _BUSY,
    "SlowDownWrite": _BUSY,
    "RequestLimitExceeded": _BUSY,
    "Throttling": _BUSY,
    "ThrottlingException": _BUSY,
    "TooManyRequests": _BUSY,
    "429": _BUSY,
    "QuotaExceeded": _FULL,
    "XMinioAdminBucketQuotaExceeded": _FULL,
    "XMinioStorageFull": _FULL,
    "list_order": Explanation(
        UnsortedList,
        "the server {server} does not list keys in ascending order",
        "Use a general purpose bucket, or a server, whose lists are sorted",
    ),
    "list_cut": _BAD_LIST._replace(
        cause="the server {server} gives the beginning of a long list and no way to ask for the rest, as servers do "
        "that know only version 1 of ListObjects"
    ),
    "list_repeated": _BAD_LIST._replace(
        cause="the server {server} gives the same part of a long list again when it is asked for the next"
    ),
    "list_endless": _BAD_LIST._replace(
        cause="the server {server} says again and again that the list goes on, and lists nothing"
    ),
    "list_count": _BAD_LIST._replace(cause="the server {server} lists fewer keys than it says that it does"),
    "list_foreign": _BAD_LIST._replace(
        cause="the server {server} lists keys that do not begin with the prefix that was asked for"
    ),
    "NotImplemented": Explanation(
        ConfigurationError,
        "the server {server} does not implement this request",
        "Use a server, or a version of it, that does",
    ),
    # the way to the server
    "refused": Explanation(
        StoreUnavailable,
        "the server {server} refuses the connection",
        "Check the port in endpoint_url, that the server runs, and the firewall",
    ),
    "unknown_host": Explanation(
        StoreUnavailable, "the host name of {server} is not known", "Correct endpoint_url, or this host's DNS settings"
    ),
    "unreachable": Explanation(
        StoreUnavailable,
        "there is no way to the server {server} in the network",
        "Check endpoint_url, this host's network and the firewall",
    ),
    "connect_timeout": Explanation(
        StoreUnavailable,
        "the server {server} can't be reached: the connection timed out",
        "Check endpoint_url, this host's network and the firewall",
    ),
    "read_timeout": Explanation(
        StoreUnavailable,
        "the server {server} took the request and did not answer in time",
        "Check that endpoint_url names the S3 service, and that the service is well",
    ),
    "closed": _CUT,
    "cut": _CUT,
    "RequestTimeout": _CUT,
    "proxy": Explanation(
        StoreUnavailable, "the proxy on the way to {server} can't be used", "Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
    ),
    "tls_untrusted": _UNTRUSTED,
    "tls_expired": Explanation(
        UnavailableError,
        "the TLS certificate of {server} has expired, or is not valid yet",
        "Renew the certificate, or set this host's clock right",
    ),
    "tls_host_name": Explanation(
        UnavailableError,
        "the TLS certificate of {server} is for another host name",
        "Write endpoint_url with a name that is in the certificate",
    ),
    "tls_not_spoken": Explanation(
        UnavailableError,
        "the server {server} does not speak TLS at this port",
        "Correct the port in endpoint_url, or write http:// when the server has no TLS",
    ),
    "no_s3_answer": Explanation(
        StoreUnavailable,
        "the server {server} did not answer as an S3 server does",
        "If it speaks TLS at this port, write endpoint_url with https://; if not, check that endpoint_url names the "
        "S3 service, and try again",
    ),
    "tls_failed": Explanation(
        UnavailableError,
        "no TLS connection to {server} could be made",
        "Check endpoint_url, and the TLS settings of the server",
    ),
    "ca_bundle": Explanation(
        ConfigurationError,
        "the file with the trusted certificates {ca_bundle} can't be read",
        "Set ca_bundle_path to a readable file of PEM certificates",
    ),
}

# With these a server asks for fewer requests.
SLOW_DOWN_CODES = frozenset(code for code, explanation in TABLE.items() if explanation is _BUSY)


def describe(failure: Failure, settings: BucketSettings, action: str) -> MediaError:
    """Turn a failure into the error to raise. ``action`` completes "Could not ..."."""
    explanation = _find(_clarified(failure, settings))
    failure = _redacted(failure, settings)
    fields = {
        "answer": _answer(failure),
        "bucket": repr(settings.bucket),
        "ca_bundle": repr(settings.ca_bundle_path) if settings.ca_bundle_path else "named by AWS_CA_BUNDLE",
        "code": failure.code,
        "configured_region": repr(settings.region_name) if settings.region_name else "the default one",
        "endpoint": repr(server_name(settings)),
        "permission": PERMISSIONS.get(failure.operation, "for it"),
        "right_region": repr(failure.region) if failure.region else "the region of the bucket",
        "server": server_name(settings),
        "status": failure.status,
        "storage_class": repr(settings.storage_class),
        "usable_classes": usable_classes(settings.endpoint_url) or "one that it supports, such as STANDARD",
    }
    cause, cure = explanation.cause.format(**fields), explanation.cure.format(**fields)
    told = says_more(failure.said, failure.code) and "{answer}" not in explanation.cause
    words = f" The server said: {shortened(failure.said)!r}." if told else ""
    return explanation.error(f"Could not {action}: {cause}. {cure}.{words}")


def wrong_region(settings: BucketSettings, region: str, action: str) -> MediaError:
    """The error for a bucket whose server named another region than the configured one."""
    return describe(Failure("PermanentRedirect", region=region), settings, action)


def server_name(settings: BucketSettings) -> str:
    """The server as the administrator wrote it, without credentials that don't belong there."""
    if not settings.endpoint_url:
        return "Amazon S3"
    scheme, separator, rest = settings.endpoint_url.rpartition("://")
    return scheme + separator + rest.rpartition("@")[2].rstrip("/")


def _redacted(failure: Failure, settings: BucketSettings) -> Failure:
    """Take the secrets out of everything that the server chose."""
    code, said, region = (without_secrets(text, settings) for text in (failure.code, failure.said, failure.region))
    return replace(failure, code=code, said=said, region=region)


def _answer(failure: Failure) -> str:
    status = f"HTTP {failure.status}" if failure.status else ""
    code = "" if failure.code == str(failure.status) else failure.code
    said = repr(shortened(failure.said)) if failure.said else ""
    return " ".join(part for part in (status, code, said) if part)


def _find(failure: Failure) -> Explanation:
    if failure.code in TABLE:
        return TABLE[failure.code]
    if not failure.status:
        return _LIBRARY_FAILED
    if failure.status >= 500:
        return _SERVER_FAILED
    if failure.status in (401, 402, 403):
        return _REFUSED
    return _UNKNOWN_FOR_ALL if PERMISSIONS.get(failure.operation) == "s3:ListBucket" else _UNKNOWN


def _clarified(failure: Failure, settings: BucketSettings) -> Failure:
    """Replace a code that servers use for several things by the one that it stands for here."""
    return next((replace(failure, code=code) for code, stands in _AMBIGUOUS if stands(failure, settings)), failure)


def _writes(failure: Failure) -> bool:
    return PERMISSIONS.get(failure.operation) == "s3:PutObject"


def _reads(failure: Failure) -> bool:
    return failure.operation == "GetObject"


def _bad_request(failure: Failure) -> bool:
    return failure.code in ("InvalidArgument", "InvalidRequest", "InvalidEncryptionAlgorithmError", "MissingContentMD5")


def _is_amazon(settings: BucketSettings) -> bool:
    return find_profile(settings.endpoint_url) is AMAZON


def _without_tls(settings: BucketSettings) -> bool:
    return (settings.endpoint_url or "").lower().startswith("http://")


# The answers to these have no body, and so no code but the HTTP status.
_WITHOUT_BODY = ("HeadBucket", "HeadObject")

# The first that holds wins. Garage has no codes for wrong credentials, RGW none for storage classes and
# encryption keys. A TLS port answers a request without TLS with a bare 400, a plain text, or not at all.
_AMBIGUOUS: tuple[tuple[str, Callable[[Failure, BucketSettings], bool]], ...] = (
    ("InvalidAccessKeyId", lambda f, _: f.code == "AccessDenied" and "No such key" in f.said),
    ("SignatureDoesNotMatch", lambda f, _: f.code == "AccessDenied" and "Invalid signature" in f.said),
    ("signature_malformed", lambda f, _: f.code == "AuthorizationHeaderMalformed" and not f.region),
    ("no_s3_answer", lambda f, s: f.code == "closed" and _without_tls(s)),
    ("no_s3_answer", lambda f, s: f.code == "400" and _without_tls(s) and f.operation not in _WITHOUT_BODY),
    ("no_checksum", lambda f, _: _bad_request(f) and _writes(f) and "content-md5" in f.said.lower()),
    ("sse_needs_https", lambda f, s: _bad_request(f) and bool(s.sse_customer_key) and _without_tls(s)),
    ("sse_refused", lambda f, s: _bad_request(f) and _writes(f) and bool(s.sse_customer_key)),
    ("sse_other", lambda f, s: _bad_request(f) and _reads(f) and bool(s.sse_customer_key)),
    ("sse_missing", lambda f, _: _bad_request(f) and _reads(f)),
    ("sse_or_denied", lambda f, s: f.code == "AccessDenied" and _reads(f) and bool(s.sse_customer_key)),
    ("sse_head", lambda f, s: f.code == "403" and f.operation == "HeadObject" and bool(s.sse_customer_key)),
    ("denied_because", lambda f, _: f.code == "AccessDenied" and says_more(f.said, f.code)),
    (
        "sse_blocked",
        lambda f, s: f.code == "AccessDenied" and _writes(f) and bool(s.sse_customer_key) and _is_amazon(s),
    ),
    (
        "InvalidStorageClass",
        lambda f, s: f.code == "InvalidArgument" and _writes(f) and s.storage_class != "STANDARD",
    ),
)
