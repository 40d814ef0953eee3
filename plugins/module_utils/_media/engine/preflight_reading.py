# SPDX-License-Identifier: GPL-3.0-or-later
"""Try a bucket that Synapse only reads from: that of a provider beside the one that new media go to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from itertools import islice

from ..rules.errors import SOME_FAILED, ConfigurationError, MediaError
from ..rules.media_path import parse_media_path
from ..rules.settings import BucketSettings
from ..stores.object_store import ObjectMissing, ObjectStore
from .encryption import Connected
from .preflight import Problem, connect_s3

# So many of the first objects are looked through for one of Synapse's.
_LOOKED_THROUGH = 1000


def check_reading(
    settings: BucketSettings, number: int, connect: Callable[[BucketSettings], Connected] = connect_s3
) -> list[Problem]:
    """Reach it, list it, and begin to read an object that is there, with the configured key; write nothing.

    :param number: which of the S3 providers in Synapse's configuration it is, from 1 on.
    """
    try:
        with closing(connect(settings)) as store:
            begin_to_read(store, settings.prefix)
    except MediaError as error:
        # One object stands for all of them here.
        status = ConfigurationError.exit_status if error.exit_status == SOME_FAILED else error.exit_status
        meaning = (
            f"Synapse reads from it too, as S3 provider {number} of its configuration: what is only there could not be"
            " served."
        )
        return [Problem("reading", f"{error} {meaning}", status)]
    return []


def begin_to_read(store: ObjectStore, prefix: str) -> None:
    """Begin to read an object of Synapse's, if there is one.

    :raises MediaError: it can't be read.
    """
    keys = (found.key for found in islice(store.list(prefix), _LOOKED_THROUGH))
    media = next((key for key in keys if parse_media_path(key[len(prefix) :])), None)
    # It may be deleted meanwhile.
    with suppress(ObjectMissing):
        if media is not None:
            with store.open(media) as body:
                body.read(1)
