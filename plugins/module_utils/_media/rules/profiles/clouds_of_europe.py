# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that are rented in Europe. What is known of them stands in the pages that are named, which are their own."""

from __future__ import annotations

from .clouds import BOTH, GIB, MIB
from .model import (
    BucketNames,
    ConditionalWrites,
    Fact,
    Multipart,
    Others,
    Regions,
    ServiceProfile,
    SseC,
    StorageClass,
    StorageClasses,
)

_HETZNER = "https://docs.hetzner.com/storage/object-storage"
_OVH = "https://github.com/ovh/docs/blob/develop/pages/storage_and_backup/object_storage"
_SCALEWAY = "https://www.scaleway.com/en/docs/object-storage"
_EXOSCALE = "https://community.exoscale.com"
_EXOSCALE_OVERVIEW = f"{_EXOSCALE}/documentation/storage/simple-object-storage-overview/"
_CONTABO = "https://docs.contabo.com/docs/products/Object-Storage/technical-description/"

CLOUDS_OF_EUROPE = (
    ServiceProfile(
        "hetzner",
        "Hetzner Object Storage",
        endpoints=Fact(("https://{location}.your-objectstorage.com",), f"{_HETZNER}/getting-started/using-curl"),
        sse_c=Fact(SseC.ENCRYPTED, f"{_HETZNER}/supported-actions/"),
        lacks=(
            Fact(
                "No encryption but SSE-C, and no tags, logs or inventories of a bucket.",
                f"{_HETZNER}/supported-actions/",
            ),
            Fact("Objects with SSE-C can't be copied in the bucket.", f"{_HETZNER}/supported-actions/"),
        ),
    ),
    ServiceProfile(
        "ovhcloud",
        "OVHcloud Object Storage",
        endpoints=Fact(
            ("https://s3.{region}.io.cloud.ovh.net", "https://s3.{region}.perf.cloud.ovh.net"),
            f"{_OVH}/s3_location/guide.en-gb.md",
        ),
        regions=Fact(
            Regions(
                (
                    *("gra", "rbx", "sbg", "eu-west-par", "eu-south-mil", "de", "uk", "waw"),
                    *("bhs", "ca-east-tor", "sgp", "ap-southeast-syd", "ap-south-mum"),
                )
            ),
            f"{_OVH}/s3_location/guide.en-gb.md",
        ),
        storage_classes=Fact(
            StorageClasses(
                (
                    StorageClass("STANDARD"),
                    StorageClass("STANDARD_IA"),
                    StorageClass("EXPRESS_ONEZONE"),
                    StorageClass("INTELLIGENT_TIERING", is_kept=False),
                    StorageClass("ONEZONE_IA", is_kept=False),
                ),
                Others.UNKNOWN,
            ),
            f"{_OVH}/s3_location/guide.en-gb.md",
        ),
        sse_c=Fact(SseC.ENCRYPTED, f"{_OVH}/s3_encrypt_your_objects_with_sse_c/guide.en-gb.md"),
        bucket_names=Fact(
            BucketNames(
                3,
                63,
                r"(?!.*[.-]{2})[a-z0-9]([a-z0-9.-]*[a-z0-9])?",
                "3 to 63 lower-case letters, digits, single dots and hyphens, with a letter or digit at both ends",
            ),
            f"{_OVH}/s3_limitations/guide.en-gb.md",
        ),
        multipart=Fact(Multipart(5 * 10**6, 5 * 10**9, 10_000), f"{_OVH}/s3_limitations/guide.en-gb.md"),
    ),
    ServiceProfile(
        "scaleway",
        "Scaleway Object Storage",
        endpoints=Fact(("https://s3.{region}.scw.cloud",), f"{_SCALEWAY}/concepts/"),
        regions=Fact(Regions(("fr-par", "nl-ams", "pl-waw")), f"{_SCALEWAY}/concepts/"),
        addressing=Fact(BOTH, f"{_SCALEWAY}/concepts/"),
        default_checksums=Fact(True, f"{_SCALEWAY}/reference-content/supported-checksums/"),
        conditional_writes=Fact(ConditionalWrites.ALL, f"{_SCALEWAY}/api-cli/using-conditional-writes/"),
        storage_classes=Fact(
            StorageClasses(
                (StorageClass("STANDARD"), StorageClass("ONEZONE_IA"), StorageClass("GLACIER", at_once=False)),
                Others.UNUSABLE,
            ),
            f"{_SCALEWAY}/faq/",
        ),
        sse_c=Fact(SseC.ENCRYPTED, f"{_SCALEWAY}/api-cli/enable-sse-c/"),
        bucket_names=Fact(
            BucketNames(1, 63, r"[a-z0-9.-]+", "lower-case letters, digits, dots and hyphens"), f"{_SCALEWAY}/faq/"
        ),
        multipart=Fact(Multipart(5 * 10**6, 5 * 10**9, 1_000), f"{_SCALEWAY}/faq/"),
        own_policies=Fact(
            "version 2023-04-17, principals such as application_id:…, resources without arn:, and what they do not"
            " allow is forbidden",
            f"{_SCALEWAY}/api-cli/bucket-policy/",
        ),
    ),
    ServiceProfile(
        "exoscale",
        "Exoscale Simple Object Storage",
        endpoints=Fact(("https://sos-{region}.exo.io",), f"{_EXOSCALE}/api/sos"),
        regions=Fact(
            Regions(("ch-gva-2", "ch-dk-2", "de-fra-1", "de-muc-1", "at-vie-1", "at-vie-2", "bg-sof-1")),
            f"{_EXOSCALE}/api/sos",
        ),
        conditional_writes=Fact(ConditionalWrites.NONE, _EXOSCALE_OVERVIEW),
        sse_c=Fact(SseC.ENCRYPTED, f"{_EXOSCALE}/product/storage/object-storage/how-to/encryption/sse-c"),
        multipart=Fact(Multipart(5 * MIB, 5 * GIB, 10_000), _EXOSCALE_OVERVIEW),
        lacks=(
            Fact("No lifecycle rules, tags or logs.", _EXOSCALE_OVERVIEW),
            Fact("At most 1000 versions of an object.", _EXOSCALE_OVERVIEW),
        ),
    ),
    ServiceProfile(
        "contabo",
        "Contabo Object Storage",
        endpoints=Fact(("https://{location}.contabostorage.com",), _CONTABO),
        runs=Fact("ceph", _CONTABO),
        addressing=Fact(("path",), _CONTABO),
        lacks=(
            Fact("Its pages say that it has no encryption on the server.", _CONTABO),
            Fact("At most 250 requests a second and 3 million objects, unless agreed otherwise.", _CONTABO),
        ),
    ),
)
