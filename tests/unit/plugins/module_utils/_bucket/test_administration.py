# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a bucket, where a service keeps more of them than the ones of the tests do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from unittest import mock

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.administration import Administration
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.refusals import Unsupported, failure
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import MediaError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    PermissionDenied,
    StoreUnavailable,
)
from botocore.exceptions import ClientError

ELSEWHERE, AMAZON = "https://s3.example.org", "https://s3.eu-west-1.amazonaws.com"
WRONG_PRINCIPAL = ("MalformedPolicy", "Invalid principal in policy")
NO_KEY = ("KMS.NotFoundException", "Invalid keyId")
TOO_LARGE = ("PolicyTooLarge", "It is too large")
UNKNOWN = "Look the answer up in the server's documentation."
TEST_REFUSALS = {
    "one that does not know it": (
        ELSEWHERE,
        (400, *WRONG_PRINCIPAL),
        f"{ELSEWHERE} does not implement it (HTTP 400 MalformedPolicy: 'Invalid principal in policy')",
    ),
    "one that knows it": (
        ELSEWHERE,
        (400, *TOO_LARGE),
        "Could not change the policy of bucket 'media': the server https://s3.example.org answered HTTP 400"
        f" PolicyTooLarge 'It is too large'. {UNKNOWN}",
    ),
    "one that has encryption keys": (
        ELSEWHERE,
        (400, *NO_KEY),
        "Could not change the policy of bucket 'media': the server https://s3.example.org answered HTTP 400"
        f" KMS.NotFoundException 'Invalid keyId'. {UNKNOWN}",
    ),
    "Amazon": (
        None,
        (400, *WRONG_PRINCIPAL),
        "Could not change the policy of bucket 'media': the server Amazon S3 answered HTTP 400 MalformedPolicy 'Invalid"
        f" principal in policy'. {UNKNOWN}",
    ),
    "Amazon, of another account's bucket": (
        AMAZON,
        (405, "MethodNotAllowed", "The specified method is not allowed against this resource."),
        f"Could not change the policy of bucket 'media': {AMAZON} lets only the keys of the bucket's own account do"
        " that (HTTP 405). Use one of these.",
    ),
    "one that has no such request": (
        ELSEWHERE,
        (405, "MethodNotAllowed", "No."),
        f"{ELSEWHERE} does not implement it (HTTP 405 MethodNotAllowed: 'No')",
    ),
    "Amazon, of a kind of bucket that has not all": (
        None,
        (501, "NotImplemented", "No."),
        "Amazon S3 does not implement it (HTTP 501 NotImplemented: 'No')",
    ),
}


def refusal_by(
    url: str | None, answer: tuple[int, str, str], operation: str, call: Callable[[Administration], object]
) -> Exception:
    status, code, said = answer
    told = {"Error": {"Code": code, "Message": said}, "ResponseMetadata": {"HTTPStatusCode": status}}
    settings = BucketSettings("media", region_name="eu-west-1", endpoint_url=url)
    with closing(Administration(settings)) as bucket:
        error = ClientError(told, operation)  # type: ignore[arg-type]  # of boto3's types the half
        bucket._client = client = mock.MagicMock()
        for method in (
            client.delete_bucket_policy,
            client.get_bucket_policy,
            client.get_bucket_website,
            client.put_bucket_versioning,
        ):
            method.side_effect = error
        refusal = failure(lambda: call(bucket))
    assert refusal is not None
    return refusal


@pytest.mark.parametrize("who", TEST_REFUSALS)
def test_what_is_refused_is_not_always_unknown(who: str) -> None:
    url, answer, message = TEST_REFUSALS[who]
    refusal = refusal_by(url, answer, "DeleteBucketPolicy", lambda bucket: bucket.set_policy(None))
    assert (str(refusal), isinstance(refusal, Unsupported)) == (message, "does not implement it" in message)


def test_a_policy_of_another_account_s_bucket_can_t_be_read() -> None:
    refusal = refusal_by(None, (405, "MethodNotAllowed", ""), "GetBucketPolicy", Administration.policy)
    assert str(refusal) == (
        "Could not ask for the policy of bucket 'media': Amazon S3 lets only the keys of the bucket's own account do"
        " that (HTTP 405). Use one of these."
    )


def test_what_amazon_has_not_for_all_kinds_of_buckets() -> None:
    answer = (405, "MethodNotAllowed", "No.")
    refusal = refusal_by(None, answer, "PutBucketVersioning", Administration.enable_versioning)
    assert str(refusal) == "Amazon S3 does not implement it (HTTP 405 MethodNotAllowed: 'No')"


# What a service answers to a question for a setting, and what that means.
GOOGLE, MINUTES = (400, "InvalidArgument", "Invalid argument."), "The difference is too large."
TEST_QUESTIONS: dict[str, tuple[str | None, tuple[int, str, str], str]] = {
    "Google": (
        ELSEWHERE,
        GOOGLE,
        f"{ELSEWHERE} does not implement it (HTTP 400 InvalidArgument: 'Invalid argument')",
    ),
    "an older Garage": (
        ELSEWHERE,
        (400, "InvalidRequest", "Bad request"),
        f"{ELSEWHERE} does not implement it (HTTP 400 InvalidRequest: 'Bad request')",
    ),
    "one that says it so": (
        ELSEWHERE,
        (400, "NotImplemented", ""),
        f"{ELSEWHERE} does not implement it (HTTP 400 NotImplemented)",
    ),
    "Amazon, which knows all": (
        AMAZON,
        GOOGLE,
        f"Could not ask for the policy of bucket 'media': the server {AMAZON} answered HTTP 400 InvalidArgument"
        f" 'Invalid argument.'. {UNKNOWN}",
    ),
    "of the token": (
        ELSEWHERE,
        (400, "ExpiredToken", "It has expired."),
        "Could not ask for the policy of bucket 'media': the session token is not valid or has expired. Give a new"
        " session_token with its access key, or remove session_token when the access key needs none. The server said:"
        " 'It has expired.'.",
    ),
    "of the signature": (
        ELSEWHERE,
        (400, "AuthorizationHeaderMalformed", "It is malformed."),
        "Could not ask for the policy of bucket 'media': ",
    ),
    "of the time": (
        ELSEWHERE,
        (400, "RequestTimeTooSkewed", MINUTES),
        "Could not ask for the policy of bucket 'media': ",
    ),
    "of what is not known": (
        ELSEWHERE,
        (400, "BadDigest", ""),
        "Could not ask for the policy of bucket 'media': ",
    ),
}


@pytest.mark.parametrize("who", TEST_QUESTIONS)
def test_a_question_that_is_not_known(who: str) -> None:
    url, answer, message = TEST_QUESTIONS[who]
    refusal = refusal_by(url, answer, "GetBucketPolicy", Administration.policy)
    is_whole = not message.endswith(": ")
    assert (str(refusal) if is_whole else str(refusal)[: len(message)]) == message
    assert isinstance(refusal, Unsupported) == ("does not implement it" in message)


def test_a_website_that_may_not_be_asked_for_is_not_known() -> None:
    refusal = refusal_by(ELSEWHERE, (403, "AccessDenied", ""), "GetBucketWebsite", Administration.is_website)
    assert str(refusal) == (
        "Could not ask for the website of bucket 'media': the access key does not have the permission"
        " s3:GetBucketWebsite. Allow it in the policy of the access key or of the bucket; if it is allowed there, check"
        " the bucket's name."
    )


@pytest.mark.parametrize(
    ("answer", "expected"), [({}, False), ({"IndexDocument": {}}, True), ({"RedirectAllRequestsTo": {}}, True)]
)
def test_a_website(answer: dict[str, object], expected: bool) -> None:
    """Garage has an answer without content where there is none."""
    with closing(Administration(BucketSettings("media", endpoint_url=ELSEWHERE))) as bucket:
        bucket._client = client = mock.MagicMock()
        client.get_bucket_website.return_value = {"ResponseMetadata": {"HTTPStatusCode": 204}, **answer}
        assert bucket.is_website() is expected


OWN_FORM = (
    "no policy of a bucket is tried or written at Scaleway Object Storage, whose policies have a form of their own:"
    " version 2023-04-17, principals such as application_id:…, resources without arn:, and what they do not allow is"
    " forbidden"
)


def test_a_policy_is_not_written_where_it_has_another_form() -> None:
    """But a bucket without one has no form: what a former run has left there can go."""
    with closing(Administration(BucketSettings("media", endpoint_url="https://s3.fr-par.scw.cloud"))) as bucket:
        bucket._client = client = mock.MagicMock()
        for call in (bucket.check_policies_can_be_written, lambda: bucket.set_policy({"Statement": []})):
            refusal = failure(call)
            assert (refusal.__class__, str(refusal)) == (Unsupported, OWN_FORM)
        client.put_bucket_policy.assert_not_called()
        bucket.set_policy(None)
        client.delete_bucket_policy.assert_called_once_with(Bucket="media")
    with closing(Administration(BucketSettings("media", endpoint_url=ELSEWHERE))) as bucket:
        bucket.check_policies_can_be_written()


KMS = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "theirs"}


def test_what_else_the_rule_of_the_encryption_says_stays() -> None:
    """Amazon's says whether there are bucket keys, and which encryptions it refuses."""
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": True}
    with closing(Administration(BucketSettings("media", endpoint_url="http://localhost:9"))) as bucket:
        bucket._client = client = mock.MagicMock()
        client.get_bucket_encryption.return_value = {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}
        assert bucket.encryption() == {"SSEAlgorithm": "AES256"}
        bucket.set_encryption(KMS)
    client.put_bucket_encryption.assert_called_once_with(
        Bucket="media",
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": KMS, "BucketKeyEnabled": True}]
        },
    )


def test_what_is_kept_beside_the_lifecycle_rules_stays() -> None:
    """Amazon takes its default where it is left out, and moves small objects of other rules no more."""
    rule = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": ""}}
    with closing(Administration(BucketSettings("media", endpoint_url="http://localhost:9"))) as bucket:
        bucket._client = client = mock.MagicMock()
        client.get_bucket_lifecycle_configuration.return_value = {
            "Rules": [rule],
            "TransitionDefaultMinimumObjectSize": "varies_by_storage_class",
        }
        bucket.set_lifecycle(bucket.lifecycle())
    client.put_bucket_lifecycle_configuration.assert_called_once_with(
        Bucket="media",
        LifecycleConfiguration={"Rules": [rule]},
        TransitionDefaultMinimumObjectSize="varies_by_storage_class",
    )


LEFT = PermissionDenied("Could not delete object 'hs/x'.")
# What fails with the object, what is told where that can't be deleted, and of which kind that is.
TEST_BLOCKS: dict[str, tuple[Exception | None, type[MediaError], str]] = {
    "nothing": (None, PermissionDenied, "Could not delete object 'hs/x'."),
    "what was tried": (
        StoreUnavailable("Could not read it."),
        StoreUnavailable,
        "Could not read it. Could not delete object 'hs/x'.",
    ),
    "what is not there": (Unsupported("It has none"), MediaError, "It has none. Could not delete object 'hs/x'."),
}


@pytest.mark.parametrize("what", TEST_BLOCKS)
def test_an_object_that_can_t_be_deleted_does_not_hide_what_failed_with_it(what: str) -> None:
    error, kind, told = TEST_BLOCKS[what]
    with closing(Administration(BucketSettings("media", "hs/", endpoint_url="http://localhost:9"))) as bucket:

        def try_it() -> None:
            with bucket.trial_object():
                if error:
                    raise error

        with mock.patch.object(bucket, "put_as_provider"), mock.patch.object(bucket, "erase", side_effect=LEFT):
            raised = failure(try_it)
    assert (raised.__class__, str(raised)) == (kind, told)


@pytest.mark.parametrize("error", [PermissionDenied("Could not read it."), Unsupported("No."), KeyboardInterrupt()])
def test_an_object_is_deleted_whatever_fails_with_it(error: BaseException) -> None:
    with closing(Administration(BucketSettings("media", "hs/", endpoint_url="http://localhost:9"))) as bucket:
        with (
            mock.patch.object(bucket, "put_as_provider"),
            mock.patch.object(bucket, "erase") as erase,
            pytest.raises(error.__class__) as raised,
            bucket.trial_object() as key,
        ):
            raise error
        assert raised.value is error
        erase.assert_called_once_with(key)
