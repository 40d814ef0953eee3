# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's life with media, and the record of it that the tests compare with later.

life.py before|after|young ENDPOINTS: register a user if that is still to do, upload that batch, look at it as a client
does, write down what came back.
life.py check ENDPOINTS: fetch everything again and compare, byte for byte.
life.py show ENDPOINTS: fetch the largest file and show its checksums.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ansible_collections.matrixops.synapse_s3.tests.testinfra.endpoints import read_endpoints
from ansible_collections.matrixops.synapse_s3.tests.testinfra.matrix import MatrixClient, register

MIB = 1024 * 1024

# What Synapse makes of an image by itself (its `thumbnail_sizes` default).
THUMBNAILS = ((32, 32, "crop"), (96, 96, "crop"), (320, 240, "scale"), (640, 480, "scale"), (800, 600, "scale"))


@dataclass(frozen=True)
class Upload:
    """A file that was uploaded, and what Synapse served for it at that time."""

    name: str
    batch: str
    media_id: str
    size: int
    sha256: str
    thumbnails: dict[str, str] = field(default_factory=dict)  # "32x32-crop" -> sha256


@dataclass
class Record:
    server_name: str
    homeserver_url: str
    access_token: str
    uploads: list[Upload]

    def client(self) -> MatrixClient:
        return MatrixClient(self.homeserver_url, self.access_token)


def record_path(endpoints: Path) -> Path:
    return endpoints.with_suffix(".uploads.json")


def read_record(path: Path) -> Record:
    content = json.loads(path.read_text())
    return Record(**{**content, "uploads": [Upload(**upload) for upload in content["uploads"]]})


def png(width: int, height: int, seed: str) -> bytes:
    """An image of noise, which no format makes smaller: about 3 bytes a pixel."""
    noise = random.Random(seed)  # noqa: S311 - a picture, not a key

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + noise.randbytes(3 * width) for _turn in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def batch_files(batch: str) -> Iterator[tuple[str, str, bytes]]:
    """Name, content type and content of what a batch uploads. 8 MiB is where boto3 begins to upload in parts."""
    text = f"Minutes of the meeting, {batch}.\n".encode()
    yield "notes.txt", "text/plain", text
    if batch == "young":
        return
    noise = random.Random(batch)  # noqa: S311 - content, not a key
    yield "tiny.png", "image/png", png(1, 1, batch)
    yield "avatar.png", "image/png", png(64, 64, batch)
    yield "photo.png", "image/png", png(900, 700, batch)
    yield "poster.png", "image/png", png(1800, 1800, batch)
    if batch == "before":
        yield "exactly-8-MiB.bin", "application/octet-stream", noise.randbytes(8 * MIB)
        yield "just-below.bin", "application/octet-stream", noise.randbytes(8 * MIB - 1)
        yield "video.mp4", "video/mp4", noise.randbytes(20 * MIB)
        yield "same-notes.txt", "text/plain", text


def content_path(media_id: str) -> str:
    """Where Synapse keeps a file, below the media store and below the bucket's prefix."""
    return f"local_content/{media_id[:2]}/{media_id[2:4]}/{media_id[4:]}"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def fetch_thumbnails(client: MatrixClient, server_name: str, media_id: str) -> dict[str, str]:
    return {
        f"{width}x{height}-{method}": sha256(client.thumbnail(server_name, media_id, width, height, method))
        for width, height, method in THUMBNAILS
    }


def upload_batch(record: Record, batch: str) -> None:
    client = record.client()
    for name, content_type, content in batch_files(batch):
        media_id = client.upload(content, content_type)
        thumbnails = fetch_thumbnails(client, record.server_name, media_id) if content_type == "image/png" else {}
        record.uploads.append(Upload(name, batch, media_id, len(content), sha256(content), thumbnails))


def differences(record: Record) -> list[str]:
    """What Synapse no longer serves as it did."""
    client = record.client()
    found = []
    for upload in record.uploads:
        if sha256(client.download(record.server_name, upload.media_id)) != upload.sha256:
            found.append(f"{upload.name} ({upload.media_id}) has other content")
        if upload.thumbnails and fetch_thumbnails(client, record.server_name, upload.media_id) != upload.thumbnails:
            found.append(f"a thumbnail of {upload.name} ({upload.media_id}) has other content")
    return found


def show_largest(record: Record) -> str:
    """Download the largest upload and tell what came."""
    upload = max(record.uploads, key=lambda upload: upload.size)
    found = sha256(record.client().download(record.server_name, upload.media_id))
    verdict = "the same bytes" if found == upload.sha256 else "OTHER BYTES"
    return (
        f"{upload.name}, {upload.size / MIB:.1f} MiB, mxc://{record.server_name}/{upload.media_id}\n"
        f"sha256 when uploaded: {upload.sha256}\nsha256 now:           {found}: {verdict}"
    )


def upload_and_record(endpoints_path: Path, batch: str) -> None:
    path = record_path(endpoints_path)
    if path.exists():
        record = read_record(path)
    else:
        url = read_endpoints(endpoints_path).homeserver_url
        client = register(url, "alice", "correct horse battery staple")
        record = Record(f"{endpoints_path.stem}.test", url, client.access_token, [])
    upload_batch(record, batch)
    path.write_text(json.dumps(asdict(record), indent=1))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["before", "after", "young", "check", "show"])
    parser.add_argument("endpoints", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "show":
        print(show_largest(read_record(record_path(arguments.endpoints))))
    elif arguments.command == "check":
        record = read_record(record_path(arguments.endpoints))
        found = differences(record)
        print("\n".join(found) or f"{len(record.uploads)} files and their thumbnails are served byte for byte.")
        return 1 if found else 0
    else:
        upload_and_record(arguments.endpoints, arguments.command)
    return 0


if __name__ == "__main__":
    sys.exit(main())
