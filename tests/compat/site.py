# SPDX-License-Identifier: GPL-3.0-or-later
"""A homeserver on one S3 server, with Synapse's storage provider beside it, for the cells of the table."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.cli import main
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import PREFIX, Homeserver
from ansible_collections.matrixops.synapse_s3.tests.s3_server import CACHE, S3Server

MIB = 2**20
PROVIDER_PYTHON = CACHE / "servers" / "provider" / "bin" / "python"
_AS_SYNAPSE = Path(__file__).with_name("as_synapse.py")
_INTERRUPTED = 128
_NOT_THE_PROVIDERS = ("ca_bundle_path",)


class Failed(Exception):
    """The program did not do what it is there for. The text says what."""


class Synapse:
    """A process with Synapse's storage provider, for as long as the block."""

    def __init__(self, certificate: Path | None) -> None:
        environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
        if certificate:
            environment["AWS_CA_BUNDLE"] = str(certificate)
        self._process = subprocess.Popen(
            [str(PROVIDER_PYTHON), str(_AS_SYNAPSE)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Synapse:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.communicate()

    def carry_out(self, order: Mapping[str, Any]) -> Mapping[str, Any]:
        """See ``as_synapse``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise Failed("Synapse's provider has ended")
        results: Mapping[str, Any] = json.loads(line)
        return results


class Site(Homeserver):
    """A homeserver with a bucket of its own below a prefix. ``server`` is where its bucket is."""

    def __init__(self, directory: Path, server: S3Server, synapse: Synapse) -> None:
        super().__init__(directory, server)
        self._synapse = synapse
        self.ca_bundle = server.certificate
        self.use(self.bucket)

    def use(self, bucket: BucketSettings, *others: BucketSettings) -> None:
        """Write Synapse's configuration with these buckets, of which the first stores."""
        self.bucket = replace(bucket, prefix=PREFIX)
        providers = [
            {
                "module": "s3_storage_provider.S3StorageProviderBackend",
                "store_local": number == 0,
                "store_remote": number == 0,
                "config": provider_config(each),
            }
            for number, each in enumerate((self.bucket, *others))
        ]
        self.configure(media_storage_providers=providers)

    def fill(self) -> dict[str, bytes]:
        """Media of all kinds and sizes on the local disk."""
        content = self.upload([0, 1, 5000, 2 * MIB, 9 * MIB])
        content |= self.fetch("example.org:8448", [70_000]) | self.fetch("[2001:db8::1]", [3000])
        for path in [path for path in content if len(content[path]) in (5000, 3000)]:
            content |= self.thumbnails(path)
        return content

    def command(self, name: str, *arguments: str) -> tuple[Mapping[str, Any], str]:
        """Run a command of the program; return its JSON, and what it said."""
        state = () if name in ("preflight", "verify") else ("--state-directory", str(self.state))
        arguments = ("--config", str(self.configuration), name, "--json", *state, *arguments)
        out, err = io.StringIO(), io.StringIO()
        # In this process: to start one takes longer than what most of the commands do here.
        with mock.patch.dict(os.environ, {"AWS_CA_BUNDLE": str(self.ca_bundle)} if self.ca_bundle else {}):
            status = main(arguments, out, err)
        if status > _INTERRUPTED:
            # The signal was meant for all of this.
            raise KeyboardInterrupt
        stdout, stderr = out.getvalue(), err.getvalue()
        if not stdout:
            raise Failed(f"{name} ended with {status} and no result: {stderr[-500:]}")
        result: Mapping[str, Any] = json.loads(stdout.splitlines()[-1])
        if result["exit_code"] != status:
            raise Failed(f"{name} ended with {status}, and its result says {result['exit_code']}")
        return result, stderr

    def done(self, name: str, *arguments: str, status: int = 0) -> Mapping[str, Any]:
        """Run a command that has to end with this status; return its JSON."""
        result, said = self.command(name, *arguments)
        if result["exit_code"] != status:
            raise Failed(f"{name} ended with {result['exit_code']}, not with {status}: {said.strip()[-600:]}")
        return result

    def synapse_stores(self, paths: Iterable[str]) -> None:
        """Store files of the media store as Synapse does."""
        results = self._as_synapse(store=list(paths))
        if refused := {path: result for path, result in results.items() if result is not None}:
            raise Failed(f"Synapse's provider could not store {refused}")

    def synapse_reads(self, content: Mapping[str, bytes]) -> None:
        """See that Synapse's provider gives just this content."""
        results = self._as_synapse(fetch=list(content))
        if wrong := {path: results[path] for path in content if results[path] != _sha256(content[path])}:
            raise Failed(f"Synapse's provider gave other content than was stored, or none: {wrong}")

    def synapse_can_not_read(self, content: Mapping[str, bytes]) -> bool:
        """Whether Synapse's provider gives none of this content."""
        results = self._as_synapse(fetch=list(content))
        return all(results[path] != _sha256(content[path]) for path in content)

    def synapse_finds(self, paths: Iterable[str]) -> Mapping[str, Any]:
        """Of these files what Synapse's provider makes of them, but for those that it knows not to be there."""
        results = self._as_synapse(fetch=list(paths))
        return {path: result for path, result in results.items() if result is not None}

    def _as_synapse(self, **asked: list[str]) -> Mapping[str, Any]:
        order = {"media": str(self.media), "config": provider_config(self.bucket), "store": [], "fetch": []}
        return self._synapse.carry_out({**order, **asked})

    def in_bucket(self) -> dict[str, bytes]:
        """What the bucket holds below the prefix, read with the configured key."""
        return content_of(self.server, self.bucket)


def content_of(server: S3Server, bucket: BucketSettings) -> dict[str, bytes]:
    """What a bucket holds below its prefix, by path below the media store, read without the program."""
    client = server.client()
    key = {}
    if bucket.sse_customer_key:
        key = {"SSECustomerKey": bucket.sse_customer_key, "SSECustomerAlgorithm": bucket.sse_customer_algo}
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket.bucket, Prefix=bucket.prefix)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return {
        each.removeprefix(bucket.prefix): client.get_object(Bucket=bucket.bucket, Key=each, **key)["Body"].read()
        for each in keys
    }


def provider_config(bucket: BucketSettings) -> dict[str, str]:
    """The settings as Synapse's configuration has them."""
    return {name: value for name, value in vars(bucket).items() if value and name not in _NOT_THE_PROVIDERS}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
