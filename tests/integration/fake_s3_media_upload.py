# SPDX-License-Identifier: GPL-3.0-or-later
"""A strict stand-in for upstream's s3_media_upload: see test_program.py."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import boto3
import yaml
from botocore.exceptions import ClientError


def main() -> None:
    parser = argparse.ArgumentParser(prog="s3_media_upload", allow_abbrev=False)
    parser.add_argument("--no-progress", action="store_true")
    commands = parser.add_subparsers(dest="command", required=True)
    update = commands.add_parser("update-db", allow_abbrev=False)
    update.add_argument("duration", choices=["0d"])
    check = commands.add_parser("check-deleted", allow_abbrev=False)
    check.add_argument("base_path", type=Path)
    upload = commands.add_parser("upload", allow_abbrev=False)
    upload.add_argument("base_path", type=Path)
    upload.add_argument("bucket")
    upload.add_argument("--prefix", required=True)
    upload.add_argument("--storage-class", required=True, choices=["STANDARD"])
    upload.add_argument("--endpoint-url", required=True)
    arguments = parser.parse_args()
    print(arguments, flush=True)

    if arguments.command == "update-db":
        database = yaml.safe_load(Path("database.yaml").read_text(encoding="utf-8"))
        if list(database) != ["sqlite"]:
            sys.exit("database.yaml is not as expected")
    if arguments.command == "upload":
        client = boto3.client("s3", endpoint_url=arguments.endpoint_url)
        for path in sorted(arguments.base_path.rglob("*")):
            key = arguments.prefix + os.path.relpath(path, arguments.base_path)
            if path.is_file() and "Contents" not in client.list_objects_v2(Bucket=arguments.bucket, Prefix=key):
                try:
                    client.put_object(Bucket=arguments.bucket, Key=key, Body=path.read_bytes())
                except ClientError as error:
                    print("Failed to upload file", path, error, flush=True)


main()
