# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host of each layout has where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Layout:
    """One entry of layouts.yml. Paths are the host's, but for those that Synapse sees in its container."""

    engine: str
    media_store: str
    seen_media_store: str
    data: str
    homeserver: str
    dropin: str
    user: str
    job_user: str
    network: str
    database_host: str
    base: str
    commands: str
    theirs: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        return f"{self.commands}/matrix-synapse-s3-storage-provider"


def read_layout(name: str) -> Layout:
    return Layout(**yaml.safe_load(Path(__file__).with_name("layouts.yml").read_text())[name])
