# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a bucket's features is a failure, and what only worth a word."""

from __future__ import annotations

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.report import (
    Feature,
    State,
    notes,
    problems,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.transport import plain_url

FEATURES = [Feature(state.value, state, f"It is {state.value}.") for state in State]


def test_what_is_lacking_fails_only_where_it_is_required() -> None:
    assert problems(FEATURES, []) == ["It is failed."]
    assert notes(FEATURES, []) == ["unsupported: It is unsupported.", "ignored: It is ignored."]
    everything = [state.value for state in State]
    assert problems(FEATURES, everything) == [
        "unsupported is required: It is unsupported.",
        "ignored is required: It is ignored.",
        "It is failed.",
    ]
    assert notes(FEATURES, everything) == []


def test_what_is_changed() -> None:
    assert [feature.name for feature in FEATURES if feature.is_changed] == ["changed"]
    assert Feature("private", State.IGNORED, changed=True).is_changed


def test_where_a_service_may_answer_without_tls() -> None:
    urls = {
        "https://s3.example.org": "http://s3.example.org",
        "https://s3.example.org:443/": "http://s3.example.org",
        "https://s3.example.org:9000": "http://s3.example.org:9000",
        "HTTPS://[2001:db8::1]:9000": "http://[2001:db8::1]:9000",
        "http://s3.example.org": "",
    }
    assert {url: plain_url(url) for url in urls} == urls
    # Amazon's own address depends on the region.
    assert plain_url(None) == ""
