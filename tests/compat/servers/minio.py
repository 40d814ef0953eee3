# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.matrixops.synapse_s3.tests.compat.server import Server, pinned
from ansible_collections.matrixops.synapse_s3.tests.minio_server import run_minio

SERVER = Server(
    name="MinIO",
    step="minio",
    obtained="its Go module (the project is archived, and publishes no programs any more)",
    version=lambda: pinned("minio"),
    start=lambda directory, tls: run_minio(directory, tls=tls),
    notes=(
        "SSE-C only over https; then no ETag is a hash of the content, and what was stored is read back.",
        "Storage classes: STANDARD and REDUCED_REDUNDANCY.",
    ),
)
