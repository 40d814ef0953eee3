# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.matrixops.synapse_s3.tests.compat.server import Server, pinned
from ansible_collections.matrixops.synapse_s3.tests.versitygw_server import run_versitygw

SERVER = Server(
    name="versitygw",
    step="versitygw",
    obtained="its Go module, on a directory (the backend `posix`)",
    version=lambda: pinned("versitygw"),
    start=lambda directory, tls: run_versitygw(directory, tls=tls),
    lacks=dict.fromkeys(
        ("test_delete_removes_only_its_key", "test_many_are_deleted_by_one_request"),
        "no object `a` beside `a/b`; no path of Synapse's is like that",
    ),
    notes=(
        "It takes an encryption key (SSE-C) and passes over it: `preflight` and `migrate` refuse such settings.",
        "It takes every storage class and keeps objects as STANDARD: `preflight` says so.",
    ),
)
