# SPDX-License-Identifier: GPL-3.0-or-later
"""How the tests reach a host and its bucket: the file that molecule/shared/tasks/record_endpoints.yml writes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Endpoints:
    homeserver_url: str
    s3_url: str
    s3_ca_bundle: str
    s3_region: str
    root_user: str
    root_password: str = field(repr=False)
    bucket: str
    prefix: str
    access_key_id: str
    secret_access_key: str = field(repr=False)


def read_endpoints(path: Path) -> Endpoints:
    return Endpoints(**json.loads(path.read_text()))
