# SPDX-License-Identifier: GPL-3.0-or-later
"""A bucket that is in use: a change that shuts out who could use it before is taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from operator import methodcaller

from .._media.rules.errors import MediaError
from .._media.rules.settings import BucketSettings
from .administration import Unsupported, failure, sentence
from .key_effects import SynapsesBucket
from .wanted import Run

_store_and_read: Callable[[SynapsesBucket], object] = methodcaller("use")


def able(run: Run) -> list[BucketSettings]:
    """Which of the administrator and Synapse, each at its own address, can store, read and delete an object."""
    settings, wanted = run.bucket.settings, run.wanted
    synapse = replace(wanted.user or settings, endpoint_url=wanted.synapse_endpoint_url or settings.endpoint_url)
    return [each for each in dict.fromkeys((settings, synapse)) if refusal([each], _store_and_read) is None]


def refusal(who: Sequence[BucketSettings], use: Callable[[SynapsesBucket], object]) -> MediaError | Unsupported | None:
    """Why the first of these that is refused this is; None where none is."""
    for each in who:
        with closing(SynapsesBucket(each)) as bucket:
            if error := failure(partial(use, bucket)):
                return error
    return None


def unless_it_shuts_out(
    who: Sequence[BucketSettings], server: str, change: Callable[[], None], undo: Callable[[], None]
) -> str:
    """Make a change; where it shuts one of these out, take it back and return what is to be told, else ''.

    Raises what ``change`` raises.
    """
    change()
    return taken_back_where_it_shuts_out(who, server, undo)


def taken_back_where_it_shuts_out(who: Sequence[BucketSettings], server: str, undo: Callable[[], None]) -> str:
    """As ``unless_it_shuts_out``, after the change."""
    refused = refusal(who, _store_and_read)
    if refused is None:
        return ""
    problem = f"{server} takes the setting, and then refuses what worked before. {refused}"
    if error := failure(undo):
        return f"{problem} The setting is still there: {sentence(error)}"
    return f"{problem} The setting was taken back."
