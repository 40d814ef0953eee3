# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a user waits for media: by Synapse's client API, one request after the other.

media_speed.py upload ENDPOINTS IDS: upload photos and files, and write down what they are called in IDS.
media_speed.py read ENDPOINTS IDS: fetch the photos, their thumbnails and the files.
Both print the median in milliseconds of each kind, as JSON. What is cold and what is warm is up to the caller
(docs/bucket-mount.md has the figures, and how each was made).
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ansible_collections.matrixops.synapse_s3.tests.testinfra.endpoints import read_endpoints
from ansible_collections.matrixops.synapse_s3.tests.testinfra.life import MIB, png
from ansible_collections.matrixops.synapse_s3.tests.testinfra.matrix import MatrixClient, register

PHOTOS = 15
PHOTO_SIZE = (500, 400)  # pixels; 0.6 MiB
FILES = 5
FILE_BYTES = 10 * MIB
# Larger than the photo's other thumbnails, as clients show a photo in a room.
THUMBNAIL = (320, 240, "scale")


def median_ms(action: Callable[[Any], object], items: Iterable[Any]) -> int:
    """The median time that the action takes with one item."""
    times = []
    for item in items:
        started = time.perf_counter()
        action(item)
        times.append(time.perf_counter() - started)
    return round(statistics.median(times) * 1000)


def upload(homeserver_url: str, ids: Path) -> dict[str, int]:
    """A new user uploads photos, of which Synapse makes thumbnails meanwhile, and files."""
    client = register(homeserver_url, f"speed-{secrets.token_hex(4)}", secrets.token_hex(16))
    photos: list[str] = []
    files: list[str] = []
    pictures = [png(*PHOTO_SIZE, secrets.token_hex(8)) for _turn in range(PHOTOS)]
    contents = [random.Random(number).randbytes(FILE_BYTES) for number in range(FILES)]  # noqa: S311 - content, no key
    result = {
        "upload of a photo": median_ms(lambda content: photos.append(client.upload(content, "image/png")), pictures),
        "upload of a file": median_ms(lambda content: files.append(client.upload(content, "video/mp4")), contents),
    }
    ids.write_text(json.dumps({"token": client.access_token, "photos": photos, "files": files}))
    return result


def read(homeserver_url: str, server_name: str, ids: Path) -> dict[str, int]:
    """The same user looks at the thumbnails, then the photos, then the files."""
    known = json.loads(ids.read_text())
    client = MatrixClient(homeserver_url, known["token"])
    return {
        "thumbnail": median_ms(lambda photo: client.thumbnail(server_name, photo, *THUMBNAIL), known["photos"]),
        "download of a photo": median_ms(lambda photo: client.download(server_name, photo), known["photos"]),
        "download of a file": median_ms(lambda file: client.download(server_name, file), known["files"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["upload", "read"])
    parser.add_argument("endpoints", type=Path)
    parser.add_argument("ids", type=Path)
    arguments = parser.parse_args()
    url = read_endpoints(arguments.endpoints).homeserver_url
    if arguments.command == "upload":
        result = upload(url, arguments.ids)
    else:
        result = read(url, f"{arguments.endpoints.stem}.test", arguments.ids)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
