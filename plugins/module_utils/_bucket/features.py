# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a bucket as it is to be, feature by feature: each looks, changes what differs, looks again, and tries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from .._media.rules.errors import MediaError
from .._media.rules.settings import BucketSettings
from .administration import Administration
from .in_use import able, taken_back_where_it_shuts_out
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
    own_of,
    rule_of,
    sooner,
    with_own,
    without,
)
from .private import private
from .refusals import Unsupported, failure, is_of_encryption_key, sentence
from .report import Feature, State
from .transport import any_transport, tls_only
from .undo import not_taken_back
from .wanted import Run, Wanted, ignored


def apply(
    bucket: Administration, wanted: Wanted, key: Callable[[], Feature] | None = None, *, check_mode: bool
) -> Iterator[Feature]:
    """Make the bucket as it is wanted; what fails is a feature's state, and the others are done all the same.

    ``key`` makes Synapse's key, which the last feature is then tried with. A change that shuts out who could use the
    bucket before is taken back.

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
        ("private", private, wanted.private),
        ("unfinished_uploads", partial(_expiry, UNFINISHED_UPLOADS, wanted.unfinished_uploads_days), True),
        ("versioning", _versioning, wanted.versioning),
        ("old_versions", partial(_expiry, OLD_VERSIONS, wanted.old_versions_days * wanted.versioning), True),
        ("encryption", _encryption, bool(wanted.encryption)),
    )
    yield from _media_stays(run)
    for feature, step, is_wanted in steps:
        yield _carried_out(feature, step, run) if is_wanted else Feature(feature, State.NOT_WANTED)
    if not wanted.tls_only:
        # First, as the key may be shut out by it.
        yield _carried_out("tls_only", any_transport, run)
    if key is not None:
        yield key()
    if wanted.tls_only:
        yield _carried_out("tls_only", tls_only, run)


def _carried_out(name: str, step: Callable[[str, Run], Feature], run: Run) -> Feature:
    before = run.bucket.changes
    try:
        return step(name, run)
    except Unsupported as error:
        state, message = State.UNSUPPORTED, sentence(error)
    except MediaError as error:
        state, message = State.FAILED, str(error)
    is_changed = run.bucket.changes != before
    if is_changed and state is State.UNSUPPORTED:
        # What it takes one moment, and not the next, is no lack of the service's.
        state, message = State.FAILED, f"{message} It has taken a change before: look there what is left of that."
    return Feature(name, state, message, changed=is_changed)


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
            if has_own(left := bucket.lifecycle(), expiry, prefix):
                problem = ignored(bucket, "a set of lifecycle rules without this role's")
                return Feature(name, State.IGNORED, problem, before, left, left != before)
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
        problem = ignored(bucket, f"a rule with {expiry.action}")
        # What others have written meanwhile stays.
        former = [*without(left, expiry, prefix), *own_of(before, expiry, prefix)]
        if kept := failure(partial(bucket.set_lifecycle, former)):
            told = not_taken_back(f"The lifecycle rule {name_of(after[-1])} of {_named(bucket)}", kept, problem)
            return Feature(name, State.FAILED, told, before, left, True)
        return Feature(name, State.IGNORED, f"{problem} It was taken back.")
    return Feature(name, State.CHANGED, message, before, left)


def _named(bucket: Administration) -> str:
    return f"bucket {bucket.settings.bucket!r}"


def _ended(rule: Rule, expiry: Expiry) -> str:
    return f"ended after {days_of(rule, expiry)} days, by the rule {name_of(rule)}"


def _too_early(rule: Rule, expiry: Expiry) -> str:
    return (
        f"they are {_ended(rule, expiry)}, which is sooner than asked for. Take that rule away there, or set"
        f" old_versions_days to {days_of(rule, expiry)}."
    )


def _own_cleaning(expiry: Expiry, bucket: Administration) -> str:
    if expiry is UNFINISHED_UPLOADS and bucket.is_software("MinIO"):
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
            return Feature(name, State.IGNORED, ignored(bucket, "versioning"), before, before)
    return Feature(name, State.CHANGED, "old versions are kept", before, "Enabled")


def _encryption(name: str, run: Run) -> Feature:
    """The server may take the setting and then store nothing any more, or go on storing without it."""
    bucket, wanted = run.bucket, run.wanted
    message = f"new objects are encrypted with {wanted.encryption}"
    made = f"The new default encryption of {_named(bucket)}"
    after = {"SSEAlgorithm": wanted.encryption}
    if wanted.kms_key_id:
        after["KMSMasterKeyID"] = wanted.kms_key_id
    before = bucket.encryption() if run.is_there else None
    if not wanted.kms_key_id and before and before["SSEAlgorithm"] == wanted.encryption:
        # With whichever key: no other was asked for.
        after = before
    is_changed = before != after
    if is_changed:
        bucket.check_encryption_can_be_kept()
    if is_changed and run.check_mode:
        return Feature(name, State.CHANGED, message, before, after)
    users, undo = able(run) if is_changed else [], partial(bucket.set_encryption, before)
    if is_changed:
        bucket.set_encryption(after)
        if (left := bucket.encryption()) != after:
            problem = ignored(bucket, "a default encryption")
            if error := failure(undo):
                return Feature(name, State.FAILED, not_taken_back(made, error, problem), before, left, True)
            return Feature(name, State.IGNORED, f"{problem} It was taken back.")
    if run.check_mode:
        return Feature(name, State.OK, message, before, after)
    refusal, shown = _tried_encryption(bucket)
    if refusal is None and shown == wanted.encryption:
        # A key of the service's for encryption may be the administrator's alone.
        if problem := taken_back_where_it_shuts_out(users, bucket, made, undo):
            return Feature(name, State.FAILED, problem)
        return Feature(name, State.CHANGED if is_changed else State.OK, message, before, after)
    if refusal:
        problem = f"{bucket.server} takes the setting, and then stores nothing any more. {refusal}"
    else:
        instead = f"encrypts new objects with {shown}" if shown else "does not encrypt new objects"
        problem = f"{bucket.server} takes the setting, and {instead}."
    if not is_changed:
        return Feature(name, State.FAILED if refusal else State.IGNORED, problem)
    if error := failure(undo):
        return Feature(name, State.FAILED, not_taken_back(made, error, problem), before, after, True)
    if refusal and (other := _tried_encryption(bucket)[0]):
        # It is not for the setting.
        return Feature(name, State.FAILED, str(other))
    if refusal and is_of_encryption_key(refusal):
        problem = (
            f"{bucket.server} takes the setting, and then refuses to store with it. See that the key for encryption is"
            f" there, and that this access key may use it. {refusal} The setting was taken back."
        )
        return Feature(name, State.FAILED, problem)
    return Feature(name, State.UNSUPPORTED if refusal else State.IGNORED, f"{problem} The setting was taken back.")


def _tried_encryption(bucket: Administration) -> tuple[MediaError | Unsupported | None, str]:
    """Why no object can be stored, if so, and how one is encrypted."""
    shown = ""

    def store() -> None:
        nonlocal shown
        with bucket.trial_object() as key:
            shown = bucket.encrypted_as(key)

    return failure(store), shown


def user_settings(settings: BucketSettings, access_key_id: str, secret_access_key: str) -> BucketSettings | None:
    """The bucket by Synapse's own key; None where that is the administrator's, or not known."""
    if not access_key_id or not secret_access_key or access_key_id == settings.access_key_id:
        return None
    return replace(settings, access_key_id=access_key_id, secret_access_key=secret_access_key, session_token=None)
