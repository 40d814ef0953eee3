# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that are rented. What is known of them stands in the pages that are named, which are their own."""

from __future__ import annotations

from ..aws_regions import AWS_PARTITIONS
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
from .servers import S3_STORAGE_CLASSES

MIB, GIB = 2**20, 2**30
BOTH = ("path", "host")
S3_PARTS = Multipart(5 * MIB, 5 * GIB, 10_000)

_AWS = "https://docs.aws.amazon.com/AmazonS3/latest/userguide"
_B2 = "https://www.backblaze.com/docs"
_B2_CALL = f"{_B2}/cloud-storage-call-the-s3-compatible-api"
_R2 = "https://developers.cloudflare.com/r2"
_WASABI = "https://docs.wasabi.com/docs"
_DIGITALOCEAN = "https://docs.digitalocean.com"
_LINODE = "https://techdocs.akamai.com/cloud-computing/docs/aws-cli-sdks-support-details"
_GOOGLE = "https://docs.cloud.google.com/storage/docs"
_STORJ = "https://storj.dev/dcs"
_SUPABASE = "https://supabase.com/docs/guides/storage/s3"

AMAZON = ServiceProfile(
    "aws",
    "Amazon S3",
    endpoints=Fact(("https://s3.{region}.amazonaws.com",), "botocore's endpoints.json, by scripts/update-aws-regions"),
    regions=Fact(
        Regions(tuple(region for partition in AWS_PARTITIONS.values() for region in partition.regions)),
        "botocore's endpoints.json and partitions.json, by scripts/update-aws-regions",
    ),
    conditional_writes=Fact(ConditionalWrites.ALL, f"{_AWS}/conditional-writes-enforce.html"),
    storage_classes=Fact(
        S3_STORAGE_CLASSES._replace(others=Others.UNKNOWN),
        f"{_AWS}/restoring-objects.html and https://docs.aws.amazon.com/sdkfornet/v4/apidocs/items/S3/TS3StorageClass.html",
    ),
    sse_c=Fact(
        SseC.OVER_HTTPS, "https://docs.aws.amazon.com/ja_jp/AmazonS3/latest/userguide/specifying-s3-c-encryption.html"
    ),
    bucket_names=Fact(
        BucketNames(3, 63, r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", "lower-case letters, digits, dots and hyphens"),
        f"{_AWS}/bucketnamingrules.html",
    ),
    multipart=Fact(S3_PARTS, f"{_AWS}/qfacts.html"),
    lacks=(
        Fact(
            "SSE-C is off since April 2026 for new buckets, and for all buckets of accounts that had no object with it:"
            " set BlockedEncryptionTypes to NONE in the bucket's default encryption.",
            "https://docs.aws.amazon.com/en_us/AmazonS3/latest/dev/ServerSideEncryptionCustomerKeys.html",
        ),
        Fact(
            "Objects of INTELLIGENT_TIERING can't be read at once when the bucket has its archive tiers switched on.",
            f"{_AWS}/restoring-objects.html",
        ),
        Fact(
            "The ETag of an object with SSE-C is not its MD5.",
            "https://docs.aws.amazon.com/ja_jp/AmazonS3/latest/userguide/specifying-s3-c-encryption.html",
        ),
    ),
)

CLOUDS = (
    AMAZON,
    ServiceProfile(
        "backblaze",
        "Backblaze B2",
        endpoints=Fact(("https://s3.{region}.backblazeb2.com",), _B2_CALL),
        regions=Fact(Regions(()), "https://www.backblaze.com/apidocs/introduction-to-the-s3-compatible-api"),
        addressing=Fact(BOTH, _B2_CALL),
        default_checksums=Fact(False, f"{_B2}/cloud-storage-use-the-aws-sdk-for-python-with-backblaze-b2"),
        sse_c=Fact(SseC.OVER_HTTPS, "https://www.backblaze.com/apidocs/s3-put-object"),
        bucket_names=Fact(
            BucketNames(
                6, 63, r"(?!b2-)[A-Za-z0-9-]+", "6 to 63 letters, digits and hyphens, not beginning with 'b2-'"
            ),
            f"{_B2}/cloud-storage-buckets",
        ),
        multipart=Fact(
            Multipart(5 * 10**6, 5 * 10**9, 10_000), f"{_B2}/cloud-storage-create-large-files-with-the-native-api"
        ),
        lacks=(
            Fact(
                "The master application key can't be used: make an application key.",
                "https://www.backblaze.com/apidocs/introduction-to-the-s3-compatible-api",
            ),
            Fact("https only, and signatures of version 4 only.", _B2_CALL),
        ),
    ),
    ServiceProfile(
        "cloudflare",
        "Cloudflare R2",
        endpoints=Fact(
            (
                "https://{account}.r2.cloudflarestorage.com",
                "https://{account}.{jurisdiction}.r2.cloudflarestorage.com",
            ),
            f"{_R2}/reference/data-location/",
        ),
        regions=Fact(Regions(("auto", "us-east-1")), f"{_R2}/api/s3/api/"),
        conditional_writes=Fact(ConditionalWrites.SINGLE, f"{_R2}/api/s3/extensions/"),
        storage_classes=Fact(
            StorageClasses((StorageClass("STANDARD"), StorageClass("STANDARD_IA")), Others.UNUSABLE),
            f"{_R2}/api/s3/api/",
        ),
        sse_c=Fact(SseC.ENCRYPTED, f"{_R2}/api/s3/api/"),
        bucket_names=Fact(
            BucketNames(
                3,
                63,
                r"[a-z0-9]([a-z0-9-]*[a-z0-9])?",
                "3 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends",
            ),
            f"{_R2}/api/error-codes/",
        ),
        multipart=Fact(S3_PARTS, f"{_R2}/objects/multipart-objects/"),
        public_beside=Fact(
            "a bucket of Cloudflare R2 can be public at r2.dev, and at domains of its own. See its settings in"
            " Cloudflare's dashboard",
            f"{_R2}/buckets/public-buckets/",
        ),
        lacks=(
            Fact("All parts of an upload but the last must be of one size.", f"{_R2}/objects/multipart-objects/"),
            Fact("No policies, ACLs, versions, Object Lock or tags.", f"{_R2}/api/s3/api/"),
        ),
    ),
    ServiceProfile(
        "wasabi",
        "Wasabi",
        endpoints=Fact(
            ("https://s3.{region}.wasabisys.com", "https://s3.wasabisys.com"),
            f"{_WASABI}/service-urls-for-wasabis-storage-regions",
        ),
        regions=Fact(
            Regions(
                (
                    *("us-east-1", "us-east-2", "us-central-1", "us-west-1", "us-west-2", "ca-central-1"),
                    *("eu-central-1", "eu-central-2", "eu-west-1", "eu-west-2", "eu-west-3", "eu-south-1"),
                    *("ap-northeast-1", "ap-northeast-2", "ap-southeast-1", "ap-southeast-2"),
                ),
                (
                    ("", "us-east-1"),
                    ("nl-1", "eu-central-1"),
                    ("de-1", "eu-central-2"),
                    ("uk-1", "eu-west-1"),
                    ("fr-1", "eu-west-2"),
                    ("uk-2", "eu-west-3"),
                    ("it-1", "eu-south-1"),
                    ("us-east-1-dell-obs", "us-east-1"),
                    ("us-west-2-dell-obs", "us-west-2"),
                    ("eu-west-1-dell-obs", "eu-west-1"),
                ),
            ),
            f"{_WASABI}/service-urls-for-wasabis-storage-regions"
            f" and {_WASABI}/what-are-the-wasabi-with-dell-objectscale-service-url-endpoints",
        ),
        addressing=Fact(BOTH, f"{_WASABI}/rest-api-introduction"),
        bucket_names=Fact(
            BucketNames(
                3,
                63,
                r"(?!.*\.\.)[a-z0-9]([a-z0-9.-]*[a-z0-9])?",
                "3 to 63 lower-case letters, digits, single dots and hyphens, with a letter or digit at both ends",
            ),
            f"{_WASABI}/bucket-naming-conventions",
        ),
    ),
    ServiceProfile(
        "digitalocean",
        "DigitalOcean Spaces",
        endpoints=Fact(("https://{region}.digitaloceanspaces.com",), f"{_DIGITALOCEAN}/reference/api/spaces/"),
        regions=Fact(
            Regions(
                ("nyc3", "ams3", "sfo2", "sfo3", "sgp1", "lon1", "fra1", "tor1", "blr1", "syd1", "atl1"),
                is_signed_for=False,
            ),
            f"{_DIGITALOCEAN}/products/spaces/details/availability/",
        ),
        addressing=Fact(BOTH, f"{_DIGITALOCEAN}/products/spaces/details/limits/"),
        sse_c=Fact(SseC.ENCRYPTED, f"{_DIGITALOCEAN}/products/spaces/reference/s3-compatibility/"),
        lacks=(
            Fact("No encryption settings of a bucket.", f"{_DIGITALOCEAN}/products/spaces/reference/s3-compatibility/"),
            Fact("Unfinished uploads are deleted after 30 days.", f"{_DIGITALOCEAN}/products/spaces/details/limits/"),
        ),
    ),
    ServiceProfile(
        "idrive",
        "IDrive e2",
        endpoints=Fact(
            ("https://s3.{location}.idrivee2.com",), "https://www.idrive.com/s3-storage-e2/e2-endpoint-urls"
        ),
        lacks=(
            Fact(
                "An account has endpoints of its own too, of other names.",
                "https://www.idrive.com/object-storage-e2/developer-guide",
            ),
        ),
    ),
    ServiceProfile(
        "linode",
        "Akamai (Linode) Object Storage",
        endpoints=Fact(
            ("https://{cluster}.linodeobjects.com",),
            "https://www.linode.com/docs/products/storage/object-storage/guides/urls/",
        ),
        default_checksums=Fact(False, _LINODE),
        sse_c=Fact(
            SseC.ENCRYPTED, "https://techdocs.akamai.com/cloud-computing/docs/customer-key-based-encryption-sse-c"
        ),
        lacks=(Fact("A part of an object can't be asked for by its number.", _LINODE),),
    ),
    ServiceProfile(
        "google",
        "Google Cloud Storage",
        endpoints=Fact(("https://storage.googleapis.com",), f"{_GOOGLE}/interoperability"),
        addressing=Fact(BOTH, "https://cloud.google.com/storage/docs/xml-api/reference-methods"),
        storage_classes=Fact(
            StorageClasses(
                (
                    StorageClass("STANDARD"),
                    StorageClass("NEARLINE"),
                    StorageClass("COLDLINE"),
                    StorageClass("ARCHIVE"),
                ),
                Others.UNUSABLE,
            ),
            f"{_GOOGLE}/aws-simple-migration and {_GOOGLE}/storage-classes",
        ),
        lacks=(
            Fact("Access keys are HMAC keys.", f"{_GOOGLE}/aws-simple-migration"),
            Fact(
                "An upload in parts knows no conditions, and has no MD5.",
                "https://cloud.google.com/storage/docs/multipart-uploads",
            ),
        ),
    ),
    ServiceProfile(
        "supabase",
        "Supabase Storage",
        endpoints=Fact(
            (
                "https://{project}.storage.supabase.co/storage/v1/s3",
                "https://{project}.supabase.co/storage/v1/s3",
            ),
            f"{_SUPABASE}/authentication",
        ),
        addressing=Fact(("path",), f"{_SUPABASE}/authentication"),
        storage_classes=Fact(
            StorageClasses((StorageClass("STANDARD"),), Others.UNUSABLE), f"{_SUPABASE}/compatibility"
        ),
        sse_c=Fact(SseC.NOT_OFFERED, f"{_SUPABASE}/compatibility"),
        public_beside=Fact(
            "a bucket of Supabase Storage can be a public one. See that it is private in Supabase's dashboard",
            "https://supabase.com/docs/guides/storage/buckets/fundamentals",
        ),
        lacks=(
            Fact("Content-MD5 is not supported.", f"{_SUPABASE}/compatibility"),
            Fact("No lifecycle rules, versions, Object Lock, ACLs or tags.", f"{_SUPABASE}/compatibility"),
        ),
    ),
    ServiceProfile(
        "storj",
        "Storj",
        endpoints=Fact(("https://gateway.storjshare.io",), f"{_STORJ}/code/aws/nodejs"),
        addressing=Fact(("path",), f"{_STORJ}/code/aws/nodejs"),
        lacks=(
            Fact(
                "Lists objects in the order of their names, as this program needs it, only with encryption that Storj"
                " manages, or with that of the keys' names switched off.",
                f"{_STORJ}/api/s3/s3-compatibility/storj-vs-self-managed-encryption-s3-compatibility-differences"
                f" and {_STORJ}/buckets/object-listings",
            ),
            Fact(
                "No policies, ACLs, lifecycle rules or encryption settings of a bucket.",
                f"{_STORJ}/api/s3/s3-compatibility",
            ),
            Fact("Parts of less than 64 MB cost more.", f"{_STORJ}/api/s3/multipart-upload/multipart-part-size"),
        ),
    ),
)
