# SPDX-License-Identifier: GPL-3.0-or-later
"""What every command gets, and what Synapse's configuration leads to."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ..engine import upstream
from ..rules.errors import ConfigurationError, MediaError, UsageError
from ..rules.settings import BucketSettings
from ..rules.shard import Shard
from ..stores import synapse_config
from ..stores.aside import Aside, Directory, Parent, directories_in, directory_of
from ..stores.environment import Adopted
from ..stores.media_store import MediaStore
from ..stores.run_history import RunHistory
from ..stores.stream import say
from .options.common import PROGRAM, STATE_DIRECTORY
from .output import SteadyStream, print_result
from .signals import Stop

if TYPE_CHECKING:
    from ..stores.s3 import Limits, S3ObjectStore

# Services, and whether the environment is Synapse's own already -> what came of it
Adopt = Callable[[Sequence[str], bool], Adopted]


def leave_environment(_services: Sequence[str], _is_synapses: bool) -> Adopted:
    """Leave the environment of a process that is not the program's alone."""
    return Adopted()


@dataclass
class Command:
    """One call of the program: its options, where to print, and how it learns that it is to stop.

    ``adopt`` makes the environment of the process Synapse's.
    """

    options: argparse.Namespace
    stdout: SteadyStream
    stderr: TextIO
    stop: Stop = field(default_factory=Stop)
    adopt: Adopt = leave_environment

    @cached_property
    def history(self) -> RunHistory:
        """Where the last runs are written down. Nowhere, where nobody has made or named a place."""
        directory = self._state_directory
        if directory is None:
            return RunHistory(self.options.state_directory, is_kept=False)
        return RunHistory(directory, lambda text: say(self.stderr, text))

    def aside(self, media: MediaStore, shard: Shard) -> Aside:
        """Where a copy is kept of a file whose removal is not seen to its end yet."""
        return Aside(directory_of(self._aside_parents[0], media, shard))

    def asides(self) -> list[Directory]:
        """Where runs, whichever, have kept such copies. Raises a MediaError."""
        first, *others = self._aside_parents
        found = directories_in(first)
        for parent in others:
            # Not each directory for temporary files can be listed, and this one is no longer used.
            with suppress(MediaError):
                found += directories_in(parent)
        return found

    @property
    def _aside_parents(self) -> list[Parent]:
        """The first is for new ones. Not in the media store: not every mount can be read where it is written."""
        temporary = Parent(Path(tempfile.gettempdir()), f"{PROGRAM}-{os.geteuid()}-")
        state = self._state_directory
        # In the other one there are those from before this directory was made, or named.
        return [temporary] if state is None else [Parent(state), temporary]

    @property
    def _state_directory(self) -> Path | None:
        directory: Path = self.options.state_directory
        return None if directory == STATE_DIRECTORY and not directory.is_dir() else directory

    def print_result(self, text: str, as_json: Mapping[str, Any]) -> None:
        """Print the result for a person, or with --json as the last line of stdout. Raises a MediaError."""
        if self.options.json:
            say(self.stderr, text)
        print_result(self.stdout, text, as_json if self.options.json else None)


@dataclass(frozen=True)
class Sides:
    """What Synapse's configuration leads to.

    ``providers``: the buckets of all S3 providers, in Synapse's order. ``bucket``: the one that new media go to.
    """

    config: Mapping[str, Any]
    bucket: BucketSettings
    providers: Sequence[BucketSettings]

    @property
    def others(self) -> Sequence[BucketSettings]:
        """The buckets from which Synapse reads too."""
        return [provider for provider in self.providers if provider != self.bucket]

    @property
    def earlier(self) -> Sequence[BucketSettings]:
        """Those that Synapse asks before the bucket: the first that has a file serves it."""
        return self.providers[: self.providers.index(self.bucket)]

    def check_uses_disk(self) -> None:
        """Refuse the configuration of a Synapse that leaves the local disk alone: what is only there it serves nobody.

        For the way out too: what `restore` brought back, and what is uploaded meanwhile, Synapse would not find.
        """
        if not synapse_config.uses_local_disk(self.config):
            raise ConfigurationError(
                "Could not use this configuration: it sets enable_local_media_storage to false, with which Synapse"
                " reads nothing from the local disk, and every upload fails. Remove that setting, restart Synapse, and"
                " run this again."
            )

    def check_serves_media(self) -> None:
        """Refuse a configuration whose process would serve nothing of the bucket, or nothing of the local disk."""
        self.check_uses_disk()
        if not synapse_config.serves_media(self.config):
            raise ConfigurationError(
                "Could not use this configuration: enable_media_repo is false in it, so that the process that has it"
                " serves no media, and nothing that is only in the bucket. Name the file of the worker that serves"
                " media with --config too, after the others."
            )

    def media(self, *, writable: bool = True) -> MediaStore:
        return MediaStore(synapse_config.media_store_path(self.config), writable=writable)

    def store(
        self,
        connections: int = 1,
        limits: Limits | None = None,
        pass_on: Callable[[int], None] | None = None,
        conditional: bool | None = True,
    ) -> S3ObjectStore:
        # Not before it is needed: `check-config` does without boto3, which may not be there yet.
        from ..stores.s3 import S3ObjectStore

        return S3ObjectStore(self.bucket, connections, limits, pass_on, conditional)


def read_sides(command: Command) -> Sides:
    """Read Synapse's configuration. From here on the environment is Synapse's."""
    if not command.options.config:
        raise UsageError("Could not start: no configuration was named. Give Synapse's with --config.")
    environment = command.adopt(command.options.synapse_service, command.options.synapse_environment)
    config = synapse_config.read_config(command.options.config)
    ca_bundle = os.environ.get("AWS_CA_BUNDLE")
    bucket = synapse_config.s3_provider(config)
    providers = [provider.settings for provider in synapse_config.s3_providers(config)]
    environment.check(providers, _database_settings(config))
    return Sides(
        config,
        replace(bucket, ca_bundle_path=ca_bundle),
        [replace(provider, ca_bundle_path=ca_bundle) for provider in providers],
    )


def _database_settings(config: Mapping[str, Any]) -> synapse_config.DatabaseSettings | None:
    try:
        return synapse_config.database_settings(config)
    except ConfigurationError:
        # Told by what needs it.
        return None


@contextmanager
def script_surroundings(command: Command, sides: Sides, endpoint_url: str) -> Iterator[tuple[Mapping[str, str], Path]]:
    """The environment and the directory of upstream's script."""
    database = synapse_config.database_settings(sides.config)
    media_store = synapse_config.media_store_path(sides.config)
    environment = upstream.shell_environment(sides.bucket, endpoint_url, media_store, command.options.unused_days)
    with upstream.work_directory(command.options.state_directory, database) as directory:
        yield environment, directory
