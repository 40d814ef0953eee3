# SPDX-License-Identifier: GPL-3.0-or-later
"""The feature ``private``: nobody gets in without a key."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from .._media.rules.errors import MediaError
from .._media.rules.media_path import Root
from .._media.rules.profiles import PROFILES
from .._media.rules.service_profile import find_profile
from . import policy, public
from .administration import Administration
from .in_use import able, unless_it_shuts_out
from .refusals import Unsupported, failure, sentence
from .report import Feature, State
from .wanted import Run, ignored, listed

_MESSAGE = "nobody but users may use it"
BLOCKED = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}
# By what the server calls itself. With the others Ceph 16 and 18 refuse each upload and each policy with a principal.
_BLOCKED_THERE = {"Ceph": {**BLOCKED, "BlockPublicAcls": False, "BlockPublicPolicy": False}}


@dataclass(frozen=True)
class _Way:
    """A way to shut out who has no key, and how it stands with that.

    ``what``: what the server is given; ``made``: what it has then. ``is_open``: whether that lets anybody in all the
    same. ``on_condition``: what of it does so on a condition, by name.
    """

    what: str
    made: str
    before: Any
    after: Any
    change: Callable[[], None]
    undo: Callable[[], None]
    read: Callable[[], Any]
    is_open: Callable[[Any], object]
    same: Callable[[Any, Any], bool] = operator.eq
    on_condition: Callable[[Any], list[str]] = lambda _setting: []
    # What of it can't be closed, as a sentence; and whether it ends what a website shows, too.
    left_open: str = ""
    is_for_websites: bool = False


def private(name: str, run: Run) -> Feature:
    """Where the server has a block of public access, that; else the public statements of the policy go."""
    bucket = run.bucket
    if not run.is_there:
        return Feature(name, State.CHANGED, _MESSAGE, None, BLOCKED)
    try:
        way = _by_block(bucket)
    except Unsupported:
        way = _by_policy(bucket)
    before, after = way.before, way.after
    is_changed, on_condition = before != after, way.on_condition(after)
    profile, message = find_profile(bucket.settings.endpoint_url), _MESSAGE
    if on_condition:
        message += (
            ", and on their conditions those whom these statements of the bucket's policy let in without a key:"
            f" {listed(on_condition)}"
        )
    if profile and profile.public_beside:
        message += f"; what is public beside S3 could not be tried: {profile.public_beside.value}"
    if is_changed and run.check_mode:
        return Feature(name, State.CHANGED, message, before, after)
    if is_changed:
        if problem := unless_it_shuts_out(able(run), bucket, way.made, way.change, way.undo):
            return Feature(name, State.FAILED, problem)
        left = way.read() or {}
        if way.is_open(left):
            return Feature(name, State.IGNORED, ignored(bucket, way.what), before, left, not way.same(left, before))
    found = [way.left_open, _let_in(bucket, _tried(run), on_condition)]
    try:
        found.append("" if way.is_for_websites else _shown(bucket))
    except MediaError as error:
        message = " ".join([*filter(None, found), sentence(error)])
        return Feature(name, State.FAILED, message, before, after, is_changed)
    if problems := [*filter(None, found)]:
        return Feature(name, State.IGNORED, " ".join(problems), before, after, is_changed)
    return Feature(name, State.CHANGED if is_changed else State.OK, message, before, after)


def _let_in(bucket: Administration, may: Sequence[str], on_condition: Sequence[str]) -> str:
    """What is told where anybody may do something."""
    if not may:
        return ""
    said = (
        f"anybody may {listed(may)} at {bucket.server}, without a key. Take that away there: look for a"
        " public setting of the bucket, or for a server that asks nobody for a key."
    )
    if on_condition:
        said += (
            " Or it is by a condition in the bucket's policy that holds for the machine that runs Ansible, in these"
            f" statements: {listed(on_condition)}."
        )
    return said


def _shown(bucket: Administration) -> str:
    """What is told where the bucket is a website, which has another address, and may ask nobody for a key there."""
    try:
        if not bucket.is_website():
            return ""
    except Unsupported:
        return ""
    name, url = bucket.settings.bucket, bucket.settings.endpoint_url
    profile, at = find_profile(url), f" --endpoint-url {url}" if url else ""
    ways = [
        f" or, on {each.title}, {each.ends_website.value} {name}"
        for each in PROFILES.values()
        # A server that anybody can run may be at any address that is not known.
        if each.ends_website and profile in (None, each)
    ]
    return (
        f"the bucket is a website at {bucket.server}, which may show its objects to anybody, whatever S3 does. Take"
        f" that away there: aws s3api delete-bucket-website{at} --bucket {name}{''.join(ways)}."
    )


def _by_block(bucket: Administration) -> _Way:
    """:raises Unsupported: the server has none."""
    before: Any = bucket.public_access_block() or {}
    after: Any = next((_BLOCKED_THERE[each] for each in _BLOCKED_THERE if bucket.is_software(each)), BLOCKED)
    return _Way(
        what="the block of public access",
        made=f"The new block of public access of bucket {bucket.settings.bucket!r}",
        before=before,
        after=after,
        change=partial(bucket.block_public_access, after),
        undo=partial(bucket.block_public_access, before or None),
        read=bucket.public_access_block,
        is_open=partial(operator.ne, after),
        is_for_websites=True,
    )


def _by_policy(bucket: Administration) -> _Way:
    try:
        before = bucket.policy()
    except Unsupported:
        before = None
    after, left_open = before, ""
    if opened := public.names(public.is_public, before):
        if error := failure(bucket.check_policies_can_be_written):
            left_open = (
                f"these statements of the bucket's policy let anybody in: {listed(opened)}. Take them out there:"
                f" {sentence(error)}"
            )
        else:
            after = policy.with_statements(before, public.not_public_in(before))
    return _Way(
        what="another policy of the bucket",
        made=f"The policy of bucket {bucket.settings.bucket!r} without what let anybody in",
        before=before,
        after=after,
        change=partial(_close, bucket),
        undo=partial(_open, bucket, before),
        read=bucket.policy,
        is_open=public.public_in,
        # MinIO gives what is in a list in another order each time.
        same=policy.same,
        on_condition=partial(public.names, public.on_a_condition),
        left_open=left_open,
    )


def _close(bucket: Administration) -> None:
    """Take what lets anybody in out of the policy as it is now: who shares the bucket writes too."""
    now = bucket.policy()
    if public.public_in(now):
        bucket.set_policy(policy.with_statements(now, public.not_public_in(now)))


def _open(bucket: Administration, before: Any) -> None:
    """Put what let anybody in before into the policy as it is now."""
    now = bucket.policy()
    statements = policy.statements_of(now)
    if taken := policy.missing(public.public_in(before), statements):
        bucket.set_policy(policy.with_statements(now or before, [*statements, *taken]))


def _tried(run: Run) -> list[str]:
    """What anybody may do, with an object where media is: a statement may be for that place alone."""
    bucket = run.bucket
    if run.check_mode:
        return bucket.anybody_may(bucket.first_key(), change=False)
    with bucket.trial_object(f"{bucket.settings.prefix}{Root.LOCAL_CONTENT.value}/") as key:
        return bucket.anybody_may(key, change=True)
