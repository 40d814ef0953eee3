# SPDX-License-Identifier: GPL-3.0-or-later
"""Who can use a bucket before it is changed, and is looked after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from unittest import mock

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket import in_use
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.wanted import Run, Wanted
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import MediaError
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    PermissionDenied,
    StoreUnavailable,
)

HERE, THERE = "https://s3.example.org", "https://s3.inside.example.org"
ADMINISTRATORS = BucketSettings("media", "hs/", endpoint_url=HERE, access_key_id="admin", secret_access_key="a")
SYNAPSES = replace(ADMINISTRATORS, access_key_id="synapse", secret_access_key="s")
DENIED, DOWN = PermissionDenied("Could not delete it."), StoreUnavailable("Could not store it: the server failed.")


def able(synapses: Mapping[str, MediaError], administrators: Mapping[str, MediaError] | None = None) -> list[str]:
    """Whose key is found able, where Synapse's and the administrator's are refused this."""

    def connect(who: BucketSettings) -> mock.Mock:
        refused = synapses if who.access_key_id == "synapse" else administrators or {}
        return mock.Mock(**{f"{name}.side_effect": error for name, error in refused.items()})

    bucket = mock.Mock(settings=ADMINISTRATORS, **{f"{n}.side_effect": e for n, e in (administrators or {}).items()})
    with mock.patch.object(in_use, "SynapsesBucket", connect):
        return [str(each.access_key_id) for each in in_use.able(Run(bucket, Wanted(user=SYNAPSES), False, True))]


def test_a_key_that_may_not_delete_is_in_use_too() -> None:
    """What was stored to see it, the administrator's key deletes."""
    assert able({"erase": DENIED}) == ["admin", "synapse"]
    assert able({"store": DENIED}) == able({"read_as_provider": DENIED}) == ["admin"]


@pytest.mark.parametrize("what", ["store", "read_as_provider"])
def test_an_outage_is_no_refusal(what: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"^Could not store it: the server failed\.$"):
        able({what: DOWN})


def test_what_nobody_can_delete_ends_it() -> None:
    with pytest.raises(PermissionDenied, match=r"^Could not delete it\.$"):
        able({"erase": DENIED}, {"erase": DENIED})


@pytest.mark.parametrize(("answer", "address"), [(True, THERE), (False, THERE), (None, HERE)])
def test_synapse_s_own_address(answer: bool | None, address: str) -> None:
    """From the machine that runs Ansible it may not be reached at all."""
    bucket = mock.Mock(settings=ADMINISTRATORS, **{"lets_in.return_value": answer})
    wanted = Wanted(user=SYNAPSES, synapse_endpoint_url=THERE)
    assert in_use.as_synapse(bucket, wanted) == replace(SYNAPSES, endpoint_url=address)
    bucket.lets_in.assert_called_once_with(SYNAPSES, THERE)
