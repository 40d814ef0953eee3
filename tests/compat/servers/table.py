# SPDX-License-Identifier: GPL-3.0-or-later
"""The S3 servers of the table, in its order. One file each."""

from __future__ import annotations

from ansible_collections.matrixops.synapse_s3.tests.compat.servers import garage, minio, moto, rgw, seaweedfs, versitygw

_ALL = (
    minio.SERVER,
    versitygw.SERVER,
    seaweedfs.SERVER,
    rgw.SERVER_16,
    rgw.SERVER_18,
    garage.SERVER,
    moto.SERVER,
)
SERVERS = {each.name: each for each in _ALL}
