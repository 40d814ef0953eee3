# SPDX-License-Identifier: GPL-3.0-or-later
"""That nobody gets in without a key: what of a bucket's policy goes, and what is told of the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.private import private as make_private
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.refusals import Unsupported
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.report import Feature, State
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.wanted import Run, Wanted
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    PermissionDenied,
)
from ansible_collections.matrixops.synapse_s3.tests.unit.policy_bucket import (
    BY_HAND,
    PUBLIC,
    REFUSED,
    SERVER,
    THEIRS,
    Bucket,
    carried_out,
)


def private(run: Run) -> Feature:
    return make_private("private", run)


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


def test_a_website_that_can_not_be_seen_hides_nothing_else() -> None:
    bucket = Bucket().having()
    bucket.anybody_may.return_value = ["list it"]
    bucket.is_website.side_effect = REFUSED
    found = carried_out(bucket, private, reads=lambda _key: None)
    assert (found.state, found.is_changed, found.message) == (
        State.FAILED,
        False,
        f"anybody may list it at {SERVER}, without a key. Take that away there: look for a public setting of the"
        f" bucket, or for a server that asks nobody for a key. {REFUSED}",
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
