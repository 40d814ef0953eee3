# SPDX-License-Identifier: GPL-3.0-or-later
"""Server-side encryption with a customer key (SSE-C). No text here holds any part of the key."""

from __future__ import annotations

import base64
import binascii
import re

SSE_ALGORITHM = "AES256"
KEY_BYTES = 32
_RIGHT_KEY = f"Use a text of exactly {KEY_BYTES} characters, such as 'openssl rand -hex 16' prints."


def sse_key_problems(key: str) -> list[str]:
    """What is wrong with the key. The provider gives it to boto3 as it is, and boto3 itself puts it into base64."""
    length = len(key.encode("utf-8", "surrogatepass"))
    if length == KEY_BYTES:
        return []
    if _is_base64_key(key):
        return [f"is a key in base64, which boto3 would put into base64 once more. {_RIGHT_KEY}"]
    if re.fullmatch(r"[0-9a-fA-F]{64}", key):
        return [f"is a key in 64 hexadecimal digits, but {KEY_BYTES} bytes are wanted. {_RIGHT_KEY}"]
    return [f"has {length} bytes, but {SSE_ALGORITHM} needs {KEY_BYTES}. {_RIGHT_KEY}"]


def sse_algorithm_problems(algorithm: str) -> list[str]:
    """What is wrong with the algorithm: S3 knows only one."""
    if algorithm == SSE_ALGORITHM:
        return []
    return [f"{algorithm!r} is not an algorithm that S3 offers for customer keys. Write {SSE_ALGORITHM!r}."]


def sse_transport_problems(endpoint_url: str) -> list[str]:
    """What is wrong with the way to the server: the key is sent along with every request."""
    if not endpoint_url.lower().startswith("http:"):
        return []
    return ["is true, but endpoint_url is plain http, over which S3 refuses customer keys. Use an https endpoint_url."]


def _is_base64_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == KEY_BYTES
    except (binascii.Error, ValueError):
        return False
