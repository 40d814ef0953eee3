# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments by which the modules that use a bucket are told where it is, and with which key."""

from __future__ import annotations

from typing import Any

CONNECTION: dict[str, dict[str, Any]] = {
    "bucket": {"type": "str", "required": True},
    "prefix": {"type": "str", "default": "", "no_log": False},
    "region_name": {"type": "str"},
    "endpoint_url": {"type": "str"},
    "access_key_id": {"type": "str", "no_log": False},
    "secret_access_key": {"type": "str", "no_log": True},
    "session_token": {"type": "str", "no_log": True},
    "ca_bundle_path": {"type": "path"},
}
