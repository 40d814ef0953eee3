# SPDX-License-Identifier: GPL-3.0-or-later
"""What a profile of an S3 service holds: only what was read or seen, each with where."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Fact(Generic[T]):
    """A value, and the address of the page that says so, or the run that showed it."""

    value: T
    source: str


class Regions(NamedTuple):
    """The regions of a service; no names: they are those of its endpoints, and not known beforehand.

    ``aliases``: what stands in the host of an endpoint in place of a region -> that region. '' is a host without one.
    ``is_signed_for``: whether its pages say that ``region_name`` is to be one of them. Else they are only places.
    """

    names: tuple[str, ...]
    aliases: tuple[tuple[str, str], ...] = ()
    is_signed_for: bool = True


class SseC(Enum):
    """What becomes of an object that is stored with a key of the customer."""

    ENCRYPTED = "encrypted"
    OVER_HTTPS = "encrypted, over https only"
    ALSO_OVER_HTTP = "encrypted, over http too"
    IGNORED = "accepted, but not encrypted"
    NOT_OFFERED = "not offered"

    @property
    def is_usable(self) -> bool:
        return self not in (SseC.IGNORED, SseC.NOT_OFFERED)


class ConditionalWrites(Enum):
    """Which writes keep to ``If-None-Match: *``."""

    ALL = "all"
    SINGLE = "of an object in one request; not known, or not so, of one in parts"
    NONE = "none"


class StorageClass(NamedTuple):
    """A value of x-amz-storage-class that the service takes.

    ``at_once``: whether its objects can be read at once.
    ``is_kept``: whether its objects are in that class afterwards, and not in another.
    """

    name: str
    at_once: bool = True
    is_kept: bool = True


class Others(Enum):
    """What becomes of a storage class that is not among the known ones."""

    UNUSABLE = "not offered"
    IGNORED = "accepted, but kept as STANDARD"
    UNKNOWN = "not known"


class StorageClasses(NamedTuple):
    """The storage classes of a service."""

    known: tuple[StorageClass, ...]
    others: Others


class BucketNames(NamedTuple):
    """Which names a bucket can have: lengths, a regular expression for the rest, and that in words."""

    minimum: int
    maximum: int
    pattern: str
    words: str


class Multipart(NamedTuple):
    """The limits of an upload in parts: bytes of a part (the last may be smaller), and number of parts."""

    smallest_part: int
    largest_part: int
    parts: int


@dataclass(frozen=True)
class ServiceProfile:
    """An S3 service. What is None is not known, and no rule follows from it.

    ``name``: its value of ``config_provider``. ``title``: its name in messages.
    ``endpoints``: URLs, with ``{region}`` for what names the region, and other names in braces for the customer's own
    part. None for a server that anybody can run, at an address of theirs.
    ``runs``: the profile of the software behind it.
    ``region_checked``: whether it refuses a request that is signed for another region than the bucket's.
    ``addressing``: "path" (HOST/BUCKET/KEY, as Synapse's storage provider does it with an endpoint_url), and "host"
    (BUCKET.HOST/KEY).
    ``default_checksums``: whether it takes the checksums that boto3 sends by default since 1.36. Neither the storage
    provider nor this program sends them.
    ``own_policies``: which form its policies of a bucket have, where that is not Amazon's, as the end of a sentence.
    ``public_beside``: by what a bucket may be public that S3 does not show, as the end of a sentence.
    ``ends_website``: a command of its own that ends a bucket's being a website, but for the bucket's name.
    ``lacks``: what else it does not do, or does in another way than Amazon S3.
    """

    name: str
    title: str
    endpoints: Fact[tuple[str, ...]] | None = None
    runs: Fact[str] | None = None
    regions: Fact[Regions] | None = None
    region_checked: Fact[bool] | None = None
    addressing: Fact[tuple[str, ...]] | None = None
    default_checksums: Fact[bool] | None = None
    conditional_writes: Fact[ConditionalWrites] | None = None
    storage_classes: Fact[StorageClasses] | None = None
    sse_c: Fact[SseC] | None = None
    bucket_names: Fact[BucketNames] | None = None
    multipart: Fact[Multipart] | None = None
    own_policies: Fact[str] | None = None
    public_beside: Fact[str] | None = None
    ends_website: Fact[str] | None = None
    lacks: tuple[Fact[str], ...] = ()
