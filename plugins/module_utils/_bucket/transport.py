# SPDX-License-Identifier: GPL-3.0-or-later
"""The feature ``tls_only``: the bucket's policy refuses what does not come by TLS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from .._media.rules.errors import MediaError
from .._media.rules.settings import BucketSettings
from .._media.stores.object_store import StoreUnavailable
from .._role.bucket_policy import Statement
from . import policy
from .administration import Administration
from .in_use import able, refusal, unless_it_shuts_out
from .refusals import Unsupported, sentence
from .report import Feature, State
from .undo import not_taken_back, undone
from .wanted import Run, Wanted, ignored

_MESSAGE = "what does not come by TLS is refused"


def tls_only(name: str, run: Run) -> Feature:
    """See to the collection's statement in the policy, and try it."""
    bucket, settings = run.bucket, run.bucket.settings
    if problem := without_tls(settings, run.wanted):
        return Feature(name, State.FAILED, problem)
    bucket.check_policies_can_be_written()
    if not run.is_there:
        return Feature(name, State.CHANGED, _MESSAGE)
    before = bucket.policy()
    after, is_changed = (
        before,
        not policy.has_tls_only(policy.statements_of(before), settings.bucket, settings.region_name),
    )
    if is_changed:
        own = partial(policy.tls_only, settings.bucket, settings.region_name)
        if run.check_mode:
            kept = policy.without_tls_only(policy.statements_of(before))
            after = policy.with_statements(before, [*kept, own(policy.OPERATORS[0])])
            return Feature(name, State.CHANGED, _MESSAGE, before, after)
        former, who = policy.own_tls_only(policy.statements_of(before)), able(run)
        if refused := _refusal_of_tls(run, former, who):
            if isinstance(refused, StoreUnavailable):
                # An outage tells nothing of TLS.
                raise refused
            return Feature(name, State.FAILED, _not_seen(bucket.server, refused))
        change, undo = partial(_write, bucket, own), partial(_set_own, bucket, former)
        if problem := unless_it_shuts_out(who, bucket, _made(settings), change, undo):
            return Feature(name, State.FAILED, problem)
        after = bucket.policy()
    if not policy.has_tls_only(policy.statements_of(after), settings.bucket, settings.region_name):
        return Feature(name, State.IGNORED, ignored(bucket, "a policy of the bucket"), before, after, is_changed)
    return _tried(name, run, before, after, is_changed=is_changed)


def without_tls(settings: BucketSettings, wanted: Wanted) -> str:
    """That somebody comes without TLS, who would be shut out; '' for nobody."""
    for option, address in (
        ("endpoint_url", settings.endpoint_url),
        ("synapse_endpoint_url", wanted.synapse_endpoint_url),
    ):
        if (address or "").lower().startswith("http://"):
            return (
                f"Could not refuse what does not come by TLS: {address} is without, and Synapse would be shut out."
                f" Give an {option} that begins with https://, or set tls_only to false."
            )
    return ""


def _refusal_of_tls(
    run: Run, former: Sequence[Statement], who: Sequence[BucketSettings]
) -> MediaError | Unsupported | None:
    """Why a request by TLS is refused by the statement, tried with one object alone; None if it is not.

    Once the whole bucket refused it, the statement could not be taken away again by that address.
    """
    bucket, settings = run.bucket, run.bucket.settings
    refused: MediaError | Unsupported | None = None

    def tell(error: MediaError | Unsupported, problem: str) -> str:
        return not_taken_back(_made(settings), error, problem or (sentence(refused) if refused else ""))

    with bucket.trial_object() as key, undone(partial(_set_own, bucket, former), tell):
        _write(bucket, partial(policy.tls_only, settings.bucket, settings.region_name, key=key))
        refused = refusal(who, lambda synapses: synapses.read_as_provider(key))
    return refused


def _made(settings: BucketSettings) -> str:
    return f"The statement {policy.TLS_ONLY!r} in the policy of bucket {settings.bucket!r}"


def _not_seen(server: str, refused: MediaError | Unsupported) -> str:
    return (
        f"Could not refuse what does not come by TLS: {server} takes what does come by TLS for something without, as"
        " where TLS ends at a proxy before it, and Synapse would be shut out. Nothing was changed. Set tls_only to"
        f" false, and close the port without TLS. What was tried: {refused}"
    )


def _write(bucket: Administration, statement: Callable[[str], Statement]) -> None:
    """Set the policy with this statement, in the first form that the server takes."""
    first, second = policy.OPERATORS
    try:
        _set_own(bucket, [statement(first)])
    except Unsupported:
        _set_own(bucket, [statement(second)])


def _set_own(bucket: Administration, own: Sequence[Statement]) -> None:
    """Have these as the collection's statements, and all others as they are now: who shares the bucket writes too."""
    now = bucket.policy()
    statements = policy.statements_of(now)
    if policy.own_tls_only(statements) != list(own):
        bucket.set_policy(policy.with_statements(now, [*policy.without_tls_only(statements), *own]))


def _tried(name: str, run: Run, before: Any, after: Any, *, is_changed: bool) -> Feature:
    """Ask without TLS, with Synapse's key where that works by TLS."""
    bucket, settings, user = run.bucket, run.bucket.settings, run.wanted.user
    state = State.CHANGED if is_changed else State.OK
    url = run.wanted.plain_url or plain_url(settings.endpoint_url)
    if not url:
        tried = "it could not be tried, as nobody said where it answers without"
        return Feature(name, state, f"{_MESSAGE}; {tried}", before, after)
    if user is not None and not bucket.lets_in(user, settings.endpoint_url):
        # It is refused whatever it comes by.
        user = None
    let_in = bucket.lets_in(user or settings, url)
    if let_in is None:
        tried = f"it could not be tried, as nobody answers without at {url}"
        return Feature(name, state, f"{_MESSAGE}; {tried}", before, after)
    if let_in:
        whose = "Synapse's key" if user else "this key"
        text = (
            f"{bucket.server} has the policy, and does what {whose} asks for at {url} all the same. Give Synapse a key"
            " of its own whose policy asks for TLS, or close that port."
        )
        return Feature(name, State.IGNORED, text, before, after, is_changed)
    return Feature(name, state, f"{_MESSAGE}; {url} was tried", before, after)


def any_transport(name: str, run: Run) -> Feature:
    """Take the collection's own statement away again, if it is there."""
    try:
        before = run.bucket.policy() if run.is_there else None
    except Unsupported:
        before = None
    statements = policy.statements_of(before)
    kept = policy.without_tls_only(statements)
    if kept == statements:
        return Feature(name, State.NOT_WANTED)
    after = policy.with_statements(before, kept)
    if not run.check_mode:
        _set_own(run.bucket, [])
        left = run.bucket.policy()
        if policy.own_tls_only(policy.statements_of(left)):
            what = "a policy without the statement that asks for TLS"
            return Feature(name, State.IGNORED, ignored(run.bucket, what), before, left, not policy.same(left, before))
    return Feature(name, State.CHANGED, "what does not come by TLS is no longer refused", before, after)


def plain_url(endpoint_url: str | None) -> str:
    """Where a service may answer without TLS: the same port, or 80 in place of 443; '' for Amazon's own address."""
    parts = urlsplit(endpoint_url or "")
    if parts.scheme.lower() != "https" or not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"http://{host}:{parts.port}" if parts.port and parts.port != 443 else f"http://{host}"
