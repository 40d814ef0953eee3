# SPDX-License-Identifier: GPL-3.0-or-later
"""The statements of a bucket's policy, while another homeserver writes its own into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket import in_use, policy, transport
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.private import private as make_private
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.refusals import Unsupported
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.report import Feature, State
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.wanted import Run, Wanted
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import MediaError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    PermissionDenied,
    StoreUnavailable,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.bucket_policy import Document, Statement

SERVER = "https://s3.example.org"
OWN = policy.tls_only("media", None, "BoolIfExists")
PUBLIC: Statement = {"Sid": "Open", "Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"], "Resource": ["a"]}
THEIRS: Statement = {"Sid": "Theirs", "Effect": "Allow", "Principal": {"AWS": ["b"]}, "Action": ["s3:GetObject"]}
REFUSED = PermissionDenied("Could not read object 'hs/x'.")


class Bucket(mock.MagicMock):
    """One whose policy is kept; another homeserver's statement comes into it with the first of Synapse's requests."""

    def having(self, *statements: Statement, keeps: bool = True, knows: str = "") -> Bucket:
        self.settings, self.server = BucketSettings("media", "hs/", endpoint_url=SERVER), SERVER
        self.document: Document | None = policy.with_statements(None, statements)
        self.changes = 0

        def write(document: Document | None) -> None:
            if knows and not all(knows in each["Condition"] for each in policy.statements_of(document)):
                raise Unsupported("It does not know the operator")
            self.changes += 1
            self.document = document if keeps else self.document

        @contextmanager
        def trial_object(beginning: str = "hs/") -> Iterator[str]:
            yield f"{beginning}x"

        self.policy.side_effect = lambda: self.document
        self.set_policy.side_effect = write
        self.trial_object.side_effect = trial_object
        self.lets_in.return_value = None
        self.is_website.return_value = False
        self.anybody_may.return_value = []
        self.public_access_block.side_effect = Unsupported("It has none")
        self.lifecycle.return_value = []
        return self

    def another_writes(self, *_arguments: object) -> None:
        statements = policy.statements_of(self.document)
        if THEIRS not in statements:
            self.document = policy.with_statements(self.document, [*statements, THEIRS])

    def kept(self) -> list[Statement]:
        return policy.statements_of(self.document)


def carried_out(bucket: Bucket, step: Callable[[Run], Feature], *, reads: Callable[[str], object]) -> Feature:
    """A feature, where ``reads`` is done when an object is read, after another homeserver has written."""

    def read(key: str) -> object:
        bucket.another_writes()
        return reads(key)

    with mock.patch.object(in_use, "SynapsesBucket") as synapses:
        synapses.return_value.new_key.return_value = "hs/y"
        synapses.return_value.read_as_provider.side_effect = read
        return step(Run(bucket, Wanted(tls_only=True), False, True))


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


BY_HAND = (
    "could not be taken back, and is likely still there: change that by hand, with the key of the bucket's owner or in"
    " the console of the service. Could not ask for the policy."
)
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


@pytest.mark.parametrize("check_mode", [True, False])
def test_what_lets_anybody_in_where_policies_have_another_form_is_told(check_mode: bool) -> None:
    bucket = Bucket().having(THEIRS, PUBLIC)
    bucket.check_policies_can_be_written.side_effect = Unsupported("It has another form")
    found = make_private("private", Run(bucket, Wanted(), check_mode, True))
    assert (found.state, found.is_changed, found.message) == (
        State.IGNORED,
        False,
        "these statements of the bucket's policy let anybody in: 'Open'. Take them out there: It has another form.",
    )
    bucket.set_policy.assert_not_called()


def test_a_trial_that_fails_is_told_where_it_is_taken_back() -> None:
    bucket = Bucket().having()
    bucket.set_policy.side_effect = [PermissionDenied("Could not change the policy.")]
    with pytest.raises(PermissionDenied, match=r"^Could not change the policy\.$"):
        carried_out(bucket, by_tls, reads=lambda _key: None)


def test_a_policy_without_what_let_anybody_in_that_can_not_be_taken_back() -> None:
    bucket = Bucket().having(PUBLIC)

    def refuse(_key: str) -> None:
        if PUBLIC not in bucket.kept():
            bucket.policy.side_effect = PermissionDenied("Could not ask for the policy.")
            raise REFUSED

    found = carried_out(bucket, private, reads=refuse)
    assert (found.state, found.message) == (
        State.FAILED,
        f"The policy of bucket 'media' without what let anybody in {BY_HAND} {SERVER} takes the setting, and then"
        f" refuses what worked before. {REFUSED}",
    )


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


def private(run: Run) -> Feature:
    return make_private("private", run)


def test_what_lets_anybody_in_goes_and_what_came_meanwhile_stays() -> None:
    bucket = Bucket().having(PUBLIC)
    assert carried_out(bucket, private, reads=lambda _key: None).state is State.CHANGED
    assert bucket.kept() == [THEIRS]


def test_what_let_anybody_in_is_put_back_beside_what_came_meanwhile() -> None:
    """Synapse itself came in by it."""
    bucket = Bucket().having(PUBLIC)

    def refuse(_key: str) -> None:
        if PUBLIC not in bucket.kept():
            raise REFUSED

    found = carried_out(bucket, private, reads=refuse)
    assert (found.state, found.message) == (
        State.FAILED,
        f"{SERVER} takes the setting, and then refuses what worked before. {REFUSED} The setting was taken back.",
    )
    assert bucket.kept() == [THEIRS, PUBLIC]


OFFICE = {**PUBLIC, "Sid": "Office", "Condition": {"IpAddress": {"aws:SourceIp": ["192.0.2.0/24"]}}}


def test_what_lets_some_in_without_a_key_stays_and_is_told() -> None:
    bucket = Bucket().having(OFFICE, PUBLIC)
    told = (
        "nobody but users may use it, and on their conditions those whom these statements of the bucket's policy let in"
        " without a key: 'Office'"
    )
    for state in (State.CHANGED, State.OK):
        found = carried_out(bucket, private, reads=lambda _key: None)
        assert (found.state, found.message) == (state, told)
    assert bucket.kept() == [OFFICE, THEIRS]
    # There media is, and a statement may be for that place alone.
    bucket.anybody_may.assert_called_with("hs/local_content/x", change=True)


def test_who_runs_ansible_where_some_are_let_in() -> None:
    bucket = Bucket().having(OFFICE)
    bucket.anybody_may.return_value = ["read its objects"]
    found = carried_out(bucket, private, reads=lambda _key: None)
    assert (found.state, found.message) == (
        State.IGNORED,
        f"anybody may read its objects at {SERVER}, without a key. Take that away there: look for a public setting of"
        " the bucket, or for a server that asks nobody for a key. Or it is by a condition in the bucket's policy that"
        " holds for the machine that runs Ansible, in these statements: 'Office'.",
    )


# Where the service is, what it is known for, and what to do.
TEST_WEBSITES = {
    "anybody's": (SERVER, " or, on Garage, garage bucket website --deny media"),
    "one that is not Garage": ("https://s3.fr-par.scw.cloud", ""),
}


@pytest.mark.parametrize("where", TEST_WEBSITES)
def test_a_website_is_told(where: str) -> None:
    bucket, (url, own_way) = Bucket().having(), TEST_WEBSITES[where]
    bucket.settings, bucket.is_website.return_value = replace(bucket.settings, endpoint_url=url), True
    found = carried_out(bucket, private, reads=lambda _key: None)
    assert (found.state, found.is_changed, found.message) == (
        State.IGNORED,
        False,
        f"the bucket is a website at {SERVER}, which may show its objects to anybody, whatever S3 does. Take that away"
        f" there: aws s3api delete-bucket-website --endpoint-url {url} --bucket media{own_way}.",
    )
    bucket.anybody_may.return_value = ["list it"]
    both = carried_out(bucket, private, reads=lambda _key: None).message
    assert (both.startswith("anybody may list it at "), both.endswith(found.message)) == (True, True)


def test_a_website_that_the_service_does_not_know() -> None:
    bucket = Bucket().having()
    bucket.is_website.side_effect = Unsupported("It has none")
    assert carried_out(bucket, private, reads=lambda _key: None).state is State.OK


TEST_BESIDE = {
    "https://a.r2.cloudflarestorage.com": (
        "a bucket of Cloudflare R2 can be public at r2.dev, and at domains of its own. See its settings in Cloudflare's"
        " dashboard"
    ),
    "https://a.storage.supabase.co/storage/v1/s3": (
        "a bucket of Supabase Storage can be a public one. See that it is private in Supabase's dashboard"
    ),
}


@pytest.mark.parametrize("url", TEST_BESIDE)
def test_what_s3_does_not_show_is_told(url: str) -> None:
    bucket = Bucket().having()
    bucket.settings = replace(bucket.settings, endpoint_url=url)
    found = carried_out(bucket, private, reads=lambda _key: None)
    assert (found.state, found.message) == (
        State.OK,
        f"nobody but users may use it; what is public beside S3 could not be tried: {TEST_BESIDE[url]}",
    )


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
