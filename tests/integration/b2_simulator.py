# SPDX-License-Identifier: GPL-3.0-or-later
"""The real b2 on the simulator of its SDK, in place of the service: run by b2's Python, with b2's own arguments.

The account's key is ``account-0``, ``masterKey-0``, and the bucket ``simulated`` is there, with what is in the
directory ``SIMULATED_B2``. What is in the bucket at the end is written there. An object's name is its file's, in
hexadecimal digits. ``SIMULATED_B2_KEY`` is the customer's key, in base64, that reads what is encrypted.
"""

from __future__ import annotations

import base64
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from inspect import isfunction
from pathlib import Path
from typing import Any

BUCKET = "simulated"


def one_at_a_time(simulator: type[Any]) -> type[Any]:
    """b2 asks from many threads, and the simulator's dictionaries are not made for that."""
    lock = threading.RLock()

    def locked(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            with lock:
                return method(*args, **kwargs)

        return call

    methods = {name: locked(method) for name, method in vars(simulator).items() if isfunction(method)}
    return type(simulator.__name__, (simulator,), methods)


def main() -> int:
    # Not among the tools that check this file.
    sdk: Any = import_module("b2sdk.v3")
    simulator: Any = import_module("b2sdk._internal.raw_simulator").RawSimulator
    # Its commands come with the version of its interface.
    console: Any = import_module("b2._internal.b2v5.registry")
    api = sdk.B2Api(sdk.InMemoryAccountInfo(), api_config=sdk.B2HttpApiConfig(_raw_api_class=one_at_a_time(simulator)))
    key_id, key = api.session.raw_api.create_account()
    api.authorize_account(key_id, key)
    bucket = api.create_bucket(BUCKET, "allPrivate")
    # What is there was stored a moment ago: its minimum age must not keep b2 from seeing it.
    simulated = api.session.raw_api.bucket_name_to_bucket[BUCKET]
    simulated.upload_timestamp_counter = itertools.count(int(time.time() * 1000))
    directory = Path(os.environ["SIMULATED_B2"])
    for file in directory.iterdir():
        bucket.upload_bytes(file.read_bytes(), bytes.fromhex(file.name).decode())
    console.ConsoleTool._initialize_b2_api = classmethod(lambda _class, args, kwargs: api)  # noqa: ARG005
    status: int = console.ConsoleTool(stdout=sys.stdout, stderr=sys.stderr).run_command(["b2", *sys.argv[1:]])
    for found, _unused in bucket.ls(recursive=True):
        encryption = None
        if found.server_side_encryption.mode == sdk.EncryptionMode.SSE_C:
            secret = base64.b64decode(os.environ["SIMULATED_B2_KEY"])
            algorithm, customers = sdk.EncryptionAlgorithm.AES256, sdk.EncryptionKey(secret=secret, key_id=None)
            encryption = sdk.EncryptionSetting(sdk.EncryptionMode.SSE_C, algorithm, customers)
        target = directory / found.file_name.encode().hex()
        with target.open("w+b") as output:
            bucket.download_file_by_id(found.id_, encryption=encryption).save(output)
    return status


if __name__ == "__main__":
    sys.exit(main())
