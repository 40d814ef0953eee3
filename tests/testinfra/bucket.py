# SPDX-License-Identifier: GPL-3.0-or-later
"""A bucket on the tests' MinIO server, seen as the server's administrator.

bucket.py create ENDPOINTS: make the bucket, and a key that may do with it what the role's documentation asks for and
nothing else.
bucket.py count ENDPOINTS: how many objects it holds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
import urllib3
from ansible_collections.matrixops.synapse_s3.tests.testinfra.endpoints import Endpoints, read_endpoints
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

START_TIMEOUT = 60


def s3_client(endpoints: Endpoints) -> S3Client:
    return boto3.client(
        "s3",
        endpoint_url=endpoints.s3_url,
        region_name=endpoints.s3_region,
        aws_access_key_id=endpoints.root_user,
        aws_secret_access_key=endpoints.root_password,
        verify=endpoints.s3_ca_bundle or None,
    )


def read_objects(endpoints: Endpoints) -> dict[str, bytes]:
    """Every key of the bucket with its content."""
    client = s3_client(endpoints)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=endpoints.bucket)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return {key: client.get_object(Bucket=endpoints.bucket, Key=key)["Body"].read() for key in keys}


def wait_for_server(endpoints: Endpoints) -> None:
    pool = urllib3.PoolManager(ca_certs=endpoints.s3_ca_bundle or None, retries=False)
    give_up = time.monotonic() + START_TIMEOUT
    while True:
        try:
            if pool.request("GET", f"{endpoints.s3_url}/minio/health/ready").status == 200:
                return
        except urllib3.exceptions.HTTPError as error:
            if time.monotonic() > give_up:
                message = f"Could not reach MinIO at {endpoints.s3_url} within {START_TIMEOUT} seconds: {error}."
                raise TimeoutError(message) from error
        time.sleep(0.2)


def create_bucket(endpoints: Endpoints) -> None:
    wait_for_server(endpoints)
    s3_client(endpoints).create_bucket(Bucket=endpoints.bucket)
    statements = [
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:ListBucketMultipartUploads"],
            "Resource": [f"arn:aws:s3:::{endpoints.bucket}"],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
            "Resource": [f"arn:aws:s3:::{endpoints.bucket}/{endpoints.prefix}*"],
        },
    ]
    server = urlsplit(endpoints.s3_url)
    admin = MinioAdmin(
        endpoint=server.netloc,
        credentials=StaticProvider(endpoints.root_user, endpoints.root_password),
        region=endpoints.s3_region,
        secure=server.scheme == "https",
        http_client=urllib3.PoolManager(ca_certs=endpoints.s3_ca_bundle or None),
    )
    with tempfile.NamedTemporaryFile("w", suffix=".json") as policy:
        json.dump({"Version": "2012-10-17", "Statement": statements}, policy)
        policy.flush()
        admin.policy_add(endpoints.bucket, policy.name)
    admin.user_add(endpoints.access_key_id, endpoints.secret_access_key)
    admin.attach_policy([endpoints.bucket], user=endpoints.access_key_id)


def describe_bucket(endpoints: Endpoints) -> str:
    sizes = [len(content) for content in read_objects(endpoints).values()]
    return f"{len(sizes)} objects, {sum(sizes) / 1024**2:.1f} MiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["create", "count"])
    parser.add_argument("endpoints", type=Path)
    arguments = parser.parse_args()
    endpoints = read_endpoints(arguments.endpoints)
    if arguments.command == "create":
        create_bucket(endpoints)
    else:
        print(describe_bucket(endpoints))


if __name__ == "__main__":
    main()
