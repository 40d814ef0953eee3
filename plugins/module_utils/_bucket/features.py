# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a bucket as it is to be, feature by feature: each looks, changes what differs, looks again, and tries."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from .._media.rules.errors import MediaError
from .._media.rules.settings import BucketSettings
from . import policy
from .administration import Administration, Unsupported, failure
from .lifecycle import (
    OLD_VERSIONS,
    UNFINISHED_UPLOADS,
    Expiry,
    Rule,
    days_of,
    ending_media,
    has_own,
    in_force,
    name_of,
    rule_of,
    sooner,
    with_own,
    without,
)
from .report import Feature, State

BLOCKED = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}


@dataclass(frozen=True)
class Wanted:
    """How a bucket is to be. 0 days and '' mean: not wanted.

    ``plain_url``: where the same service answers without TLS, '' to work it out. ``synapse_endpoint_url``: where
    Synapse reaches it, '' where that is as here. ``user``: the bucket by Synapse's own key, where that is another than
    the administrator's.
    """

    private: bool = True
    unfinished_uploads_days: int = 7
    versioning: bool = False
    old_versions_days: int = 30
    encryption: str = ""
    kms_key_id: str = ""
    tls_only: bool = False
    plain_url: str = ""
    synapse_endpoint_url: str = ""
    user: BucketSettings | None = None


@dataclass(frozen=True)
class Run:
    """A feature's surroundings. ``is_there``: whether the bucket exists; in check mode it may be about to be made."""

    bucket: Administration
    wanted: Wanted
    check_mode: bool
    is_there: bool


def apply(
    bucket: Administration, wanted: Wanted, key: Callable[[], Feature] | None = None, *, check_mode: bool
) -> Iterator[Feature]:
    """Make the bucket as it is wanted; what fails is a feature's state, and the others are done all the same.

    ``key`` makes Synapse's key, which the last feature is then tried with.

    :raises MediaError: the bucket can't be used at all.
    """
    is_there = bucket.exists()
    name = bucket.settings.bucket
    if is_there:
        yield Feature("bucket", State.OK, f"{name!r} is there")
    else:
        if not check_mode:
            bucket.create()
        yield Feature("bucket", State.CHANGED, f"{name!r} is made", None, name)
    run = Run(bucket, wanted, check_mode, is_there or not check_mode)
    steps = (
        ("private", _private, wanted.private),
        ("unfinished_uploads", partial(_expiry, UNFINISHED_UPLOADS, wanted.unfinished_uploads_days), True),
        ("versioning", _versioning, wanted.versioning),
        ("old_versions", partial(_expiry, OLD_VERSIONS, wanted.old_versions_days * wanted.versioning), True),
        ("encryption", _encryption, bool(wanted.encryption)),
    )
    yield from _media_stays(run)
    for feature, step, is_wanted in steps:
        yield _carried_out(feature, step, run) if is_wanted else Feature(feature, State.NOT_WANTED)
    if key is not None:
        yield key()
    yield _carried_out("tls_only", _tls_only, run)


def _carried_out(name: str, step: Callable[[str, Run], Feature], run: Run) -> Feature:
    before = run.bucket.changes
    try:
        return step(name, run)
    except Unsupported as error:
        state, message = State.UNSUPPORTED, f"{error}."
    except MediaError as error:
        state, message = State.FAILED, str(error)
    return Feature(name, state, message, changed=run.bucket.changes != before)


def _private(name: str, run: Run) -> Feature:
    """Where the server has a block of public access, that; else the public statements of the policy go."""
    bucket = run.bucket
    if not run.is_there:
        return Feature(name, State.CHANGED, "nobody but users may use it", None, BLOCKED)
    what = "the block of public access"
    same: Callable[[Any, Any], bool] = operator.eq
    try:
        before: Any = bucket.public_access_block() or {}
        after: Any = BLOCKED
        change = partial(bucket.block_public_access, BLOCKED)
        read: Callable[[], Any] = bucket.public_access_block
    except Unsupported:
        before, after = _without_public_statements(bucket)
        change, read = partial(bucket.set_policy, after), bucket.policy
        # MinIO gives what is in a list in another order each time.
        what, same = "another policy of the bucket", policy.same
    is_changed = before != after
    if is_changed and not run.check_mode:
        change()
        left = read() or {}
        if not same(left, after):
            return Feature(name, State.IGNORED, _ignored(bucket, what), before, left, not same(left, before))
    if is_changed and run.check_mode:
        return Feature(name, State.CHANGED, "nobody but users may use it", before, after)
    if run.check_mode:
        may = bucket.anybody_may(bucket.first_key())
    else:
        with bucket.trial_object() as key:
            may = bucket.anybody_may(key)
    if may:
        message = (
            f"anybody may {' and '.join(may)} at {bucket.server}, without a key. Take that away there: look for a"
            " public setting of the bucket, or for a server that asks nobody for a key."
        )
        return Feature(name, State.IGNORED, message, before, after, is_changed)
    return Feature(name, State.CHANGED if is_changed else State.OK, "nobody but users may use it", before, after)


def _without_public_statements(bucket: Administration) -> tuple[Any, Any]:
    try:
        document = bucket.policy()
    except Unsupported:
        return None, None
    statements = policy.statements_of(document)
    kept = [statement for statement in statements if not policy.is_public(statement)]
    return document, document if kept == statements else policy.with_statements(document, kept)


def _media_stays(run: Run) -> Iterator[Feature]:
    """Told only where the bucket's own rules would take media away. Why rules can't be read, the next ones tell."""
    try:
        rules = run.bucket.lifecycle() if run.is_there else []
    except (Unsupported, MediaError):
        return
    if rule := ending_media(rules, run.bucket.settings.prefix):
        yield Feature(
            "media_stays",
            State.FAILED,
            f"The lifecycle rule {name_of(rule)} of bucket {run.bucket.settings.bucket!r} deletes objects of Synapse's"
            " that are in use, or moves them to an archive that Synapse can't read. Take it away there, or limit it to"
            " another prefix.",
        )


def _expiry(expiry: Expiry, days: int, name: str, run: Run) -> Feature:
    """A lifecycle rule of the collection's own among those of others; 0 days take it away."""
    bucket, prefix = run.bucket, run.bucket.settings.prefix
    message = f"ended after {days} days"
    if not run.is_there:
        rule = rule_of(expiry, prefix, days)
        return Feature(name, State.CHANGED, message, None, rule) if days else Feature(name, State.NOT_WANTED)
    try:
        before = bucket.lifecycle()
    except Unsupported:
        if not days:
            return Feature(name, State.NOT_WANTED)
        raise
    early = sooner(before, expiry, prefix, days) if expiry is OLD_VERSIONS and run.wanted.versioning else None
    if not days:
        after: list[Any] = list(without(before, expiry, prefix))
        is_changed = has_own(before, expiry, prefix)
        if is_changed:
            bucket.check_rules_can_be_kept()
        if is_changed and not run.check_mode:
            bucket.set_lifecycle(after)
        if early:
            return Feature(name, State.IGNORED, _too_early(early, expiry), before, after, is_changed)
        if not is_changed:
            return Feature(name, State.NOT_WANTED)
        return Feature(name, State.CHANGED, "no longer ended by a rule of this role", before, after)
    if early:
        return Feature(name, State.IGNORED, _too_early(early, expiry))
    if found := in_force(before, expiry, prefix, days):
        return Feature(name, State.OK, _ended(found, expiry), before, before)
    after = with_own(before, expiry, prefix, days)
    bucket.check_rules_can_be_kept()
    if run.check_mode and (own := _own_cleaning(expiry, bucket)):
        return Feature(name, State.UNSUPPORTED, f"{bucket.server} has no such rule.{own}")
    if run.check_mode:
        return Feature(name, State.CHANGED, message, before, after)
    try:
        bucket.set_lifecycle(after)
    except Unsupported as error:
        return Feature(name, State.UNSUPPORTED, f"{error}.{_own_cleaning(expiry, bucket)}")
    left = bucket.lifecycle()
    if not in_force(left, expiry, prefix, days):
        # A rule that does nothing would look as if it did.
        bucket.set_lifecycle(before)
        return Feature(name, State.IGNORED, _ignored(bucket, f"a rule with {expiry.action}") + " It was taken back.")
    return Feature(name, State.CHANGED, message, before, left)


def _ended(rule: Rule, expiry: Expiry) -> str:
    return f"ended after {days_of(rule, expiry)} days, by the rule {name_of(rule)}"


def _too_early(rule: Rule, expiry: Expiry) -> str:
    return (
        f"they are {_ended(rule, expiry)}, which is sooner than asked for. Take that rule away there, or set"
        f" old_versions_days to {days_of(rule, expiry)}."
    )


def _own_cleaning(expiry: Expiry, bucket: Administration) -> str:
    if expiry is UNFINISHED_UPLOADS and bucket.software.startswith("MinIO"):
        return (
            " MinIO ends unfinished uploads by itself, after 24 hours unless its stale_uploads_expiry says otherwise."
        )
    return ""


def _versioning(name: str, run: Run) -> Feature:
    bucket = run.bucket
    before = bucket.versioning() if run.is_there else ""
    if before == "Enabled":
        return Feature(name, State.OK, "old versions are kept", before, before)
    if not run.check_mode:
        bucket.enable_versioning()
        if bucket.versioning() != "Enabled":
            return Feature(name, State.IGNORED, _ignored(bucket, "versioning"), before, before)
    return Feature(name, State.CHANGED, "old versions are kept", before, "Enabled")


def _encryption(name: str, run: Run) -> Feature:
    """The server may take the setting and then store nothing any more, or go on storing without it."""
    bucket, wanted = run.bucket, run.wanted
    message = f"new objects are encrypted with {wanted.encryption}"
    after = {"SSEAlgorithm": wanted.encryption}
    if wanted.kms_key_id:
        after["KMSMasterKeyID"] = wanted.kms_key_id
    before = bucket.encryption() if run.is_there else None
    is_changed = before != after
    if is_changed and run.check_mode:
        return Feature(name, State.CHANGED, message, before, after)
    if is_changed:
        bucket.set_encryption(after)
        if bucket.encryption() != after:
            bucket.set_encryption(before)
            return Feature(name, State.IGNORED, _ignored(bucket, "a default encryption") + " It was taken back.")
    if run.check_mode:
        return Feature(name, State.OK, message, before, after)
    refusal, shown = _tried_encryption(bucket)
    if refusal is None and shown == wanted.encryption:
        return Feature(name, State.CHANGED if is_changed else State.OK, message, before, after)
    if refusal:
        problem = f"{bucket.server} takes the setting, and then stores nothing any more. {refusal}"
    else:
        instead = f"encrypts new objects with {shown}" if shown else "does not encrypt new objects"
        problem = f"{bucket.server} takes the setting, and {instead}."
    if not is_changed:
        return Feature(name, State.FAILED if refusal else State.IGNORED, problem)
    if error := failure(partial(bucket.set_encryption, before)):
        return Feature(name, State.FAILED, f"{problem} The setting is still there: {error}", before, after, True)
    if refusal and (other := _tried_encryption(bucket)[0]):
        # It is not for the setting.
        return Feature(name, State.FAILED, str(other))
    return Feature(name, State.UNSUPPORTED if refusal else State.IGNORED, f"{problem} The setting was taken back.")


def _tried_encryption(bucket: Administration) -> tuple[MediaError | None, str]:
    """Why no object can be stored, if so, and how one is encrypted."""
    shown = ""

    def store() -> None:
        nonlocal shown
        with bucket.trial_object() as key:
            shown = bucket.encrypted_as(key)

    return failure(store), shown


def _tls_only(name: str, run: Run) -> Feature:
    bucket, settings = run.bucket, run.bucket.settings
    if not run.wanted.tls_only:
        return _any_transport(name, run)
    message = "what does not come by TLS is refused"
    for option, address in (
        ("endpoint_url", settings.endpoint_url),
        ("synapse_endpoint_url", run.wanted.synapse_endpoint_url),
    ):
        if (address or "").lower().startswith("http://"):
            return Feature(
                name,
                State.FAILED,
                f"Could not refuse what does not come by TLS: {address} is without, and Synapse would be shut out."
                f" Give an {option} that begins with https://, or set tls_only to false.",
            )
    if not run.is_there:
        return Feature(name, State.CHANGED, message)
    before = bucket.policy()
    statements = policy.statements_of(before)
    after = before
    is_changed = not policy.has_tls_only(statements, settings.bucket, settings.region_name)
    if is_changed:
        after = _with_tls_only(run, before)
    if is_changed and run.check_mode:
        return Feature(name, State.CHANGED, message, before, after)
    if not policy.has_tls_only(policy.statements_of(bucket.policy()), settings.bucket, settings.region_name):
        return Feature(
            name, State.IGNORED, _ignored(bucket, "a policy of the bucket"), before, bucket.policy(), is_changed
        )
    url = run.wanted.plain_url or plain_url(settings.endpoint_url)
    user = run.wanted.user
    if user is not None and not bucket.lets_in(user, settings.endpoint_url):
        # It is refused whatever it comes by.
        user = None
    if url and bucket.lets_in(user or settings, url):
        whose = "Synapse's key" if user else "this key"
        text = (
            f"{bucket.server} has the policy, and does what {whose} asks for at {url} all the same. Give Synapse a key"
            " of its own whose policy asks for TLS, or close that port."
        )
        return Feature(name, State.IGNORED, text, before, after, is_changed)
    tried = f"; {url} was tried" if url else "; it could not be tried, as nobody said where it answers without"
    return Feature(name, State.CHANGED if is_changed else State.OK, message + tried, before, after)


def _with_tls_only(run: Run, before: Any) -> Any:
    """The policy with the collection's statement, in the first form that the server takes."""
    settings = run.bucket.settings
    kept = policy.without_tls_only(policy.statements_of(before))
    refused: Sequence[Unsupported] = ()
    for form in policy.OPERATORS:
        after = policy.with_statements(before, [*kept, policy.tls_only(settings.bucket, settings.region_name, form)])
        if run.check_mode:
            return after
        try:
            run.bucket.set_policy(after)
        except Unsupported as error:
            refused = [*refused, error]
        else:
            return after
    raise refused[0]


def _any_transport(name: str, run: Run) -> Feature:
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
        run.bucket.set_policy(after)
    return Feature(name, State.CHANGED, "what does not come by TLS is no longer refused", before, after)


def plain_url(endpoint_url: str | None) -> str:
    """Where a service may answer without TLS: the same port, or 80 in place of 443; '' for Amazon's own address."""
    parts = urlsplit(endpoint_url or "")
    if parts.scheme.lower() != "https" or not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"http://{host}:{parts.port}" if parts.port and parts.port != 443 else f"http://{host}"


def _ignored(bucket: Administration, what: str) -> str:
    return f"{bucket.server} takes {what}, and does not keep it."


def user_settings(settings: BucketSettings, access_key_id: str, secret_access_key: str) -> BucketSettings | None:
    """The bucket by Synapse's own key; None where that is the administrator's, or not known."""
    if not access_key_id or not secret_access_key or access_key_id == settings.access_key_id:
        return None
    return replace(settings, access_key_id=access_key_id, secret_access_key=secret_access_key, session_token=None)
