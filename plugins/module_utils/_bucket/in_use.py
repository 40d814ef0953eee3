# SPDX-License-Identifier: GPL-3.0-or-later
"""A bucket that is in use: a change that shuts out who could use it before is taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

from .._media.rules.errors import MediaError
from .._media.rules.settings import BucketSettings
from .._media.stores.object_store import StoreUnavailable
from .administration import Administration
from .key_effects import SynapsesBucket
from .refusals import Unsupported, failure
from .undo import not_taken_back
from .wanted import Run, Wanted


def able(run: Run) -> list[BucketSettings]:
    """Which of the administrator and Synapse, each at its own address, can store and read an object.

    :raises MediaError: whether one can is not known now, or what was stored can't be deleted.
    """
    found = []
    for each in dict.fromkeys((run.bucket.settings, as_synapse(run.bucket, run.wanted))):
        refused = _refusal_to_store(each, run.bucket)
        if isinstance(refused, StoreUnavailable):
            # Who was not let in before is not looked after.
            raise refused
        if refused is None:
            found.append(each)
    return found


def as_synapse(bucket: Administration, wanted: Wanted) -> BucketSettings:
    """The bucket as Synapse uses it, at its own address where somebody answers there."""
    settings, url = bucket.settings, wanted.synapse_endpoint_url
    synapse = wanted.user or settings
    if url and url != settings.endpoint_url and bucket.lets_in(synapse, url) is not None:
        return replace(synapse, endpoint_url=url)
    return synapse


def refusal(who: Sequence[BucketSettings], use: Callable[[SynapsesBucket], object]) -> MediaError | Unsupported | None:
    """Why the first of these that is refused this is; None where none is."""
    for each in who:
        with closing(SynapsesBucket(each)) as bucket:
            if error := failure(partial(use, bucket)):
                return error
    return None


def _refusal_to_store(who: BucketSettings, administrators: Administration) -> MediaError | Unsupported | None:
    """Why an object can't be stored and read; None if it can.

    :raises MediaError: it can be, and neither of them can delete it.
    """
    with closing(SynapsesBucket(who)) as bucket:
        key = bucket.new_key()
        if error := failure(lambda: bucket.store(key)):
            return error
        error = failure(lambda: bucket.read_as_provider(key))
        # Synapse's provider deletes nothing, so a key of Synapse's may not be allowed to.
        if failure(lambda: bucket.erase(key)):
            administrators.erase(key)
        return error


def unless_it_shuts_out(
    who: Sequence[BucketSettings],
    bucket: Administration,
    what: str,
    change: Callable[[], None],
    undo: Callable[[], None],
) -> str:
    """Make a change; where it shuts one of these out, take it back and return what is to be told, else ''.

    ``what``: what is there then. Raises what ``change`` raises.
    """
    change()
    return taken_back_where_it_shuts_out(who, bucket, what, undo)


def taken_back_where_it_shuts_out(
    who: Sequence[BucketSettings], bucket: Administration, what: str, undo: Callable[[], None]
) -> str:
    """As ``unless_it_shuts_out``, after the change."""
    try:
        refused = next(filter(None, (_refusal_to_store(each, bucket) for each in who)), None)
    except MediaError as error:
        refused = error
    if refused is None:
        return ""
    problem = f"{bucket.server} takes the setting, and then refuses what worked before. {refused}"
    if kept := failure(undo):
        return not_taken_back(what, kept, problem)
    return f"{problem} The setting was taken back."
