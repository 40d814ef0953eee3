# SPDX-License-Identifier: GPL-3.0-or-later
"""A key of Synapse's own, which may do in the bucket what it must, by the interface that the service has for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial

from .._media.rules.endpoint import is_other_endpoint
from .._media.rules.errors import AccessError, MediaError
from .._media.rules.service_profile import find_profile
from .._media.rules.settings import BucketSettings
from .._media.stores.object_store import PermissionDenied
from .._role.bucket_policy import Document, bucket_policy, listing_all, partition_of
from . import policy
from .administration import Administration
from .in_use import as_synapse
from .key_ceph import CephKeys
from .key_effects import SynapsesBucket
from .key_iam import IamKeys
from .key_interface import ACTION, PASTE, KeyInterface
from .key_minio import MinioKeys
from .key_seaweedfs import SeaweedfsKeys
from .key_versitygw import VersitygwKeys
from .refusals import Unsupported, failure, sentence
from .report import Feature, State
from .transport import without_tls
from .undo import not_taken_back
from .wanted import Wanted

NAME = "key"
# IAM takes some seconds to make a policy known everywhere.
_TRIES = 10
_SECONDS_BETWEEN = 3
Interface = Callable[[Administration], KeyInterface]
# By what the server calls itself in its answers, or shows of itself.
_INTERFACES: dict[str, Interface] = {
    "MinIO": MinioKeys,
    "VERSITYGW": VersitygwKeys,
    "SeaweedFS": SeaweedfsKeys,
    "Ceph": CephKeys,
}


def apply(bucket: Administration, wanted: Wanted, *, is_wanted: bool, check_mode: bool) -> Feature:
    """Give Synapse's key its policy, and make the key where there is none. What fails is the feature's state."""
    if not is_wanted:
        return Feature(NAME, State.NOT_WANTED)
    settings, user = bucket.settings, wanted.user
    if user is None:
        return Feature(
            NAME,
            State.FAILED,
            "Could not give Synapse a key of its own: synapse_access_key_id and synapse_secret_access_key are not set,"
            " or name the key that administers the bucket. Write another, or set key to false.",
        )
    connect = _interface_of(bucket)
    if connect is None or not settings.access_key_id or not settings.secret_access_key:
        told = f"{bucket.server} has no interface for keys that this collection knows. {_by_hand(settings)}"
        return Feature(NAME, State.UNSUPPORTED, told)
    try:
        synapse = as_synapse(bucket, wanted)
        # Where it comes without, the feature tls_only fails.
        tls_only = wanted.tls_only and not without_tls(synapse, wanted)
        with closing(connect(bucket)) as interface:
            principal = interface.principal(user.access_key_id or "")
            policy_of = partial(
                bucket_policy,
                settings.bucket,
                settings.prefix,
                principal=principal,
                partition=partition_of(settings.region_name or ""),
            )
            try:
                document, plain = policy_of(tls_only=tls_only), policy_of(tls_only=False)
            except ValueError as error:
                return Feature(NAME, State.FAILED, f"Could not write the policy of Synapse's key: {error}")
            if not interface.lists_by_prefix:
                document, plain = listing_all(document), listing_all(plain)
            return _give(bucket, interface, synapse, document, plain, check_mode=check_mode)
    except Unsupported as error:
        return Feature(NAME, State.UNSUPPORTED, f"{error}. {PASTE}")
    except MediaError as error:
        return Feature(NAME, State.FAILED, str(error))


def _interface_of(bucket: Administration) -> Interface | None:
    if not is_other_endpoint(bucket.settings.endpoint_url or ""):
        return IamKeys
    return next((each for software, each in _INTERFACES.items() if bucket.is_software(software)), None)


def _by_hand(settings: BucketSettings) -> str:
    """What to do where the key can't be made here."""
    profile = find_profile(settings.endpoint_url)
    if profile is None or profile.own_policies is None:
        return PASTE
    return (
        "Make a key there for Synapse, and allow it the actions that docs/bucket.md names: not by the policy that it"
        f" shows, as those of {profile.title} have a form of their own ({profile.own_policies.value})."
    )


def _give(
    bucket: Administration,
    interface: KeyInterface,
    user: BucketSettings,
    document: Document,
    plain: Document,
    *,
    check_mode: bool,
) -> Feature:
    """``user``: the bucket as Synapse uses it. ``plain``: the same policy without its asking for TLS."""
    name, secret = user.access_key_id or "", user.secret_access_key or ""
    is_there, had = interface.knows(name), interface.policy(name)
    # A key has one policy of the collection's: where Synapse uses it for another place, it would be cut off there.
    if others := policy.lost(had, document):
        return Feature(
            NAME,
            State.FAILED,
            f"{ACTION}: {name!r} is in use for {', '.join(others)}, {interface.by(name)}, and would lose that. Write"
            " another key as Synapse's for this bucket and prefix, and make that; or, if nothing uses the former place"
            " any more, take that policy away.",
        )
    with closing(SynapsesBucket(user)) as synapses:
        # No server tells a secret: a key that is refused is one of another.
        knows_secret = is_there and not _is_wrong_key(failure(synapses.see))
        changes: list[Callable[[], None]] = []
        if is_there and not knows_secret and had is None and interface.makes_keys:
            return Feature(
                NAME,
                State.FAILED,
                f"{ACTION}: there is a key {name!r} already. It has another secret, and no policy of this collection's"
                " for this bucket: with a new secret, whoever uses it would be shut out. Write its secret as"
                " synapse_secret_access_key, or another key as Synapse's.",
            )
        if not knows_secret and not interface.makes_keys:
            interface.set_user(name, secret, is_there=is_there)
        if not knows_secret:
            changes.append(partial(interface.set_user, name, secret, is_there=is_there))
        if not policy.same(had, document):
            changes.append(partial(interface.set_policy, name, document))
        message = f"{name!r} may do what Synapse needs, {interface.by(name)}"
        if user.prefix and not interface.lists_by_prefix:
            message += "; it may list the whole bucket, as it would be refused what is missing otherwise"
        if others := interface.other_policies(name):
            message += f"; it has other policies too: {', '.join(others)}"
        if is_there and not knows_secret:
            message += "; its secret is another now"
        state = State.CHANGED if changes else State.OK
        if check_mode and (changes or not bucket.exists()):
            return Feature(NAME, state, message, *_difference(is_there, had, document))
        for number, change in enumerate(changes):
            error = failure(change)
            if isinstance(error, Unsupported) and number == 0:
                raise error
            if error is not None:
                # Without an answer it may have been made.
                left = f" The key {name!r} is there with its secret, and without its new policy." if number else ""
                return Feature(NAME, State.FAILED, f"{sentence(error)}{left}", changed=True)
        # A run that was killed may have left it with a policy that was never tried.
        asks_for_tls = document != plain and not check_mode
        is_patient = bool(changes) or asks_for_tls
        if refusal := _refusal(synapses, is_patient=is_patient, check_mode=check_mode):
            told, instead = str(refusal), plain if asks_for_tls and isinstance(refusal, AccessError) else None
            is_changed = bool(changes) or instead is not None
            if is_changed:
                told = _taken_back(interface, synapses, name, had, instead, refusal)
            return Feature(NAME, State.FAILED, told, changed=is_changed)
        look = partial(synapses.beyond, bucket, whole_list=not interface.lists_by_prefix, check_mode=check_mode)
        try:
            tried = _beyond(look, is_patient=bool(changes))
        except MediaError as error:
            return Feature(NAME, State.FAILED, str(error), changed=bool(changes))
        if excess := [what for what, may in tried.items() if may]:
            message += (
                f"; beyond its policy it may {', '.join(excess)}. Take away there what allows that: another policy, a"
                " group, or an ACL."
            )
            return Feature(NAME, State.IGNORED, message, *_difference(is_there, had, document), changed=bool(changes))
        message += f"; it may not {', '.join(tried)}, as was tried"
        return Feature(NAME, state, message, *_difference(is_there, had, document))


def _difference(is_there: bool, had: Document | None, document: Document) -> tuple[object, object]:
    return {"is_there": is_there, "policy": had}, {"is_there": True, "policy": document}


def _refusal(synapses: SynapsesBucket, *, is_patient: bool, check_mode: bool) -> MediaError | Unsupported | None:
    """Why Synapse's key can't do what it must, None if it can."""
    refusal = failure(synapses.see)
    for _turn in range((_TRIES - 1) * is_patient):
        if not isinstance(refusal, PermissionDenied):
            break
        time.sleep(_SECONDS_BETWEEN)
        refusal = failure(synapses.see)
    return refusal or (None if check_mode else failure(synapses.use))


def _taken_back(
    interface: KeyInterface,
    synapses: SynapsesBucket,
    name: str,
    had: Document | None,
    plain: Document | None,
    refusal: MediaError | Unsupported,
) -> str:
    """What is told of a key that can't do what it must, after it got again what it could use before.

    ``plain``: its policy without the asking for TLS, None where that is not what it is refused for.
    """
    if plain is not None:
        error = failure(partial(interface.set_policy, name, plain))
        if error is None and _refusal(synapses, is_patient=True, check_mode=False) is None:
            return (
                f"{ACTION} whose policy asks for TLS: what comes by TLS is refused with it, as where TLS ends at a"
                " proxy before the server. It has the policy without that now. Set tls_only to false, and close the"
                f" port without TLS. What was tried: {refusal}"
            )
    if had is None:
        return str(refusal)
    error = failure(partial(interface.set_policy, name, had))
    if error is None:
        return f"{refusal} Its former policy is back."
    return not_taken_back(f"The new policy of the key {name!r}", error, str(refusal), "an administrator's key")


def _beyond(look: Callable[[], Iterable[tuple[str, bool]]], *, is_patient: bool) -> dict[str, bool]:
    """What was tried that is not the key's business, and whether it may do it."""
    tried = dict(look())
    for _turn in range((_TRIES - 1) * is_patient):
        if not any(tried.values()):
            break
        time.sleep(_SECONDS_BETWEEN)
        tried = dict(look())
    return tried


def _is_wrong_key(refusal: MediaError | Unsupported | None) -> bool:
    """Whether the server does not know the key or its secret; what is only not allowed is of another kind."""
    return refusal.__class__ is AccessError
