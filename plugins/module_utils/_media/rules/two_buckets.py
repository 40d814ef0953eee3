# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the buckets in Synapse's configuration is copied into which."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from .copying import lies_within_media
from .errors import ConfigurationError, UsageError
from .settings import BucketSettings


def choose(names: Sequence[str], main: int, from_: int | None, to: int | None) -> tuple[int, int]:
    """The numbers of the source and the target, from 1.

    :param names: of the buckets, in the order of Synapse's configuration.
    :param main: the number of the one that new media go to, which is the target unless ``to`` is given.
    :param from_: the number that was asked for; None: the only other one.
    :raises UsageError: there are no such two; it names those that there are.
    """
    for option, given in (("--from", from_), ("--to", to)):
        if given is not None and not 1 <= given <= len(names):
            raise UsageError(f"Could not copy: there is no S3 provider {given}. {_choice(option, names)}")
    if len(names) == 1:
        raise UsageError(
            f"Could not copy: Synapse's configuration has one S3 provider only, {names[0]}. Add the other bucket below"
            " media_storage_providers, without store_local and store_remote if Synapse is only to read from it."
        )
    target = main if to is None else to
    others = [number for number in range(1, len(names) + 1) if number != target]
    if from_ is None and len(others) > 1:
        raise UsageError(f"Could not copy: it is not said from which bucket. {_choice('--from', names)}")
    source = others[0] if from_ is None else from_
    if source == target:
        raise UsageError(
            f"Could not copy: S3 provider {source} would be copied into itself. Give another with --from or --to."
            f" {_list(names)}"
        )
    return source, target


def check_apart(source: BucketSettings, target: BucketSettings) -> None:
    """Refuse two places that are one, or of which one lies within the other's media. Raises ConfigurationError."""
    if source.bucket != target.bucket:
        return
    if _server(source) == _server(target) and source.prefix == target.prefix:
        raise ConfigurationError(
            f"Could not copy: source and target are the same place, bucket {source.bucket!r}, prefix"
            f" {source.prefix!r}. An object is never overwritten, so nothing would change. To change the storage class"
            " or the encryption key, give the new provider a prefix of its own."
        )
    if lies_within_media(source.prefix, target.prefix):
        longer, shorter = max(source.prefix, target.prefix, key=len), min(source.prefix, target.prefix, key=len)
        raise ConfigurationError(
            f"Could not copy: the prefix {longer!r} lies where media is kept below the prefix {shorter!r} of the same"
            " bucket, so that what is below both could not be told apart. Use a prefix that does not go on with"
            " local_content/, local_thumbnails/, remote_content/ or remote_thumbnail/."
        )


def target_below(source: BucketSettings, target: BucketSettings) -> str:
    """What the target's keys have behind the source's prefix, where it lies below that in one bucket; '' elsewhere."""
    is_below = source.bucket == target.bucket and target.prefix.startswith(source.prefix)
    return target.prefix[len(source.prefix) :] if is_below else ""


def _server(settings: BucketSettings) -> str:
    """The server as far as its address tells. Amazon S3 has one name for a bucket in all its regions."""
    host = urlsplit(settings.endpoint_url or "https://amazonaws.com").netloc.rpartition("@")[2].lower()
    return "amazonaws.com" if host.endswith(("amazonaws.com", "amazonaws.com:443")) else host


def _choice(option: str, names: Sequence[str]) -> str:
    return f"Give the number of one of these with {option}. {_list(names)}"


def _list(names: Sequence[str]) -> str:
    return f"There are {'; '.join(f'{number}: {name}' for number, name in enumerate(names, 1))}."
