# SPDX-License-Identifier: GPL-3.0-or-later
"""The statement about TLS in a bucket's policy, while another homeserver writes its own into it."""

from __future__ import annotations

from unittest import mock

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket import policy, transport
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.refusals import Unsupported
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.report import Feature, State
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.wanted import Run, Wanted
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import MediaError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    PermissionDenied,
    StoreUnavailable,
)
from ansible_collections.matrixops.synapse_s3.tests.unit.policy_bucket import (
    BY_HAND,
    OWN,
    REFUSED,
    SERVER,
    THEIRS,
    Bucket,
    carried_out,
)


def by_tls(run: Run) -> Feature:
    return transport.tls_only("tls_only", run)


def test_a_statement_of_another_homeserver_s_stays_beside_ours() -> None:
    bucket = Bucket().having()
    assert carried_out(bucket, by_tls, reads=lambda _key: None).state is State.CHANGED
    assert bucket.kept() == [THEIRS, OWN]


@pytest.mark.parametrize("key", ["hs/x", "hs/y"])
def test_what_shuts_out_is_taken_back_and_nothing_else(key: str) -> None:
    """The statement for one object is, and the one for all of the bucket."""
    bucket = Bucket().having()

    def refuse(read: str) -> None:
        if read == key and OWN["Sid"] in [each["Sid"] for each in bucket.kept()]:
            raise REFUSED

    assert carried_out(bucket, by_tls, reads=refuse).state is State.FAILED
    assert bucket.kept() == [THEIRS]


def test_an_outage_while_it_is_tried_tells_nothing_of_tls() -> None:
    bucket = Bucket().having()

    def fail(key: str) -> None:
        if key == "hs/x":
            raise StoreUnavailable("The server failed.")

    with pytest.raises(StoreUnavailable, match=r"^The server failed\.$"):
        carried_out(bucket, by_tls, reads=fail)
    assert bucket.kept() == [THEIRS]


# What is refused once a policy is there, where all is forbidden that a policy does not allow; and what is told.
TEST_LOCKED: dict[str, tuple[Exception | None, str]] = {
    "all": (REFUSED, f" {REFUSED}"),
    "the policy alone": (None, ""),
    "an outage": (StoreUnavailable("The server failed."), " The server failed."),
}


@pytest.mark.parametrize("what", TEST_LOCKED)
def test_a_trial_that_locks_out_who_tries_it(what: str) -> None:
    """That is told first: until the statement is gone nobody may get in."""
    bucket = Bucket().having()
    refused, told = TEST_LOCKED[what]

    def read(key: str) -> None:
        if key == "hs/x":
            bucket.policy.side_effect = PermissionDenied("Could not ask for the policy.")
            if refused:
                raise refused

    with pytest.raises(MediaError) as error:
        carried_out(bucket, by_tls, reads=read)
    assert str(error.value) == (
        f"The statement 'MatrixopsSynapseS3OnlyByTls' in the policy of bucket 'media' {BY_HAND}{told}"
    )


def test_a_statement_that_shuts_out_and_can_not_be_taken_back() -> None:
    bucket = Bucket().having()

    def read(key: str) -> None:
        if key == "hs/y" and OWN in bucket.kept():
            bucket.policy.side_effect = PermissionDenied("Could not ask for the policy.")
            raise REFUSED

    found = carried_out(bucket, by_tls, reads=read)
    assert (found.state, found.message) == (
        State.FAILED,
        f"The statement 'MatrixopsSynapseS3OnlyByTls' in the policy of bucket 'media' {BY_HAND} {SERVER} takes the"
        f" setting, and then refuses what worked before. {REFUSED}",
    )


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize("is_there", [True, False])
def test_where_policies_have_another_form_none_is_tried(check_mode: bool, is_there: bool) -> None:
    bucket = Bucket().having()
    bucket.check_policies_can_be_written.side_effect = Unsupported("It has another form")
    with pytest.raises(Unsupported, match=r"^It has another form$"):
        transport.tls_only("tls_only", Run(bucket, Wanted(tls_only=True), check_mode, is_there))
    bucket.trial_object.assert_not_called()
    bucket.set_policy.assert_not_called()


def test_a_trial_that_fails_is_told_where_it_is_taken_back() -> None:
    bucket = Bucket().having()
    bucket.set_policy.side_effect = [PermissionDenied("Could not change the policy.")]
    with pytest.raises(PermissionDenied, match=r"^Could not change the policy\.$"):
        carried_out(bucket, by_tls, reads=lambda _key: None)


def test_our_former_statement_is_put_back() -> None:
    former = {**OWN, "Resource": ["arn:aws:s3:::media/*"]}
    bucket = Bucket().having(former)

    def refuse(_key: str) -> None:
        if former not in bucket.kept():
            raise REFUSED

    assert carried_out(bucket, by_tls, reads=refuse).state is State.FAILED
    assert bucket.kept() == [THEIRS, former]


def test_a_server_that_knows_one_of_the_operators() -> None:
    bucket = Bucket().having(knows="Bool")
    with mock.patch.object(bucket, "another_writes"):
        assert carried_out(bucket, by_tls, reads=lambda _key: None).state is State.CHANGED
    assert bucket.kept() == [policy.tls_only("media", None, "Bool")]


def any_transport(bucket: Bucket) -> Feature:
    return transport.any_transport("tls_only", Run(bucket, Wanted(), False, True))


def test_our_statement_goes_when_nobody_asks_for_it() -> None:
    bucket = Bucket().having(THEIRS, OWN)
    found = any_transport(bucket)
    assert (found.state, found.message) == (State.CHANGED, "what does not come by TLS is no longer refused")
    assert bucket.kept() == [THEIRS]


def test_our_statement_that_does_not_go() -> None:
    found = any_transport(Bucket().having(THEIRS, OWN, keeps=False))
    assert (found.state, found.is_changed, found.message) == (
        State.IGNORED,
        False,
        f"{SERVER} takes a policy without the statement that asks for TLS, and does not keep it.",
    )
