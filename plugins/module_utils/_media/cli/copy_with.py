# SPDX-License-Identifier: GPL-3.0-or-later
"""``copy-with``."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from dataclasses import replace

from ..engine.copy_with import copy_all, differing, find_program, list_free, new_summary, private_directory
from ..engine.progress import waiting
from ..engine.summary import Summary
from ..rules.copy_with import IMAGES, Copy, build_call, overwrites, shown_endpoint, takes_list
from ..rules.copy_with_shell import DIRECTORY, Container, container_on, shell_script
from ..rules.errors import ALL_DONE, MediaError, UsageError
from ..stores.media_store import MediaStore
from ..stores.object_store import ObjectStore
from ..stores.stream import say
from .command import Command, Sides, read_sides
from .run import Ready, carry_out, finish

# In a container: what the host's engine is told of it. The role's command sets it.
HOST = "MATRIX_SYNAPSE_S3_STORAGE_PROVIDER_HOST"


def copy_with(command: Command) -> int:
    """Let another program copy the media store into the bucket."""
    options = command.options
    if options.prints:
        return _print(command)
    if options.image is not None:
        raise UsageError(
            "Could not start: --image goes with --print only, since a container is started by who may use Docker or"
            " Podman, and not by Synapse's user. Add --print."
        )
    summary = new_summary(options.tool)

    def work(ready: Ready) -> None:
        program = find_program(options.tool)
        with private_directory() as directory:
            copy = _copy(command, ready.sides, ready.media, ready.endpoint_url, directory)
            # What the tool can't do is told before anything is looked for.
            build_call(options.tool, copy)
            if takes_list(options.tool) or overwrites(options.tool):
                store = ready.opened(ready.sides.store())
                with waiting(command.stderr, "the listing of the bucket"):
                    copy = _survey(copy, options.tool, ready.media, store, summary)
            call = build_call(options.tool, copy)
            for sentence in call.lacks:
                say(command.stderr, f"Note: {sentence}")
            for path in copy.left_out:
                say(command.stderr, f"{path}: Left out: the bucket lists another length under its key.")
            ready.begins()
            copy_all(call, program, directory, summary, lock=ready.lock, stop=ready.stop, stderr=command.stderr)
            summary.facts += call.lacks
            if copy.left_out:
                count = len(copy.left_out)
                summary.facts.append(f"{count} files were left out, since the bucket lists another length.")

    carry_out(command, summary, work, writes_disk=False)
    return finish(command, summary)


def _survey(copy: Copy, tool: str, media: MediaStore, store: ObjectStore, summary: Summary) -> Copy:
    """What is to be copied, once it is seen by a listing what is in the bucket."""

    def failed(error: MediaError) -> None:
        summary.errors.append(str(error))

    if takes_list(tool):
        list_free(media, store, copy, failed)
        return replace(copy, is_listed=True)
    return replace(copy, left_out=differing(media, store, copy.bucket.prefix, failed))


def _copy(command: Command, sides: Sides, media: MediaStore, endpoint_url: str, directory: str) -> Copy:
    return Copy(
        media_store=str(media.path),
        roots=media.roots(),
        bucket=sides.bucket,
        endpoint_url=shown_endpoint(sides.bucket.endpoint_url, endpoint_url),
        minimum_age=int(command.options.minimum_age),
        now=int(time.time()),
        directory=directory,
        is_terminal=command.stderr.isatty(),
    )


def _print(command: Command) -> int:
    """Print what would be run. Neither the bucket nor the database is asked."""
    options = command.options
    sides = read_sides(command)
    sides.check_serves_media()
    media = sides.media(writable=False)
    with closing(sides.store()) as store:
        endpoint_url = store.endpoint_url
    call = build_call(options.tool, _copy(command, sides, media, endpoint_url, DIRECTORY))
    script = shell_script(call, _container(command, sides, media))
    as_json = {"command": "copy-with", "tool": options.tool, "script": script, "exit_code": ALL_DONE}
    command.print_result(script, as_json)
    return ALL_DONE


def _container(command: Command, sides: Sides, media: MediaStore) -> Container | None:
    """Where the tool runs from an image: on the terms of Synapse's container, or beside a Synapse without one."""
    options, host = command.options, json.loads(os.environ.get(HOST, "{}"))
    if options.image is None and not host:
        return None
    image = options.image or IMAGES[options.tool]
    return container_on(host, image, str(media.path), sides.bucket.ca_bundle_path, f"{os.geteuid()}:{os.getegid()}")
