# SPDX-License-Identifier: GPL-3.0-or-later
"""The features of a bucket, where a server answers in ways that the ones of the tests don't."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket import features, in_use
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.lifecycle import UNFINISHED_UPLOADS, rule_of
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.private import BLOCKED
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.refusals import Unsupported
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.report import Feature, State
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.wanted import Wanted
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import MediaError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    PermissionDenied,
    StoreUnavailable,
)
from botocore.exceptions import ClientError

SERVER = "https://s3.example.org"


def server(**answers: Any) -> mock.MagicMock:
    """A bucket whose methods give these answers, each an error or a value."""
    bucket = mock.MagicMock(
        settings=BucketSettings("media", "hs/", endpoint_url=SERVER), server=SERVER, software="", changes=0
    )
    given = {"lifecycle": [], "versioning": "Enabled", "policy": None, "encryption": None, **answers}
    for name, answer in given.items():
        getattr(bucket, name).side_effect = [answer] * 9 if not isinstance(answer, tuple) else answer
    bucket.is_website.side_effect = AssertionError("It is not asked for where there is a block.")
    return bucket


def apply(bucket: mock.MagicMock, *, check_mode: bool = False, **wanted: Any) -> dict[str, Feature]:
    found = features.apply(bucket, Wanted(private=False, **wanted), check_mode=check_mode)
    return {feature.name: feature for feature in found}


def private(bucket: mock.MagicMock, *refusals: MediaError | None) -> Feature:
    """The feature, where the administrator's requests as Synapse makes them end so, one after the other."""
    bucket.is_software.side_effect = bucket.software.startswith
    with mock.patch.object(in_use, "SynapsesBucket") as synapses:
        synapses.return_value.store.side_effect = refusals
        return next(each for each in features.apply(bucket, Wanted(), check_mode=False) if each.name == "private")


REFUSED = PermissionDenied("Could not store object 'hs/x'.")
REFUSES = f"{SERVER} takes the setting, and then refuses what worked before. {REFUSED}"
TAKEN_BACK = f"{REFUSES} The setting was taken back."
BY_HAND = (
    "could not be taken back, and is likely still there: change that by hand, with the key of the bucket's owner or in"
    " the console of the service."
)
SOME = {**BLOCKED, "BlockPublicPolicy": False}


def test_a_block_by_which_nothing_can_be_stored_is_taken_back() -> None:
    """On a bucket in use nothing small was stored from then on."""
    for before in (None, SOME):
        bucket = server(public_access_block=before)
        assert private(bucket, None, REFUSED) == Feature("private", State.FAILED, TAKEN_BACK)
        assert bucket.block_public_access.mock_calls == [mock.call(BLOCKED), mock.call(before)]


def test_a_block_that_can_not_be_taken_back() -> None:
    for error in (StoreUnavailable("No answer."), Unsupported("No answer.")):
        bucket = server(public_access_block=None)
        bucket.block_public_access.side_effect = [None, error]
        told = f"The new block of public access of bucket 'media' {BY_HAND} No answer. {REFUSES}"
        assert private(bucket, None, REFUSED) == Feature("private", State.FAILED, told)


def test_a_block_where_nothing_could_be_stored_before_either() -> None:
    bucket = server(public_access_block=(None, BLOCKED))
    bucket.anybody_may.return_value = []
    assert private(bucket, REFUSED).state is State.CHANGED


def test_nothing_is_changed_where_who_can_store_is_not_known() -> None:
    """Whom a server can't serve for a moment, would not be looked after."""
    bucket = server(public_access_block=None)
    assert private(bucket, StoreUnavailable("Could not store it: the server failed.")) == Feature(
        "private", State.FAILED, "Could not store it: the server failed."
    )
    bucket.block_public_access.assert_not_called()


def test_ceph_has_another_block() -> None:
    """With all of it, it refuses each upload; and a run before this was known may have set it."""
    there = {**BLOCKED, "BlockPublicAcls": False, "BlockPublicPolicy": False}
    for before in (None, BLOCKED):
        bucket = server(public_access_block=(before, there))
        bucket.software, bucket.anybody_may.return_value = "Ceph", []
        assert private(bucket, REFUSED).state is State.CHANGED
        bucket.block_public_access.assert_called_once_with(there)


def test_a_rule_that_deletes_media_fails() -> None:
    rule = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 90}}
    for check_mode in (True, False):
        assert apply(server(lifecycle=[rule]), check_mode=check_mode)["media_stays"] == Feature(
            "media_stays",
            State.FAILED,
            "The lifecycle rule 'tidy' of bucket 'media' deletes objects of Synapse's that are in use, or moves them to"
            " an archive that Synapse can't read. Take it away there, or limit it to another prefix.",
        )
    assert "media_stays" not in apply(server())


def test_old_versions_that_somebody_else_s_rule_ends_sooner() -> None:
    rule = {"ID": "tidy", "Status": "Enabled", "Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 3}}
    for days in (30, 0):
        bucket = server(lifecycle=[rule])
        found = apply(bucket, versioning=True, old_versions_days=days, unfinished_uploads_days=0)["old_versions"]
        assert (found.state, found.message, found.is_changed) == (
            State.IGNORED,
            "they are ended after 3 days, by the rule 'tidy', which is sooner than asked for. Take that rule away"
            " there, or set old_versions_days to 3.",
            False,
        )
        bucket.set_lifecycle.assert_not_called()


def test_unfinished_uploads_that_somebody_else_s_rule_ends_sooner() -> None:
    rule = {"Status": "Enabled", "Prefix": "", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3}}
    found = apply(server(lifecycle=[rule]))["unfinished_uploads"]
    assert (found.state, found.message) == (State.OK, "ended after 3 days, by the rule without a name")


OWN = rule_of(UNFINISHED_UPLOADS, "hs/", 7)
THEIRS = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "b/"}, "Expiration": {"Days": 3}}


def test_our_rule_goes_when_nobody_asks_for_it() -> None:
    bucket = server(lifecycle=([], [THEIRS, OWN], [THEIRS], []))
    found = apply(bucket, unfinished_uploads_days=0)["unfinished_uploads"]
    assert (found.state, found.message) == (State.CHANGED, "no longer ended by a rule of this role")
    bucket.set_lifecycle.assert_called_once_with([THEIRS])


def test_our_rule_that_does_not_go() -> None:
    found = apply(server(lifecycle=[THEIRS, OWN]), unfinished_uploads_days=0)["unfinished_uploads"]
    assert (found.state, found.is_changed, found.message) == (
        State.IGNORED,
        False,
        f"{SERVER} takes a set of lifecycle rules without this role's, and does not keep it.",
    )


def test_a_rule_that_is_not_kept_is_taken_back_and_nothing_else() -> None:
    """Another homeserver's came meanwhile, and the server drops what our rule does."""
    former = rule_of(UNFINISHED_UPLOADS, "hs/", 9)
    dropped = {name: value for name, value in OWN.items() if name != UNFINISHED_UPLOADS.action}
    bucket = server(lifecycle=([], [former], [THEIRS, dropped], []))
    found = apply(bucket)["unfinished_uploads"]
    assert (found.state, found.message) == (
        State.IGNORED,
        f"{SERVER} takes a rule with AbortIncompleteMultipartUpload, and does not keep it. It was taken back.",
    )
    assert bucket.set_lifecycle.mock_calls == [mock.call([OWN]), mock.call([THEIRS, former])]


KMS = {"SSEAlgorithm": "aws:kms"}


def test_another_encryption_than_asked_for() -> None:
    bucket = server(encryption=(None, KMS))
    bucket.encrypted_as.return_value = "AES256"
    found = apply(bucket, encryption="aws:kms")["encryption"]
    assert (found.state, found.message) == (
        State.IGNORED,
        f"{SERVER} takes the setting, and encrypts new objects with AES256. The setting was taken back.",
    )
    assert bucket.set_encryption.mock_calls == [mock.call(KMS), mock.call(None)]


def test_an_encryption_that_shuts_synapse_out_is_taken_back() -> None:
    """As a key of Amazon's KMS does, which the administrator may use and Synapse may not."""
    user = BucketSettings("media", "hs/", endpoint_url=SERVER, access_key_id="synapse", secret_access_key="s")
    bucket = server(encryption=(None, KMS))
    bucket.encrypted_as.return_value = "aws:kms"
    with mock.patch.object(in_use, "SynapsesBucket") as synapses:
        # The administrator and Synapse, before and after.
        synapses.return_value.store.side_effect = (None, None, None, REFUSED)
        found = apply(bucket, encryption="aws:kms", user=user)["encryption"]
    assert found == Feature("encryption", State.FAILED, TAKEN_BACK)
    assert bucket.set_encryption.mock_calls == [mock.call(KMS), mock.call(None)]


def test_an_encryption_with_whichever_key_stays_where_no_other_is_asked_for() -> None:
    theirs = {**KMS, "KMSMasterKeyID": "theirs"}
    bucket = server(encryption=theirs)
    bucket.encrypted_as.return_value = "aws:kms"
    found = apply(bucket, encryption="aws:kms")["encryption"]
    assert found == Feature("encryption", State.OK, "new objects are encrypted with aws:kms", theirs, theirs)
    bucket.set_encryption.assert_not_called()


def refused(status: int, code: str) -> StoreUnavailable:
    told = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error = StoreUnavailable("Could not store it.")
    error.__cause__ = ClientError(told, "PutObject")  # type: ignore[arg-type]  # of boto3's types the half
    return error


WITH_KEY = (
    f"{SERVER} takes the setting, and then refuses to store with it. See that the key for encryption is there, and that"
    " this access key may use it. Could not store it. The setting was taken back."
)
NO_KEY = (
    f"{SERVER} takes the setting, and then stores nothing any more. Could not store it. The setting was taken back."
)
TEST_TRIALS = {
    "Amazon, of a key that is not there": (400, "KMS.NotFoundException", State.FAILED, WITH_KEY),
    "Amazon, of a key that is another's": (403, "AccessDenied", State.FAILED, WITH_KEY),
    "MinIO, of a key that is not there": (404, "kms:KeyNotFound", State.FAILED, WITH_KEY),
    "Ceph 18 without keys": (400, "InvalidRequest", State.UNSUPPORTED, NO_KEY),
    "SeaweedFS without keys": (500, "InternalError", State.UNSUPPORTED, NO_KEY),
}


@pytest.mark.parametrize("who", TEST_TRIALS)
def test_a_key_for_encryption_that_is_refused_is_no_lack_of_the_service(who: str) -> None:
    status, code, state, message = TEST_TRIALS[who]
    bucket = server(encryption=(None, KMS))
    bucket.trial_object.side_effect = (refused(status, code), mock.MagicMock())
    assert apply(bucket, encryption="aws:kms")["encryption"] == Feature("encryption", state, message)
    assert bucket.set_encryption.mock_calls == [mock.call(KMS), mock.call(None)]


def test_an_outage_while_encryption_is_tried_is_no_lack_of_the_service() -> None:
    bucket = server(encryption=(None, KMS))
    bucket.trial_object.side_effect = StoreUnavailable("Could not store it: the server failed.")
    found = apply(bucket, encryption="aws:kms")["encryption"]
    assert (found.state, found.message) == (State.FAILED, "Could not store it: the server failed.")
    assert bucket.set_encryption.mock_calls == [mock.call(KMS), mock.call(None)]


CAN_T = "Could not change it: the server failed"


@pytest.mark.parametrize("error", [StoreUnavailable(f"{CAN_T}."), Unsupported(CAN_T)])
def test_an_encryption_that_can_t_be_taken_back(error: Exception) -> None:
    bucket = server(encryption=(None, KMS))
    bucket.trial_object.side_effect = StoreUnavailable("Could not store it: the server failed.")
    bucket.set_encryption.side_effect = (None, error)
    found = apply(bucket, encryption="aws:kms")["encryption"]
    assert (found.state, found.is_changed, found.message) == (
        State.FAILED,
        True,
        f"The new default encryption of bucket 'media' {BY_HAND} Could not change it: the server failed. {SERVER} takes"
        " the setting, and then stores nothing any more. Could not store it: the server failed.",
    )


@pytest.mark.parametrize("error", [StoreUnavailable("It failed."), Unsupported("It failed")])
def test_what_is_not_kept_and_can_t_be_taken_back(error: Exception) -> None:
    bucket = server(encryption=(None, {"SSEAlgorithm": "AES256"}))
    bucket.set_encryption.side_effect = (None, error)
    bucket.set_lifecycle.side_effect = (None, error)
    found = apply(bucket, encryption="aws:kms")
    rule, rule_id = "a rule with AbortIncompleteMultipartUpload", "matrixops-synapse-s3-unfinished-uploads"
    for name, what, setting in (
        ("encryption", "a default encryption", "The new default encryption"),
        ("unfinished_uploads", rule, f"The lifecycle rule '{rule_id}'"),
    ):
        assert (found[name].state, found[name].is_changed, found[name].message) == (
            State.FAILED,
            True,
            f"{setting} of bucket 'media' {BY_HAND} It failed. {SERVER} takes {what}, and does not keep it.",
        )


def test_what_is_not_implemented_after_a_change_is_a_failure() -> None:
    bucket = server(versioning=("", Unsupported(f"{SERVER} does not implement it (HTTP 501)")))

    def enable() -> None:
        bucket.changes += 1

    bucket.enable_versioning.side_effect = enable
    assert apply(bucket, versioning=True)["versioning"] == Feature(
        "versioning",
        State.FAILED,
        f"{SERVER} does not implement it (HTTP 501). It has taken a change before: look there what is left of that.",
        changed=True,
    )


def test_what_fails_after_a_change_has_changed_something() -> None:
    bucket = server(versioning=("", StoreUnavailable("Could not ask for it: the server failed.")))

    def enable() -> None:
        bucket.changes += 1

    bucket.enable_versioning.side_effect = enable
    found = apply(bucket, versioning=True)
    assert found["versioning"] == Feature(
        "versioning", State.FAILED, "Could not ask for it: the server failed.", changed=True
    )
    assert not found["encryption"].is_changed


def test_what_can_not_be_looked_at_has_changed_nothing() -> None:
    bucket = server(versioning=StoreUnavailable("Could not ask for it: the server failed."))
    assert not apply(bucket, versioning=True)["versioning"].is_changed
