# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that anybody can run. What is known of them was seen in runs against the versions named here."""

from __future__ import annotations

from .model import (
    ConditionalWrites,
    Fact,
    Others,
    ServiceProfile,
    SseC,
    StorageClass,
    StorageClasses,
)

MIB = 2**20
GIB = 2**30
BOTH = ("path", "host")
_S3_CLASSES = ("STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR")
_ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")
S3_STORAGE_CLASSES = StorageClasses(
    (*map(StorageClass, _S3_CLASSES), *(StorageClass(name, at_once=False) for name in _ARCHIVES)), Others.UNUSABLE
)

_MINIO = "run against MinIO v0.0.0-20260212201848, 2026-11-22"
_VERSITYGW = "run against versitygw 1.8.0 (posix), 2026-11-22"
_SEAWEEDFS_KEYS = "run against SeaweedFS 4.48, 2026-11-29"
_SEAWEEDFS = "run against SeaweedFS 4.48, 2026-11-22"
_GARAGE = "run against Garage 2.5.0, 2026-11-22"
_CEPH = "run against RADOS Gateway 16.2.15 and 18.2.7, 2026-11-22"
_MOTO = "run against moto 5.2.5, 2026-11-22"

SERVERS = (
    ServiceProfile(
        "minio",
        "MinIO",
        region_checked=Fact(True, _MINIO),
        addressing=Fact(BOTH, _MINIO),
        default_checksums=Fact(True, _MINIO),
        conditional_writes=Fact(ConditionalWrites.ALL, _MINIO),
        storage_classes=Fact(
            StorageClasses((StorageClass("STANDARD"), StorageClass("REDUCED_REDUNDANCY")), Others.UNUSABLE), _MINIO
        ),
        sse_c=Fact(SseC.OVER_HTTPS, _MINIO),
        lacks=(
            Fact("Default encryption of a bucket needs a key management (KMS).", _MINIO),
            Fact("The ETag of an object with SSE-C is not its MD5.", "run of 2026-11-27"),
            Fact("A policy of a bucket that denies http has no effect on access keys; one of the user has.", _MINIO),
            Fact(
                "A rule to abort unfinished uploads is refused, or dropped where the rule also expires objects.", _MINIO
            ),
        ),
    ),
    ServiceProfile(
        "versitygw",
        "versitygw",
        region_checked=Fact(True, _VERSITYGW),
        addressing=Fact(BOTH, _VERSITYGW),
        default_checksums=Fact(True, _VERSITYGW),
        conditional_writes=Fact(ConditionalWrites.ALL, _VERSITYGW),
        storage_classes=Fact(StorageClasses((StorageClass("STANDARD"),), Others.IGNORED), _VERSITYGW),
        sse_c=Fact(SseC.IGNORED, _VERSITYGW),
        lacks=(
            Fact(
                "All this is of its backend posix. In front of another, leave config_provider empty: the trial of the"
                " bucket tells.",
                _VERSITYGW,
            ),
            Fact("No lifecycle rules, default encryption, access block or ACLs of a bucket.", _VERSITYGW),
            Fact("Versions of objects need the option --versioning-dir.", _VERSITYGW),
            Fact(
                "A key can't be stored below which there are others, which no medium's of Synapse is (409).", _VERSITYGW
            ),
            Fact(
                "In a bucket that keeps versions, a key with a delete marker is refused by a conditional write (412).",
                "run of 2026-11-27",
            ),
        ),
    ),
    ServiceProfile(
        "seaweedfs",
        "SeaweedFS",
        region_checked=Fact(False, _SEAWEEDFS),
        addressing=Fact(BOTH, _SEAWEEDFS),
        default_checksums=Fact(True, _SEAWEEDFS),
        conditional_writes=Fact(ConditionalWrites.ALL, _SEAWEEDFS),
        storage_classes=Fact(
            StorageClasses(tuple(map(StorageClass, (*_S3_CLASSES, *_ARCHIVES))), Others.UNUSABLE),
            f"{_SEAWEEDFS}, and 2026-11-27",
        ),
        sse_c=Fact(SseC.ALSO_OVER_HTTP, _SEAWEEDFS),
        lacks=(
            Fact(
                "An administrator's upload creates a bucket that is missing, without -s3.autoCreateBucket=false.",
                _SEAWEEDFS,
            ),
            Fact(
                "Default encryption of a bucket is accepted without a key, and then every upload fails (500).",
                _SEAWEEDFS,
            ),
            Fact(
                "Its IAM interface refuses s3:ListBucketMultipartUploads in a policy within a user; in one that is made"
                " and attached it takes it.",
                _SEAWEEDFS_KEYS,
            ),
            Fact(
                "Lists are not sorted by key, but by directory: example.org/ comes before example.org.uk/, and in a"
                " bucket that keeps versions a-b before a. What reads whole lists ends with an error where that shows.",
                "run of 2026-11-28",
            ),
            Fact(
                "A list of versions of more than one page leaves out keys, for the same reason: --delete-versions of"
                " purge-orphans may not find all.",
                "run of 2026-11-28",
            ),
        ),
    ),
    ServiceProfile(
        "garage",
        "Garage",
        region_checked=Fact(True, "https://garagehq.deuxfleurs.fr/connect/index.html"),
        addressing=Fact(BOTH, _GARAGE),
        default_checksums=Fact(True, _GARAGE),
        conditional_writes=Fact(ConditionalWrites.NONE, _GARAGE),
        storage_classes=Fact(StorageClasses((StorageClass("STANDARD"),), Others.IGNORED), _GARAGE),
        sse_c=Fact(SseC.ALSO_OVER_HTTP, _GARAGE),
        ends_website=Fact("garage bucket website --deny", "run against Garage 2.5.0, 2026-11-30"),
        lacks=(
            Fact("No versions of objects, and no policies, default encryption, ACLs or tags of a bucket.", _GARAGE),
            Fact("Object Lock is accepted when a bucket is created, but protects nothing.", _GARAGE),
            Fact("An access key is for whole buckets, and writing includes deleting.", _GARAGE),
            Fact("The ETag of an object with SSE-C is not its MD5.", "run of 2026-11-27"),
        ),
    ),
    ServiceProfile(
        "ceph",
        "Ceph RADOS Gateway",
        region_checked=Fact(False, _CEPH),
        addressing=Fact(BOTH, _CEPH),
        default_checksums=Fact(False, f"{_CEPH}: 16 refuses them over https, 18 takes them"),
        conditional_writes=Fact(ConditionalWrites.SINGLE, f"{_CEPH}: ignored for an object in parts"),
        storage_classes=Fact(
            StorageClasses((StorageClass("STANDARD"),), Others.UNKNOWN),
            f"{_CEPH}: others are set up by its administrator",
        ),
        sse_c=Fact(SseC.OVER_HTTPS, _CEPH),
        lacks=(
            Fact(
                "Default encryption of a bucket without a key management makes every upload fail.", "run of 2026-11-27"
            ),
            Fact(
                'A policy that denies http needs {"Null": {"aws:SecureTransport": "true"}}: Bool has no effect.', _CEPH
            ),
            Fact(
                "In a bucket that keeps versions no write is conditional: an object in one request overwrites, too.",
                "run against RADOS Gateway 16.2.15 and 18.2.7, 2026-11-29",
            ),
        ),
    ),
    ServiceProfile(
        "moto",
        "moto",
        region_checked=Fact(False, _MOTO),
        addressing=Fact(("path",), _MOTO),
        default_checksums=Fact(True, _MOTO),
        conditional_writes=Fact(ConditionalWrites.ALL, _MOTO),
        storage_classes=Fact(S3_STORAGE_CLASSES, _MOTO),
        sse_c=Fact(SseC.IGNORED, _MOTO),
        lacks=(Fact("For tests: it keeps everything in memory, and checks neither Content-MD5 nor checksums.", _MOTO),),
    ),
)
