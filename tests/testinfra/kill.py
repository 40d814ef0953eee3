# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill migrations at random moments while a user uploads, and see that every byte is still served afterwards.

kill.py ENDPOINTS --kills N [--seed N]: on a host where the role is installed. Before each run Synapse can't reach the
bucket for a moment, so that there is something to upload and not only to delete.
"""

from __future__ import annotations

import argparse
import math
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests
from ansible_collections.matrixops.synapse_s3.tests.testinfra.bucket import s3_client
from ansible_collections.matrixops.synapse_s3.tests.testinfra.endpoints import Endpoints, read_endpoints
from ansible_collections.matrixops.synapse_s3.tests.testinfra.life import (
    MIB,
    Record,
    Upload,
    content_path,
    differences,
    fetch_thumbnails,
    png,
    sha256,
)
from ansible_collections.matrixops.synapse_s3.tests.testinfra.matrix import register

COMMAND = "matrix-synapse-s3-storage-provider"
MIGRATE = f"{COMMAND} migrate --json --minimum-age 0s"
MEDIA = "/var/lib/matrix-synapse/media"
LARGEST = 20 * MIB
PART_SIZE = 8 * MIB
FILES_PER_RUN = 6
UPLOADS_TIMEOUT = 180
RUN_TIMEOUT = 300
SETTLE_SECONDS = 30

# Every file that the database has, as its path below the media store and its length.
KNOWN_FILES = """
SELECT 'local_content/' || substr(media_id, 1, 2) || '/' || substr(media_id, 3, 2) || '/' || substr(media_id, 5),
    media_length
FROM local_media_repository WHERE url_cache IS NULL AND media_length IS NOT NULL
UNION ALL
SELECT 'local_thumbnails/' || substr(media_id, 1, 2) || '/' || substr(media_id, 3, 2) || '/' || substr(media_id, 5)
    || '/' || thumbnail_width || '-' || thumbnail_height || '-' || replace(thumbnail_type, '/', '-')
    || '-' || thumbnail_method, thumbnail_length
FROM local_media_repository_thumbnails
"""


@dataclass
class Report:
    """What happened. ``problems`` is empty when the promise was kept."""

    seed: int
    kills: int = 0
    ended_by_themselves: list[int] = field(default_factory=list)  # their exit statuses
    uploads: int = 0
    bytes: int = 0
    not_accepted: int = 0
    last_status: int = -1
    problems: list[str] = field(default_factory=list)

    def as_text(self) -> str:
        lines = [
            f"Seed {self.seed}: {self.kills} runs were killed, {len(self.ended_by_themselves)} ended by themselves.",
            f"Meanwhile {self.uploads} files of {self.bytes / MIB:.0f} MiB were uploaded, and Synapse refused "
            f"{self.not_accepted} more.",
            f"The last run ended with {self.last_status}.",
        ]
        verdict = ["Every file and thumbnail is served byte for byte, and nothing is left half-way."]
        return "\n".join([*lines, *(self.problems or verdict)])


@dataclass(frozen=True)
class Machine:
    """The host, as a container."""

    container: str

    def output(self, *command: str) -> str:
        run = subprocess.run(["docker", "exec", self.container, *command], capture_output=True, text=True, check=False)
        if run.returncode:
            raise RuntimeError(f"{command} ended with {run.returncode}: {run.stderr}")
        return run.stdout

    def start_migration(self) -> tuple[subprocess.Popen[str], str]:
        """Start a run; return it and its process ID on the host (the wrapper gives it to the program)."""
        command = ["docker", "exec", self.container, "sh", "-c", f"echo $$; exec {MIGRATE}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout
        return process, process.stdout.readline().strip()

    def kill(self, pid: str) -> None:
        """Kill it at once, if it is still there."""
        subprocess.run(["docker", "exec", self.container, "kill", "-KILL", pid], capture_output=True, check=False)

    def bucket_address(self) -> str:
        """The address of the bucket's server, as Synapse on the host reaches it."""
        url = self.output(f"{COMMAND}-shell", "sh", "-c", "echo $ENDPOINT").strip()
        return self.output("getent", "ahostsv4", urlsplit(url).hostname or "").split()[0]

    @contextmanager
    def without_bucket(self, address: str) -> Iterator[None]:
        """Nothing on the host reaches the bucket, and learns it at once."""
        # Not "add": a run that was itself interrupted may have left it.
        self.output("ip", "route", "replace", "unreachable", address)
        try:
            yield
        finally:
            self.output("ip", "route", "del", "unreachable", address)

    def local_files(self) -> dict[str, int]:
        lines = self.output("find", MEDIA, "-type", "f", "-printf", "%s %P\\n").splitlines()
        return {path: int(size) for size, path in (line.split(" ", 1) for line in lines)}

    def known_files(self) -> dict[str, int]:
        query = ["runuser", "-u", "postgres", "--", "psql", "--no-align", "--tuples-only", "synapse", "--command"]
        rows = (line.rsplit("|", 1) for line in self.output(*query, KNOWN_FILES).splitlines())
        return {path: int(size) for path, size in rows}


@dataclass
class Uploader:
    """A user who uploads one file after the other."""

    record: Record
    numbers: random.Random
    not_accepted: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.stop.is_set():
            self.upload()

    def upload(self) -> None:
        client = self.record.client()
        image = self.numbers.random() < 0.25
        content = self.picture() if image else self.noise()
        try:
            media_id = client.upload(content, "image/png" if image else "application/octet-stream")
        except requests.RequestException:
            # With a minimum age of 0 a run may take away what Synapse is still making thumbnails of. It tells the user,
            # or, while it can't reach the bucket, never answers.
            self.not_accepted += 1
            return
        thumbnails = self.look(media_id) if image else {}
        self.record.uploads.append(Upload("file", "kill", media_id, len(content), sha256(content), thumbnails))

    def look(self, media_id: str) -> dict[str, str]:
        """The thumbnails, unless Synapse looks for them while they move or can't reach them."""
        with suppress(requests.RequestException):
            return fetch_thumbnails(self.record.client(), self.record.server_name, media_id)
        return {}

    def picture(self) -> bytes:
        return png(self.numbers.randint(1, 700), self.numbers.randint(1, 700), str(self.numbers.random()))

    def noise(self) -> bytes:
        """From 1 byte to LARGEST, as many small ones as large ones."""
        return self.numbers.randbytes(round(math.exp(self.numbers.uniform(0, math.log(LARGEST)))))


def kill_and_check(endpoints_path: Path, kills: int, seed: int) -> Report:
    """Kill ``kills`` runs, make a last one, and compare everything."""
    endpoints = read_endpoints(endpoints_path)
    machine = Machine(f"{endpoints_path.parent.name}-{endpoints_path.stem}")
    client = register(endpoints.homeserver_url, f"user-{secrets.token_hex(4)}", "correct horse battery staple")
    record = Record(f"{endpoints_path.stem}.test", endpoints.homeserver_url, client.access_token, [])
    numbers = random.Random(seed)  # noqa: S311 - moments and content, not keys
    uploader = Uploader(record, random.Random(seed + 1))  # noqa: S311
    report = Report(seed)
    thread = threading.Thread(target=uploader.run)
    thread.start()
    try:
        kill_runs(machine, uploader, numbers, kills, report)
    finally:
        uploader.stop.set()
        thread.join()
    report.last_status = last_run(machine, report)
    report.uploads, report.bytes = len(record.uploads), sum(upload.size for upload in record.uploads)
    report.not_accepted = uploader.not_accepted
    report.problems += [*wrong_places(machine, endpoints), *unfinished_uploads(endpoints, record), *differences(record)]
    return report


def kill_runs(machine: Machine, uploader: Uploader, numbers: random.Random, kills: int, report: Report) -> None:
    address = machine.bucket_address()
    # How long a run takes: the first one is left alone to tell.
    longest = 0.0
    while report.kills < kills:
        with machine.without_bucket(address):
            wait_for_uploads(uploader, FILES_PER_RUN)
        began = time.monotonic()
        process, pid = machine.start_migration()
        with suppress(subprocess.TimeoutExpired):
            process.wait(numbers.uniform(0, longest) if longest else RUN_TIMEOUT)
        if process.poll() is None:
            machine.kill(pid)
        # To its end: nothing of it may be under way when the next one begins.
        process.communicate()
        if process.returncode == 128 + signal.SIGKILL:
            report.kills += 1
        else:
            report.ended_by_themselves.append(process.returncode)
            longest = time.monotonic() - began


def wait_for_uploads(uploader: Uploader, number: int) -> None:
    wanted = len(uploader.record.uploads) + number
    give_up = time.monotonic() + UPLOADS_TIMEOUT
    while len(uploader.record.uploads) < wanted:
        if time.monotonic() > give_up:
            raise TimeoutError(f"Synapse took fewer than {number} files within {UPLOADS_TIMEOUT} seconds.")
        time.sleep(0.05)


def last_run(machine: Machine, report: Report) -> int:
    process, _unused = machine.start_migration()
    stdout, stderr = process.communicate(timeout=RUN_TIMEOUT)
    if process.returncode:
        report.problems.append(f"the last run ended with {process.returncode}:\n{stdout}{stderr}")
    return process.returncode


def wrong_places(machine: Machine, endpoints: Endpoints) -> list[str]:
    """Files of the database that are still on the disk though the last run may take all, or nowhere in full."""
    local = machine.local_files()
    pages = s3_client(endpoints).get_paginator("list_objects_v2").paginate(Bucket=endpoints.bucket)
    entries = (entry for page in pages for entry in page.get("Contents", []))
    stored = {entry["Key"].removeprefix(endpoints.prefix): entry["Size"] for entry in entries}
    found = []
    for path, size in machine.known_files().items():
        if path in local:
            found.append(f"{path} ({size} bytes) is still on the disk, with {local[path]} bytes")
        if stored.get(path) != size:
            found.append(f"{path} ({size} bytes) is in the bucket with {stored.get(path)} bytes")
    return found


def unfinished_uploads(endpoints: Endpoints, record: Record) -> list[str]:
    """Uploads in parts that were begun and never ended. Synapse may still be at its own: they get a little time."""
    client = s3_client(endpoints)
    give_up = time.monotonic() + SETTLE_SECONDS
    paths = [content_path(upload.media_id) for upload in record.uploads if upload.size >= PART_SIZE]

    def unfinished() -> list[str]:
        # MinIO tells them only when it is asked for the whole key.
        return [
            path
            for path in paths
            if client.list_multipart_uploads(Bucket=endpoints.bucket, Prefix=endpoints.prefix + path).get("Uploads")
        ]

    while (found := unfinished()) and time.monotonic() < give_up:
        time.sleep(1)
    return [f"{path} has an upload in parts that nobody finished" for path in found]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("endpoints", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    arguments = parser.parse_args()
    report = kill_and_check(arguments.endpoints, arguments.kills, arguments.seed)
    print(report.as_text())
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
