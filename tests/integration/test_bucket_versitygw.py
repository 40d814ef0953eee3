# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``bucket`` on versitygw: few features, a policy that its users are held to, and keys of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket import features, keys
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.administration import Administration
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.key_effects import SynapsesBucket
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.refusals import failure
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.report import Feature, State
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.wanted import Wanted
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import AccessError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3_trial import TrialBucket
from ansible_collections.matrixops.synapse_s3.tests.certificate import write_certificate
from ansible_collections.matrixops.synapse_s3.tests.fault_proxy import run_proxy
from ansible_collections.matrixops.synapse_s3.tests.s3_server import ADMIN_KEY, ADMIN_SECRET, REGION
from ansible_collections.matrixops.synapse_s3.tests.versitygw_server import run_versitygw

NAME, SECRET = "synapse-own-key", "synapse-own-secret"
NOT_IMPLEMENTED = (
    "does not implement it (HTTP 501 NotImplemented: 'A header you provided implies functionality that is not"
    " implemented')."
)


@dataclass(frozen=True)
class Versitygw:
    """One service that answers with TLS and without."""

    settings: BucketSettings
    plain_url: str


@pytest.fixture
def versitygw(tmp_path: Path) -> Iterator[Versitygw]:
    with run_versitygw(tmp_path, tls=True) as server, run_versitygw(tmp_path, tls=False) as plain:
        settings = BucketSettings(
            "media",
            prefix="hs/",
            region_name=REGION,
            endpoint_url=server.url,
            access_key_id=ADMIN_KEY,
            secret_access_key=ADMIN_SECRET,
            ca_bundle_path=str(server.certificate),
        )
        yield Versitygw(settings, plain.url)


def make(service: Versitygw, secret: str, *, check_mode: bool = False) -> dict[str, Feature]:
    bucket = Administration(service.settings)
    user = features.user_settings(service.settings, NAME, secret)
    wanted = Wanted(versioning=True, tls_only=True, plain_url=service.plain_url, user=user)
    key = partial(keys.apply, bucket, wanted, is_wanted=True, check_mode=check_mode)
    found = {feature.name: feature for feature in features.apply(bucket, wanted, key, check_mode=check_mode)}
    bucket.close()
    return found


def states(found: dict[str, Feature]) -> list[str]:
    return [feature.state.value for feature in found.values()]


def test_the_bucket_and_its_key(versitygw: Versitygw) -> None:
    settings = versitygw.settings
    checked = make(versitygw, SECRET, check_mode=True)
    assert not Administration(settings).exists()
    assert (checked["bucket"].state, checked["key"].state) == (State.CHANGED, State.CHANGED)

    first, second = make(versitygw, SECRET), make(versitygw, SECRET)
    lacking = ["unsupported", "changed", "unsupported", "not_wanted"]
    assert states(first) == ["changed", "ok", *lacking, "changed", "changed"]
    assert states(second) == ["ok", "ok", "unsupported", "ok", "unsupported", "not_wanted", "ok", "ok"]
    assert first["unfinished_uploads"].message == f"{settings.endpoint_url} {NOT_IMPLEMENTED}"
    assert first["tls_only"].message == f"what does not come by TLS is refused; {versitygw.plain_url} was tried"
    assert second["key"].message == (
        f"'{NAME}' may do what Synapse needs, by the policy of bucket 'media'; it may not list the whole bucket, read"
        " the bucket's policy, read beside the prefix, store beside the prefix, delete beside the prefix, change the"
        " bucket's settings, make buckets, as was tried"
    )

    # From outside: its own part of the bucket, by TLS, and nothing else.
    mine = replace(settings, access_key_id=NAME, secret_access_key=SECRET)
    bucket = TrialBucket(mine, 1)
    bucket.put_as_provider("hs/local_content/aa/bb/cc", b"1")
    assert bucket.read_as_provider("hs/local_content/aa/bb/cc") == b"1"
    assert isinstance(failure(lambda: bucket.put_as_provider("other/secret", b"1")), AccessError)
    assert isinstance(failure(lambda: list(bucket.list(""))), AccessError)
    plain = TrialBucket(replace(mine, endpoint_url=versitygw.plain_url, ca_bundle_path=None), 1)
    assert isinstance(failure(lambda: list(plain.list("hs/"))), AccessError)

    other = make(versitygw, "another-secret")
    assert "; its secret is another now; it may not list the whole bucket, " in other["key"].message
    assert states(make(versitygw, "another-secret"))[-1] == "ok"


def test_a_key_is_not_shut_out_where_tls_ends_before_the_server(versitygw: Versitygw, tmp_path: Path) -> None:
    """It was made by hand, and is in use."""
    settings = versitygw.settings
    write_certificate(tmp_path / "before", ["test-server"])
    with run_proxy(versitygw.plain_url.removeprefix("http://"), certificates=tmp_path / "before") as proxy:
        given = replace(settings, endpoint_url=proxy.url, ca_bundle_path=str(tmp_path / "before/public.crt"))
        user = features.user_settings(given, NAME, SECRET)
        assert user is not None
        with closing(Administration(given)) as bucket:
            bucket.create()
            assert keys.apply(bucket, Wanted(user=user), is_wanted=True, check_mode=False).state is State.CHANGED
            before = bucket.policy()
            found = {
                feature.name: feature
                for feature in features.apply(bucket, Wanted(user=user, tls_only=True), check_mode=False)
            }
            assert bucket.policy() == before
        with closing(SynapsesBucket(user)) as synapses:
            synapses.use()
    assert (found["tls_only"].state, found["tls_only"].message.partition(" What was tried: ")[0]) == (
        State.FAILED,
        f"Could not refuse what does not come by TLS: {proxy.url} takes what does come by TLS for something without, as"
        " where TLS ends at a proxy before it, and Synapse would be shut out. Nothing was changed. Set tls_only to"
        " false, and close the port without TLS.",
    )


def test_root_is_exempt_from_the_policy_and_that_is_told(versitygw: Versitygw) -> None:
    bucket = Administration(versitygw.settings)
    wanted = Wanted(tls_only=True, plain_url=versitygw.plain_url)
    found = {feature.name: feature for feature in features.apply(bucket, wanted, check_mode=False)}
    assert (found["tls_only"].state, found["tls_only"].is_changed) == (State.IGNORED, True)
    assert "does what this key asks for" in found["tls_only"].message


def test_a_key_by_somebody_who_may_not_administer_users(versitygw: Versitygw) -> None:
    make(versitygw, SECRET)
    settings = replace(versitygw.settings, access_key_id=NAME, secret_access_key=SECRET)
    bucket = Administration(settings)
    assert list(bucket.list("hs/")) == []
    user = features.user_settings(settings, "another-key", "another-secret")
    feature = keys.apply(bucket, Wanted(user=user), is_wanted=True, check_mode=False)
    assert feature.state is State.FAILED
    assert feature.message.startswith(
        "Could not give Synapse a key of its own (look it up): versitygw refused it (HTTP 403"
    )
