# SPDX-License-Identifier: GPL-3.0-or-later
"""Synapse's key, where it can't be made."""

from __future__ import annotations

import sys
from dataclasses import replace
from unittest import mock

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket import keys
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.refusals import Unsupported
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.report import Feature, State
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.wanted import Wanted
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import (
    AccessError,
    MediaError,
    UnavailableError,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    PermissionDenied,
    StoreUnavailable,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.bucket_policy import bucket_policy

ADMINISTRATORS = BucketSettings(
    "media", endpoint_url="http://127.0.0.1:1", access_key_id="administrator", secret_access_key="a-secret"
)
SYNAPSES = BucketSettings(
    "media", endpoint_url="http://127.0.0.1:1", access_key_id="synapse", secret_access_key="another-secret"
)
PASTE = (
    "Make a key there for Synapse, and give it the policy that the filter matrixops.synapse_s3.bucket_policy writes:"
    " docs/bucket.md tells how."
)


def apply(software: str) -> Feature:
    bucket = mock.Mock(settings=ADMINISTRATORS, software=software)
    return keys.apply(bucket, Wanted(user=SYNAPSES), is_wanted=True, check_mode=False)


def test_the_library_for_minio_is_missing_which_is_no_lack_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minio", None)
    assert apply("MinIO") == Feature(
        "key",
        State.FAILED,
        "Could not give Synapse a key of its own: the Python library minio, by which MinIO's keys are made, is missing"
        f" in {sys.executable}. Install it there (pip install minio; with Ansible from pipx: pipx inject ansible-core"
        f" minio), or set key to false. {PASTE}",
    )


def test_a_service_whose_policies_have_another_form() -> None:
    """What the filter writes would lock out whoever pastes it."""
    url = "https://s3.fr-par.scw.cloud"
    bucket = mock.Mock(settings=replace(ADMINISTRATORS, endpoint_url=url), software="", server=url)
    bucket.is_software.return_value = False
    assert keys.apply(bucket, Wanted(user=SYNAPSES), is_wanted=True, check_mode=False) == Feature(
        "key",
        State.UNSUPPORTED,
        f"{url} has no interface for keys that this collection knows. Make a key there for Synapse, and allow it the"
        " actions that docs/bucket.md names: not by the policy that it shows, as those of Scaleway Object Storage have"
        " a form of their own (version 2023-04-17, principals such as application_id:…, resources without arn:, and"
        " what they do not allow is forbidden).",
    )


def test_a_change_without_an_answer_may_have_been_made(monkeypatch: pytest.MonkeyPatch) -> None:
    interface = mock.Mock(makes_keys=True, lists_by_prefix=True)
    interface.knows.return_value, interface.policy.return_value = False, None
    interface.principal.return_value, interface.other_policies.return_value = "", []
    interface.set_policy.side_effect = UnavailableError("The answer did not come in time.")
    monkeypatch.setitem(keys._INTERFACES, "MinIO", lambda _bucket: interface)

    assert apply("MinIO") == Feature(
        "key",
        State.FAILED,
        "The answer did not come in time. The key 'synapse' is there with its secret, and without its new policy.",
        changed=True,
    )


@pytest.mark.parametrize("is_made", [False, True])
def test_an_interface_that_is_not_there_is_a_failure_once_a_key_was_made(
    monkeypatch: pytest.MonkeyPatch, is_made: bool
) -> None:
    interface = mock.Mock(makes_keys=True, lists_by_prefix=True)
    interface.knows.return_value, interface.policy.return_value = False, None
    interface.principal.return_value, interface.other_policies.return_value = "", []
    (interface.set_policy if is_made else interface.set_user).side_effect = Unsupported("It does not implement it")
    monkeypatch.setitem(keys._INTERFACES, "MinIO", lambda _bucket: interface)

    left = " The key 'synapse' is there with its secret, and without its new policy."
    assert apply("MinIO") == (
        Feature("key", State.FAILED, f"It does not implement it.{left}", changed=True)
        if is_made
        else Feature("key", State.UNSUPPORTED, f"It does not implement it. {PASTE}")
    )


BY_TLS = replace(ADMINISTRATORS, endpoint_url="https://s3.example.org")
DENIED, DOWN = PermissionDenied("Could not list it."), StoreUnavailable("The server failed.")
SHUT_OUT = (
    "Could not give Synapse a key of its own whose policy asks for TLS: what comes by TLS is refused with it, as where"
    " TLS ends at a proxy before the server. It has the policy without that now. Set tls_only to false, and close the"
    " port without TLS. What was tried: Could not list it."
)
# What is seen: before, with the policy that asks for TLS, without; and the writes that come of it.
TEST_LEFT: dict[str, tuple[list[MediaError | None], str, list[bool], bool]] = {
    "it is refused with TLS": ([DENIED, DENIED, None], SHUT_OUT, [False], True),
    "it is refused for something else": (
        [DENIED, DENIED, DENIED],
        "Could not list it. Its former policy is back.",
        [False, True],
        True,
    ),
    "the server is down": ([DOWN, DOWN], "The server failed.", [], False),
}


@pytest.mark.parametrize("why", TEST_LEFT)
def test_a_policy_that_a_killed_run_has_left_is_taken_back(monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    seen, message, asks_for_tls, is_changed = TEST_LEFT[why]
    interface = mock.Mock(makes_keys=True, lists_by_prefix=True)
    interface.knows.return_value, interface.policy.return_value = True, bucket_policy("media", tls_only=True)
    interface.principal.return_value, interface.other_policies.return_value = "", []
    monkeypatch.setitem(keys._INTERFACES, "MinIO", lambda _bucket: interface)
    monkeypatch.setattr(keys, "_TRIES", 1)
    see, synapses = mock.Mock(side_effect=seen), replace(SYNAPSES, endpoint_url=BY_TLS.endpoint_url)
    monkeypatch.setattr(keys, "SynapsesBucket", lambda _user: mock.Mock(see=see))
    bucket, wanted = mock.Mock(settings=BY_TLS, software="MinIO"), Wanted(user=synapses, tls_only=True)
    bucket.is_software.side_effect = "MinIO".startswith

    found = keys.apply(bucket, wanted, is_wanted=True, check_mode=False)
    assert found == Feature("key", State.FAILED, message, changed=is_changed)
    written = [call.args[1] for call in interface.set_policy.mock_calls]
    assert written == [bucket_policy("media", tls_only=each) for each in asks_for_tls]


def test_a_policy_that_can_not_be_taken_back_is_told_first(monkeypatch: pytest.MonkeyPatch) -> None:
    interface = mock.Mock(makes_keys=True, lists_by_prefix=True)
    interface.knows.return_value, interface.policy.return_value = True, {"Statement": []}
    interface.principal.return_value, interface.other_policies.return_value = "", []
    interface.set_policy.side_effect = [None, UnavailableError("The answer did not come in time.")]
    monkeypatch.setitem(keys._INTERFACES, "MinIO", lambda _bucket: interface)
    monkeypatch.setattr(keys, "_TRIES", 1)
    see = mock.Mock(side_effect=[None, DENIED])
    monkeypatch.setattr(keys, "SynapsesBucket", lambda _user: mock.Mock(see=see))

    assert apply("MinIO") == Feature(
        "key",
        State.FAILED,
        "The new policy of the key 'synapse' could not be taken back, and is likely still there: change that by hand,"
        " with an administrator's key or in the console of the service. The answer did not come in time. Could not"
        " list it.",
        changed=True,
    )


@pytest.mark.parametrize("synapses_url", ["https://s3.inside.example.org", "http://s3.inside.example.org"])
def test_a_key_is_tried_where_synapse_uses_it(monkeypatch: pytest.MonkeyPatch, synapses_url: str) -> None:
    """And its policy does not ask for TLS where Synapse comes without: it would be shut out."""
    interface, tried = mock.Mock(makes_keys=True, lists_by_prefix=True), mock.Mock()
    interface.knows.return_value, interface.policy.return_value = False, None
    interface.principal.return_value, interface.other_policies.return_value = "", []
    tried.return_value.beyond.return_value = []
    monkeypatch.setitem(keys._INTERFACES, "MinIO", lambda _bucket: interface)
    monkeypatch.setattr(keys, "SynapsesBucket", tried)
    bucket = mock.Mock(settings=BY_TLS, software="MinIO")
    bucket.is_software.side_effect = "MinIO".startswith

    wanted = Wanted(user=SYNAPSES, tls_only=True, synapse_endpoint_url=synapses_url)
    assert keys.apply(bucket, wanted, is_wanted=True, check_mode=False).state is State.CHANGED
    tried.assert_called_once_with(replace(SYNAPSES, endpoint_url=synapses_url))
    document = bucket_policy("media", tls_only=synapses_url.startswith("https://"))
    interface.set_policy.assert_called_once_with("synapse", document)


def test_a_key_that_is_made_and_can_t_be_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    interface, tried = mock.Mock(makes_keys=True, lists_by_prefix=True), mock.Mock()
    interface.knows.return_value, interface.policy.return_value = False, None
    interface.principal.return_value, interface.other_policies.return_value = "", []
    tried.return_value.beyond.side_effect = DOWN
    monkeypatch.setitem(keys._INTERFACES, "MinIO", lambda _bucket: interface)
    monkeypatch.setattr(keys, "SynapsesBucket", tried)

    assert apply("MinIO") == Feature("key", State.FAILED, "The server failed.", changed=True)


def test_a_key_of_somebody_else_s_keeps_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    interface = mock.Mock(makes_keys=True, lists_by_prefix=True)
    interface.knows.return_value, interface.policy.return_value = True, None
    interface.principal.return_value, interface.other_policies.return_value = "", []
    monkeypatch.setitem(keys._INTERFACES, "MinIO", lambda _bucket: interface)
    monkeypatch.setattr(
        keys, "SynapsesBucket", mock.Mock(return_value=mock.Mock(see=mock.Mock(side_effect=AccessError("wrong"))))
    )

    assert apply("MinIO") == Feature(
        "key",
        State.FAILED,
        "Could not give Synapse a key of its own: there is a key 'synapse' already. It has another secret, and no"
        " policy of this collection's for this bucket: with a new secret, whoever uses it would be shut out. Write its"
        " secret as synapse_secret_access_key, or another key as Synapse's.",
    )
    interface.set_user.assert_not_called()
